//! Tables of keys in Markdown.

use std::fmt::Write as _;

use super::node::{Body, Node};
use super::shape::{FieldDoc, Shape};

/// A table of these keys, those of sections within as `outer.inner`.
pub fn table(fields: &[FieldDoc]) -> String {
    let mut out = String::from("| key | value | default | |\n|---|---|---|---|\n");
    rows("", fields, &mut out);
    out
}

fn rows(prefix: &str, fields: &[FieldDoc], out: &mut String) {
    for field in fields {
        let key = format!("{prefix}{}", field.key);
        if let Shape::Section(inner) = &field.shape {
            rows(&format!("{key}."), inner, out);
            continue;
        }
        let default = match (&field.default, field.required) {
            (_, true) => "required".to_owned(),
            (Some(default), _) => format!("`{}`", cell(&inline(default))),
            (None, _) => String::new(),
        };
        let _ = writeln!(out, "| `{key}` | {} | {default} | {} |", cell(&form(&field.shape)), cell(field.doc));
    }
}

/// A shape in a few words.
fn form(shape: &Shape) -> String {
    match shape {
        Shape::Text { noun, .. } => (*noun).to_owned(),
        Shape::Integer { least, greatest } if *greatest >= i64::from(u32::MAX) => match least {
            0 => "a whole number".to_owned(),
            least => format!("a whole number from {least}"),
        },
        Shape::Integer { least, greatest } => format!("a whole number from {least} to {greatest}"),
        Shape::Number => "a number".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::List(item) => format!("a list: {}", form(item)),
        Shape::Map(item) => format!("a map: {}", form(item)),
        Shape::Section(fields) => {
            let keys: Vec<_> = fields.iter().map(|field| format!("{}: …", field.key)).collect();
            format!("`{{ {} }}`", keys.join(", "))
        }
        Shape::Either(shapes) => {
            let mut forms: Vec<String> = Vec::new();
            for form in shapes.iter().map(form) {
                if !forms.contains(&form) {
                    forms.push(form);
                }
            }
            forms.join("; or ")
        }
    }
}

/// A default on one line.
fn inline(node: &Node) -> String {
    match &node.body {
        Body::Null => "null".to_owned(),
        Body::Scalar(scalar) => scalar.text.to_string(),
        Body::List(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Body::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Body::Map(entries) => {
            let entries: Vec<_> = entries.iter().map(|(key, node)| format!("{}: {}", key.name, inline(node))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// What may stand between two bars.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
