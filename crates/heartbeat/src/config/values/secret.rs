//! Secrets: a value, or where to find it. Never shown.

use std::fmt;
use std::path::PathBuf;

use crate::config::node::Body;
use crate::config::{Context, Node, Shape, Value};

/// What stands in place of a secret wherever a configuration is shown.
pub const REDACTED: &str = "(redacted)";

/// A secret as the configuration gives it. It stays a reference until something is built from it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself.
    Literal(String),
    /// The content of a file, without its last newline.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// A credential of the service manager (systemd.exec(5), `LoadCredential=`).
    Credential(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("Secret(redacted)"),
            Self::File(path) => write!(f, "Secret(file {})", path.display()),
            Self::Env(name) => write!(f, "Secret(env {name})"),
            Self::Credential(name) => write!(f, "Secret(credential {name})"),
        }
    }
}

const NOUN: &str = "a secret: text, `{ file: … }`, `{ env: … }` or `{ credential: … }`";

impl Value for Secret {
    fn shape() -> Shape {
        let reference = |key, doc| {
            Shape::Section(vec![crate::config::FieldDoc {
                key,
                doc,
                shape: String::shape(),
                required: true,
                default: None,
            }])
        };
        Shape::Either(vec![
            Shape::Text { noun: "the secret itself", pattern: None },
            reference("file", "A file that holds the secret."),
            reference("env", "A variable of the environment that holds the secret."),
            reference("credential", "The name of a credential of the service manager."),
        ])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match &node.body {
            Body::Scalar(_) => context.text(NOUN, node).map(Self::Literal),
            Body::Map(entries) => match entries.as_slice() {
                [(key, value)] => match &*key.name {
                    "file" => context.text("a path", value).map(|text| Self::File(context.path(&text, value.span))),
                    "env" => context.text("a variable's name", value).map(Self::Env),
                    "credential" => context.text("a credential's name", value).map(Self::Credential),
                    _ => context.expected(NOUN, node),
                },
                _ => context.expected(NOUN, node),
            },
            _ => context.expected(NOUN, node),
        }
    }

    fn show(&self) -> Node {
        match self {
            Self::Literal(_) => Node::text(REDACTED),
            Self::File(path) => Node::map([("file", Node::text(path.display().to_string()))]),
            Self::Env(name) => Node::map([("env", Node::text(name.as_str()))]),
            Self::Credential(name) => Node::map([("credential", Node::text(name.as_str()))]),
        }
    }

    fn redact(written: &Node) -> Node {
        match written.body {
            Body::Scalar(_) => Node::text(REDACTED).at(written.span),
            _ => written.clone(),
        }
    }
}
