//! `heartbeat reload` and `heartbeat resume`: asking the running daemon.

use serde_json::json;

use super::args::Global;
use super::screen::Screen;
use super::{configuration, help_for, load, prepare};
use crate::exit::Exit;
use crate::run::control::{self, Answer, Request};

/// Asks the daemon that works by the configuration that the options name.
pub fn run(global: &Global, screen: Screen, request: &Request) -> Exit {
    ask(global, screen, request).unwrap_or_else(|exit| exit)
}

fn ask(global: &Global, screen: Screen, request: &Request) -> Result<Exit, Exit> {
    // A file that is wrong has no say in where the daemon listens, but the daemon must be asked to say so itself.
    let plan = load(screen, &configuration(global, screen)?)?;
    if let Request::Resume { action } = request {
        let known = || plan.actions.iter().map(|action| action.id.as_str());
        if known().all(|known| known != &**action) {
            screen.error(format_args!("no action has the id `{action}`{}", help_for(action, known())));
            return Err(Exit::Usage);
        }
    }
    let storage = prepare::storage(global, screen, &plan)?;
    let socket = prepare::socket(&storage, &plan).map_err(|error| {
        screen.error(error);
        Exit::Failed
    })?;
    Ok(match control::ask(&socket, request) {
        Ok(Some(Answer::Done { message })) => {
            if screen.wants_json() {
                screen.data(json!({ "message": message }));
            } else {
                screen.data(message);
            }
            Exit::Done
        }
        Ok(Some(Answer::Refused { message, configuration })) => {
            screen.say(message.trim_end());
            if configuration { Exit::Config } else { Exit::Failed }
        }
        // Answers to other requests.
        Ok(Some(Answer::Status(_) | Answer::Pollers(_))) => {
            screen.error("the daemon answered another question; it may be of another version");
            Exit::Failed
        }
        Ok(None) => {
            screen.error(format_args!("no daemon is running: nobody listens at {}", socket.display()));
            screen.next("heartbeat run");
            Exit::Failed
        }
        Err(error) => {
            screen.error(format_args!("the daemon at {} did not answer: {error}", socket.display()));
            Exit::Failed
        }
    })
}
