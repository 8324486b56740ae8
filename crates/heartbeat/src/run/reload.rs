//! Reading the configuration again: taken over whole, or not at all.

use std::path::Path;
use std::sync::Arc;

use super::build::Built;
use crate::plan::{self, Plan};
use crate::probe::World;

/// Reads, validates and builds a configuration that is to follow `old`.
///
/// # Errors
/// Everything that is wrong with it, as text for people.
pub fn read(config: &Path, old: &Plan, world: &World) -> Result<Built, String> {
    let (plan, problems) = plan::load(config);
    let text = problems.render();
    let Some(plan) = plan else { return Err(text) };
    if !text.is_empty() {
        tracing::warn!("{}", text.trim_end());
    }
    for what in needs_restart(old, &plan) {
        tracing::warn!("`{what}` has changed: that takes a restart; until then the old one holds");
    }
    Built::new(Arc::new(plan), world).map_err(|problems| problems.join("\n"))
}

/// What cannot be changed in a running process.
fn needs_restart(old: &Plan, new: &Plan) -> Vec<&'static str> {
    [
        ("storage", old.storage != new.storage),
        ("log", old.log != new.log),
        ("process", old.process != new.process),
        ("node", old.node != new.node),
    ]
    .into_iter()
    .filter_map(|(what, changed)| changed.then_some(what))
    .collect()
}
