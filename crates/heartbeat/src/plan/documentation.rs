//! The schema and the reference page of everything that a configuration may hold, from the functions that decode it.

use std::fmt::Write as _;

use super::{Kinds, shape};
use crate::config::{FieldDoc, Shape, reference, schema};
use crate::probe::PickedBy;

/// The JSON Schema of a native file.
pub fn schema(kinds: Kinds) -> serde_json::Value {
    schema::document("heartbeat", &shape::main(kinds))
}

/// The reference page, in Markdown.
pub fn reference(kinds: Kinds) -> String {
    let mut out = String::from(INTRODUCTION);
    let (sections, plain): (Vec<_>, Vec<_>) = shape::main(kinds)
        .into_iter()
        .partition(|field| matches!(field.shape, Shape::Section(_)) && field.key != "defaults");
    chapter(&mut out, "The file", "", &without_shapes(plain));
    for section in sections {
        if let Shape::Section(fields) = &section.shape {
            chapter(&mut out, &format!("`{}`", section.key), section.doc, fields);
        }
    }

    let common = shape::check_common();
    chapter(
        &mut out,
        "Checks",
        "What every kind of check has. `defaults` and `templates` hold the same keys.",
        &common,
    );
    for kind in kinds.checks {
        let picked = match kind.picked_by {
            PickedBy::Schemes(schemes) => format!("a `url` with {}", list(schemes.iter().map(|s| format!("`{s}://`")))),
            PickedBy::Key(key) => format!("the key `{key}`"),
        };
        let own: Vec<_> = shape::check_of(kind).into_iter().filter(|field| !has(&common, field.key)).collect();
        let doc = format!("{} Selected by {picked}.\n\n{}", kind.doc, example(kind.example));
        chapter(&mut out, &format!("Check: {}", kind.name), &doc, &own);
    }
    chapter(&mut out, "Groups", "", &shape::group());
    chapter(&mut out, "Actions", "", &shape::action());

    let kinds_of_alerts: Vec<_> = kinds.alerts.iter().map(|kind| (kind, shape::alert_of(kind))).collect();
    let shared: Vec<FieldDoc> = match kinds_of_alerts.split_first() {
        Some(((_, first), rest)) => {
            let everywhere = |field: &&FieldDoc| rest.iter().all(|(_, fields)| fields.contains(field));
            first.iter().filter(everywhere).cloned().collect()
        }
        None => Vec::new(),
    };
    if !shared.is_empty() {
        chapter(&mut out, "Alerts", "What every kind of alert has, besides its `type`.", &shared);
    }
    for (kind, fields) in kinds_of_alerts {
        let own: Vec<_> = fields.into_iter().filter(|field| field.key != "type" && !has(&shared, field.key)).collect();
        chapter(
            &mut out,
            &format!("Alert: {}", kind.name),
            &format!("{}\n\n{}", kind.doc, example(kind.example)),
            &own,
        );
    }
    out
}

const INTRODUCTION: &str = "\
# Reference

Every key of a native configuration, in YAML; TOML has the same ones. This page is made from the code that reads the file.

Durations are written `500ms`, `30s`, `5m`, `1h30m`, `7d`; sizes `512B`, `256KiB`, `1MB`. `${NAME}` and `${NAME:-default}`
are expanded from the environment in values, but not in messages, commands and regular expressions; `$$` is a dollar sign. A
secret is a value, `{ file: … }`, `{ env: … }` or `{ credential: … }`. Paths are relative to the file that holds them.
";

fn chapter(out: &mut String, title: &str, doc: &str, fields: &[FieldDoc]) {
    let _ = write!(out, "\n## {title}\n\n");
    if !doc.is_empty() {
        let _ = write!(out, "{}\n\n", doc.trim_end());
    }
    if !fields.is_empty() {
        out.push_str(&reference::table(fields));
    }
}

fn example(text: &str) -> String {
    format!("```yaml\n{}\n```", text.trim_end())
}

/// The outermost keys have chapters of their own, so their table says only what they are for.
fn without_shapes(fields: Vec<FieldDoc>) -> Vec<FieldDoc> {
    let shorten = |field: FieldDoc| match field.shape {
        Shape::Either(_) | Shape::Map(_) | Shape::Section(_) => {
            let noun = if matches!(field.key, "checks" | "alerts" | "groups" | "actions") {
                "a map or a list"
            } else {
                "a map"
            };
            FieldDoc { shape: Shape::Text { noun, pattern: None }, ..field }
        }
        _ => field,
    };
    fields.into_iter().map(shorten).collect()
}

fn has(fields: &[FieldDoc], key: &str) -> bool {
    fields.iter().any(|field| field.key == key)
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
