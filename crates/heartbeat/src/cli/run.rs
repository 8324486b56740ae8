//! `heartbeat run`: the daemon.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heartbeat_core::shard::Mode;
use tokio::sync::mpsc;

use super::args::Global;
use super::screen::Screen;
use super::{configuration, greeting, load, prepare, runtime};
use crate::exit::Exit;
use crate::host::notify::Notifier;
use crate::host::{daemon, user};
use crate::log::Log;
use crate::plan::{Plan, Storage};
use crate::run::control::Server;
use crate::run::daemon::{Surroundings, run as live};
use crate::run::pidfile::{PidFile, PidFileError};
use crate::run::responding::Responding;
use crate::run::session::{Effects, Session};
use crate::store::writer::Durability;
use crate::web::Doors;

/// How the daemon stands to its launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// In the foreground.
    Foreground,
    /// It shall detach.
    Detach,
    /// It has been started by a launcher that waits for its good start.
    Detached,
}

/// Runs the daemon, or launches it.
pub fn run(global: &Global, screen: Screen, stance: Stance, effects: Effects) -> Exit {
    let done = configuration(global, screen).and_then(|path| {
        let plan = load(screen, &path)?;
        match stance {
            Stance::Detach => launch(global, screen, &path, effects),
            _ => serve(global, screen, &path, Arc::new(plan), stance, effects),
        }
    });
    done.unwrap_or_else(|exit| exit)
}

/// Starts this program anew as a daemon and ends when that is ready, or as it ended.
fn launch(global: &Global, screen: Screen, config: &Path, effects: Effects) -> Result<Exit, Exit> {
    let mut arguments: Vec<OsString> = vec!["run".into(), "--detached".into(), "-c".into(), config.into()];
    arguments.extend(global.state.iter().flat_map(|state| ["-s".into(), state.into()]));
    arguments.extend((0..global.verbose).map(|_| "-v".into()));
    arguments.extend(global.quiet.then(|| "-q".into()));
    arguments.extend((effects == Effects::Dry).then(|| "--dry-run".into()));
    match daemon::launch(&arguments) {
        Ok(daemon::Launch::Running(pid)) => {
            if screen.is_interactive() {
                screen.say(format_args!("heartbeat runs as process {pid}"));
            }
            Ok(Exit::Done)
        }
        Ok(daemon::Launch::Ended(status)) => Err(Exit::from_code(status)),
        Err(error) => Err(refuse(screen, Exit::Fault, format_args!("cannot start the daemon: {error}"))),
    }
}

fn refuse(screen: Screen, exit: Exit, why: impl std::fmt::Display) -> Exit {
    screen.error(why);
    exit
}

/// What is opened while the process may still be root.
struct Opened {
    pid_file: Option<PidFile>,
    log: Log,
    doors: Option<Doors>,
}

fn serve(
    global: &Global,
    screen: Screen,
    config: &Path,
    plan: Arc<Plan>,
    stance: Stance,
    effects: Effects,
) -> Result<Exit, Exit> {
    if stance == Stance::Detached {
        daemon::detach().map_err(|error| refuse(screen, Exit::Fault, format_args!("cannot detach: {error}")))?;
    }
    let Opened { pid_file, log, doors } = match effects {
        Effects::Real => open_as_launched(global, screen, &plan)?,
        // The doors are the real daemon's.
        Effects::Dry => Opened { pid_file: None, log: Log::rehearse(global.least()), doors: None },
    };
    let storage = prepare::storage(global, screen, &plan)?;
    let (world, built, opened) = prepare::open(screen, &plan, &storage, effects)?;
    let ledger = opened.ledger.clone();
    let location = opened.store.location();
    let durability = runtime::block_on(async {
        let mut session = Session::start(built, opened, Mode::Daemon, effects)
            .map_err(|error| refuse(screen, Exit::Fault, format_args!("cannot start the store's thread: {error}")))?;
        if screen.is_interactive() {
            let doors = doors.as_ref().map(Doors::names).unwrap_or_default();
            greeting::print(screen, config, &plan, &location, &doors);
            tokio::spawn(greeting::first_results(screen, Arc::clone(&plan), session.driver.watch()));
        }
        let (calls_in, calls) = mpsc::channel(8);
        // The store of a dry run is a copy: its socket is the real daemon's.
        let server = if effects == Effects::Real { listen(&storage, &plan) } else { None };
        let listening = server.map(|server| tokio::spawn(server.serve(calls_in)));
        let surroundings = Surroundings {
            config: config.to_owned(),
            log,
            calls,
            notifier: Notifier::from_environment(),
            world,
            responding: plan.responder.is_some().then(|| Responding::new(doors)),
        };
        let begun = format!("started with {}, the state in {location}", config.display());
        let ready = move || {
            tracing::info!("{begun}");
            if stance == Stance::Detached
                && let Err(error) = daemon::tell_ready()
            {
                tracing::error!("cannot let go of the launcher's streams: {error}");
            }
        };
        // As a task: to wake what a runtime blocks on costs a system call each time, and every probe wakes this.
        let living = tokio::spawn(live(session, ledger, surroundings, ready));
        let ended = living.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        if let Some(listening) = listening {
            listening.abort();
            let _ = listening.await;
        }
        ended.map_err(|error| refuse(screen, Exit::Fault, format_args!("cannot handle signals: {error}")))
    })
    .map_err(|error| refuse(screen, Exit::Fault, error))??;
    drop(pid_file);
    match durability {
        Durability::Durable => {
            tracing::info!("ended");
            Ok(Exit::Done)
        }
        Durability::Volatile(reason) => {
            tracing::error!("ended, but the last states could not be saved: {reason}");
            Err(Exit::Failed)
        }
    }
}

/// Opens the log and the pid file as the launching user, then becomes the configured one for good.
fn open_as_launched(global: &Global, screen: Screen, plan: &Plan) -> Result<Opened, Exit> {
    let failed = |error: &dyn std::fmt::Display| refuse(screen, Exit::Failed, error);
    let wanted = &plan.process;
    let user = wanted.user.as_deref().map(user::user).transpose().map_err(|error| failed(&error))?;
    let group = wanted.group.as_deref().map(user::group).transpose().map_err(|error| failed(&error))?;
    let pid_file = wanted.pidfile.as_deref().map(PidFile::take).transpose().map_err(|error| {
        let exit = if matches!(error, PidFileError::Held(..)) { Exit::Locked } else { Exit::Failed };
        refuse(screen, exit, error)
    })?;
    let log = Log::start(&plan.log, global.least()).map_err(|error| failed(&error))?;
    let doors = plan.responder.as_ref().map(|responder| Doors::open(&responder.web)).transpose();
    let doors = doors.map_err(|problems| {
        // Whoever holds the doors may be another daemon of this very configuration.
        let exit = if is_running(global, screen, plan) { Exit::Locked } else { Exit::Failed };
        refuse(screen, exit, problems.join("\nerror: "))
    })?;
    let become_user = match (user, &group) {
        (Some(user), _) => Some(user),
        (None, Some(_)) => user::current(),
        (None, None) => None,
    };
    if let Some(user) = become_user {
        let gid = group.as_ref().map_or(user.gid, |group| group.gid);
        let handed = pid_file.as_ref().map_or(Ok(()), |file| file.hand_to(Some(user.uid), Some(gid)));
        handed.and_then(|()| log.hand_to(user.uid, gid)).map_err(|error| {
            failed(&format_args!("cannot give the pid file and the log to the user `{}`: {error}", user.name))
        })?;
        user::drop_to(&user, group.as_ref()).map_err(|error| failed(&error))?;
    }
    Ok(Opened { pid_file, log, doors })
}

/// Whether a daemon with the same store answers.
fn is_running(global: &Global, screen: Screen, plan: &Plan) -> bool {
    let socket = prepare::storage(global, screen, plan).ok().and_then(|storage| prepare::socket(&storage, plan).ok());
    let running = socket.is_some_and(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok());
    if running {
        screen.error("another instance runs with this configuration");
    }
    running
}

/// The control socket. Without one the daemon works all the same, and signals do.
fn listen(storage: &Storage, plan: &Plan) -> Option<Server> {
    let path: PathBuf = match super::prepare::socket(storage, plan) {
        Ok(path) => path,
        Err(error) => {
            tracing::warn!("no control socket: {error}");
            return None;
        }
    };
    match Server::bind(&path) {
        Ok(server) => Some(server),
        Err(error) => {
            tracing::warn!("no control socket at {}: {error}; `reload` and `resume` will not work", path.display());
            None
        }
    }
}
