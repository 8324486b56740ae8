//! The two forms of a line.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::rotate::LogFile;
use crate::host::clock;

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `2026-11-21 06:12:01 INFO     message key=value`: the INI daemon's, for people.
    Text,
    /// One JSON object, for machines.
    Json,
}

/// Writes every event as one line.
pub(super) struct Lines {
    form: Form,
    file: Option<Arc<LogFile>>,
}

impl Lines {
    pub(super) fn new(form: Form, file: Option<Arc<LogFile>>) -> Self {
        Self { form, file }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        let now = jiff::Timestamp::from_millisecond(clock::wall().unix_millis()).unwrap_or_default();
        let line = match self.form {
            Form::Text => fields.text(level, &now.to_zoned(jiff::tz::TimeZone::system())),
            Form::Json => fields.json(level, now),
        };
        match &self.file {
            Some(file) => file.write_line(line.as_bytes()),
            None => {
                let _ = io::stderr().lock().write_all(line.as_bytes());
            }
        }
    }
}

/// The message and the fields of one event.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, serde_json::Value)>,
}

impl Fields {
    fn text(&self, level: Level, at: &jiff::Zoned) -> String {
        let word = match level {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        };
        let mut line = format!("{} {word:<8} {}", at.strftime("%Y-%m-%d %H:%M:%S"), printable(&self.message));
        for (name, value) in &self.rest {
            let _ = match value {
                serde_json::Value::String(text) if is_word(text) => write!(line, " {name}={text}"),
                value => write!(line, " {name}={value}"),
            };
        }
        line.push('\n');
        line
    }

    fn json(self, level: Level, at: jiff::Timestamp) -> String {
        let mut object = serde_json::Map::new();
        object.insert("time".to_owned(), at.to_string().into());
        object.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
        object.insert("message".to_owned(), self.message.into());
        object.extend(self.rest.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let mut line = serde_json::Value::Object(object).to_string();
        line.push('\n');
        line
    }
}

/// A line stays a line, and a terminal is not steered by what a target sent.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '=')
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

impl Fields {
    fn put(&mut self, field: &Field, value: serde_json::Value) {
        match (field.name(), value) {
            ("message", serde_json::Value::String(text)) => self.message = text,
            (name, value) => self.rest.push((name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Fields {
        Fields {
            message: "web is down\x1b[2J: refused".to_owned(),
            rest: vec![("check", "web".into()), ("reason", "a b".into())],
        }
    }

    #[test]
    fn text_is_the_ini_daemons_line() {
        let at = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
        assert_eq!(
            sample().text(Level::WARN, &at),
            "1970-01-01 00:00:00 WARNING  web is down [2J: refused check=web reason=\"a b\"\n"
        );
    }

    #[test]
    fn json_is_one_object() {
        let line = sample().json(Level::INFO, jiff::Timestamp::UNIX_EPOCH);
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["time"], "1970-01-01T00:00:00Z");
        assert_eq!(parsed["level"], "info");
        assert_eq!(parsed["message"], "web is down\u{1b}[2J: refused");
        assert_eq!(parsed["check"], "web");
    }
}
