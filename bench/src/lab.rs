//! What measurements share: programs, scale, and rounds in which everybody has a turn.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::child::{Child, command, pause};
use crate::cpu::Watch;
use crate::net::Net;
use crate::target::{self, Kind};

/// A turn in which others used more of a core than this is made again.
pub(crate) const FOREIGN: f64 = 0.10;
/// So often at most, for every contender.
const AGAIN: usize = 3;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// One measurement of one contender.
    pub(crate) span: Duration,
    /// How often everybody has a turn.
    pub(crate) rounds: usize,
    /// Divides the number of checks.
    pub(crate) divisor: usize,
}

impl Scale {
    /// Enough for a number that means something.
    pub(crate) const FULL: Self = Self { span: Duration::from_secs(5), rounds: 5, divisor: 1 };
    /// Enough to see that the harness works.
    pub(crate) const SMOKE: Self = Self { span: Duration::from_millis(300), rounds: 1, divisor: 2000 };

    /// Whether the numbers mean nothing.
    pub(crate) const fn is_smoke(self) -> bool {
        self.rounds == 1
    }

    /// So many seconds, or hardly any if the numbers mean nothing.
    pub(crate) const fn seconds(self, wanted: u64) -> Duration {
        if self.is_smoke() { self.span } else { Duration::from_secs(wanted) }
    }

    /// An interval of so many seconds as it is written in a file, or as long as a measurement takes.
    pub(crate) fn every(self, seconds: u64) -> String {
        if self.is_smoke() { format!("{}ms", self.span.as_millis()) } else { format!("{seconds}s") }
    }

    /// So many checks, or few.
    pub(crate) const fn checks(self, wanted: usize) -> usize {
        let fewer = wanted / self.divisor;
        // A bare loop on a grid needs some to start one in the shortest span.
        if fewer < 10 { 10 } else { fewer }
    }
}

/// Where measurements are made.
pub(crate) struct Lab {
    /// Where everybody listens.
    pub(crate) net: Net,
    /// The program that is measured.
    pub(crate) heartbeat: PathBuf,
    /// How much.
    pub(crate) scale: Scale,
    /// The certificate of the targets and the authority to trust, in PEM; the file `target.pem` too.
    pub(crate) certificate: String,
    /// So many descriptors every process may have.
    pub(crate) descriptors: usize,
    /// For files.
    pub(crate) folder: tempfile::TempDir,
}

/// What one contender did in one turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// So many probes or requests.
    pub(crate) count: u64,
    /// They cost this.
    pub(crate) cpu: Duration,
    /// Others used so much of a core meanwhile.
    pub(crate) foreign: f64,
    /// Resident memory at the end, in megabytes; 0 if it was not asked for.
    pub(crate) memory: f64,
}

impl Sample {
    /// Microseconds of CPU for one.
    pub(crate) fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count.max(1) as f64
    }

    /// To be said where a number stands.
    pub(crate) fn remark(&self) -> &'static str {
        if self.foreign < FOREIGN { "" } else { NOISY }
    }
}

/// Said of numbers that others have disturbed.
pub(crate) const NOISY: &str = " (noisy)";

/// Measures somebody's work, which says how much was done.
pub(crate) fn measure(
    cost: impl Fn() -> Duration,
    work: impl FnOnce() -> Result<u64, String>,
) -> Result<Sample, String> {
    let (watch, begin) = (Watch::start(), cost());
    let count = work()?;
    let cpu = cost().saturating_sub(begin);
    Ok(Sample { count, cpu, foreign: watch.foreign(), memory: 0.0 })
}

/// Somebody who takes part.
pub(crate) struct Contender<'a> {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// Its turn.
    pub(crate) turn: Box<dyn FnMut() -> Result<Sample, String> + 'a>,
}

impl<'a> Contender<'a> {
    /// Somebody by name.
    pub(crate) fn new(name: &'static str, turn: impl FnMut() -> Result<Sample, String> + 'a) -> Self {
        Self { name, turn: Box::new(turn) }
    }
}

/// What a contender needed, over all rounds.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Its name.
    pub(crate) name: &'static str,
    /// The median of microseconds for one.
    pub(crate) micros: f64,
    /// The median of its memory.
    pub(crate) memory: f64,
    /// Whether others disturbed every turn.
    pub(crate) is_noisy: bool,
}

impl Lab {
    /// A lab for this program.
    pub(crate) fn new(heartbeat: PathBuf, scale: Scale) -> Result<Self, String> {
        let net = Net::own();
        let (certificate, key) = target::certificate(net)?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for (name, text) in [("target.pem", &certificate), ("target.key", &key)] {
            std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string())?;
        }
        // As many as we may; the children inherit it.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most).map_err(|error| error.to_string())?;
        let descriptors = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(Self { net, heartbeat, scale, certificate, descriptors, folder })
    }

    /// Starts the target of a kind.
    pub(crate) fn target(&self, kind: Kind) -> Result<Child, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut target = command(own);
        target.args(["target", &self.net.to_string(), kind.name()]);
        if kind == Kind::Https {
            target.args(["target.pem", "target.key"].map(|name| self.folder.path().join(name)));
        }
        Child::start(target, "ready")
    }

    /// Measures somebody who runs already, by the hits of a target.
    pub(crate) fn watch(&self, child: &Child, kind: Kind, span: Duration) -> Result<Sample, String> {
        let sample = measure(
            || child.cpu(),
            || {
                let before = self.net.hits(kind)?;
                pause(span);
                Ok(self.net.hits(kind)? - before)
            },
        )?;
        Ok(Sample { memory: child.memory(), ..sample })
    }

    /// Gives everybody a turn in every round, so that what disturbs one disturbs all. A turn that others disturb is made
    /// again; disturbed ones count only if there are no others.
    pub(crate) fn rounds(&self, rounds: usize, contenders: &mut [Contender<'_>]) -> Result<Vec<Outcome>, String> {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contenders.len()];
        let mut again = vec![AGAIN; contenders.len()];
        for _ in 0..rounds.min(self.scale.rounds) {
            for (place, contender) in contenders.iter_mut().enumerate() {
                loop {
                    let sample = (contender.turn)().map_err(|error| format!("{}: {error}", contender.name))?;
                    samples[place].push(sample);
                    if sample.foreign < FOREIGN || again[place] == 0 || self.scale.is_smoke() {
                        break;
                    }
                    again[place] -= 1;
                }
            }
        }
        Ok(contenders.iter().zip(samples).map(|(contender, samples)| outcome(contender.name, samples)).collect())
    }
}

fn outcome(name: &'static str, samples: Vec<Sample>) -> Outcome {
    let quiet: Vec<Sample> = samples.iter().copied().filter(|sample| sample.foreign < FOREIGN).collect();
    let is_noisy = quiet.is_empty();
    let counted = if is_noisy { samples } else { quiet };
    Outcome {
        name,
        micros: median(counted.iter().map(Sample::micros)),
        memory: median(counted.iter().map(|sample| sample.memory)),
        is_noisy,
    }
}

/// The middle one.
pub(crate) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
