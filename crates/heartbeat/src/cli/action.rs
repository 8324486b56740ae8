//! `heartbeat action run`: one of an action's commands, by hand.

use std::sync::Arc;

use heartbeat_core::record::Direction;

use super::args::{DirectionWord, Global};
use super::screen::Screen;
use super::{configuration, help_for, load, runtime};
use crate::action::ByHand;
use crate::exit::Exit;
use crate::run::session::{Effects, node};

/// Runs the command, or only says what it would be.
pub fn run(global: &Global, screen: Screen, id: &str, direction: DirectionWord, effects: Effects) -> Exit {
    by_hand(global, screen, id, direction, effects).unwrap_or_else(|exit| exit)
}

fn by_hand(
    global: &Global,
    screen: Screen,
    id: &str,
    direction: DirectionWord,
    effects: Effects,
) -> Result<Exit, Exit> {
    let plan = load(screen, &configuration(global, screen)?)?;
    let refuse = |exit, message: &dyn std::fmt::Display| {
        screen.error(message);
        exit
    };
    let Some(action) = plan.actions.iter().find(|action| &*action.id == id) else {
        let help = help_for(id, plan.actions.iter().map(|action| action.id.as_str()));
        return Err(refuse(Exit::Usage, &format_args!("no action has the id `{id}`{help}")));
    };
    let direction = match direction {
        DirectionWord::Promote => Direction::Promote,
        DirectionWord::Demote => Direction::Demote,
    };
    let order =
        ByHand::new(Arc::clone(action), direction, node(&plan)).map_err(|problem| refuse(Exit::Failed, &problem))?;
    if effects == Effects::Dry {
        if screen.wants_json() {
            screen.data(order.to_json());
        } else {
            screen.text(&order.describe());
        }
        return Ok(Exit::Done);
    }
    let ran = runtime::block_on(order.run()).map_err(|error| refuse(Exit::Fault, &error))?;
    if screen.wants_json() {
        screen.data(ran.to_json());
    } else {
        screen.text(&ran.describe());
    }
    Ok(if ran.is_success() { Exit::Done } else { Exit::Failed })
}
