//! The mail that a message becomes: RFC 5322, plain text in UTF-8.
//!
//! It is the same at every attempt: its Message-ID is made of the intent's key, its Date is when the intent was decided on.
//! Values come from targets and are hostile: every header is built by the library that knows how to encode it, from text
//! without control characters.

use std::time::{Duration, UNIX_EPOCH};

use heartbeat_core::template::Template;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};

use crate::message::{Message, one_line};

/// A longer subject is cut, in characters: people read its beginning.
const LONGEST_SUBJECT: usize = 150;

/// How mails of one alert are written.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) to: Vec<Mailbox>,
    pub(super) subject: Template,
    pub(super) body: Body,
}

/// What stands in the body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    /// The message alone.
    Message,
    /// And what is known of the check.
    Details,
}

impl Form {
    /// The mail as it goes over the wire.
    ///
    /// # Errors
    /// What the library refuses.
    pub(super) fn write(&self, from: &Mailbox, message: &Message) -> Result<Vec<u8>, String> {
        let decided = u64::try_from(message.intent.at.unix_millis()).unwrap_or(0);
        let mut builder = lettre::Message::builder()
            .from(from.clone())
            .subject(self.subject(message))
            .date(UNIX_EPOCH + Duration::from_millis(decided))
            .message_id(Some(message_id(message)))
            .header(ContentType::TEXT_PLAIN);
        for mailbox in &self.to {
            builder = builder.to(mailbox.clone());
        }
        let mut mail = builder.body(self.body(message)).map_err(|error| format!("cannot write the mail: {error}"))?;
        // RFC 3834: so that nobody's holiday notice answers.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        mail.headers_mut().insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
        Ok(mail.formatted())
    }

    fn subject(&self, message: &Message) -> String {
        let subject = one_line(&message.fill(&self.subject));
        match subject.char_indices().nth(LONGEST_SUBJECT) {
            Some((end, _)) => format!("{}…", &subject[..end]),
            None => subject,
        }
    }

    fn body(&self, message: &Message) -> String {
        let text = &message.intent.message;
        let details = match self.body {
            Body::Message => String::new(),
            Body::Details => details(message),
        };
        // RFC 5322, section 2.1: lines end with CR LF.
        format!("{text}\n{details}").replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
    }
}

fn details(message: &Message) -> String {
    const LINES: [(&str, &str); 9] = [
        ("Check", "$name ($id)"),
        ("State", "$state since $since, before: $previous_state"),
        ("Reason", "$reason"),
        ("Target", "$target"),
        ("Failures in a row", "$fail_count"),
        ("Last pass", "$last_pass_time"),
        ("Last failure", "$last_fail_time"),
        ("Runbook", "$runbook"),
        ("Seen from", "$node"),
    ];
    if message.intent.subject.is_none() {
        return String::new();
    }
    let mut text = "\n".to_owned();
    for (label, template) in LINES {
        let value = message.fill(&Template::parse(template).expect("the lines above are templates"));
        if !value.is_empty() {
            text.push_str(&format!("{label}: {value}\n"));
        }
    }
    text
}

/// Keys are made for it: what stands before the @ is an RFC 5322 `dot-atom-text`, after it the node's name as one.
fn message_id(message: &Message) -> String {
    let atom = |text: &str| -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./%~+=".contains(c);
        text.chars().map(|c| if plain(c) { c } else { '-' }).collect()
    };
    let node = atom(&message.node);
    let node = node.trim_matches('.');
    format!("<{}@{}>", atom(&message.intent.key), if node.is_empty() { "heartbeat" } else { node })
}
