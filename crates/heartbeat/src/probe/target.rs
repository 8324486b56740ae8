//! The URL that a check is of.

use std::fmt;
use std::sync::Arc;

use url::{Host, Url};

use crate::config::values::secret::REDACTED;
use crate::config::{Context, Node, Shape, Value};

/// A URL with a host. It may hold a user and a password; those are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Arc<Url>);

const NOUN: &str = "a URL such as `https://example.org/` or `tcp://example.org:22`";

impl Target {
    /// The URL without its user and password.
    pub fn shown(&self) -> String {
        if self.0.username().is_empty() && self.0.password().is_none() {
            return self.0.as_str().to_owned();
        }
        let mut url = Url::clone(&self.0);
        // Refused only for URLs without a host, and there is none of these here.
        let _ = url.set_password(None);
        let _ = url.set_username("");
        url.into()
    }

    /// The scheme, in lower case.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> String {
        host(&self.0)
    }

    /// The port, if it is written or the scheme has one.
    pub fn port(&self) -> Option<u16> {
        self.0.port_or_known_default()
    }

    /// The whole, with user and password.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The URL as a server is asked for it: user and password go elsewhere, and a fragment nowhere. Most URLs are so
    /// already, and shared.
    pub fn plain(&self) -> Arc<Url> {
        plain(&self.0)
    }

    /// User and password as text; `None` without a user.
    pub fn user(&self) -> Option<(String, Option<String>)> {
        Some((self.username()?, self.password()))
    }

    /// The user as text, if one is written.
    pub fn username(&self) -> Option<String> {
        Some(self.0.username()).filter(|name| !name.is_empty()).map(percent_decode)
    }

    /// The password as text, if one is written; there may be one without a user.
    pub fn password(&self) -> Option<String> {
        self.0.password().map(percent_decode)
    }
}

/// The host of a URL without the brackets of an IPv6 address; empty if it has none.
pub fn host(url: &Url) -> String {
    match url.host() {
        // Of schemes that it does not know, the parser leaves the host as it is.
        Some(Host::Domain(name)) => name.to_ascii_lowercase(),
        // As the parser has written it.
        Some(Host::Ipv4(_)) => url.host_str().unwrap_or_default().to_owned(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => String::new(),
    }
}

/// See [`Target::plain`].
pub fn plain(url: &Arc<Url>) -> Arc<Url> {
    let mut url = Arc::clone(url);
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        let url = Arc::make_mut(&mut url);
        // Refused only for URLs without a host, and there is none of these here.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
    }
    url
}

/// `%40` is `@`; what is not an escape stands.
pub fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Value for Target {
    fn shape() -> Shape {
        Shape::Text { noun: "a URL", pattern: Some("^[A-Za-z][A-Za-z0-9+.-]*://.+") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.word(NOUN, node)?;
        match Url::parse(&text) {
            // For some schemes the parser skips slashes until it finds a host.
            Ok(_) if text.split_once("://").is_some_and(|(_, rest)| rest.starts_with('/')) => {
                context.error(node.span, format!("expected {NOUN}, found one without a host"))
            }
            Ok(url) if url.port() == Some(0) => context.error(node.span, "expected a port from 1 to 65535, found 0"),
            Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) => Some(Self(Arc::new(url))),
            Ok(_) => context.error(node.span, format!("expected {NOUN}, found one without a host")),
            // The text may hold a password: it is not repeated.
            Err(error) => context.error(node.span, format!("expected {NOUN}: {error}")),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.shown())
    }

    fn redact(written: &Node) -> Node {
        let Some(text) = written.as_text() else { return written.clone() };
        // A value with `${NAME}` in it is no URL yet: the text decides.
        let Some((scheme, rest)) = text.split_once("://") else { return written.clone() };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        match rest[..end].rfind('@').map(|at| (&rest[..at], &rest[at..])) {
            Some((user, after)) if user.contains(':') => {
                let user = user.split(':').next().unwrap_or_default();
                Node::text(format!("{scheme}://{user}:{REDACTED}{after}")).at(written.span)
            }
            _ => written.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Target(Arc::new(Url::parse(text).expect("a URL")))
    }

    #[test]
    fn shows_no_password() {
        let target = target("https://ops:p%40ss@example.org/a?b");
        assert_eq!(target.shown(), "https://example.org/a?b");
        assert_eq!(format!("{target:?}"), "https://example.org/a?b");
        assert_eq!(target.user(), Some(("ops".to_owned(), Some("p@ss".to_owned()))));
        for (written, shown) in [
            ("https://ops:p@ss@example.org/", "https://ops:(redacted)@example.org/"),
            ("https://ops:${PASS}@example.org", "https://ops:(redacted)@example.org"),
            ("https://ops@example.org/", "https://ops@example.org/"),
            ("https://example.org/a:b@c", "https://example.org/a:b@c"),
        ] {
            assert_eq!(Target::redact(&Node::text(written)).as_text(), Some(shown));
        }
    }

    #[test]
    fn knows_host_and_port() {
        let parts = |text: &str| (target(text).host(), target(text).port());
        assert_eq!(parts("http://[::1]/"), ("::1".to_owned(), Some(80)));
        assert_eq!(parts("tcp://[::1]:22"), ("::1".to_owned(), Some(22)));
        assert_eq!(parts("tcp://db"), ("db".to_owned(), None));
        assert_eq!(parts("https://Example.ORG:8443"), ("example.org".to_owned(), Some(8443)));
    }
}
