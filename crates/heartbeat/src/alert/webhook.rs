//! `webhook`: a JSON document by HTTP, to whatever takes one.
//!
//! The body is the event as [`Message::document`] has it, or a JSON template of one's own, as chat services want it. With
//! `secret` the body is signed, so that the receiver knows who sent it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use super::answer::Cleaner;
use super::hook_url::HookUrl;
use super::http::{Answer, Endpoint};
use super::json_template::JsonTemplate;
use super::{Accepted, Boxed, Channel, Kind, Refused, Spec, refuse_unknown_names};
use crate::config::values::{FilePath, Secret};
use crate::config::{Fields, Node};
use crate::host::env;
use crate::message::Message;

/// The line of the table.
pub(super) const KIND: Kind = Kind {
    name: "webhook",
    doc: "A JSON document by HTTP POST, signed if there is a secret; or any JSON that a chat service wants.",
    example: "\
type: webhook
url: https://example.org/hook
headers: { x-source: heartbeat }
secret: { env: HOOK_SECRET }
",
    short,
    decode,
};

/// Headers that belong to the transport.
const RESERVED: [&str; 5] = ["connection", "content-length", "host", "te", "transfer-encoding"];

fn short(text: &str) -> Option<Node> {
    let (scheme, _) = text.split_once("://")?;
    let is_http = ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http));
    is_http.then(|| Node::map([("type", Node::text(KIND.name)), ("url", Node::text(text))]))
}

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let url = fields.required::<HookUrl>("url", "Where to send it: `https://…`, or a secret that holds the URL.");
    let headers: BTreeMap<String, Secret> = fields.or("headers", "Further headers, such as a token.", BTreeMap::new());
    let secret = fields.optional("secret", "Signs the body: `X-Heartbeat-Signature: sha256=…`, an HMAC in hex.");
    let body: Option<JsonTemplate> =
        fields.optional("body", "A JSON template in place of the document; values are escaped for JSON.");
    let ca: Option<FilePath> =
        fields.optional("ca", "A PEM file of authorities that are trusted in place of the system's.");
    let headers: Vec<_> = headers.into_iter().map(|(name, value)| Some((header_name(fields, &name)?, value))).collect();
    if let Some(body) = &body {
        body.templates().for_each(|template| refuse_unknown_names(fields, "body", template));
    }
    let headers = headers.into_iter().collect::<Option<_>>()?;
    Some(Box::new(Webhook { url: url?, headers, secret, body, ca: ca.map(|path| path.0) }))
}

fn header_name(fields: &mut Fields<'_, '_, '_>, name: &str) -> Option<HeaderName> {
    match HeaderName::try_from(name) {
        Ok(header) if RESERVED.contains(&header.as_str()) => {
            fields.error("headers", format!("the header `{name}` is set by heartbeat itself"));
            None
        }
        Ok(header) => Some(header),
        Err(_) => {
            fields.error("headers", format!("`{name}` is not the name of a header"));
            None
        }
    }
}

#[derive(Debug)]
struct Webhook {
    url: HookUrl,
    headers: Vec<(HeaderName, Secret)>,
    secret: Option<Secret>,
    body: Option<JsonTemplate>,
    ca: Option<PathBuf>,
}

impl Spec for Webhook {
    fn target(&self) -> String {
        self.url.shown()
    }

    fn build(&self) -> Result<Box<dyn Channel>, String> {
        let mut cleaner = Cleaner::default();
        let url = self.url.reveal(&mut cleaner)?;
        let endpoint = Endpoint::new(&url, self.ca.as_deref(), &mut cleaner)?;
        let mut headers = HeaderMap::new();
        for (name, secret) in &self.headers {
            let value = secret.reveal(&env::variable)?;
            let mut header = HeaderValue::try_from(&value)
                .map_err(|_| format!("the value of the header `{name}` holds characters that no header may hold"))?;
            header.set_sensitive(true);
            cleaner.hide(value);
            headers.insert(name.clone(), header);
        }
        let secret = self.secret.as_ref().map(|secret| secret.reveal(&env::variable)).transpose()?;
        cleaner.hide(secret.clone().unwrap_or_default());
        Ok(Box::new(Hook { endpoint, headers, secret, body: self.body.clone(), cleaner }))
    }
}

struct Hook {
    endpoint: Endpoint,
    headers: HeaderMap,
    secret: Option<String>,
    body: Option<JsonTemplate>,
    cleaner: Cleaner,
}

impl Hook {
    fn headers(&self, message: &Message, body: &str) -> HeaderMap {
        let mut headers = self.headers.clone();
        // Keys are printable ASCII by their definition.
        headers.extend(HeaderValue::from_str(&message.intent.key).ok().map(|key| (IDEMPOTENCY_KEY, key)));
        if let Some(secret) = &self.secret {
            let signature = HeaderValue::try_from(signature(secret, body)).expect("hex is plain");
            headers.insert(SIGNATURE, signature);
        }
        headers
    }
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const SIGNATURE: HeaderName = HeaderName::from_static("x-heartbeat-signature");

impl Channel for Hook {
    fn send<'a>(&'a self, message: &'a Message) -> Boxed<'a, Result<Accepted, Refused>> {
        Box::pin(async move {
            let body = match &self.body {
                Some(template) => template.fill(message),
                None => message.document(),
            };
            let body = body.to_string();
            match self.endpoint.post(self.headers(message, &body), body).await {
                Ok(answer) => answer.judge(&says(&answer), &self.cleaner),
                Err(words) => Err(Refused::ForNow { answer: self.cleaner.clean(&words), after: None }),
            }
        })
    }
}

/// What the body of an answer says to people; web pages say nothing.
fn says(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    if text.trim_start().starts_with('<') { String::new() } else { text.into_owned() }
}

/// `sha256=` and the HMAC (RFC 2104) of a body in hex.
fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("an HMAC takes keys of any length");
    mac.update(body.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_of_rfc_4231() {
        // Test case 2.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", "what do ya want for nothing?"), expected);
    }

    #[test]
    fn only_urls_of_http_are_short_forms() {
        assert!(short("https://example.org/hook").is_some());
        assert!(short("HTTP://example.org").is_some());
        for text in ["mailto:a@example.org", "example.org", "smtp://example.org", "https:example.org"] {
            assert!(short(text).is_none(), "{text}");
        }
    }
}
