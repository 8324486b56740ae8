//! `heartbeat down` and `heartbeat up`: taking this server out of service and back, by its flag.
//!
//! Only the flag is written; whoever answers load balancers looks at it, be it the daemon or an application with our
//! library. So it works with the daemon stopped, and for everybody who may write that file.

use std::time::Duration;

use heartbeat_responder::flag::{Flag, Order};
use serde_json::json;

use super::args::Global;
use super::screen::Screen;
use super::{configuration, help_for, waiting};
use crate::exit::Exit;
use crate::host::clock;
use crate::message::time::rfc3339;
use crate::plan::load;
use crate::plan::responder::Alone;

const DOWN: &str = "This server is now flagged for maintenance and should stop receiving new requests shortly.\n\
                    Please allow a few moments for current requests to finish before stopping the server.";
const UP: &str = "This server is now available and should start receiving new requests shortly.";

/// What `heartbeat down` is to do.
pub struct Down<'a> {
    /// Only this view.
    pub view: Option<&'a str>,
    /// It ends by itself after this.
    pub span: Option<Duration>,
    /// Why.
    pub reason: Option<&'a str>,
    /// Wait for those who poll, at most so long.
    pub wait: Option<Duration>,
}

/// Takes this server out of service.
pub fn down(global: &Global, screen: Screen, down: &Down<'_>) -> Exit {
    let take_out = || {
        let (alone, flag) = flag(global, screen, down.view)?;
        let until = down.span.map(|span| clock::now().wall + span);
        let order = Order { until, reason: down.reason.map(str::to_owned) };
        flag.raise(&order).map_err(|error| {
            screen.error(format_args!(
                "this server is not out of service: cannot write the flag {}: {error}",
                flag.path().display()
            ));
            Exit::Failed
        })?;
        if screen.wants_json() {
            let until = until.map(rfc3339);
            screen.data(json!({ "flag": flag.path(), "view": down.view, "until": until, "reason": down.reason }));
        } else {
            screen.data(DOWN);
        }
        if alone.responder.flag.as_ref().is_some_and(|flag| !flag.takedown) {
            screen.say("warning: the flag is only shown: it has `takedown: false`");
        }
        Ok(match down.wait {
            Some(limit) => waiting::wait(global, screen, &alone.responder, down.view, limit),
            None => {
                screen.next("heartbeat status, heartbeat up");
                Exit::Done
            }
        })
    };
    take_out().unwrap_or_else(|exit| exit)
}

/// Puts this server back into service.
pub fn up(global: &Global, screen: Screen, view: Option<&str>) -> Exit {
    let put_back = || {
        let (_, flag) = flag(global, screen, view)?;
        flag.lower().map_err(|error| {
            screen.error(format_args!(
                "this server is not back in service: cannot take the flag {} away: {error}",
                flag.path().display()
            ));
            Exit::Failed
        })?;
        if screen.wants_json() {
            screen.data(json!({ "flag": flag.path(), "view": view }));
        } else {
            screen.data(UP);
        }
        screen.next("heartbeat status");
        Ok(Exit::Done)
    };
    put_back().unwrap_or_else(|exit| exit)
}

/// The flag for all views, or that of one.
fn flag(global: &Global, screen: Screen, view: Option<&str>) -> Result<(Alone, Flag), Exit> {
    let path = configuration(global, screen)?;
    let (alone, problems) = load::responder(&path);
    let Some(alone) = alone else {
        screen.problems(&problems);
        if !problems.has_errors() {
            screen.error(no_flag(&path));
        }
        return Err(Exit::Config);
    };
    let Some(flag) = &alone.responder.flag else {
        screen.error(no_flag(&path));
        return Err(Exit::Config);
    };
    let flag = Flag::new(&flag.path);
    let Some(view) = view else { return Ok((alone, flag)) };
    if alone.views.iter().all(|known| known != view) {
        let help = help_for(view, alone.views.iter().map(String::as_str));
        screen.error(format_args!("no view has the name `{view}`{help}"));
        return Err(Exit::Usage);
    }
    let own = flag.of_view(view);
    Ok((alone, own))
}

fn no_flag(config: &std::path::Path) -> String {
    format!(
        "there is no flag to raise or to lower in {}\n   = help: add `responder: {{ flag: /etc/heart.beat }}`",
        config.display()
    )
}
