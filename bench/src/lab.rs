//! What measurements share: programs, scale, and rounds in which everybody has a turn.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::child::{Child, command};
use crate::cpu;
use crate::target::{self, Kind};

/// A round in which others used more of the machine than this is made again.
const FOREIGN: f64 = 0.10;
/// So often at most.
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
    pub(crate) const SMOKE: Self = Self { span: Duration::from_millis(500), rounds: 1, divisor: 20 };

    /// Whether the numbers mean nothing.
    pub(crate) const fn is_smoke(self) -> bool {
        self.rounds == 1
    }
}

/// Where measurements are made.
pub(crate) struct Lab {
    /// The program that is measured.
    pub(crate) heartbeat: PathBuf,
    /// How much.
    pub(crate) scale: Scale,
    /// The certificate of the targets and the authority to trust, in PEM; the file `target.pem` too.
    pub(crate) certificate: String,
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
    /// The most memory that was resident, in bytes; 0 if it was not asked for.
    pub(crate) memory: u64,
}

impl Sample {
    /// Microseconds of CPU for one.
    pub(crate) fn micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count.max(1) as f64
    }
}

/// Somebody who takes part.
pub(crate) struct Contender<'a> {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// Its turn.
    pub(crate) turn: Box<dyn FnMut() -> Result<Sample, String> + 'a>,
}

/// What a contender needed, over all rounds.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Its name.
    pub(crate) name: &'static str,
    /// Medians.
    pub(crate) micros: f64,
    /// The median of its memory.
    pub(crate) memory: u64,
    /// Rounds that others disturbed to the last try.
    pub(crate) noisy: usize,
}

impl Lab {
    /// A lab for this program.
    pub(crate) fn new(heartbeat: PathBuf, scale: Scale) -> Result<Self, String> {
        let (certificate, key) = target::certificate()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        for (name, text) in [("target.pem", &certificate), ("target.key", &key)] {
            std::fs::write(folder.path().join(name), text).map_err(|error| error.to_string())?;
        }
        Ok(Self { heartbeat, scale, certificate, folder })
    }

    /// Starts the target of a kind.
    pub(crate) fn target(&self, kind: Kind) -> Result<Child, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut target = command(own);
        target.args(["target", kind.name()]);
        if kind == Kind::Https {
            target.args(["target.pem", "target.key"].map(|name| self.folder.path().join(name)));
        }
        Child::start(target, "ready")
    }

    /// Measures somebody who runs already, by the hits of a target.
    pub(crate) fn watch(&self, child: &Child, kind: Kind) -> Result<Sample, String> {
        let (hits, cpu) = (target::hits(kind)?, child.cpu());
        crate::child::pause(self.scale.span);
        let (cpu, hits) = (child.cpu() - cpu, target::hits(kind)? - hits);
        Ok(Sample { count: hits, cpu, memory: cpu::memory(child.pid(), "VmRSS") })
    }

    /// Gives everybody a turn in every round, so that what disturbs one disturbs all.
    pub(crate) fn rounds(&self, contenders: &mut [Contender<'_>], ours: &[&Child]) -> Result<Vec<Outcome>, String> {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); contenders.len()];
        let mut noisy = vec![0; contenders.len()];
        for _ in 0..self.scale.rounds {
            for (place, contender) in contenders.iter_mut().enumerate() {
                let mut tries = 0;
                loop {
                    tries += 1;
                    let known = || -> Duration {
                        ours.iter().map(|child| child.cpu()).sum::<Duration>() + cpu::of(std::process::id())
                    };
                    let (machine, own, begin) = (cpu::of_machine(), known(), now());
                    let sample = (contender.turn)().map_err(|error| format!("{}: {error}", contender.name))?;
                    let used = (known() - own) + sample.cpu;
                    let foreign = cpu::of_machine().saturating_sub(machine).saturating_sub(used);
                    let quiet = foreign.as_secs_f64() < FOREIGN * begin.elapsed().as_secs_f64();
                    if quiet || tries == AGAIN {
                        noisy[place] += usize::from(!quiet);
                        samples[place].push(sample);
                        break;
                    }
                }
            }
        }
        let results = contenders.iter().zip(samples).zip(noisy).map(|((contender, samples), noisy)| Outcome {
            name: contender.name,
            micros: median(samples.iter().map(Sample::micros).collect()),
            memory: median(samples.iter().map(|sample| sample.memory as f64).collect()) as u64,
            noisy,
        });
        Ok(results.collect())
    }
}

/// The middle one.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The clock.
#[expect(clippy::disallowed_methods, reason = "a measurement is a span of time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
