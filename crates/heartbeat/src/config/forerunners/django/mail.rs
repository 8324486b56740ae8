//! `mail_admins` as an alert: to ADMINS, from SERVER_EMAIL, through the server of EMAIL_* (Django's settings reference).

use super::python::{Expr, Text, Value};
use super::settings::Settings;
use super::{encoded, location, native};
use crate::config::Span;
use crate::config::forerunners::build::{self, Map};
use crate::config::node::Node;

/// The id of the alert.
pub(super) const ID: &str = "admins";

/// The only way of sending that is ours too.
const SMTP: &str = "django.core.mail.backends.smtp.EmailBackend";

/// The alert, unless there are certainly no administrators. `asked` is where one of the checks asks for it.
pub(super) fn alert(asked: Span, settings: &mut Settings<'_>) -> Option<Node> {
    let (at, to) = recipients(asked, settings)?;
    let mut map = Map::new(at);
    map.word("type", at, "email");
    server(&mut map, at, settings);
    let from = setting("SERVER_EMAIL", settings).unwrap_or_else(|| Text::plain("root@localhost"));
    map.put("from", at, native(&from, at));
    map.put("to", at, build::list(to, at));
    map.put("subject", at, build::verbatim(format!("{}$message", prefix(settings)), at));
    if let Some(timeout) = settings.get("EMAIL_TIMEOUT").filter(|timeout| !matches!(timeout.value, Value::None)) {
        let text = settings.text(timeout, "EMAIL_TIMEOUT");
        match text.as_plain().and_then(|text| build::time(text, 1.0)).filter(|time| !time.is_zero()) {
            Some(time) => map.put("timeout", timeout.at, build::span_of(time, timeout.at)),
            None => settings.warn(timeout.at, "expected a number of seconds: the timeout is left out", "add `timeout`"),
        }
    }
    Some(map.finish())
}

/// A setting as text, `None` if the file does not assign it.
fn setting(name: &'static str, settings: &mut Settings<'_>) -> Option<Text> {
    settings.get(name).map(|value| settings.text(value, name))
}

/// The addresses of the administrators, and where they stand.
fn recipients(asked: Span, settings: &mut Settings<'_>) -> Option<(Span, Vec<Node>)> {
    const HELP: &str = "add an alert, and its name to `alerts` of the checks";
    let Some(admins) = settings.get("ADMINS") else {
        settings.warn(asked, "ADMINS is not in this file: nobody is told", HELP);
        return None;
    };
    let Value::List(list) = &admins.value else {
        let to = settings.text(admins, "ADMINS");
        return match to.is_empty() {
            true => {
                settings.warn(admins.at, "ADMINS is empty: nobody is told", HELP);
                None
            }
            false => Some((admins.at, vec![native(&to, admins.at)])),
        };
    };
    let mut to = Vec::new();
    for admin in &list.items {
        match address(admin, settings) {
            Some(text) => to.push(build::verbatim(text, admin.at)),
            None => {
                let message = format!("expected a name and an address, found {}: it is left out", admin.describe());
                settings.warn(admin.at, message, "add the address to `to`");
            }
        }
    }
    if to.is_empty() {
        settings.warn(admins.at, "ADMINS is empty: nobody is told", HELP);
        return None;
    }
    Some((admins.at, to))
}

/// An administrator: a name with an address, or since Django 6.0 an address alone.
fn address(admin: &Expr, settings: &mut Settings<'_>) -> Option<String> {
    match &admin.value {
        Value::List(list) => match list.items.as_slice() {
            [name, address] => {
                let name = settings.text(name, "ADMIN_NAME");
                let address = settings.text(address, "ADMIN_EMAIL").native();
                Some(match name.as_plain() {
                    Some("") => address,
                    Some(plain) => format!("{} <{address}>", phrase(plain).replace('$', "$$")),
                    None => format!("{} <{address}>", name.native()),
                })
            }
            _ => None,
        },
        Value::Text(_) | Value::Unknown(_) => Some(settings.text(admin, "ADMIN_EMAIL").native()),
        _ => None,
    }
}

/// A name as it stands before an address (RFC 5322, section 3.2.5): quoted if it holds more than words.
fn phrase(name: &str) -> String {
    let name = build::id(name);
    let is_simple = |c: char| c.is_alphanumeric() || " !#$%&'*+-/=?^_`{|}~".contains(c);
    if name.chars().all(is_simple) {
        return name;
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The server, and how it is spoken to.
fn server(map: &mut Map, at: Span, settings: &mut Settings<'_>) {
    if let Some(backend) = settings.get("EMAIL_BACKEND").filter(|backend| backend.as_plain() != Some(SMTP)) {
        let found = backend.as_plain().map_or_else(|| backend.describe(), |name| format!("`{name}`"));
        let message = format!("mail went through {found}, which is not ours: it goes to EMAIL_HOST");
        settings.warn(backend.at, message, "see that `smtp` of the alert is a server that takes it");
    }
    let host = setting("EMAIL_HOST", settings).filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| Text::plain("localhost"));
    let port = setting("EMAIL_PORT", settings).filter(|port| !port.is_empty());
    let port = port.unwrap_or_else(|| Text::plain("25"));
    let mut switch = |name, otherwise| settings.get(name).map(|value| settings.switch(value, otherwise));
    let (tls, ssl) = (switch("EMAIL_USE_TLS", true), switch("EMAIL_USE_SSL", false));
    let (scheme, starttls) = match (tls, ssl) {
        (_, Some(true)) => ("smtps", None),
        (Some(true), _) => ("smtp", Some("required")),
        _ => ("smtp", Some("never")),
    };
    let user = setting("EMAIL_HOST_USER", settings).filter(|user| !user.is_empty());
    let password = settings.get("EMAIL_HOST_PASSWORD").and_then(|value| {
        let at = settings.place("EMAIL_HOST_PASSWORD");
        settings.password(at, value, "EMAIL_HOST_PASSWORD")
    });
    // Django logs in only with both.
    let (login, password) = match (user, password) {
        (Some(user), Some(password)) => (format!("{}@", encoded(&user)), Some(password)),
        _ => (String::new(), None),
    };
    let url = format!("{scheme}://{login}{}:{}", location::host(&host), encoded(&port));
    map.put("smtp", at, build::verbatim(url, at));
    if let Some(starttls) = starttls {
        map.word("starttls", at, starttls);
    }
    if let Some(password) = password {
        map.put("password", password.span, password);
    }
}

/// What stands before every subject, as a template has it.
fn prefix(settings: &mut Settings<'_>) -> String {
    const DEFAULT: &str = "[Django] ";
    let Some(prefix) = settings.get("EMAIL_SUBJECT_PREFIX") else { return DEFAULT.to_owned() };
    let text = match &prefix.value {
        Value::None => Some(""),
        _ => prefix.as_plain(),
    };
    let Some(text) = text else {
        let message = format!("expected text, found {}: a subject knows no environment", prefix.describe());
        settings.warn(prefix.at, message, "write what it comes to in front of `$message`");
        return DEFAULT.to_owned();
    };
    text.replace('$', "$$").replace(['\n', '\r'], " ")
}
