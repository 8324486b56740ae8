//! `heartbeat config`: looking at the configuration.

use std::path::Path;

use serde_json::json;

use super::args::{ConfigCommand, Global};
use super::screen::Screen;
use super::{configuration, load};
use crate::config::{Node, Problems, json, write};
use crate::exit::Exit;
use crate::plan::{self, Kinds, documentation};

/// Does what is asked with the configuration that the options name.
pub fn run(global: &Global, screen: Screen, command: &ConfigCommand) -> Exit {
    let done = match command {
        ConfigCommand::Check => configuration(global, screen).and_then(|path| check(screen, &path)),
        ConfigCommand::Show => configuration(global, screen).and_then(|path| print(screen, plan::show(&path))),
        ConfigCommand::Schema => {
            screen.data(format_args!("{:#}", documentation::schema(Kinds::built_in())));
            Ok(())
        }
        ConfigCommand::Reference => {
            screen.text(&documentation::reference(Kinds::built_in()));
            Ok(())
        }
        ConfigCommand::Convert { file } => {
            file.clone().map_or_else(|| configuration(global, screen), Ok).and_then(|path| convert(screen, &path))
        }
    };
    done.err().unwrap_or(Exit::Done)
}

fn check(screen: Screen, path: &Path) -> Result<(), Exit> {
    if screen.wants_json() {
        let (plan, problems) = plan::load::load(path);
        let numbers = plan.as_ref().map(|plan| (plan.checks.len(), plan.actions.len(), plan.alerts.len()));
        let (checks, actions, alerts) = numbers.unwrap_or_default();
        screen.data(json!({
            "file": path.display().to_string(), "valid": plan.is_some(), "problems": problems.to_json(),
            "checks": checks, "actions": actions, "alerts": alerts,
        }));
        return plan.map(|_| ()).ok_or(Exit::Config);
    }
    let plan = load(screen, path)?;
    let counted = [(plan.checks.len(), "check"), (plan.actions.len(), "action"), (plan.alerts.len(), "alert")];
    let counted = counted.map(|(number, noun)| super::screen::counted(number, noun)).join(", ");
    screen.data(format_args!("{} is right: {counted}", path.display()));
    screen.next("heartbeat check, to probe once; heartbeat run, to watch");
    Ok(())
}

fn print(screen: Screen, (tree, problems): (Option<Node>, Problems)) -> Result<(), Exit> {
    screen.problems(&problems);
    let tree = tree.ok_or(Exit::Config)?;
    if screen.wants_json() {
        screen.data(format_args!("{:#}", json::value(&tree)));
    } else {
        screen.text(&write::write(&tree));
    }
    Ok(())
}

/// Prints a forerunner's file as a native one; what has no equivalent is said on stderr.
fn convert(screen: Screen, path: &Path) -> Result<(), Exit> {
    let (text, problems) = plan::convert(path);
    screen.problems(&problems);
    screen.text(&text.ok_or(Exit::Config)?);
    Ok(())
}
