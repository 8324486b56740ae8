//! The URL of a mail server: `smtp://HOST[:25]`, `smtps://USER@HOST[:465]`.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::values::Secret;
use crate::config::values::secret::REDACTED;
use crate::config::{Context, Node, Shape, Value};

/// A decoded URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SmtpUrl {
    /// TLS from the first byte (RFC 8314), rather than after STARTTLS or never.
    pub(super) implicit_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
}

const NOUN: &str = "the URL of a mail server such as `smtps://user@smtp.example.org`";

impl SmtpUrl {
    /// Reads a URL; `None` if it is none of a mail server.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let implicit_tls = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return None,
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(Self {
            implicit_tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(if implicit_tls { 465 } else { 25 }),
            user: Some(decoded(url.username())).filter(|user| !user.is_empty()),
            password: url.password().map(|password| Secret::Literal(decoded(password))),
        })
    }

    /// Whether what is sent there stays on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl Value for SmtpUrl {
    fn shape() -> Shape {
        Shape::Text { noun: "the URL of a mail server", pattern: Some("^smtps?://") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(NOUN, node)?;
        // The text itself may hold a password.
        Self::parse(&text).or_else(|| context.error(node.span, format!("expected {NOUN}")))
    }

    fn show(&self) -> Node {
        let scheme = if self.implicit_tls { "smtps" } else { "smtp" };
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        Node::text(format!("{scheme}://{user}{}:{}", self.host, self.port))
    }

    fn redact(written: &Node) -> Node {
        let Some(text) = written.as_text() else { return written.clone() };
        let shown = match Url::parse(text) {
            Ok(url) if url.password().is_none() => text.to_owned(),
            Ok(mut url) => match url.set_password(Some("redacted")) {
                Ok(()) => url.to_string(),
                Err(()) => REDACTED.to_owned(),
            },
            Err(_) => REDACTED.to_owned(),
        };
        Node::text(shown).at(written.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_mail_servers() {
        let parse = |text| SmtpUrl::parse(text).unwrap_or_else(|| panic!("{text}"));
        let url = parse("smtps://ops%40example.org@smtp.example.org");
        assert_eq!((url.implicit_tls, url.host.as_str(), url.port), (true, "smtp.example.org", 465));
        assert_eq!(url.user.as_deref(), Some("ops@example.org"));
        let url = parse("smtp://[::1]:2525/");
        assert_eq!((url.implicit_tls, url.host.as_str(), url.port), (false, "::1", 2525));
        assert!(url.is_loopback());
        assert!(parse("smtp://127.0.0.2").is_loopback() && !parse("smtp://localhost.example.org").is_loopback());
        assert_eq!(parse("smtp://u:p%20w@h").password, Some(Secret::Literal("p w".to_owned())));
        for text in ["smtp:host", "smtp://", "http://host", "host:25", "smtp://host/path", "smtp://host:99999", ""] {
            assert_eq!(SmtpUrl::parse(text), None, "{text}");
        }
    }

    #[test]
    fn passwords_in_urls_are_not_shown() {
        let shown = SmtpUrl::redact(&Node::text("smtp://me:s3cret@host:587"));
        assert_eq!(shown.as_text(), Some("smtp://me:redacted@host:587"));
        assert!(!format!("{:?}", SmtpUrl::parse("smtp://me:s3cret@host")).contains("s3cret"));
        let plain = SmtpUrl::redact(&Node::text("smtp://${USER}@host"));
        assert_eq!(plain.as_text(), Some("smtp://${USER}@host"));
    }
}
