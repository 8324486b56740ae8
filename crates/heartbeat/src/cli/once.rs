//! `heartbeat once`: for cron.

use std::sync::Arc;

use heartbeat_core::shard::Mode;

use super::args::Global;
use super::screen::Screen;
use super::{configuration, load, prepare, runtime, status};
use crate::exit::Exit;
use crate::log::Log;
use crate::plan::{Format, Plan};
use crate::run::once;
use crate::run::session::{Effects, Session};
use crate::run::status::Status;
use crate::store::writer::Durability;

/// One round over the configuration that the options name; ends as the states are.
pub fn run(global: &Global, screen: Screen, effects: Effects) -> Exit {
    let done = configuration(global, screen).and_then(|path| {
        let plan = Arc::new(load(screen, &path)?);
        let states = round(global, screen, &plan, effects)?;
        if screen.wants_json() || screen.is_interactive() {
            status::print(screen, &states);
        }
        Ok(Exit::worst(states.states().map(Exit::from)))
    });
    done.unwrap_or_else(|exit| exit)
}

/// One round over a forerunner's file; ends 0 when it was completed, as that program did.
pub fn forerunner(global: &Global, screen: Screen, plan: Plan) -> Exit {
    round(global, screen, &Arc::new(plan), Effects::Real).err().unwrap_or(Exit::Done)
}

fn round(global: &Global, screen: Screen, plan: &Arc<Plan>, effects: Effects) -> Result<Status, Exit> {
    let failed = |exit: Exit, message: &dyn std::fmt::Display| {
        screen.error(message);
        exit
    };
    start_log(global, plan, effects).map_err(|error| failed(Exit::Failed, &error))?;
    let storage = prepare::storage(global, screen, plan)?;
    let (_, built, opened) = prepare::open(screen, plan, &storage, effects)?;
    let done = runtime::block_on(async {
        let ledger = opened.ledger.clone();
        let session =
            Session::start(built, opened, Mode::Once, effects).map_err(|error| failed(Exit::Fault, &error))?;
        let (durability, ledger) = once::run(session, ledger).await;
        if let Durability::Volatile(reason) = durability {
            return Err(failed(Exit::Failed, &format_args!("the states could not be saved: {reason}")));
        }
        Ok(Status::new(plan, &ledger, &Default::default()))
    });
    done.map_err(|error| failed(Exit::Fault, &error))?
}

/// A round of our own files is silent unless something is wrong; the INI daemon's logged what it did. A dry run is there to
/// be read.
fn start_log(global: &Global, plan: &Plan, effects: Effects) -> Result<(), String> {
    if effects == Effects::Dry {
        Log::rehearse(global.least());
        return Ok(());
    }
    let least = match plan.format {
        Format::Native | Format::Cron if global.verbose == 0 && plan.log.file.is_none() => {
            Some(tracing::level_filters::LevelFilter::WARN)
        }
        _ => global.least(),
    };
    Log::start(&plan.log, least).map(|_| ())
}
