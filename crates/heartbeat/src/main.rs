//! The program: everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(heartbeat::cli::main(std::env::args_os()).code())
}
