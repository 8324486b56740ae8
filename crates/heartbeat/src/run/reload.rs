//! Reading the configuration again: taken over whole, or not at all.

use std::path::Path;
use std::sync::Arc;

use super::build::Built;
use crate::plan::{self, Plan};
use crate::probe::World;
use crate::web;

/// A configuration that may take the place of the old one.
pub struct Reread {
    /// It, opened.
    pub built: Built,
    /// What is doubtful in it, and what of it has to wait for a restart.
    pub remarks: Vec<String>,
}

/// Reads, validates and builds a configuration that is to follow `old`.
///
/// # Errors
/// Everything that is wrong with it, as text for people.
pub fn read(config: &Path, old: &Plan, world: &World) -> Result<Reread, String> {
    let (plan, problems) = plan::load(config);
    let text = problems.render();
    let Some(plan) = plan else { return Err(text) };
    let doubts = text.trim_end();
    let doubts = (!doubts.is_empty()).then(|| doubts.to_owned());
    let waits = needs_restart(old, &plan)
        .into_iter()
        .map(|what| format!("`{what}` has changed: that takes a restart; until then the old one holds"));
    let remarks = doubts.into_iter().chain(waits).collect();
    let built = Built::new(Arc::new(plan), world).map_err(|problems| problems.join("\n"))?;
    Ok(Reread { built, remarks })
}

/// What cannot be changed in a running process.
fn needs_restart(old: &Plan, new: &Plan) -> Vec<&'static str> {
    [
        ("storage", old.storage != new.storage),
        ("log", old.log != new.log),
        ("process", old.process != new.process),
        ("node", old.node != new.node),
        ("responder.listen", listeners(old) != listeners(new)),
    ]
    .into_iter()
    .filter_map(|(what, changed)| changed.then_some(what))
    .collect()
}

/// Where the responder of a plan answers, if it has one.
fn listeners(plan: &Plan) -> Option<&web::Options> {
    plan.responder.as_ref().map(|responder| &responder.web)
}
