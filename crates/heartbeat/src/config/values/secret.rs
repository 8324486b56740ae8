//! Secrets: a value, or where to find it. Never shown.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

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

impl Secret {
    /// Fetches the secret. `variables` reads the environment.
    ///
    /// # Errors
    /// A sentence that names what was looked for and where; never the secret.
    pub fn reveal(&self, variables: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
        match self {
            Self::Literal(text) => Ok(text.clone()),
            Self::File(path) => read(path),
            Self::Env(name) => variables(name)
                .ok_or_else(|| format!("expected a secret in the environment variable `{name}`: not set")),
            Self::Credential(name) => match variables("CREDENTIALS_DIRECTORY") {
                Some(folder) => read(&Path::new(&folder).join(name)),
                None => Err(format!(
                    "expected the credential `{name}` of the service manager: $CREDENTIALS_DIRECTORY is not set; \
                     add `LoadCredential={name}:…` to the unit"
                )),
            },
        }
    }
}

/// The text of a secret's file without its last newline. A secret is short: what is longer than this is another file.
fn read(path: &Path) -> Result<String, String> {
    const LONGEST: u64 = 1 << 20;
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
        .map_err(|error| format!("cannot read the secret in {}: {error}", path.display()))?;
    if text.len() as u64 > LONGEST {
        return Err(format!("expected a secret in {}, found more than {LONGEST} bytes", path.display()));
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
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
                    "file" => {
                        let text = context.text("a path", value)?;
                        let path = context.path(&text, value.span);
                        context.secret_files.push((path.clone(), value.span));
                        Some(Self::File(path))
                    }
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

/// Text that may be a secret, such as a variable for a command: used as it stands, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl Value for Hidden {
    fn shape() -> Shape {
        String::shape()
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        String::decode(node, context).map(Self)
    }

    fn show(&self) -> Node {
        Node::text(REDACTED)
    }

    fn redact(written: &Node) -> Node {
        Node::text(REDACTED).at(written.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn comes_from_where_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "s3cret\r\n").expect("written");
        let folder_name = folder.path().display().to_string();
        let variables = |name: &str| match name {
            "TOKEN" => Some("from env".to_owned()),
            "CREDENTIALS_DIRECTORY" => Some(folder_name.clone()),
            _ => None,
        };
        assert_eq!(Secret::Literal("as it stands\n".into()).reveal(&nothing).as_deref(), Ok("as it stands\n"));
        assert_eq!(Secret::File(folder.path().join("token")).reveal(&nothing).as_deref(), Ok("s3cret"));
        assert_eq!(Secret::Env("TOKEN".into()).reveal(&variables).as_deref(), Ok("from env"));
        assert_eq!(Secret::Credential("token".into()).reveal(&variables).as_deref(), Ok("s3cret"));
    }

    #[test]
    fn says_where_it_is_missing() {
        let missing = |secret: Secret| secret.reveal(&nothing).expect_err("not there");
        assert!(missing(Secret::File("/does/not/exist".into())).contains("/does/not/exist"));
        assert!(missing(Secret::Env("TOKEN".into())).contains("`TOKEN`"));
        assert!(missing(Secret::Credential("smtp".into())).contains("LoadCredential=smtp"));
    }
}
