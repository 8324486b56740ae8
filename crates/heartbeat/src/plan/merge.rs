//! Check over template over defaults.

use crate::config::node::{Body, Key};
use crate::config::{FieldDoc, Node, Shape};

/// `upper` over `lower`: maps merge at every depth, everything else replaces. Positions stay those of the writer.
pub(super) fn merge(upper: Node, lower: &Node) -> Node {
    match (upper.body, &lower.body) {
        (Body::Map(mut entries), Body::Map(inherited)) => {
            for (key, below) in inherited {
                match entries.iter().position(|(known, _)| known.name == key.name) {
                    Some(place) => {
                        let node = std::mem::replace(&mut entries[place].1, Node::null(upper.span));
                        entries[place].1 = merge(node, below);
                    }
                    None => entries.push((key.clone(), below.clone())),
                }
            }
            Node { span: upper.span, body: Body::Map(entries) }
        }
        (body, _) => Node { span: upper.span, body },
    }
}

/// The part of the defaults that somebody with these keys understands.
pub(super) fn prune(node: &Node, docs: &[FieldDoc]) -> Node {
    let Body::Map(entries) = &node.body else { return node.clone() };
    let known = entries.iter().filter_map(|(key, value)| {
        let doc = docs.iter().find(|doc| doc.key == &*key.name)?;
        let value = match &doc.shape {
            Shape::Section(inner) => prune(value, inner),
            _ => value.clone(),
        };
        Some((key.clone(), value))
    });
    Node { span: node.span, body: Body::Map(known.collect()) }
}

/// The keys of `node`, at every depth, that none of these readers knows; each with the keys that it may have meant.
pub(super) fn unknown<'n>(node: &'n Node, readers: &[&[FieldDoc]]) -> Vec<(&'n Key, Vec<&'static str>)> {
    let Body::Map(entries) = &node.body else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in entries {
        let docs: Vec<_> = readers.iter().flat_map(|docs| docs.iter()).filter(|doc| doc.key == &*key.name).collect();
        if docs.is_empty() {
            found.push((key, readers.iter().flat_map(|docs| docs.iter()).map(|doc| doc.key).collect()));
            continue;
        }
        let sections = docs.iter().map(|doc| match &doc.shape {
            Shape::Section(inner) => Some(inner.as_slice()),
            _ => None,
        });
        if let Some(sections) = sections.collect::<Option<Vec<_>>>() {
            found.extend(unknown(value, &sections));
        }
    }
    found
}
