//! The one way to start a program.
//!
//! Checks, actions and alerts all start their programs here. A program gets a process group of its own, so that it can be
//! ended with everything that it started; three pipes that can neither block it nor us; and an environment that is given,
//! never inherited. Whatever becomes of the future that waits for it, the leader is reaped and the group is ended: by
//! [`Child::wait`] in the ordinary course, by the [warden] when the future is dropped.
//!
//! std starts a program with `posix_spawn` (no copy of our page tables, whatever our size) as long as nothing is asked for
//! that only `fork` can do: no user or group, no closure before exec, and no bare program name while the environment is
//! replaced. So the program is resolved here, against the `PATH` that it will see, into an absolute path; a folder to run
//! in is fine (`posix_spawn_file_actions_addchdir_np`, glibc 2.29, musl 1.1.24), a process group too; and `user` goes
//! through [`exec_as`]. A test looks at the system calls.
//!
//! What is absent: sessions and control groups. A program that calls setsid leaves its group and is out of reach.

pub mod adopted;
pub mod exec_as;
mod group;
mod pipes;
mod program;
mod spawn_error;
mod stat;
mod surroundings;
mod warden;
mod watch;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::Mono;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal::{self, SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use tokio::signal::unix::SignalKind;

use crate::host::user::User;
use crate::host::{clock, env};
use group::Group;
use pipes::Pipes;
use watch::Watch;

pub use group::Killer;
pub use pipes::{TAIL, Tail};
pub use spawn_error::{SpawnClass, SpawnError};
pub use warden::settle;

/// Between TERM and KILL when a deadline has passed.
pub const GRACE: Duration = Duration::from_secs(5);

/// No deadline is later than this: what lies beyond the clock's range would be a panic.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Between TERM and KILL for what a program left behind.
pub const LEFTOVER_GRACE: Duration = Duration::from_secs(1);

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments. A program without a slash is looked up in the `PATH` of `env`.
    pub argv: Vec<OsString>,
    /// The folder to run in, absolute.
    pub cwd: PathBuf,
    /// The whole environment: nothing of ours is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// What it can read from its standard input.
    pub stdin: Vec<u8>,
    /// Whom to run as; `None`: as we do.
    pub user: Option<User>,
}

/// What happens to the rest of the group when the leader has ended in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Nothing: it may be a service that was started on purpose. While we run it may also go on writing to its output.
    LeaveAlone,
    /// It is ended in the background: TERM, after [`LEFTOVER_GRACE`] KILL.
    ClearGroup,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// By us, at its deadline.
    TimedOut,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "ended by {signal}"),
                Err(_) => write!(f, "ended by signal {number}"),
            },
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

/// What is known of a program that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to its standard output.
    pub stdout: Tail,
    /// What it wrote to its standard error.
    pub stderr: Tail,
    /// From its start to its end.
    pub took: Duration,
}

impl Finished {
    /// How it ended, with the last thing that it said if that was not success: `exit 0`, `exit 1: no such unit`.
    pub fn line(&self) -> String {
        let said = match (self.exit, self.stderr.last_line()) {
            (Exit::Code(0), _) => String::new(),
            (_, line) if line.is_empty() => self.stdout.last_line(),
            (_, line) => line,
        };
        if said.is_empty() { self.exit.to_string() } else { format!("{}: {said}", self.exit) }
    }
}

/// A running program. Dropping it ends its group in the background.
#[derive(Debug)]
pub struct Child {
    group: Arc<Group>,
    watch: Watch,
    pipes: Pipes,
    started: Mono,
}

/// Sets for this process what every program that it starts inherits: the mask for new files 022, no signal blocked, and
/// the default action for every signal that our own launcher left ignored (as nohup and shells do). Notes the folder that
/// we were launched in.
///
/// Call it first, before the runtime is there.
pub fn prepare() {
    env::launch_folder();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    // A launcher that waits for signals in a thread of its own hands its mask down: nobody could end us.
    if let Err(error) = SigSet::empty().thread_set_mask() {
        tracing::warn!("signals that were blocked when we were started stay so: {error}");
    }
    let ignored = stat::ignored_signals();
    // std itself takes care of SIGPIPE; those of terminals are better left as they are for our own writing.
    let wanted = [SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCHLD];
    let wanted: Vec<Signal> = wanted.into_iter().filter(|signal| ignored & (1 << (*signal as u32 - 1)) != 0).collect();
    if let Err(error) = catch(&wanted) {
        tracing::warn!("programs will be started with signals ignored: {error}");
    }
}

/// Catches signals and does nothing about them. One that is caught is back at its default action after exec, one that is
/// ignored is not. tokio goes on catching it when this runtime is gone.
fn catch(signals: &[Signal]) -> io::Result<()> {
    if signals.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _context = runtime.enter();
    signals.iter().try_for_each(|signal| tokio::signal::unix::signal(SignalKind::from_raw(*signal as i32)).map(drop))
}

/// Starts a program.
///
/// # Errors
/// [`SpawnError`], and nothing runs.
///
/// # Panics
/// If `argv` is empty, or outside a runtime with input and output.
pub fn spawn(command: &Command) -> Result<Child, SpawnError> {
    spawn_through(command, &exec_as::helper())
}

/// [`spawn`] with the words that start the [helper](exec_as).
#[allow(clippy::disallowed_methods)] // this is the door
fn spawn_through(command: &Command, helper: &[OsString]) -> Result<Child, SpawnError> {
    let program = program::find(command)?;
    let mut builder = match exec_as::needed(command.user.as_ref())? {
        None => {
            let mut builder = std::process::Command::new(&program);
            builder.arg0(&command.argv[0]).args(&command.argv[1..]).env_clear().envs(command.env.iter().cloned());
            builder
        }
        Some(user) => {
            let mut builder = std::process::Command::new(&helper[0]);
            builder.args(&helper[1..]).args(exec_as::arguments(user, &program, &command.argv));
            builder.env_clear().envs(exec_as::wrap(&command.env));
            builder
        }
    };
    builder
        .current_dir(&command.cwd)
        .process_group(0)
        .stdin(if command.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let started = clock::mono();
    let mut leader = builder.spawn().map_err(|error| SpawnError::from_start(&error, command, &program))?;
    let ends = (leader.stdin.take(), leader.stdout.take(), leader.stderr.take());
    let group = Arc::new(Group::new(leader));
    let watch = Watch::new(group.pid());
    match Pipes::new(ends, command.stdin.clone()) {
        Ok(pipes) => Ok(Child { group, watch, pipes, started }),
        Err(error) => {
            warden::end(&group, Duration::ZERO);
            Err(SpawnError::from_io(&error, format!("cannot watch the pipes of `{}`", program.display())))
        }
    }
}

impl Child {
    /// The number of the leader and of its group.
    pub fn pid(&self) -> u32 {
        self.group.pid()
    }

    /// When the kernel started the leader, in clock ticks since boot: with the number, a name that no later process has.
    /// 0 if the kernel does not tell.
    pub fn start_ticks(&self) -> u64 {
        stat::of(self.pid()).map_or(0, |stat| stat.start_ticks)
    }

    /// A handle that can end the group while somebody else waits for it.
    pub fn killer(&self) -> Killer {
        Killer::new(self.group.clone())
    }

    /// Waits until the leader has ended: by itself within `timeout` of its start, or else by TERM to its group and, after
    /// [`GRACE`], by KILL; then the rest of the group is ended too.
    ///
    /// It returns only when the leader has ended, so that two runs never overlap. A leader that cannot be ended (it has
    /// become another user's, or hangs in the kernel) can make that later than `timeout` and grace.
    ///
    /// When this future is dropped, the group is ended in the background in the same way.
    pub async fn wait(mut self, timeout: Duration, afterwards: Afterwards) -> Finished {
        let deadline = clock::instant(self.started + timeout.min(LONGEST));
        let in_time = tokio::select! {
            biased;
            () = self.watch.ended(&self.group) => true,
            () = tokio::time::sleep_until(deadline) => false,
            never = self.pipes.pump() => match never {},
        };
        if !in_time {
            warden::end(&self.group, GRACE);
            let longest = clock::instant(clock::mono() + GRACE + LEFTOVER_GRACE);
            tokio::select! {
                biased;
                () = self.group.gone() => {}
                // What is left of the group is out of our power; the leader must be waited for all the same.
                () = async { tokio::time::sleep_until(longest).await; self.watch.ended(&self.group).await } => {}
                never = self.pipes.pump() => match never {},
            }
        }
        let took = clock::mono().since(self.started);
        let status = self.group.reap();
        let pipes = std::mem::take(&mut self.pipes);
        let (stdout, stderr) = match afterwards {
            Afterwards::LeaveAlone if in_time => pipes.leave_open(),
            _ => pipes.close(),
        };
        if in_time && afterwards == Afterwards::ClearGroup && !self.group.is_empty() {
            warden::end(&self.group, LEFTOVER_GRACE);
        }
        Finished { exit: if in_time { exit(status) } else { Exit::TimedOut }, stdout, stderr, took }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.group.is_reaped() {
            warden::end(&self.group, GRACE);
        }
    }
}

/// What a status means. There is none only where somebody else reaps our children; no command ends with -1.
fn exit(status: Option<ExitStatus>) -> Exit {
    let Some(status) = status else { return Exit::Code(-1) };
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(-1),
    }
}

#[cfg(test)]
mod tests;
