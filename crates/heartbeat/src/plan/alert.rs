//! Alerts: the keys that all kinds share, and the choice of the kind.

use heartbeat_core::Id;
use heartbeat_core::policy::ChannelPolicy;

use super::entries::id_of_url;
use super::merge::merge;
use super::{Alert, Kinds};
use crate::alert::{self, Kind};
use crate::config::node::{Body, Key};
use crate::config::problem::did_you_mean;
use crate::config::values::policy::AtMost;
use crate::config::{Context, Fields, Node, Problem, Shape};

/// The keys of an alert of one kind.
pub(super) fn fields(fields: &mut Fields<'_, '_, '_>, id: &Id, kind: &'static Kind) -> Option<Alert> {
    let defaults = ChannelPolicy::default();
    fields.raw("type", "How it reaches people.", || Shape::Word(std::slice::from_ref(&kind.name)));
    fields.show("type", || Node::text(kind.name));
    let timeout = fields.or("timeout", "After this an attempt is given up.", defaults.timeout);
    let expire = fields.or("expire", "A message that is older is folded into a summary.", defaults.expire);
    let limit = fields.or("limit", "Messages in a window; what is beyond becomes one summary.", AtMost(defaults.limit));
    for (key, value) in [("timeout", timeout), ("expire", expire)] {
        if value.is_zero() {
            fields.error(key, format!("`{key}` must be longer than `0s`"));
        }
    }
    let spec: Box<dyn alert::Spec> = (kind.decode)(fields)?;
    Some(Alert { id: id.clone(), kind, spec, policy: ChannelPolicy { timeout, expire, limit: limit.0 } })
}

/// Decodes an alert; `smtp` is that of the defaults, for mail that names no server.
pub(super) fn decode(
    kinds: Kinds,
    id: &Id,
    node: Node,
    smtp: Option<&Node>,
    context: &mut Context<'_>,
) -> (Option<Alert>, Node) {
    let Some((kind, node)) = unfold(kinds, id, node, context) else {
        return (None, Node::null(crate::config::Span::default()));
    };
    let node = match smtp {
        Some(smtp) if kind.name == MAIL && node.get("smtp").is_none() => merge(node, &mail_keys(smtp)),
        _ => node,
    };
    Fields::read(context, format_args!("alert `{id}`"), &node, |f| fields(f, id, kind))
}

/// The kind that `defaults.smtp` is for.
pub(super) const MAIL: &str = "email";

/// The keys of a mail alert that `defaults.smtp` stands for: a server's URL, or a map with `url` and what belongs to it.
fn mail_keys(smtp: &Node) -> Node {
    let Body::Map(entries) = &smtp.body else { return super::entries::wrap("smtp", smtp.clone()) };
    let rename = |(key, node): &(Key, Node)| match &*key.name {
        "url" => (Key { name: "smtp".into(), span: key.span }, node.clone()),
        _ => (key.clone(), node.clone()),
    };
    Node { span: smtp.span, body: Body::Map(entries.iter().map(rename).collect()) }
}

/// Looks through `defaults.smtp` even if no alert uses it.
pub(super) fn check_smtp(kinds: Kinds, smtp: &Node, context: &mut Context<'_>) {
    let Some(kind) = kinds.alerts.iter().find(|kind| kind.name == MAIL) else { return };
    context.partial = true;
    Fields::read(context, format_args!("`smtp` of `defaults`"), &mail_keys(smtp), |fields| (kind.decode)(fields));
    context.partial = false;
}

/// The kind and the map that a short form stands for.
fn unfold(kinds: Kinds, id: &Id, node: Node, context: &mut Context<'_>) -> Option<(&'static Kind, Node)> {
    match &node.body {
        Body::Scalar(_) => {
            let text = context.text("an alert", &node)?;
            let short = kinds.alerts.iter().find_map(|kind| Some((kind, (kind.short)(&text)?)));
            match short {
                Some((kind, map)) => Some((kind, place(map, &node))),
                None => context.error(
                    node.span,
                    format!("expected an alert such as `mailto:ops@example.org` or `https://example.org/hook`, found `{text}`"),
                ),
            }
        }
        Body::Map(_) => {
            let Some(written) = node.get("type").filter(|node| !node.is_null()) else {
                let problem = Problem::error(node.span, format!("alert `{id}` lacks `type`"))
                    .help(format!("add `type:`, one of {}", types(kinds).join(", ")));
                context.problems.push(problem);
                return None;
            };
            let name = context.text("the type of an alert", written)?;
            match kinds.alerts.iter().find(|kind| kind.name == name) {
                Some(kind) => Some((kind, node)),
                None => {
                    let mut problem = Problem::error(written.span, format!("there is no type of alert named `{name}`"));
                    problem.help = did_you_mean(&name, types(kinds))
                        .or_else(|| Some(format!("known are {}", types(kinds).join(", "))));
                    context.problems.push(problem);
                    None
                }
            }
        }
        _ => context.expected(&format!("a map or a short form for alert `{id}`"), &node),
    }
}

/// The words for `type`.
fn types(kinds: Kinds) -> Vec<&'static str> {
    kinds.alerts.iter().map(|kind| kind.name).collect()
}

/// Gives every node of an unfolded short form the place of that form.
fn place(node: Node, at: &Node) -> Node {
    let body = match node.body {
        Body::Map(entries) => Body::Map(
            entries
                .into_iter()
                .map(|(mut key, value)| {
                    key.span = at.span;
                    (key, place(value, at))
                })
                .collect(),
        ),
        Body::List(items) => Body::List(items.into_iter().map(|item| place(item, at)).collect()),
        other => other,
    };
    Node { span: at.span, body }
}

/// The id of an alert in a list that gives none: its address.
pub(super) fn derive_id(node: &Node, context: &mut Context<'_>) -> Option<String> {
    if node.as_text().is_some() {
        return Some(id_of_url(&context.text("an alert", node)?));
    }
    if let Some(url) = node.get("url").filter(|url| url.as_text().is_some()) {
        return Some(id_of_url(&context.text("a URL", url)?));
    }
    let address = ["to", "to_number"].iter().find_map(|key| {
        let to = node.get(key)?;
        Some(to.as_list().and_then(|items| items.first()).unwrap_or(to)).filter(|to| to.as_text().is_some())
    });
    match address {
        Some(address) => context.text("an address", address),
        None => {
            let problem = Problem::error(node.span, "an alert in a list needs an `id` if it has no address")
                .help("add `id: NAME`, or write the alerts as a map of names");
            context.problems.push(problem);
            None
        }
    }
}
