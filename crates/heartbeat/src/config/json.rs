//! A tree as JSON, for `config show --json`.

use serde_json::Value;

use super::node::{Body, Node, Scalar};

/// The tree as a JSON value: bare words that JSON knows become what they are there, everything else is text.
pub fn value(node: &Node) -> Value {
    match &node.body {
        Body::Null => Value::Null,
        Body::Scalar(scalar) => word(scalar),
        Body::List(items) => items.iter().map(value).collect(),
        Body::Map(entries) => entries.iter().map(|(key, node)| (key.name.to_string(), value(node))).collect(),
    }
}

/// A number is taken for one only if JSON would write it the same way: a telephone number keeps its `+`.
fn word(scalar: &Scalar) -> Value {
    let text = &*scalar.text;
    match text.parse() {
        Ok(Value::Bool(truth)) if !scalar.quoted => truth.into(),
        Ok(Value::Number(number)) if !scalar.quoted && number.to_string() == text => Value::Number(number),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_become_what_json_calls_them() {
        let tree = Node::map([
            ("fall", Node::text("3")),
            ("takedown", Node::text("true")),
            ("interval", Node::text("30s")),
            ("to_number", Node::text("+17775551212")),
            ("version", Node::text("1.10")),
            ("alerts", Node::list([])),
        ]);
        assert_eq!(
            value(&tree),
            json!({
                "fall": 3, "takedown": true, "interval": "30s", "to_number": "+17775551212", "version": "1.10", "alerts": []
            })
        );
    }
}
