//! A tree as YAML text, for `config show` and `config convert`.
//!
//! Block style throughout, and the order of the tree, so that two outputs can be compared line by line. What is written
//! reads back as an equal tree, but for positions: text is quoted wherever YAML would take it for something else, and where
//! it was quoted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::node::{Body, Node, Scalar};

/// Comments for a tree, by the keys that they stand above.
#[derive(Debug, Default)]
pub struct Remarks {
    lines: Vec<String>,
    below: BTreeMap<String, Self>,
}

impl Remarks {
    const NONE: &Self = &Self { lines: Vec::new(), below: BTreeMap::new() };

    /// Adds lines above the last one of these keys, each within the one before.
    pub fn add(&mut self, path: &[&str], lines: Vec<String>) {
        match path {
            [] => self.lines.extend(lines),
            [first, rest @ ..] => self.below.entry((*first).to_owned()).or_default().add(rest, lines),
        }
    }

    fn below(&self, key: &str) -> &Self {
        self.below.get(key).unwrap_or(Self::NONE)
    }

    /// Writes the lines, where a key is about to begin. Whatever they hold, they remain comments.
    fn write(&self, indent: usize, out: &mut String) {
        for line in &self.lines {
            out.push_str("# ");
            out.extend(line.chars().map(|c| if needs_escape(c) { ' ' } else { c }));
            out.push('\n');
            pad(indent, out);
        }
    }
}

/// Writes a tree, each line indented by two spaces a level, with a newline at the end.
pub fn write(node: &Node) -> String {
    with_remarks(node, Remarks::NONE)
}

/// Writes a tree with comments.
pub fn with_remarks(node: &Node, remarks: &Remarks) -> String {
    let mut out = String::new();
    match &node.body {
        Body::Map(entries) if !entries.is_empty() => block(node, 0, remarks, &mut out),
        Body::List(items) if !items.is_empty() => block(node, 0, remarks, &mut out),
        _ => {
            inline(node, &mut out);
            out.push('\n');
        }
    }
    out
}

/// A collection that is not empty, beginning at the current column.
fn block(node: &Node, indent: usize, remarks: &Remarks, out: &mut String) {
    match &node.body {
        Body::Map(entries) => {
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    pad(indent, out);
                }
                let remarks = remarks.below(&key.name);
                remarks.write(indent, out);
                text(&Scalar { text: key.name.clone(), quoted: false }, out);
                out.push(':');
                match is_block(value) {
                    true => {
                        out.push('\n');
                        pad(indent + 2, out);
                        block(value, indent + 2, remarks, out);
                    }
                    false => {
                        if !value.is_null() {
                            out.push(' ');
                        }
                        inline(value, out);
                        out.push('\n');
                    }
                }
            }
        }
        Body::List(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    pad(indent, out);
                }
                out.push('-');
                match is_block(item) {
                    true => {
                        out.push(' ');
                        block(item, indent + 2, Remarks::NONE, out);
                    }
                    false => {
                        if !item.is_null() {
                            out.push(' ');
                        }
                        inline(item, out);
                        out.push('\n');
                    }
                }
            }
        }
        Body::Null | Body::Scalar(_) => inline(node, out),
    }
}

fn is_block(node: &Node) -> bool {
    match &node.body {
        Body::Map(entries) => !entries.is_empty(),
        Body::List(items) => !items.is_empty(),
        Body::Null | Body::Scalar(_) => false,
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// What fits on the line of its key. Nothing is written for `Null`.
fn inline(node: &Node, out: &mut String) {
    match &node.body {
        Body::Null => {}
        Body::Scalar(scalar) => text(scalar, out),
        Body::List(_) => out.push_str("[]"),
        Body::Map(_) => out.push_str("{}"),
    }
}

fn text(scalar: &Scalar, out: &mut String) {
    if !scalar.quoted && is_plain(&scalar.text) {
        out.push_str(&scalar.text);
    } else if scalar.text.chars().any(needs_escape) {
        double_quoted(&scalar.text, out);
    } else {
        out.push('\'');
        out.push_str(&scalar.text.replace('\'', "''"));
        out.push('\'');
    }
}

/// Whether text stands for itself without quotes. Some that could is quoted all the same: fewer rules, fewer surprises.
fn is_plain(text: &str) -> bool {
    let starts_well = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '$' | '+' | '_' | '(' | '<' | '=');
    let flows = |c: char| c.is_alphanumeric() || " /.$+_-:@%=,;~()<>\\\"'?&*!^|".contains(c);
    !matches!(text, "null" | "Null" | "NULL" | "<<" | "=")
        && !text.starts_with("...")
        && text.starts_with(starts_well)
        && text.chars().all(flows)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([' ', ':'])
}

fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}')
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if needs_escape(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Remarks, with_remarks, write};
    use crate::config::node::{Body, Key, Scalar};
    use crate::config::{Node, Problems, Span, yaml};

    /// Without positions, and without the memory of quotes, which decoders do not ask for.
    fn bare(node: &Node) -> Node {
        let span = Span::default();
        let body = match &node.body {
            Body::Null => Body::Null,
            Body::Scalar(scalar) => Body::Scalar(Scalar { text: scalar.text.clone(), quoted: false }),
            Body::List(items) => Body::List(items.iter().map(bare).collect()),
            Body::Map(entries) => {
                let entries = entries.iter().map(|(key, node)| (Key { name: key.name.clone(), span }, bare(node)));
                Body::Map(entries.collect())
            }
        };
        Node { span, body }
    }

    fn any_text() -> impl Strategy<Value = String> {
        let awkward = prop::sample::select(vec![
            "",
            "~",
            "null",
            "true",
            "-",
            "- a",
            "? b",
            ": c",
            "a: b",
            "a #b",
            "#",
            "&a",
            "*a",
            "!t",
            "%d",
            "@x",
            "`x`",
            "{}",
            "[]",
            "---",
            "...",
            "'",
            "\"",
            "\\n",
            "<<",
            "=",
            " a",
            "a ",
            "|",
            ">",
            "a:",
            "+17775551212",
            "0x1f",
            "2001-01-01",
            "\u{feff}",
            "\u{2028}",
            "\u{85}",
            "é: ü",
            "a\nb",
            "a\n\nb\n",
            "\t",
        ]);
        prop_oneof![awkward.prop_map(str::to_owned), any::<String>(), "[ -~]{0,12}"]
    }

    fn any_tree() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            Just(Node::null(Span::default())),
            (any_text(), any::<bool>()).prop_map(|(text, quoted)| Node {
                span: Span::default(),
                body: Body::Scalar(Scalar { text: text.into(), quoted })
            }),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Node::list),
                prop::collection::btree_map(any_text(), inner, 0..4).prop_map(Node::map),
            ]
        })
    }

    #[test]
    fn remarks_stand_above_their_keys_and_are_only_that() {
        let leaf = || Node::text("x");
        let tree = Node::map([("a", Node::map([("b", leaf()), ("c", Node::list([leaf()]))])), ("d", leaf())]);
        let mut remarks = Remarks::default();
        remarks.add(&["a", "c"], vec!["one".to_owned(), "two\nd: three\u{2028}four".to_owned()]);
        remarks.add(&["d"], vec![String::new()]);
        remarks.add(&["nowhere"], vec!["lost".to_owned()]);
        let expected = "a:\n  b: x\n  # one\n  # two d: three four\n  c:\n    - x\n# \nd: x\n";
        assert_eq!(with_remarks(&tree, &remarks), expected);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(tree in any_tree()) {
            let text = write(&tree);
            let mut problems = Problems::default();
            let source = problems.add_source("written.yaml", text.as_str());
            let back = yaml::read(source, &text, &mut problems);
            prop_assert_eq!(back.map(|node| bare(&node)), Some(bare(&tree)), "{}\n{}", text, problems.render());
        }
    }
}
