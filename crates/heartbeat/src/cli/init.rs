//! `heartbeat init`: the smallest configuration that works.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::args::Global;
use super::screen::Screen;
use crate::config::{Node, Problems, write};
use crate::exit::Exit;
use crate::host::env;
use crate::plan;

/// Writes the file, unless one is there already.
pub fn run(global: &Global, screen: Screen, urls: &[String], alerts: &[String]) -> Exit {
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from("heartbeat.yaml"));
    let text = text(urls, alerts);
    let (_, problems) = plan::load::from_text(&path.display().to_string(), &text, &env::variable);
    if problems.has_errors() {
        screen.problems(&problems);
        return Exit::Usage;
    }
    // It may come to hold secrets.
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    match written {
        Ok(()) => {
            screen.data(format_args!("wrote {}:\n\n{text}", path.display()));
            say_what_is_next(screen, global, alerts, &problems);
            Exit::Done
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            screen.error(format_args!(
                "{} is there already and was left alone; name another with -c FILE",
                path.display()
            ));
            Exit::Failed
        }
        Err(error) => {
            screen.error(format_args!("cannot write {}: {error}", path.display()));
            Exit::Failed
        }
    }
}

fn say_what_is_next(screen: Screen, global: &Global, alerts: &[String], problems: &Problems) {
    let option = global.config.as_ref().map(|path| format!(" -c {}", path.display())).unwrap_or_default();
    screen.problems(problems);
    if alerts.is_empty() {
        screen.data("Nobody is told yet: put mailto:ops@example.org or https://example.org/hook under `alerts`.");
    }
    screen.data(format_args!(
        "next: heartbeat check{option}      probe once, and see\n      heartbeat run{option}        watch, act, alert"
    ));
}

/// The file for these checks and alerts. Without a check, one that every machine has.
fn text(urls: &[String], alerts: &[String]) -> String {
    let list = |items: &[String]| Node::list(items.iter().map(|item| Node::text(item.as_str())));
    let checks = if urls.is_empty() {
        let disk = [("shell", "df -P / | awk 'NR == 2 { exit ($5 + 0 > 90) }'"), ("interval", "5m")];
        Node::map([("disk", Node::map(disk.map(|(key, value)| (key, Node::text(value)))))])
    } else {
        list(urls)
    };
    write::write(&Node::map([("checks", checks), ("alerts", list(alerts))]))
}
