//! What `run`, `once` and their like have in common before anything runs: the store that is meant, and its opening.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::Global;
use super::screen::Screen;
use crate::exit::Exit;
use crate::host::{clock, cores};
use crate::plan::{Format, Plan, Storage};
use crate::probe::World;
use crate::run::build::Built;
use crate::run::control;
use crate::run::session::Effects;
use crate::store::{self, Opened, StoreError, StoreFault, cron, place};

/// The store that the options, the configuration or else the default name.
pub fn storage(global: &Global, screen: Screen, plan: &Plan) -> Result<Storage, Exit> {
    if let Some(state) = &global.state {
        return Ok(named(state));
    }
    match &plan.storage {
        Some(storage) => Ok(storage.clone()),
        None => match place::default_storage(plan.origin.as_deref()) {
            Ok(storage) => Ok(storage),
            Err(error) if error.class == StoreFault::Unavailable => {
                screen.error(format_args!("{error}; the state lives in memory"));
                Ok(Storage::Memory)
            }
            Err(error) => {
                screen.error(error);
                Err(Exit::Failed)
            }
        },
    }
}

/// A store as `--state` names it: a bare path is a file, as the cron utility's was.
fn named(state: &str) -> Storage {
    match state.split_once(':') {
        Some(("sqlite", path)) => Storage::Sqlite(PathBuf::from(path)),
        Some(("file", path)) => Storage::File(PathBuf::from(path)),
        _ if state == "memory" => Storage::Memory,
        _ => Storage::File(PathBuf::from(state)),
    }
}

/// Opens what the plan describes, and at the same time the store. What is wrong with the plan is said first, and alone.
pub fn open(
    screen: Screen,
    plan: &Arc<Plan>,
    storage: &Storage,
    effects: Effects,
) -> Result<(Arc<World>, Built, Opened), Exit> {
    let build = || {
        let world = Arc::new(World::new().of_node(plan.node.as_deref()));
        Built::new(Arc::clone(plan), &world).map(|built| (world, built))
    };
    let (built, found) = cores::both(build, || find(storage, effects));
    match built {
        Ok((world, built)) => Ok((world, built, opened(screen, plan, storage, found)?)),
        Err(problems) => {
            // What was moved aside meanwhile is told all the same.
            found.iter().for_each(tell);
            for problem in problems {
                screen.error(problem);
            }
            Err(Exit::Config)
        }
    }
}

/// The store in whatever condition it is. One that cannot be used for now is no reason not to watch: then the state lives in
/// memory, loudly.
///
/// A dry run gets a copy: it decides on what is remembered, and what it only decides must not count as done.
fn find(storage: &Storage, effects: Effects) -> Result<Opened, StoreError> {
    let found = match effects {
        Effects::Real => store::open(storage),
        Effects::Dry => store::open_copy(storage),
    };
    match found {
        Err(error) if error.class == StoreFault::Unavailable => {
            let mut opened = store::open(&Storage::Memory)?;
            opened.notices.push(format!("the store cannot be used, the state lives in memory: {error}"));
            Ok(opened)
        }
        other => other,
    }
}

fn tell(opened: &Opened) {
    for notice in &opened.notices {
        tracing::error!("{notice}");
    }
}

/// Says what was found, and takes over what the cron utility left.
fn opened(screen: Screen, plan: &Plan, storage: &Storage, found: Result<Opened, StoreError>) -> Result<Opened, Exit> {
    let mut opened = found.map_err(|error| {
        screen.error(&error);
        if error.class == StoreFault::Locked { Exit::Locked } else { Exit::Failed }
    })?;
    tell(&opened);
    if plan.format == Format::Cron {
        let bad = opened.notices.len();
        cron::adopt(&mut opened, storage, clock::wall(), |name| known(plan, name));
        // Worth a line of the log, and no message.
        for notice in opened.notices.drain(bad..) {
            tracing::warn!("{notice}");
        }
    }
    Ok(opened)
}

/// The check that the cron utility knew by this name.
fn known(plan: &Plan, name: &str) -> Option<cron::Known> {
    let check = plan.checks.iter().find(|check| check.name() == name)?;
    Some(cron::Known { id: check.id.clone(), target: check.target, alerts: check.alerts.to_vec() })
}

/// The control socket of the daemon that has this store.
pub fn socket(storage: &Storage, plan: &Plan) -> Result<PathBuf, StoreError> {
    let path = match storage {
        Storage::File(path) | Storage::Sqlite(path) => path.clone(),
        Storage::Memory => match place::default_storage(plan.origin.as_deref())? {
            Storage::File(path) | Storage::Sqlite(path) => path,
            Storage::Memory => return Ok(PathBuf::from("heartbeat.sock")),
        },
    };
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("heartbeat");
    Ok(control::socket_path(path.parent().unwrap_or_else(|| Path::new("")), stem))
}
