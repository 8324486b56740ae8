//! The command line: one file a command. A command prints what people need and returns how the program ends.

pub mod action;
pub mod alert;
pub mod args;
pub mod check;
pub mod config;
pub mod control;
pub mod demo;
pub mod drain;
pub mod find;
pub mod greeting;
pub mod init;
pub mod once;
pub mod prepare;
pub mod run;
pub mod runtime;
pub mod screen;
pub mod status;
mod waiting;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use crate::config::problem::did_you_mean;
use crate::exit::Exit;
use crate::host::process::{self, exec_as};
use crate::plan::{self, Format, Plan};
use crate::run::control::Request;
use crate::run::session::Effects;
use args::{ActionCommand, AlertCommand, Cli, Command};
use run::Stance;
use screen::Screen;

/// When a daemon has come to rest, what is still left of its commands gets KILL after this: commands of actions may have
/// taken 9 s of the 10 s that an orderly end has.
const AFTER_ORDERLY_END: Duration = Duration::from_millis(400);

/// Runs the program with these arguments, the first of which is its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    process::prepare();
    let screen = Screen::new(&cli.global);
    let exit = dispatch(&cli, screen);
    // What was started and has to end is ended before we are. A daemon has had its time for an orderly end by now.
    let patience = if matches!(cli.command, Some(Command::Run { .. })) { AFTER_ORDERLY_END } else { process::GRACE };
    process::settle(patience);
    exit
}

fn dispatch(cli: &Cli, screen: Screen) -> Exit {
    let global = &cli.global;
    let Some(command) = &cli.command else { return as_forerunner(cli, screen) };
    if cli.daemonize && !matches!(command, Command::Run { .. }) {
        screen.error(
            "`-d` belongs to the daemon alone: `heartbeat -d` with a file of the INI daemon, or `heartbeat run -d`",
        );
        return Exit::Usage;
    }
    match command {
        Command::Check { targets } => check::run(global, screen, targets),
        Command::Once { dry_run } => once::run(global, screen, effects(*dry_run)),
        Command::Run { daemonize, dry_run, detached } => {
            let stance = match (*daemonize || cli.daemonize, detached) {
                (_, true) => Stance::Detached,
                (true, false) => Stance::Detach,
                (false, false) => Stance::Foreground,
            };
            run::run(global, screen, stance, effects(*dry_run))
        }
        Command::Down { view, span, reason, wait } => {
            let order = drain::Down { view: view.as_deref(), span: *span, reason: reason.as_deref(), wait: *wait };
            drain::down(global, screen, &order)
        }
        Command::Up { view } => drain::up(global, screen, view.as_deref()),
        Command::Status { id } => status::run(global, screen, id.as_deref()),
        Command::Init { urls, alert } => init::run(global, screen, urls, alert),
        Command::Demo => demo::run(screen),
        Command::Config { command } => config::run(global, screen, command),
        Command::Action { command: ActionCommand::Run { name, direction, dry_run } } => {
            action::run(global, screen, name, *direction, effects(*dry_run))
        }
        Command::Alert { command: AlertCommand::Test { name } } => alert::test(global, screen, name),
        Command::Reload => control::run(global, screen, &Request::Reload),
        Command::Resume { action } => control::run(global, screen, &Request::Resume { action: action.as_str().into() }),
        Command::ExecAs { words } => match exec_as::run(words, std::env::vars_os()) {
            Err(problem) => {
                screen.error(problem);
                Exit::Failed
            }
            Ok(never) => match never {},
        },
    }
}

const fn effects(dry_run: bool) -> Effects {
    if dry_run { Effects::Dry } else { Effects::Real }
}

/// Without a command, a forerunner's file does what that program did; with another file there is nothing to guess.
fn as_forerunner(cli: &Cli, screen: Screen) -> Exit {
    let global = &cli.global;
    let path = match find::configuration(global) {
        Ok(path) => path,
        Err(message) if cli.daemonize => {
            screen.error(message);
            return Exit::Config;
        }
        Err(_) => return help(),
    };
    let plan = match load(screen, &path) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    match plan.format {
        Format::Native | Format::Cron if cli.daemonize => {
            screen.error(format_args!(
                "`-d` without a command is for files of the INI daemon, and {} is none\n   = help: heartbeat run -d",
                path.display()
            ));
            Exit::Usage
        }
        Format::Native => help(),
        Format::Ini if cli.daemonize || plan.process.daemonize => {
            run::run(global, screen, Stance::Detach, Effects::Real)
        }
        Format::Ini | Format::Cron => once::forerunner(global, screen, plan),
    }
}

fn help() -> Exit {
    match Cli::command().print_help() {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Failed,
    }
}

/// The line of help for a name that is nearly one of those that are known; empty if it is like none.
fn help_for<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    did_you_mean(name, known).map(|help| format!("\n   = help: {help}")).unwrap_or_default()
}

/// The configuration that the options name; where there is none, it has been said.
fn configuration(cli: &args::Global, screen: Screen) -> Result<PathBuf, Exit> {
    find::configuration(cli).map_err(|message| {
        screen.error(message);
        Exit::Config
    })
}

/// Reads a configuration and says what is wrong or doubtful.
fn load(screen: Screen, path: &Path) -> Result<Plan, Exit> {
    let (plan, problems) = plan::load::load(path);
    screen.problems(&problems);
    plan.ok_or(Exit::Config)
}
