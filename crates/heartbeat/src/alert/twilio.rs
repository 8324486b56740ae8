//! `twilio`: text messages through Twilio's programmable messaging.
//!
//! <https://www.twilio.com/docs/messaging/api/message-resource>: a form, basic authentication with account and token,
//! `201` with the message's `sid`, or a status with `code` and `message`. The service knows no key for idempotency: after a
//! crash between its yes and our mark a message can come twice.

use std::path::PathBuf;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::Value as Json;
use url::form_urlencoded;

use super::answer::Cleaner;
use super::http::{Answer, Endpoint, basic, parse};
use super::{Accepted, Boxed, Channel, Kind, Refused, Spec};
use crate::config::Fields;
use crate::config::values::{FilePath, Secret};
use crate::host::env;
use crate::message::Message;

/// The line of the table.
pub(super) const KIND: Kind = Kind {
    name: "twilio",
    doc: "A text message through Twilio.",
    example: "\
type: twilio
account_sid: AC0123456789abcdef0123456789abcdef
auth_token: { file: /etc/heartbeat/twilio }
from_number: +17775551212
to_number: +12224443131
",
    short: |_| None,
    decode,
};

/// Twilio refuses longer bodies (error 21617).
const LONGEST: usize = 1600;

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let account = fields.required::<String>("account_sid", "The account, as Twilio's console shows it.");
    let token = fields.required("auth_token", "The account's token.");
    let from = fields.required::<String>("from_number", "The number that it comes from, such as +17775551212.");
    let to = fields.required::<String>("to_number", "The number that it goes to, such as +12224443131.");
    let endpoint = fields.or("endpoint", "Where Twilio's interface is.", "https://api.twilio.com".to_owned());
    let ca: Option<FilePath> =
        fields.optional("ca", "A PEM file of authorities that are trusted in place of the system's.");
    let (account, token, from, to) = (account?, token?, from?, to?);
    if !account.bytes().all(|byte| byte.is_ascii_alphanumeric()) || account.is_empty() {
        fields.error("account_sid", "expected letters and digits, such as AC0123456789abcdef0123456789abcdef");
        return None;
    }
    for (key, number) in [("from_number", &from), ("to_number", &to)] {
        if number.trim().is_empty() {
            fields.error(key, "expected a number such as +17775551212");
            return None;
        }
    }
    if let Err(wrong) = parse(&endpoint) {
        fields.error("endpoint", wrong);
        return None;
    }
    Some(Box::new(Twilio { account, token, from, to, endpoint, ca: ca.map(|path| path.0) }))
}

#[derive(Debug)]
struct Twilio {
    account: String,
    token: Secret,
    from: String,
    to: String,
    endpoint: String,
    ca: Option<PathBuf>,
}

impl Spec for Twilio {
    fn target(&self) -> String {
        self.to.clone()
    }

    fn build(&self) -> Result<Box<dyn Channel>, String> {
        let mut cleaner = Cleaner::default();
        let token = self.token.reveal(&env::variable)?;
        let base = self.endpoint.trim_end_matches('/');
        let url = format!("{base}/2010-04-01/Accounts/{}/Messages.json", self.account);
        let endpoint = Endpoint::new(&url, self.ca.as_deref(), &mut cleaner)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(AUTHORIZATION, basic(&self.account, &token, &mut cleaner));
        Ok(Box::new(Texts { endpoint, headers, from: self.from.clone(), to: self.to.clone(), cleaner }))
    }
}

struct Texts {
    endpoint: Endpoint,
    headers: HeaderMap,
    from: String,
    to: String,
    cleaner: Cleaner,
}

impl Channel for Texts {
    fn send<'a>(&'a self, message: &'a Message) -> Boxed<'a, Result<Accepted, Refused>> {
        Box::pin(async move {
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("From", &self.from)
                .append_pair("To", &self.to)
                .append_pair("Body", &cut(&message.intent.message))
                .finish();
            match self.endpoint.post(self.headers.clone(), form).await {
                Ok(answer) => answer.judge(&says(&answer), &self.cleaner),
                Err(words) => Err(Refused::ForNow { answer: self.cleaner.clean(&words), after: None }),
            }
        })
    }
}

/// A text that Twilio takes: it counts in UTF-16 units, and refuses an empty one.
fn cut(text: &str) -> String {
    let text = if text.trim().is_empty() { "(no text)" } else { text };
    if text.encode_utf16().count() <= LONGEST {
        return text.to_owned();
    }
    let mut room = LONGEST - 1;
    let mut cut: String = text
        .chars()
        .take_while(|c| {
            let fits = room >= c.len_utf16();
            room = room.saturating_sub(c.len_utf16());
            fits
        })
        .collect();
    cut.push('…');
    cut
}

/// What the answer says to people.
fn says(answer: &Answer) -> String {
    let json: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    match json["code"].as_u64() {
        Some(code) => format!("error {code}: {}", text("message")),
        None => format!("{} {}", text("status"), text("sid")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_where_twilio_counts() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(" "), "(no text)");
        assert_eq!(cut(&"a".repeat(1600)).len(), 1600);
        for text in ["a".repeat(1601), "🔥".repeat(801), "é".repeat(5000)] {
            let cut = cut(&text);
            let units = cut.encode_utf16().count();
            assert!(units == LONGEST || units == LONGEST - 1, "{units}");
            assert!(cut.ends_with('…'));
        }
    }
}
