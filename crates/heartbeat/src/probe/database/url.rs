//! The URL of a database: `postgres://user@host:port/database?parameter=value`.
//!
//! Unlike other targets it may be without a host, when a parameter names a socket.

use std::fmt;

use url::Url;

use crate::config::values::{Hidden, Secret};
use crate::config::{Context, Node, Shape, Value};
use crate::probe::target::{self, Target, percent_decode};

/// A URL whose user and password have been taken out; they are never shown.
#[derive(Clone)]
pub struct DatabaseUrl {
    url: Url,
    user: Option<String>,
    password: Option<Hidden>,
}

const NOUN: &str = "the URL of a database such as `postgres://app@db.example.org/app`";

impl DatabaseUrl {
    /// The URL without its user and password.
    pub fn shown(&self) -> String {
        self.url.to_string()
    }

    /// The scheme, in lower case.
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// The user.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password.
    pub fn password(&self) -> Option<Secret> {
        self.password.as_ref().map(|password| Secret::Literal(password.0.clone()))
    }

    /// A name, or an address without brackets, or nothing, or the path of a socket that was written with `%2F`.
    pub fn host(&self) -> String {
        match percent_decode(self.url.host_str().unwrap_or_default()) {
            path if path.starts_with('/') => path,
            _ => target::host(&self.url),
        }
    }

    /// The port, if it is written.
    pub fn port(&self) -> Option<u16> {
        self.url.port()
    }

    /// The name of the database, if it is written.
    pub fn database(&self) -> Option<String> {
        let name = percent_decode(self.url.path().trim_start_matches('/'));
        (!name.is_empty()).then_some(name)
    }

    /// The parameters, in their order.
    pub fn parameters(&self) -> Vec<(String, String)> {
        self.url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    /// What no protocol has a place for.
    fn holds_nul(&self) -> bool {
        let parts = [self.user.clone(), self.database(), Some(self.host())];
        let parameters = self.parameters().into_iter().map(|(_, value)| Some(value));
        parts.into_iter().chain(parameters).flatten().any(|part| part.contains('\0'))
    }

    fn parse(text: &str) -> Result<Self, url::ParseError> {
        let (scheme, rest) = text.split_once("://").ok_or(url::ParseError::RelativeUrlWithoutBase)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (login, place) = rest[..end].rsplit_once('@').unwrap_or(("", &rest[..end]));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(Hidden(percent_decode(password)))),
            None => (login, None),
        };
        let user = (!user.is_empty()).then(|| percent_decode(user));
        let url = Url::parse(&format!("{scheme}://{place}{}", &rest[end..]))?;
        Ok(Self { url, user, password })
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Value for DatabaseUrl {
    fn shape() -> Shape {
        Target::shape()
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(NOUN, node)?;
        // The text may hold a password: it is not repeated.
        match Self::parse(&text) {
            Ok(url) if url.port() == Some(0) => context.error(node.span, "expected a port from 1 to 65535, found 0"),
            Ok(url) if url.url.fragment().is_some() => {
                context.error(node.span, format!("expected {NOUN}: write a `#` in it as `%23`"))
            }
            Ok(url) if url.holds_nul() => {
                context.error(node.span, format!("expected {NOUN}, found one with a NUL (`%00`)"))
            }
            Ok(url) => Some(url),
            Err(error) => context.error(node.span, format!("expected {NOUN}: {error}")),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.shown())
    }

    fn redact(written: &Node) -> Node {
        Target::redact(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        DatabaseUrl::parse(text).expect("a URL")
    }

    #[test]
    fn parts_are_decoded_and_the_login_is_hidden() {
        let full = url("postgres://a%40b:p%2Fw@[::1]:5433/my%20app?sslmode=require&host=x");
        assert_eq!((full.user(), full.host(), full.port()), (Some("a@b"), "::1".to_owned(), Some(5433)));
        assert_eq!(full.password(), Some(Secret::Literal("p/w".to_owned())));
        assert_eq!(full.database().as_deref(), Some("my app"));
        assert_eq!(full.parameters()[0], ("sslmode".to_owned(), "require".to_owned()));
        assert_eq!(full.shown(), "postgres://[::1]:5433/my%20app?sslmode=require&host=x");
        assert_eq!(format!("{full:?}"), full.shown());
    }

    #[test]
    fn a_host_may_be_missing() {
        let socket = url("postgres://app@/db?host=/run/postgresql");
        assert_eq!((socket.user(), socket.host(), socket.database()), (Some("app"), String::new(), Some("db".into())));
        assert_eq!(url("postgres://%2Frun%2FPostgreSQL/db").host(), "/run/PostgreSQL");
        assert_eq!(url("postgres://Db.example/db").host(), "db.example");
        let least = url("postgres://db");
        assert_eq!((least.user(), least.password(), least.database(), least.port()), (None, None, None, None));
        assert!(DatabaseUrl::parse("postgres:app").is_err());
    }
}
