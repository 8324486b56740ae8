//! Actions: what is run when a verdict changes.

use std::collections::BTreeMap;
use std::time::Duration;

use heartbeat_core::Id;
use heartbeat_core::policy::ActionPolicy;

use super::Action;
use crate::config::values::policy::AtMost;
use crate::config::values::{CommandLine, Hidden, Surroundings};
use crate::config::{Context, Fields, Node, Problem};

/// The keys of an action.
pub(super) fn fields(fields: &mut Fields<'_, '_, '_>, id: &Id) -> Option<Action> {
    let defaults = ActionPolicy::default();
    let promote: Option<CommandLine> =
        fields.optional("promote", "The command for good times: run when all checks that name the action are up.");
    let demote: Option<CommandLine> =
        fields.optional("demote", "The command for bad times: run when one of them is down.");
    let timeout = fields.or("timeout", "After this a command gets TERM, and 5s later KILL.", defaults.timeout);
    let on_start = fields.or(
        "on_start",
        "The first verdict on a fresh store. `adopt`: a promoted one runs nothing, a demoted one runs; `run`: both run.",
        defaults.on_start,
    );
    let delivery = fields.or(
        "delivery",
        "`at_least_once`: after a crash a command is run again; `at_most_once`: never again, whatever its exit.",
        defaults.delivery,
    );
    let retry = fields.or(
        "retry",
        "Attempts after a failed one, with growing pauses; `{ every: 60s }`: without end, at this pace.",
        defaults.retry,
    );
    let repeat = fields.or("repeat", "Run again at this pace while the verdict stands; `0s`: never.", Duration::ZERO);
    let limit = fields.or(
        "limit",
        "Runs in a window, both directions together; beyond it the action is suspended until it is resumed.",
        AtMost(defaults.limit),
    );
    let env: BTreeMap<String, Hidden> =
        fields.or("env", "Variables for the commands; their values are not shown.", BTreeMap::new());
    let env: BTreeMap<String, String> = env.into_iter().map(|(name, value)| (name, value.0)).collect();
    let user = fields.optional("user", "The user that the commands run as.");
    let surroundings = fields.or(
        "surroundings",
        "`clean`: in `/` with a short environment; `launcher`: where and with what heartbeat was started, less `LD_*`.",
        Surroundings::Clean,
    );
    if timeout.is_zero() {
        fields.error("timeout", "`timeout` must be longer than `0s`");
    }
    for name in env.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
        let message = format!("`{}` cannot be the name of a variable", name.escape_debug());
        fields.error("env", message);
    }
    let is_described = fields.is_describing();
    let is_missing = |key: &str| fields.written(key).is_none();
    if !is_described && is_missing("promote") && is_missing("demote") {
        let problem = Problem::error(fields.start(), format!("{} has no command", fields.what()))
            .help("give it `promote:`, `demote:` or both");
        fields.context().problems.push(problem);
    }
    let repeat = Some(repeat).filter(|pace| !pace.is_zero());
    let policy = ActionPolicy { on_start, delivery, retry, repeat, limit: limit.0, timeout };
    Some(Action { id: id.clone(), promote, demote, policy, env, user, surroundings })
}

pub(super) fn decode(id: &Id, node: &Node, context: &mut Context<'_>) -> (Option<Action>, Node) {
    Fields::read(context, format_args!("action `{id}`"), node, |f| fields(f, id))
}
