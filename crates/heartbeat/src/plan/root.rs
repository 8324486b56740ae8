//! The outermost keys.

use super::entries::Entries;
use super::{Kinds, Limits, Log, Process, Storage, alert, check, responder};
use crate::config::node::Body;
use crate::config::{Context, Fields, Node, Shape, Span};

/// The named things of all files.
#[derive(Default)]
pub(super) struct Named {
    pub(super) checks: Entries,
    pub(super) templates: Entries,
    pub(super) groups: Entries,
    pub(super) actions: Entries,
    pub(super) alerts: Entries,
    /// Whether anybody wrote the key `alerts`, be it an empty one.
    pub(super) says_alerts: bool,
}

/// The lists of named things, taken out of a file's tree so that it need not be copied: they are nearly all of it. In their
/// places are empty ones.
#[derive(Default)]
pub(super) struct Lists(Vec<(&'static str, Node)>);

impl Lists {
    /// Takes them out.
    pub(super) fn of(document: &mut Node) -> Self {
        let Body::Map(entries) = &mut document.body else { return Self::default() };
        let mut lists = Vec::new();
        for (key, node) in entries {
            let name =
                ["checks", "templates", "groups", "actions", "alerts"].into_iter().find(|name| *key.name == **name);
            if let (Some(name), Body::List(_) | Body::Map(_)) = (name, &node.body) {
                let empty = Node { span: node.span, body: Body::List(Vec::new()) };
                lists.push((name, std::mem::replace(node, empty)));
            }
        }
        Self(lists)
    }

    /// What was written under a key: a list that was taken out, or else what is still there.
    fn take(&mut self, key: &str, there: &Node) -> Node {
        let place = self.0.iter().position(|(name, _)| *name == key);
        place.map_or_else(|| there.clone(), |place| self.0.swap_remove(place).1)
    }
}

/// What only the main file holds.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) include: Vec<(String, Span)>,
    pub(super) defaults: Option<Node>,
    pub(super) smtp: Option<Node>,
    pub(super) storage: Option<Storage>,
    pub(super) log: Option<Log>,
    pub(super) process: Process,
    pub(super) node: Option<String>,
    pub(super) limits: Limits,
    pub(super) responder: Option<responder::Draft>,
}

/// Keys that contracts name and later versions read.
const LATER: [&str; 3] = ["web", "cluster", "push"];

/// Reads the main file.
pub(super) fn main(
    fields: &mut Fields<'_, '_, '_>,
    kinds: Kinds,
    mut lists: Lists,
    named: &mut Named,
) -> Option<Settings> {
    let mut settings = Settings::default();
    let include = fields.raw("include", "Files with further checks, templates, groups, actions and alerts.", || {
        Shape::List(Box::new(Shape::Text { noun: "a path, with `*` and `?`", pattern: None }))
    });
    if let Some(node) = include {
        settings.include = patterns(node, fields.context());
    }
    let defaults = fields
        .raw("defaults", "What holds for every check that does not say otherwise.", || super::shape::defaults(kinds));
    if let Some(node) = defaults {
        (settings.defaults, settings.smtp) = without_smtp(node.clone());
    }
    collect(fields, kinds, &mut lists, named);
    settings.storage = fields.optional("storage", "Where the state is kept: `sqlite:PATH`, `file:PATH` or `memory`.");
    settings.log = fields.section("log", "Logging.", super::log::fields);
    settings.process = fields.section("process", "The process itself.", super::process::fields).unwrap_or_default();
    settings.node = fields.optional("node", "The name of this node; the host's if it is left out.");
    settings.limits =
        fields.section("limits", "Bounds on probes in flight.", super::process::limits).unwrap_or_default();
    let responds = fields.written("responder").is_some();
    let responder = fields.section("responder", "Answers to load balancers.", responder::fields);
    settings.responder = responder.filter(|_| responds);
    LATER.iter().for_each(|key| fields.later(key));
    Some(settings)
}

/// Reads an included file.
pub(super) fn included(
    fields: &mut Fields<'_, '_, '_>,
    kinds: Kinds,
    mut lists: Lists,
    named: &mut Named,
) -> Option<()> {
    collect(fields, kinds, &mut lists, named);
    for key in ["include", "defaults", "storage", "log", "process", "node", "limits", "responder"] {
        fields.elsewhere(
            key,
            "belongs to the main file: an included one holds checks, templates, groups, actions and alerts",
        );
    }
    LATER.iter().for_each(|key| fields.later(key));
    Some(())
}

fn collect(fields: &mut Fields<'_, '_, '_>, kinds: Kinds, lists: &mut Lists, named: &mut Named) {
    let map_only = |node: &Node, context: &mut Context<'_>| -> Option<String> {
        context.error(node.span, "an item of a list needs an `id`: write `- id: NAME`, or a map of names")
    };
    if let Some(node) =
        fields.raw("checks", "What is probed: a map of names, or a list.", || super::shape::checks(kinds))
    {
        named.checks.take("check", lists.take("checks", node), fields.context(), check::derive_id);
    }
    if let Some(node) =
        fields.raw("templates", "Parts of checks, to be named by `use`.", || super::shape::templates(kinds))
    {
        named.templates.take("template", lists.take("templates", node), fields.context(), map_only);
    }
    if let Some(node) = fields.raw("groups", "States that are derived from those of checks.", super::shape::groups) {
        named.groups.take("group", lists.take("groups", node), fields.context(), map_only);
    }
    if let Some(node) = fields.raw("actions", "Commands that are run when a verdict changes.", super::shape::actions) {
        named.actions.take("action", lists.take("actions", node), fields.context(), map_only);
    }
    if let Some(node) =
        fields.raw("alerts", "How messages reach people: a map of names, or a list.", || super::shape::alerts(kinds))
    {
        named.says_alerts = true;
        named.alerts.take("alert", lists.take("alerts", node), fields.context(), alert::derive_id);
    }
}

fn patterns(node: &Node, context: &mut Context<'_>) -> Vec<(String, Span)> {
    let items = match &node.body {
        Body::List(items) => items.as_slice(),
        Body::Scalar(_) => std::slice::from_ref(node),
        _ => {
            let _: Option<()> = context.expected("a list of files", node);
            return Vec::new();
        }
    };
    items.iter().filter_map(|item| Some((context.text("a path", item)?, item.span))).collect()
}

/// The mail server of the defaults is for alerts; the rest is for checks.
fn without_smtp(node: Node) -> (Option<Node>, Option<Node>) {
    let Body::Map(mut entries) = node.body else { return (Some(node), None) };
    let place = entries.iter().position(|(key, _)| &*key.name == "smtp");
    let smtp = place.map(|place| entries.remove(place).1).filter(|node| !node.is_null());
    (Some(Node { span: node.span, body: Body::Map(entries) }), smtp)
}
