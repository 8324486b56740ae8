//! A hundred thousand checks in one process: every state is right, memory stays bounded, a reload forgets nothing.
//!
//! Guarded are memory and correctness. Time is not: that is the business of the benchmarks, on a quiet machine.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heartbeat::run::control::{self, Answer, Request};
use heartbeat::run::status::CheckStatus;
use heartbeat_core::record::State;
use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};

use crate::support::{Home, wait_within};

const CHECKS: usize = 100_000;

/// One address alone would run out of ports, and holds only so many probes at once.
const ADDRESSES: usize = 40;

/// Far more than it takes without optimisations: loading the file alone takes 12 s then.
const PATIENCE: Duration = Duration::from_secs(200);

/// What the process may use at its most, in MiB, while it loads the file and probes everything once. Some 30 of them are
/// pages of a binary that is not optimised.
const MEMORY: usize = 350;

/// What a check's target does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    Refuses,
    IsSilent,
}

impl Manner {
    /// Of the check at this place.
    const fn of(place: usize) -> Self {
        match place % 20 {
            7 => Self::Refuses,
            13 => Self::IsSilent,
            _ => Self::Answers,
        }
    }

    const fn state(self) -> State {
        match self {
            Self::Answers => State::Up,
            Self::Refuses | Self::IsSilent => State::Down,
        }
    }
}

/// A target of each manner at every address.
struct Targets {
    answering: Vec<SocketAddr>,
    /// Bound, and never listened at: nobody else can take the port meanwhile.
    refusing: Vec<Socket>,
    /// Listened at, and never accepted from: the kernel lets some in, and nobody hears a word.
    silent: Vec<TcpListener>,
    answered: Arc<AtomicUsize>,
}

impl Targets {
    fn new() -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let anywhere = |number: usize| {
            SocketAddr::from((Ipv4Addr::new(127, 0, 77, u8::try_from(number + 1).expect("few addresses")), 0))
        };
        let refusing = (0..ADDRESSES).map(|number| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.bind(&anywhere(number).into()).expect("a loopback port");
            socket
        });
        let silent = (0..ADDRESSES).map(|number| TcpListener::bind(anywhere(number)).expect("a loopback port"));
        let answering = (0..ADDRESSES).map(|number| {
            let listener = TcpListener::bind(anywhere(number)).expect("a loopback port");
            let address = listener.local_addr().expect("a bound socket");
            let answered = Arc::clone(&answered);
            std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, &answered)));
            address
        });
        Self {
            answering: answering.collect(),
            refusing: refusing.collect(),
            silent: silent.collect(),
            answered: Arc::clone(&answered),
        }
    }

    /// The check at a place, as a line of the file.
    fn check(&self, place: usize) -> String {
        // All three manners at every address.
        let number = place / 20 % ADDRESSES;
        let bound = "a bound socket";
        match Manner::of(place) {
            // Every tenth asks for a page, the others are content with a connection.
            Manner::Answers if place.is_multiple_of(10) => {
                format!("  c{place}: {{ url: \"http://{}/health/{place}\" }}\n", self.answering[number])
            }
            Manner::Answers => format!("  c{place}: {{ url: \"tcp://{}\" }}\n", self.answering[number]),
            Manner::Refuses => {
                let address = self.refusing[number].local_addr().ok().and_then(|address| address.as_socket());
                format!("  c{place}: {{ url: \"tcp://{}\" }}\n", address.expect(bound))
            }
            Manner::IsSilent => {
                let address = self.silent[number].local_addr().expect(bound);
                format!("  c{place}: {{ url: \"http://{address}/\", timeout: 2s }}\n")
            }
        }
    }

    /// A file with the checks at these places.
    fn file(&self, places: impl Iterator<Item = usize>) -> String {
        let checks: String = places.map(|place| self.check(place)).collect();
        format!(
            "defaults: {{ interval: 40s, fast_interval: 40s, timeout: 20s, fall: 1, rise: 1 }}\n\
             log: {{ level: error }}\nstorage: sqlite:state.db\nalerts: []\nchecks:\n{checks}"
        )
    }
}

/// Answers one request, if there is one.
fn answer(mut stream: TcpStream, answered: &AtomicUsize) {
    answered.fetch_add(1, Ordering::Relaxed);
    if matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}

/// Waits for something that takes long here.
#[track_caller]
fn wait_long<T>(what: &str, done: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, Duration::from_millis(250), what, done)
}

/// What the daemon says of every check, by id; `None` while there is no daemon that listens.
fn states(home: &Home) -> Option<BTreeMap<String, CheckStatus>> {
    match control::ask(&home.path("state.sock"), &Request::Status).expect("the daemon answers")? {
        Answer::Status(status) => Some(status.checks.into_iter().map(|check| (check.id.clone(), check)).collect()),
        answer => panic!("asked for the states, got {answer:?}"),
    }
}

#[test]
fn a_hundred_thousand_checks_are_judged_rightly_within_bounded_memory_and_outlive_a_reload() {
    let targets = Targets::new();
    let home = Home::new().with("heartbeat.yaml", &targets.file(0..CHECKS));
    let program = home.start(&["run"]);
    let answering = (0..CHECKS).filter(|place| Manner::of(*place) == Manner::Answers).count();
    wait_long("every target that answers was asked", || {
        (targets.answered.load(Ordering::Relaxed) >= answering).then_some(())
    });
    // To be asked costs memory too, but nobody asks all the time.
    let most = program.memory("VmHWM:") / 1024;
    assert!(most <= MEMORY, "{most} MiB, and {MEMORY} are enough");
    let before = wait_long("every check has been decided", || {
        states(&home).filter(|states| states.values().all(|check| check.state != State::Unknown))
    });
    assert_eq!(before.len(), CHECKS);
    for place in 0..CHECKS {
        let check = &before[&format!("c{place}")];
        let manner = Manner::of(place);
        assert_eq!((check.state, check.epoch), (manner.state(), 1), "{check:?}");
        match manner {
            Manner::Answers => {}
            Manner::Refuses => assert!(check.reason.contains("refused"), "{check:?}"),
            Manner::IsSilent => assert!(check.reason.contains(" 2s"), "{check:?}"),
        }
    }

    // The first is left out, and one is new.
    home.write("heartbeat.yaml", &targets.file(1..CHECKS + 1));
    program.signal(Signal::SIGHUP);
    let after = wait_long("the new file is in force", || {
        states(&home).filter(|states| states.contains_key(&format!("c{CHECKS}")))
    });
    assert_eq!((after.len(), after.contains_key("c0")), (CHECKS, false));
    for (id, check) in &before {
        let Some(same) = after.get(id) else { continue };
        let known = |check: &CheckStatus| (check.state, check.epoch, check.since.clone());
        assert_eq!(known(same), known(check), "a reload is no event: {same:?}");
    }
    let ended = program.terminate();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
}
