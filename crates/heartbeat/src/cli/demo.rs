//! `heartbeat demo`: a built-in target fails and recovers, before your eyes. No file is written and no network is touched
//! but loopback; everything else is the real thing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heartbeat_core::Mono;
use heartbeat_core::delivery::{Delivery, Status};
use heartbeat_core::intent::Destination;
use heartbeat_core::record::State;
use heartbeat_core::shard::Mode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep_until;

use super::screen::{Ink, Screen};
use super::{prepare, runtime};
use crate::exit::Exit;
use crate::host::clock;
use crate::plan::{self, Storage};
use crate::run::driver::News;
use crate::run::session::{Effects, Session};

/// The target breaks, so long after the start …
const BREAKS: Duration = Duration::from_secs(3);
/// … and works again.
const WORKS: Duration = Duration::from_secs(8);
/// Whatever happens, the demonstration is over by then.
const LIMIT: Duration = Duration::from_secs(18);

/// The configuration, but for the port.
const CONFIGURATION: &str = r#"
defaults: { interval: 1s, fast_interval: 500ms, timeout: 1s, fall: 3, rise: 2 }
checks:
  shop: { url: "http://127.0.0.1:PORT/", actions: [proxy] }
actions:
  proxy:
    demote: { shell: 'echo "taking the shop out of service"' }
    promote: { shell: 'echo "putting the shop back into service"' }
alerts:
  pager: { type: shell, command: 'printf "%s\n" "$message"' }
storage: memory
"#;

/// Runs the demonstration.
pub fn run(screen: Screen) -> Exit {
    match runtime::block_on(show(screen)) {
        Ok(shown) => shown.unwrap_or_else(|exit| exit),
        Err(error) => {
            screen.error(error);
            Exit::Fault
        }
    }
}

async fn show(screen: Screen) -> Result<Exit, Exit> {
    let fault = |error: &dyn std::fmt::Display| {
        screen.error(format_args!("the demonstration cannot be shown: {error}"));
        Exit::Fault
    };
    let broken = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| fault(&error))?;
    let port = listener.local_addr().map_err(|error| fault(&error))?.port();
    let target = tokio::spawn(serve(listener, Arc::clone(&broken)));
    let text = CONFIGURATION.trim_start().replace("PORT", &port.to_string());
    let (plan, problems) = plan::from_text("demo.yaml", &text, &|_| None);
    let plan = Arc::new(plan.ok_or_else(|| fault(&problems.render()))?);

    screen.data("A web shop answers on loopback. heartbeat checks it once a second, by this configuration:\n");
    screen.data(text.lines().map(|line| format!("    {line}\n")).collect::<String>());

    let (_, built, opened) = prepare::open(screen, &plan, &Storage::Memory, Effects::Real)?;
    let ledger = opened.ledger.clone();
    let session = Session::start(built, opened, Mode::Daemon, Effects::Real).map_err(|error| fault(&error))?;
    let mut stage = Stage { screen, start: clock::mono(), broken, told_up: false, promoted: false };
    let session = stage.play(session, ledger).await;
    let complete = stage.is_over();
    session.stop().await;
    target.abort();
    if !complete {
        return Err(fault(&"the target did not go down and up again in time; is the machine very busy?"));
    }
    screen.data("\nThat is the whole loop: check, decide, act, alert. Yours begins with");
    screen.data("\n    heartbeat init https://example.org/ --alert mailto:you@example.org");
    Ok(Exit::Done)
}

/// What has been shown so far.
struct Stage {
    screen: Screen,
    start: Mono,
    broken: Arc<AtomicBool>,
    told_up: bool,
    promoted: bool,
}

impl Stage {
    /// Works until the target is back and everybody knows.
    async fn play(&mut self, mut session: Session, ledger: heartbeat_core::ledger::Ledger) -> Session {
        let mut news = session.driver.watch();
        session.begin(ledger.checks);
        let acts = [(BREAKS, true, "the shop breaks: it now answers 503"), (WORKS, false, "the shop works again")];
        let mut acts = acts.into_iter().peekable();
        while !self.is_over() {
            let limit = self.start + LIMIT;
            let act = acts.peek().map_or(limit, |(after, ..)| self.start + *after);
            let wake = session.driver.next_wake().map_or(act, |due| due.min(act)).min(limit);
            tokio::select! {
                biased;
                Some(news) = news.recv() => self.tell(&news),
                Some(delivery) = session.settled.recv() => {
                    self.tell_settled(&delivery);
                    session.settle(delivery);
                }
                Some(done) = session.probed.recv() => session.driver.probed([done]),
                () = sleep_until(clock::instant(wake)) => session.driver.wake(),
            }
            let now = clock::mono();
            if let Some((_, broken, what)) = acts.next_if(|(after, ..)| now >= self.start + *after) {
                self.broken.store(broken, Ordering::SeqCst);
                self.line(Ink::Strong, what);
            }
            if now >= limit {
                break;
            }
        }
        session
    }

    fn is_over(&self) -> bool {
        self.told_up && self.promoted
    }

    fn tell(&self, news: &News) {
        match news {
            News::Probed(_, outcome) => {
                let reason = if outcome.reason.is_empty() { "" } else { &format!(": {}", outcome.reason) };
                self.line(Ink::Faint, format_args!("probe {}{reason}", outcome.verdict.as_str()));
            }
            News::Moved(transition) => {
                let (from, to) = (transition.from, transition.to);
                self.line(Ink::from(to), format_args!("state {from} -> {to}"));
            }
        }
    }

    fn tell_settled(&mut self, delivery: &Delivery) {
        let intent = &delivery.intent;
        let done = matches!(delivery.status, Status::Done(_));
        let what = match &intent.to {
            Destination::Action(id) => format!("action {id}: {}: {}", intent.event.as_str(), delivery.answer),
            Destination::Alert(id) => format!("alert {id}: \"{}\": {}", intent.message, delivery.answer),
        };
        self.line(if done { Ink::Good } else { Ink::Bad }, what);
        let back = intent.facts.state == State::Up && done;
        match intent.to {
            Destination::Alert(_) => self.told_up |= back,
            Destination::Action(_) => self.promoted |= back,
        }
    }

    fn line(&self, ink: Ink, what: impl std::fmt::Display) {
        let at = clock::mono().since(self.start).as_secs_f64();
        self.screen.data(format_args!("{at:6.1} s  {}", self.screen.paint(ink, what)));
    }
}

/// The shop.
async fn serve(listener: TcpListener, broken: Arc<AtomicBool>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, broken.load(Ordering::SeqCst)));
    }
}

async fn answer(mut stream: TcpStream, broken: bool) -> std::io::Result<()> {
    let mut request = [0; 4096];
    // Whatever is asked, the answer is the same.
    let _ = stream.read(&mut request).await?;
    let status = if broken { "503 Service Unavailable" } else { "200 OK" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await
}
