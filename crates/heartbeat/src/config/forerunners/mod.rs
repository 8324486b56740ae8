//! The files of the programs that came before, read as they are.
//!
//! A forerunner's file is *translated* into a native tree whose spans point into the old text; the ordinary decoder does
//! the rest, so every later problem shows the old line. `config convert` writes that very tree as YAML: reading a file and
//! converting it are one piece of code and cannot differ. A forerunner's file knows no environment, the native decoder
//! does: every dollar sign that is text is doubled here ([`build::plain`]).
//!
//! The Django app's settings are a program. They can only be converted, and `${NAME}` stands where running them would tell.
//!
//! What has no equivalent is reported as a warning; what the forerunner could not have run, as an error.
//! Deliberately absent: decisions. Whatever these programs decided is said with the keys of a native file.

mod build;
pub mod cron;
pub mod django;
pub mod ini;

#[cfg(test)]
mod tests;
