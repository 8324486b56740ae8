//! The command line: one file a command. A command prints what people need and returns how the program ends.

pub mod args;
pub mod screen;

use std::ffi::OsString;

use clap::Parser as _;

use crate::exit::Exit;
use args::Cli;
use screen::Screen;

/// Runs the program with these arguments, the first of which is its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let _screen = Screen::new(&cli.global);
    Exit::Done
}
