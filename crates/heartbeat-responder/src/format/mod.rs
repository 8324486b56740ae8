//! The formats of answers: one file each and one line in [`FORMATS`].

mod detailed;
mod health_json;
mod microprofile;
mod services;
mod text;

use std::sync::Arc;

use heartbeat_core::Wall;
use heartbeat_core::answer::{Answer, Standing};
use serde::Serialize;

use crate::flag::{self, FLAG};
use crate::view::{Service, View};

/// A format: one line of the table.
#[derive(Debug)]
pub struct Format {
    /// Its name in configurations and in `?format=`.
    pub name: &'static str,
    /// One sentence for the reference.
    pub doc: &'static str,
    /// The media type of its bodies.
    pub content_type: &'static str,
    /// The media type in an `Accept` header that asks for it; `None` where that would be ambiguous.
    pub accept: Option<&'static str>,
    render: fn(&Page<'_>) -> String,
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Format {}

/// Every format.
pub static FORMATS: &[Format] =
    &[services::FORMAT, health_json::FORMAT, text::FORMAT, microprofile::FORMAT, detailed::FORMAT];

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        FORMATS.iter().find(|format| format.name == name)
    }

    /// Its place in the table.
    pub(crate) fn index(&self) -> usize {
        FORMATS.iter().position(|format| format == self).expect("only the table's formats can be named")
    }

    /// The body of an answer.
    pub(crate) fn render(&self, page: &Page<'_>) -> String {
        (self.render)(page)
    }
}

/// What is to be shown.
pub(crate) struct Page<'a> {
    pub(crate) view: &'a View,
    pub(crate) answer: Answer,
    pub(crate) status: u16,
    /// A service that decides is degraded.
    pub(crate) degraded: bool,
    /// The flag, if there is one or if something else drains this server.
    pub(crate) flag: Option<flag::State>,
    /// The services, and which of them decide.
    pub(crate) services: Vec<(&'a Service, bool)>,
    /// Whether reasons and targets are shown.
    pub(crate) detailed: bool,
}

impl Page<'_> {
    /// How a service stands. What nobody watches is not known.
    pub(crate) fn standing(&self, service: &Service) -> Standing {
        if self.answer == Answer::Stalled { Standing::Unknown } else { service.known.standing }
    }

    /// What is said of a service, to those who may know. What was known of one that nobody watches may be long over.
    pub(crate) fn reason<'s>(&self, service: &'s Service) -> &'s str {
        if self.detailed && self.answer != Answer::Stalled { &service.known.reason } else { "" }
    }

    /// The services by name, with the flag before them, as the formats that do not tell them apart show them.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let flag = self.flag.as_ref().map(|state| match state {
            flag::State::Up => Row { name: FLAG, target: "", standing: Standing::Up, reason: "" },
            flag::State::Down(drain) => Row {
                name: FLAG,
                target: "",
                standing: Standing::Down,
                reason: if self.detailed { &drain.why } else { "" },
            },
        });
        let services = self.services.iter().map(|(service, _)| Row {
            name: &service.id,
            target: if self.detailed { &service.target } else { "" },
            standing: self.standing(service),
            reason: self.reason(service),
        });
        flag.into_iter().chain(services)
    }

    /// Why the answer is not ok, for those who may know.
    pub(crate) fn why(&self) -> Option<Arc<str>> {
        let of = |wanted: Standing| {
            let names =
                self.services.iter().filter(|(service, takedown)| *takedown && self.standing(service) == wanted);
            names.map(|(service, _)| service.id.as_str()).collect::<Vec<_>>().join(", ")
        };
        Some(match self.answer {
            Answer::Ok => return None,
            Answer::Stalled => "the checks are not being watched".into(),
            Answer::Down => format!("down: {}", of(Standing::Down)).into(),
            Answer::Drained => match &self.flag {
                Some(flag::State::Down(drain)) => drain.why.clone(),
                _ => "drained".into(),
            },
            Answer::Stale => format!("not known any more: {}", of(Standing::Stale)).into(),
            Answer::Unknown => format!("not known yet: {}", of(Standing::Unknown)).into(),
        })
    }
}

/// One line of an answer: a service, or the flag. What the asker may not know is empty.
pub(crate) struct Row<'a> {
    pub(crate) name: &'a str,
    pub(crate) target: &'a str,
    pub(crate) standing: Standing,
    pub(crate) reason: &'a str,
}

/// JSON with an indentation of `indent`. What Python does not print is written as an escape: all above ASCII, and DEL.
fn json(value: &impl Serialize, indent: &[u8]) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
    value
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .expect("maps with texts for keys always serialize");
    let text = String::from_utf8(bytes).expect("JSON is text");
    if text.bytes().all(is_plain) { text } else { escape(&text) }
}

/// Whether a byte of JSON may stand as it is.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii() && byte != 0x7f
}

/// Outside of strings, JSON is plain; inside of them, an escape stands for the character.
fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if u8::try_from(c).is_ok_and(is_plain) {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("a string takes everything");
            }
        }
    }
    escaped
}

/// RFC 3339, in UTC.
fn time(at: Wall) -> Option<String> {
    Some(jiff::Timestamp::from_millisecond(at.unix_millis()).ok()?.to_string())
}

#[cfg(test)]
mod tests;
