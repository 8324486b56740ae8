//! Words on a terminal: colours where they are wanted, data on stdout, messages on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use heartbeat_core::outcome::Verdict;
use heartbeat_core::record::State;

use super::args::{ColorChoice, Global};
use crate::config::Problems;
use crate::host::env;

/// What the person before us wants to see.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    color: bool,
    quiet: bool,
    json: bool,
}

/// The colours that we use, by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// All is well.
    Good,
    /// Look at it.
    Doubtful,
    /// It failed.
    Bad,
    /// Of less interest.
    Faint,
    /// A heading.
    Strong,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Doubtful => "33",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

impl From<State> for Ink {
    fn from(state: State) -> Self {
        match state {
            State::Up => Self::Good,
            State::Degraded => Self::Doubtful,
            State::Down => Self::Bad,
            State::Unknown => Self::Faint,
        }
    }
}

impl From<Verdict> for Ink {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Good,
            Verdict::Warn => Self::Doubtful,
            Verdict::Fail => Self::Bad,
            Verdict::Local => Self::Faint,
        }
    }
}

impl Screen {
    /// The screen that the options and the environment ask for.
    pub fn new(global: &Global) -> Self {
        let color = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let refused = env::variable("NO_COLOR").is_some_and(|value| !value.is_empty())
                    || env::variable("TERM").is_some_and(|value| value == "dumb");
                io::stdout().is_terminal() && !refused
            }
        };
        Self { color, quiet: global.quiet, json: global.json }
    }

    /// Whether data is to be printed as JSON.
    pub fn wants_json(self) -> bool {
        self.json
    }

    /// A person is watching.
    pub fn is_interactive(self) -> bool {
        !self.json && !self.quiet && io::stdout().is_terminal()
    }

    /// The text in a colour, or as it is.
    pub fn paint(self, ink: Ink, text: impl Display) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_string() }
    }

    /// One line of data. A reader that has gone away (a closed pipe) is no error of ours.
    pub fn data(self, line: impl Display) {
        let _ = writeln!(io::stdout().lock(), "{line}");
    }

    /// Data that ends with its own newline.
    pub fn text(self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// A message for people.
    pub fn say(self, line: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// A line that the next one replaces: only for a person.
    pub fn transient(self, line: impl Display) {
        let can_go_back = env::variable("TERM").is_some_and(|term| term != "dumb") && io::stderr().is_terminal();
        if self.is_interactive() && can_go_back {
            let mut out = io::stderr().lock();
            let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
        }
    }

    /// An error: what was expected, what was found, where, what to do.
    pub fn error(self, line: impl Display) {
        self.say(format_args!("error: {line}"));
    }

    /// Everything that is wrong or doubtful about a configuration.
    pub fn problems(self, problems: &Problems) {
        let text = problems.render();
        if !text.is_empty() {
            self.say(text.trim_end());
        }
    }

    /// What to try next: only for a person, never between data.
    pub fn next(self, line: impl Display) {
        if self.is_interactive() {
            self.say(self.paint(Ink::Faint, format_args!("next: {line}")));
        }
    }
}

/// A number with its noun.
pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
