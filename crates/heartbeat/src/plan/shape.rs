//! What a whole configuration may look like, from the functions that decode it.

use heartbeat_core::Id;

use super::root::Named;
use super::{Kinds, action, alert, check, group, root};
use crate::alert as channels;
use crate::config::{FieldDoc, Fields, Shape};
use crate::probe::{self, PickedBy};

/// The keys of the main file.
pub fn main(kinds: Kinds) -> Vec<FieldDoc> {
    Fields::describe(|fields| root::main(fields, kinds, root::Lists::default(), &mut Named::default()))
}

/// The keys of a check of one kind.
pub fn check_of(kind: &'static probe::Kind) -> Vec<FieldDoc> {
    Fields::describe(|fields| {
        check::common(fields, "");
        (kind.decode)(fields)
    })
}

/// The keys that checks of all kinds share.
pub fn check_common() -> Vec<FieldDoc> {
    Fields::describe(|fields| Some(check::common(fields, "")))
}

/// The keys of an alert of one kind.
pub fn alert_of(kind: &'static channels::Kind) -> Vec<FieldDoc> {
    Fields::describe(|fields| alert::fields(fields, &Id::from(""), kind))
}

/// The keys of a group.
pub fn group() -> Vec<FieldDoc> {
    Fields::describe(|fields| group::fields(fields, &Id::from("")))
}

/// The keys of an action.
pub fn action() -> Vec<FieldDoc> {
    Fields::describe(|fields| action::fields(fields, &Id::from("")))
}

/// Of a check any key may come from a template, so none is required.
fn parts(kinds: Kinds) -> Vec<FieldDoc> {
    let mut docs = check_common();
    for kind in kinds.checks {
        docs.extend(check_of(kind));
    }
    unite(docs)
}

/// Each key once, with every shape that it has somewhere; nothing required.
fn unite(docs: Vec<FieldDoc>) -> Vec<FieldDoc> {
    let mut united: Vec<FieldDoc> = Vec::new();
    for doc in docs {
        let Some(known) = united.iter_mut().find(|known| known.key == doc.key) else {
            united.push(FieldDoc { required: false, ..doc });
            continue;
        };
        let shape = std::mem::replace(&mut known.shape, Shape::Bool);
        known.shape = match (shape, doc.shape) {
            (Shape::Section(mut one), Shape::Section(other)) => {
                one.extend(other);
                Shape::Section(unite(one))
            }
            (one, other) if one == other => one,
            (Shape::Either(mut all), other) => {
                if !all.contains(&other) {
                    all.push(other);
                }
                Shape::Either(all)
            }
            (one, other) => Shape::Either(vec![one, other]),
        };
    }
    united
}

fn id() -> FieldDoc {
    let shape = Shape::Text { noun: "an id", pattern: None };
    FieldDoc { key: "id", doc: "Its id, in a list.", shape, required: false, default: None }
}

/// A map of names or a list, of sections or short forms.
fn named(section: Vec<FieldDoc>, short: Option<Shape>) -> Shape {
    let mut in_list = vec![id()];
    in_list.extend(section.iter().cloned());
    let either = |section| match &short {
        Some(short) => Shape::Either(vec![short.clone(), Shape::Section(section)]),
        None => Shape::Section(section),
    };
    Shape::Either(vec![Shape::Map(Box::new(either(section))), Shape::List(Box::new(either(in_list)))])
}

/// The key of a mail alert, as it is called in `defaults.smtp`.
fn as_server_key(doc: &FieldDoc) -> FieldDoc {
    FieldDoc { key: if doc.key == "smtp" { "url" } else { doc.key }, ..doc.clone() }
}

pub(super) fn defaults(kinds: Kinds) -> Shape {
    let mail = kinds.alerts.iter().filter(|kind| kind.name == alert::MAIL).flat_map(alert_of);
    let server = mail.filter(|doc| matches!(doc.key, "smtp" | "password" | "starttls" | "ca" | "from"));
    let server: Vec<FieldDoc> = server.map(|doc| FieldDoc { required: false, default: None, ..doc }).collect();
    let smtp = server.iter().find(|doc| doc.key == "smtp").map(|url| FieldDoc {
        doc: "The mail server for alerts that name none.",
        shape: Shape::Either(vec![url.shape.clone(), Shape::Section(server.iter().map(as_server_key).collect())]),
        ..url.clone()
    });
    let mut docs = parts(kinds);
    docs.retain(|doc| !is_own(kinds, doc.key));
    docs.extend(smtp);
    Shape::Section(docs)
}

/// Whether a key makes sense for one check only: its template, its name and its target.
pub(super) fn is_own(kinds: Kinds, key: &str) -> bool {
    key == "use" || key == "name" || picks(kinds, key)
}

/// Whether a key selects a kind.
fn picks(kinds: Kinds, key: &str) -> bool {
    kinds.checks.iter().any(|kind| match kind.picked_by {
        PickedBy::Schemes(_) => key == "url",
        PickedBy::Key(picking) => key == picking,
    })
}

pub(super) fn templates(kinds: Kinds) -> Shape {
    let mut docs = parts(kinds);
    docs.retain(|doc| doc.key != "use");
    Shape::Map(Box::new(Shape::Section(docs)))
}

pub(super) fn checks(kinds: Kinds) -> Shape {
    named(parts(kinds), Some(Shape::Text { noun: "a URL", pattern: None }))
}

pub(super) fn groups() -> Shape {
    named(group(), None)
}

pub(super) fn actions() -> Shape {
    named(action(), None)
}

pub(super) fn alerts(kinds: Kinds) -> Shape {
    let short = Shape::Text { noun: "an alert such as `mailto:ops@example.org`", pattern: None };
    let mut forms = vec![short];
    forms.extend(kinds.alerts.iter().map(|kind| Shape::Section(alert_of(kind))));
    let in_list = forms.iter().map(|form| match form {
        Shape::Section(docs) => {
            let mut docs = docs.clone();
            docs.insert(0, id());
            Shape::Section(docs)
        }
        other => other.clone(),
    });
    let in_list = Shape::List(Box::new(Shape::Either(in_list.collect())));
    Shape::Either(vec![Shape::Map(Box::new(Shape::Either(forms))), in_list])
}
