//! JSON Schema (draft 2020-12) from shapes, for editors and validators.
//!
//! A schema sees a file before `${NAME}` is expanded and after YAML has guessed at types. So wherever a form is asked for,
//! text with an expansion will do, and where text is asked for, a number or `true` is text as well.

use serde_json::{Map, Value, json};

use super::node::{Body, Node};
use super::shape::{FieldDoc, Shape};

/// What `$schema` says.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a file with these keys.
pub fn document(title: &str, fields: &[FieldDoc]) -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), DRAFT.into());
    schema.insert("title".to_owned(), title.into());
    if let Value::Object(section) = section(fields) {
        schema.extend(section);
    }
    Value::Object(schema)
}

fn section(fields: &[FieldDoc]) -> Value {
    let properties: Map<String, Value> = fields.iter().map(|field| (field.key.to_owned(), property(field))).collect();
    let required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| field.key).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn property(field: &FieldDoc) -> Value {
    let mut schema = of(&field.shape);
    schema["description"] = field.doc.into();
    if let Some(default) = &field.default {
        schema["default"] = value(default, &field.shape);
    }
    schema
}

/// The schema of a shape.
fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Text { noun, pattern: None } => json!({ "type": ["string", "number", "boolean"], "title": noun }),
        Shape::Text { noun, pattern: Some(pattern) } => {
            json!({ "type": "string", "title": noun, "pattern": format!(r"({pattern})|\$\{{") })
        }
        Shape::Integer { least, greatest } => {
            or_expansion(json!({ "type": "integer", "minimum": least, "maximum": greatest }), r"^[0-9]+$|\$\{")
        }
        Shape::Number => or_expansion(json!({ "type": "number", "minimum": 0 }), r"^[0-9]+(\.[0-9]+)?$|\$\{"),
        Shape::Bool => or_expansion(json!({ "type": "boolean" }), r"^(true|false)$|\$\{"),
        Shape::Word(words) => {
            // YAML takes the words `4` and `1.1` for numbers.
            let numbers = words.iter().filter_map(|word| word.parse::<serde_json::Number>().ok()).map(Value::from);
            let all: Vec<Value> = words.iter().map(|word| Value::from(*word)).chain(numbers).collect();
            or_expansion(json!({ "enum": all }), r"\$\{")
        }
        Shape::List(item) => json!({ "type": "array", "items": of(item) }),
        Shape::Map(item) => json!({ "type": "object", "additionalProperties": of(item) }),
        Shape::Section(fields) => section(fields),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
    }
}

fn or_expansion(schema: Value, pattern: &str) -> Value {
    json!({ "anyOf": [schema, { "type": "string", "pattern": pattern }] })
}

/// A default as JSON, in the type that a schema of that shape expects.
fn value(node: &Node, shape: &Shape) -> Value {
    match &node.body {
        Body::Null => Value::Null,
        Body::Scalar(scalar) => match shape {
            Shape::Integer { .. } => scalar.text.parse::<i64>().map_or_else(|_| (*scalar.text).into(), Value::from),
            Shape::Number => scalar.text.parse::<f64>().map_or_else(|_| (*scalar.text).into(), Value::from),
            Shape::Bool => Value::from(&*scalar.text == "true"),
            Shape::Either(shapes) if shapes.iter().any(|shape| matches!(shape, Shape::Integer { .. })) => {
                value(node, &Shape::Integer { least: 0, greatest: 0 })
            }
            _ => (*scalar.text).into(),
        },
        Body::List(items) => items.iter().map(|item| value(item, inner(shape))).collect(),
        Body::Map(entries) => entries
            .iter()
            .map(|(key, node)| (key.name.to_string(), value(node, inner(shape))))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// The shape of what a list or map of that shape holds.
fn inner(shape: &Shape) -> &Shape {
    match shape {
        Shape::List(item) | Shape::Map(item) => item,
        other => other,
    }
}
