//! Groups: states that are derived from those of checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use heartbeat_core::Id;
use heartbeat_core::policy::DownWhen;

use super::Group;
use crate::config::values::Names;
use crate::config::values::policy::Quorum;
use crate::config::{Context, Fields, Node, Problem};
use crate::message::About;

/// A group whose members are still names.
pub(super) struct Draft {
    pub(super) group: Group,
    pub(super) members: Names,
}

/// The keys of a group.
pub(super) fn fields(fields: &mut Fields<'_, '_, '_>, id: &Id) -> Option<Draft> {
    let name = fields.optional::<String>("name", "A name for people; the id if it is left out.");
    let members: Option<Names> = fields.required("checks", "The checks that are its members.");
    let quorum = fields.or(
        "down_when",
        "When it is down: when `any` member is, when `all` are, or when so many are: `2 of 3`.",
        Quorum { rule: DownWhen::Any, members: None },
    );
    let labels = fields.or("labels", "Free names and values, for messages and webhooks.", BTreeMap::new());
    let runbook = fields.optional("runbook", "Where to read what to do when it is down.");
    let members = members?;
    if members.0.is_empty() {
        fields.error("checks", "a group needs at least one check");
        return None;
    }
    if let Some(of) = quorum.members.filter(|of| *of as usize != members.0.len()) {
        let (at, has) = (fields.span("down_when"), members.0.len());
        let problem = Problem::error(at, format!("the quorum speaks of {of} members, but {} has {has}", fields.what()))
            .help(format!("write `… of {has}`"));
        fields.context().problems.push(problem);
    }
    let about = About {
        id: id.clone(),
        name: name.unwrap_or_else(|| id.to_string()),
        kind: "group".to_owned(),
        target: String::new(),
        labels,
        runbook,
        values: BTreeMap::new(),
    };
    Some(Draft { group: Group { about: Arc::new(about), checks: Vec::new(), down_when: quorum.rule }, members })
}

pub(super) fn decode(id: &Id, node: &Node, context: &mut Context<'_>) -> (Option<Draft>, Node) {
    Fields::read(context, format_args!("group `{id}`"), node, |f| fields(f, id))
}
