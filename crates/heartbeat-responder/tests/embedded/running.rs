//! The runner: schedules, counts, timeouts, panics, threads that block.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use heartbeat_responder::{Answer, Health, Options, State, Transition, Verdict, blocking};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::{PATIENCE, all, answer, build, until, why};

/// A check that can be broken, and counts its runs.
#[derive(Clone, Default)]
struct Lamp {
    broken: Arc<AtomicBool>,
    runs: Arc<AtomicU32>,
}

impl Lamp {
    fn shine(&self) -> Result<(), &'static str> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) { Err("it is dark") } else { Ok(()) }
    }

    fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

/// A lamp is its own check.
impl heartbeat_responder::Check for Lamp {
    fn check(&self) -> heartbeat_responder::Boxed<'_, Verdict> {
        Box::pin(async { self.shine().into() })
    }
}

#[expect(clippy::disallowed_methods, reason = "the test reads the clock of the runtime")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn falls_and_rises_are_counted() {
    let lamp = Lamp::default();
    let health = build(Health::builder().check("lamp", lamp.clone()));
    assert_eq!(answer(&health), Answer::Stalled, "the runner has had no turn");
    until("up", || answer(&health).is_ok()).await;
    assert_eq!(lamp.runs(), 1, "one pass is enough at the start");

    lamp.set_broken(true);
    let broken = now();
    until("down", || answer(&health) == Answer::Down).await;
    let took = broken.elapsed();
    assert!(took <= Duration::from_secs(10 + 4 + 2), "{took:?}: an interval and two fast ones, each a little late");
    assert_eq!(lamp.runs(), 4, "three failures in a row");
    assert_eq!(why(&health), "down: lamp");

    lamp.set_broken(false);
    until("up again", || answer(&health).is_ok()).await;
    let runs = lamp.runs();
    assert!(runs >= 6, "{runs}: two passes in a row");

    sleep(Duration::from_secs(100)).await;
    let idle = lamp.runs() - runs;
    assert!((9..=11).contains(&idle), "{idle} runs in ten intervals");
}

#[tokio::test(start_paused = true)]
async fn own_options_come_before_the_defaults() {
    let (quick, slow) = (Lamp::default(), Lamp::default());
    let health = build(
        Health::builder()
            .defaults(Options::new().fall(1).interval(Duration::from_secs(5)))
            .check("quick", quick.clone())
            .check_with("slow", Options::new().interval(Duration::from_secs(50)).takedown(false), slow.clone()),
    );
    sleep(Duration::from_secs(201)).await;
    assert!((39..=42).contains(&quick.runs()), "{}", quick.runs());
    assert!((4..=6).contains(&slow.runs()), "{}", slow.runs());
    slow.set_broken(true);
    sleep(Duration::from_secs(51)).await;
    assert!(answer(&health).is_ok(), "what is shown only decides nothing");
    quick.set_broken(true);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(answer(&health), Answer::Down, "one failure is enough");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_fails_at_its_timeout_and_runs_once_at_a_time() {
    let (running, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counts = (Arc::clone(&running), Arc::clone(&most));
    let hanging = move || {
        let (running, most) = counts.clone();
        async move {
            let _running = Counted::new(&running, &most);
            pending::<()>().await;
        }
    };
    let (told, tells) = mpsc::channel();
    let options = Options::new().interval(Duration::from_secs(1)).timeout(Duration::from_secs(7)).fall(2);
    let builder = Health::builder().check_with("hanging", options, hanging).check("lamp", Lamp::default());
    let health = build(builder.observer(move |transition: &Transition| {
        let _ = told.send(transition.clone());
    }));
    sleep(Duration::from_secs(6)).await;
    assert_eq!(answer(&health), Answer::Unknown, "not known yet: the first run has not ended");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(answer(&health), Answer::Down);
    assert_eq!(most.load(Ordering::SeqCst), 1);
    drop(health);
    let ending = async {
        while running.load(Ordering::SeqCst) > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, ending).await.is_ok(), "the run in flight ends with the runner");
    let told = all(tells).await;
    let of_hanging = told.iter().find(|transition| &*transition.subject == "hanging").expect("it went down");
    assert_eq!(&*of_hanging.reason, "no answer within 7s");
}

/// Counts those that live, and the most that ever did.
struct Counted(Arc<AtomicU32>);

impl Counted {
    fn new(running: &Arc<AtomicU32>, most: &AtomicU32) -> Self {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Self(Arc::clone(running))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_fails_and_nothing_else_does() {
    let lamp = Lamp::default();
    let broken = || async {
        if true {
            panic!("out of ideas")
        }
    };
    let early = || if true { panic!("before the future") } else { async {} };
    let only_shown = Options::new().fall(1).takedown(false);
    let (told, tells) = mpsc::channel();
    let health = build(
        Health::builder()
            .check("lamp", lamp.clone())
            .check_with("broken", only_shown, broken)
            .check_with("early", only_shown, early)
            .check_with(
                "blocked",
                only_shown,
                blocking(|| {
                    if true {
                        panic!("in a thread")
                    }
                }),
            )
            .observer(move |transition: &Transition| {
                let _ = told.send((transition.subject.to_string(), transition.reason.to_string()));
            }),
    );
    sleep(Duration::from_secs(100)).await;
    assert!(answer(&health).is_ok());
    assert!(lamp.runs() >= 9, "{}", lamp.runs());
    drop(health);
    let mut told = all(tells).await;
    told.sort();
    let panicked = |name: &str, words: &str| (name.to_owned(), format!("the check panicked: {words}"));
    let expected = [
        panicked("blocked", "in a thread"),
        panicked("broken", "out of ideas"),
        panicked("early", "before the future"),
        ("lamp".to_owned(), String::new()),
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn every_transition_is_told_once() {
    let lamp = Lamp::default();
    let (told, tells) = mpsc::channel();
    let options = Options::new().interval(Duration::from_secs(1)).fall(2).rise(2);
    let health =
        build(Health::builder().check_with("lamp", options, lamp.clone()).observer(move |transition: &Transition| {
            let Transition { epoch, from, to, reason, .. } = transition;
            let _ = told.send((*epoch, *from, *to, reason.to_string()));
            panic!("an observer that breaks every time");
        }));
    sleep(Duration::from_secs(10)).await;
    lamp.set_broken(true);
    sleep(Duration::from_secs(30)).await;
    lamp.set_broken(false);
    sleep(Duration::from_secs(30)).await;
    drop(health);
    let expected = [
        (1, State::Unknown, State::Up, String::new()),
        (2, State::Up, State::Down, "it is dark".to_owned()),
        (3, State::Down, State::Up, String::new()),
    ];
    assert_eq!(all(tells).await, expected);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_once_the_last_clone_is_gone() {
    let lamp = Lamp::default();
    let health = build(Health::builder().check("lamp", lamp.clone()));
    let clone = health.clone();
    sleep(Duration::from_secs(50)).await;
    drop(health);
    let runs = lamp.runs();
    sleep(Duration::from_secs(50)).await;
    assert!(lamp.runs() > runs, "a clone is left");
    drop(clone);
    yield_now().await;
    let runs = lamp.runs();
    sleep(Duration::from_secs(50)).await;
    assert_eq!(lamp.runs(), runs);
}

#[tokio::test(start_paused = true)]
async fn a_word_of_its_own_and_a_warning() {
    let warns = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&warns);
    let check = move || {
        let warns = says.load(Ordering::SeqCst);
        async move { if warns { Verdict::Warn("slow\u{7}".to_owned()) } else { Verdict::PassAs("12 hits".to_owned()) } }
    };
    let options = Options::new().interval(Duration::from_secs(1)).fall(2);
    let health =
        build(Health::builder().check_with("search", options, check).peer(|_| Some(heartbeat_responder::Peer::Unix)));
    let body = || {
        let request = http::Request::get("/heartbeat/status/").body(()).expect("a request");
        String::from_utf8(health.respond(&request).into_body().into_bytes().to_vec()).expect("text")
    };
    sleep(Duration::from_secs(2)).await;
    assert!(body().contains("\"search\": \"12 hits\""), "{}", body());
    warns.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(10)).await;
    assert!(body().contains("\"search\": \"Ok: slow \""), "{}", body());
    assert!(answer(&health).is_ok(), "a warning keeps a server in service");
}

/// Holds up whoever waits for it, until the test lets go.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, std::sync::Condvar)>);

impl Gate {
    fn wait(&self) {
        let (open, opened) = &*self.0;
        let held = opened.wait_timeout_while(open.lock().expect("a lock"), PATIENCE * 3, |open| !*open);
        drop(held);
    }

    fn open(&self) {
        *self.0.0.lock().expect("a lock") = true;
        self.0.1.notify_all();
    }
}

/// A check that blocks one of two workers: the other one answers, and no second run takes it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_thread_that_blocks_holds_up_neither_answers_nor_the_others() {
    let (gate, runs, lamp) = (Gate::default(), Arc::new(AtomicU32::new(0)), Lamp::default());
    let (held, counted) = (gate.clone(), Arc::clone(&runs));
    let rude = move || {
        let (gate, runs) = (held.clone(), Arc::clone(&counted));
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            gate.wait();
        }
    };
    let often = Options::new().interval(Duration::from_millis(100)).timeout(Duration::from_millis(100)).fall(1);
    let builder = Health::builder().check_with("rude", often, rude).check_with("lamp", often, lamp.clone());
    let health = build(builder);
    until("the runner sees that it has not ended", || answer(&health) == Answer::Down).await;
    let before = lamp.runs();
    until("the other check goes on", || lamp.runs() > before + 20).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1, "one run at a time, whatever it does");
    assert_eq!(answer(&health), Answer::Down);
    gate.open();
    until("it is up when it ends again", || answer(&health).is_ok()).await;
}

#[tokio::test]
async fn what_blocks_is_not_run_twice_at_once() {
    let (gate, runs) = (Gate::default(), Arc::new(AtomicU32::new(0)));
    let (held, counted) = (gate.clone(), Arc::clone(&runs));
    let stuck = blocking(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        held.wait();
    });
    let often = Options::new().interval(Duration::from_millis(20)).timeout(Duration::from_millis(20)).fall(1).rise(1);
    let (told, tells) = mpsc::channel();
    let health = build(Health::builder().check_with("stuck", often, stuck).observer(move |transition: &Transition| {
        let _ = told.send(transition.reason.to_string());
    }));
    until("its timeout", || answer(&health) == Answer::Down).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    gate.open();
    until("up", || answer(&health).is_ok()).await;
    assert_eq!(tells.recv_timeout(PATIENCE).as_deref(), Ok("no answer within 20ms"));
}

/// Without a runner nothing is known: the views say so within the bound.
#[test]
fn answers_fail_closed_when_the_runtime_is_gone() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let health = runtime.block_on(async {
        let health = build(Health::builder().check("lamp", Lamp::default()));
        until("up", || answer(&health).is_ok()).await;
        health
    });
    runtime.shutdown_background();
    let checked = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    checked.block_on(async {
        let gone = now();
        until("it fails closed", || answer(&health) == Answer::Stalled).await;
        assert_eq!(health.answer("live").expect("a default view").0, Answer::Stalled);
        let took = gone.elapsed();
        assert!(took < Duration::from_secs(7), "{took:?}");
    });
}

#[tokio::test(start_paused = true)]
async fn the_end_is_readiness_first() {
    let health = build(Health::builder().check("lamp", Lamp::default()));
    until("up", || answer(&health).is_ok()).await;
    health.end("the application is stopping");
    assert_eq!(answer(&health), Answer::Drained);
    assert_eq!(why(&health), "the application is stopping");
    for view in ["live", "startup"] {
        assert!(health.answer(view).expect("a default view").0.is_ok(), "{view}");
    }
}
