//! The command line as it is written.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

use crate::config::values::duration::parse;

/// What a help of the whole program ends with.
const AFTER_HELP: &str = "Without a command, a file of the INI daemon or of the YAML cron utility does what that program did.\n\
     Exit status of check, once and status: 0 all up, 1 something degraded, 2 down, 3 unknown; of the others: 0 done, \
     1 failed; of all: 64 wrong usage, 78 wrong configuration, 70 a fault of our own, 75 another instance runs.\n\n\
     Start here: heartbeat demo, heartbeat init URL";

/// Checks services, decides their state, acts and alerts on changes.
#[derive(Debug, Parser)]
#[command(name = "heartbeat", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Options that stand anywhere.
    #[command(flatten)]
    pub global: Global,

    /// Detach, as the INI daemon did.
    #[arg(short = 'd', long = "daemonize")]
    pub daemonize: bool,
}

/// Options that stand anywhere.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The configuration; else $HEARTBEAT_CONFIG, else heartbeat.{yaml,yml,toml,conf} here, in $XDG_CONFIG_HOME/heartbeat/, in /etc/heartbeat/.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Where the state is kept, in place of the configuration's `storage`: FILE, file:FILE, sqlite:FILE or memory.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub state: Option<String>,

    /// Say less: only warnings and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more; twice: everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Colours: auto, always or never; auto is on a terminal, unless NO_COLOR is set or TERM is dumb.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    #[arg(hide_possible_values = true)]
    pub color: ColorChoice,

    /// Print data as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Global {
    /// The least severe level that is logged, if the options say.
    pub fn least(&self) -> Option<LevelFilter> {
        match (self.quiet, self.verbose) {
            (true, _) => Some(LevelFilter::WARN),
            (false, 0) => None,
            (false, 1) => Some(LevelFilter::DEBUG),
            (false, _) => Some(LevelFilter::TRACE),
        }
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Probe now and print; keep nothing, alert nobody.
    Check {
        /// A URL, probed with the built-in defaults; or the id of a check of the configuration. Without any: all checks.
        #[arg(value_name = "TARGET|ID")]
        targets: Vec<String>,
    },
    /// For cron: load the state, probe all, decide, act, alert, save, end.
    Once {
        /// Decide everything, but run no command, send no message and remember nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// The daemon, in the foreground.
    Run {
        /// Detach after a good start.
        #[arg(short, long)]
        daemonize: bool,
        /// Decide everything, but run no command, send no message and remember nothing.
        #[arg(long)]
        dry_run: bool,
        /// How a detached process knows that it is one.
        #[arg(long, hide = true)]
        detached: bool,
    },
    /// Take this server out of service: load balancers are told to send no more requests.
    #[command(visible_alias = "drain")]
    Down {
        /// Only this view of the responder.
        view: Option<String>,
        /// Until then it is back in service by itself, such as 30m.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        span: Option<Duration>,
        /// Why, for those who ask.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Wait until everybody who polls has been told, at most so long; exit 1 if somebody has not.
        #[arg(long, value_name = "LIMIT", value_parser = duration)]
        #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "5m")]
        wait: Option<Duration>,
    },
    /// Put this server back into service.
    Up {
        /// Only this view of the responder.
        view: Option<String>,
    },
    /// The states, from the running daemon or else from the store.
    Status {
        /// Only this check or group.
        id: Option<String>,
    },
    /// Write the smallest configuration that works, and say what to type next.
    Init {
        /// What to check.
        #[arg(value_name = "URL")]
        urls: Vec<String>,
        /// Whom to tell: `mailto:ops@example.org` or `https://example.org/hook`.
        #[arg(long, value_name = "URL")]
        alert: Vec<String>,
    },
    /// Watch a built-in target fail and recover: states, action and alert within 20 s; no file, no network.
    Demo,
    /// Look at the configuration.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Run an action's command by hand.
    Action {
        /// What to do.
        #[command(subcommand)]
        command: ActionCommand,
    },
    /// Let an action run again that its limit has suspended.
    Resume {
        /// The action's id.
        action: String,
    },
    /// Try an alert.
    Alert {
        /// What to do.
        #[command(subcommand)]
        command: AlertCommand,
    },
    /// Have the running daemon read its configuration again.
    Reload,
    /// Run a program as another user; heartbeat calls this itself.
    #[command(hide = true)]
    ExecAs {
        /// User, program, arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong with it.
    Check,
    /// Print it with every default filled in; secrets are hidden.
    Show,
    /// Print its JSON Schema, for editors.
    Schema,
    /// Print the reference of all keys.
    Reference,
    /// Print the native equivalent of a forerunner's file.
    Convert {
        /// The forerunner's file; else the configuration.
        file: Option<PathBuf>,
    },
}

/// What can be done with an action.
#[derive(Debug, Subcommand)]
pub enum ActionCommand {
    /// Run one of its commands now.
    Run {
        /// The action's id.
        name: String,
        /// Which of its two commands: the one for good times or the one for bad times.
        #[arg(value_name = "promote|demote", hide_possible_values = true)]
        direction: DirectionWord,
        /// Only say what would be run.
        #[arg(long)]
        dry_run: bool,
    },
}

/// The two commands of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectionWord {
    /// The one for good times.
    Promote,
    /// The one for bad times.
    Demote,
}

/// What can be done with an alert.
#[derive(Debug, Subcommand)]
pub enum AlertCommand {
    /// Send a real test message and print what the provider said.
    Test {
        /// The alert's id.
        name: String,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    parse(text).ok_or_else(|| "expected a duration such as `30s` or `1h30m`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
