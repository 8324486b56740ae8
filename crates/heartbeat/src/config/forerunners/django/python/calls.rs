//! The calls that settings are made of: asking the environment, and joining paths.

use std::rc::Rc;

use super::expression::{self, Why};
use super::value::{Expr, Origin, Piece, Text, Value};
use crate::config::Span;

/// The entry of a database that is given as a URL. Django has none of that name.
pub const URL: &str = "(url)";

/// What stands between the brackets of a call.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) plain: Vec<Expr>,
    /// The names are text.
    pub(super) named: Vec<(Expr, Expr)>,
}

/// What a call gives back.
pub(super) fn call(path: &str, arguments: Arguments) -> Result<Value, Why> {
    let Arguments { plain, named } = &arguments;
    let unknown = || Err(format!("a call of `{path}`").into());
    match (path, plain.as_slice()) {
        ("os.environ.get" | "environ.get" | "os.getenv" | "getenv", [name] | [name, _]) => {
            match default(plain.get(1), named, &[]) {
                Some(default) => environment(name, default),
                None => unknown(),
            }
        }
        // Helpers of that name come from django-environ, environs and python-decouple, or are the project's own.
        ("env" | "env.str" | "env.int" | "config", [name]) => match default(None, named, &["cast", "parse_default"]) {
            Some(default) => environment(name, default),
            None => unknown(),
        },
        ("env.db" | "env.dj_db_url" | "dj_database_url.config", [] | [_]) => {
            let Some(default) = default(None, named, &["conn_max_age", "conn_health_checks"]) else { return unknown() };
            let usual = Expr { at: Span::default(), value: Value::Text(Text::plain("DATABASE_URL")) };
            database(environment(plain.first().unwrap_or(&usual), default)?)
        }
        ("dj_database_url.parse", [Expr { value: url @ Value::Text(_), .. }]) if named.is_empty() => {
            database(url.clone())
        }
        ("os.path.join" | "path.join" | "Path" | "pathlib.Path", [first, more @ ..]) if named.is_empty() => {
            let Value::Text(mut whole) = first.value.clone() else { return unknown() };
            for part in more {
                let Value::Text(part) = &part.value else { return unknown() };
                whole = join(whole, part);
            }
            Ok(Value::Text(whole))
        }
        ("str" | "int", [one]) if named.is_empty() => match &one.value {
            Value::Text(_) | Value::Number(_) => Ok(one.value.clone()),
            _ => unknown(),
        },
        ("list" | "tuple", [Expr { value: value @ Value::List(_), .. }]) if named.is_empty() => Ok(value.clone()),
        ("dict", []) => expression::dict(arguments.named),
        _ => unknown(),
    }
}

/// What helpers make of the URL of a database: the dictionary that Django wants. Here it keeps the URL.
fn database(url: Value) -> Result<Value, Why> {
    let at = Span::default();
    let key = Expr { at, value: Value::Text(Text::plain(URL)) };
    expression::dict(vec![(key, Expr { at, value: url })])
}

/// The default of a look-up, from its place or its keyword; `None` if there is a keyword that changes more than that.
#[expect(clippy::option_option, reason = "the inner one is Python's")]
fn default<'a>(plain: Option<&'a Expr>, named: &'a [(Expr, Expr)], harmless: &[&str]) -> Option<Option<&'a Expr>> {
    let mut found = plain;
    for (key, value) in named {
        match key.as_plain() {
            Some("default") if found.is_none() => found = Some(value),
            Some(key) if harmless.contains(&key) => {}
            _ => return None,
        }
    }
    Some(found)
}

/// A variable of the environment, by its name.
pub(super) fn environment(name: &Expr, default: Option<&Expr>) -> Result<Value, Why> {
    let Some(name) = name.as_plain().filter(|name| is_variable(name)) else {
        return Err("a look-up in the environment".into());
    };
    let default: Option<Rc<str>> = match default.map(|default| &default.value) {
        None | Some(Value::None) => None,
        Some(Value::Text(text)) => Some(spelled(text.as_plain())?),
        Some(Value::Number(number)) => Some(number.clone()),
        Some(Value::Bool(yes)) => Some(if *yes { "True" } else { "False" }.into()),
        Some(_) => return Err("a default that is no literal".into()),
    };
    Ok(Value::Text(Text::variable(name, default, Origin::Environment)))
}

/// `left or right`: what is empty counts as absent, in `${NAME:-default}` too.
pub(super) fn or(left: Text, right: &Value) -> Result<Value, Why> {
    let why = || Why::from("an expression");
    match (left.pieces(), right) {
        ([Piece::Variable { name, default, origin }], Value::Text(right))
            if default.as_ref().is_none_or(|default| default.is_empty()) =>
        {
            let default = spelled(right.as_plain())?;
            Ok(Value::Text(Text::variable(name.clone(), Some(default), *origin)))
        }
        ([], right) => Ok(right.clone()),
        _ if left.as_plain().is_some() => Ok(Value::Text(left)),
        _ => Err(why()),
    }
}

/// A default as `${NAME:-default}` can hold it.
fn spelled(default: Option<&str>) -> Result<Rc<str>, Why> {
    default.filter(|text| !text.contains('}')).map(Rc::from).ok_or_else(|| "a default that is no literal".into())
}

/// Whether a name can stand in `${NAME}`.
pub(super) fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
        && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// Two parts of a path with a slash between them. A second part that begins at the root stands alone.
pub(super) fn join(mut left: Text, right: &Text) -> Text {
    let starts_at_root = matches!(right.pieces().first(), Some(Piece::Plain(text)) if text.starts_with('/'));
    if starts_at_root || left.is_empty() {
        return right.clone();
    }
    if !matches!(left.pieces().last(), Some(Piece::Plain(text)) if text.ends_with('/')) {
        left.push(Piece::Plain("/".to_owned()));
    }
    left.append(right);
    left
}
