//! Where a cache server is: Django's `LOCATION` as the URL of a check.

use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};

use super::python::{Piece, Text};

/// A server, and what its URL does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) url: Text,
    /// Taken out of the location.
    pub(super) password: Option<Text>,
    /// Whether its certificate must be valid, if it has one.
    pub(super) verify: bool,
    /// Parameters that mean nothing to us.
    pub(super) left_out: Option<String>,
}

impl Location {
    fn of(url: Text) -> Self {
        Self { url, password: None, verify: true, left_out: None }
    }

    fn plain(url: impl Into<String>) -> Self {
        Self::of(Text::plain(url))
    }

    /// `host:port`, `unix:/path` or `/path`; `None` if it is none of them.
    pub(super) fn memcached(text: &Text) -> Option<Self> {
        let Some(plain) = text.as_plain() else {
            let mut url = Text::plain("memcached://");
            url.append(text);
            return Some(Self::of(url));
        };
        let plain = plain.strip_prefix("inet:").unwrap_or(plain);
        if let Some(path) = plain.strip_prefix("unix:").or(plain.starts_with('/').then_some(plain)) {
            let path = path.strip_prefix("//").unwrap_or(path);
            return path.starts_with('/').then(|| Self::plain(format!("memcached+unix://{path}")));
        }
        is_authority(plain).then(|| Self::plain(format!("memcached://{}", bracketed(plain))))
    }

    /// `redis://…`, `rediss://…`, `unix://…`, and of older backends `host:port[:database]` and `/path`. `None` if it is none
    /// of them.
    pub(super) fn redis(text: &Text, database: Option<&Text>) -> Option<Self> {
        let Some(plain) = text.as_plain() else { return Self::redis_from_environment(text, database) };
        let (scheme, rest) = match plain.split_once("://") {
            Some((scheme @ ("redis" | "rediss"), rest)) => (scheme, rest),
            Some(("unix", rest)) => ("redis+unix", rest),
            Some(_) => return None,
            None if plain.starts_with('/') => ("redis+unix", plain),
            None => return Self::redis_by_host(plain, database),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, place) = match rest.split_once('/').map_or(rest, |(authority, _)| authority).rfind('@') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => ("", rest),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let parameters: Vec<&str> = query.split('&').filter(|parameter| !parameter.is_empty()).collect();
        let in_query = parameters.iter().find_map(|parameter| parameter.strip_prefix("db=")).map(Text::plain);
        let database = in_query.as_ref().or(database);
        let verify = !parameters.contains(&"ssl_cert_reqs=none");
        let is_read = |parameter: &str| parameter.starts_with("db=") || parameter == "ssl_cert_reqs=none";
        let left: Vec<&str> = parameters.into_iter().filter(|parameter| !is_read(parameter)).collect();
        let user = if user.is_empty() || password.is_empty() { String::new() } else { format!("{user}@") };
        let bare = place.trim_end_matches('/');
        let mut url = Text::plain(match database {
            Some(_) if scheme == "redis+unix" => format!("{scheme}://{place}?db="),
            Some(_) if !bare.contains('/') => format!("{scheme}://{user}{bare}/"),
            _ => format!("{scheme}://{user}{place}"),
        });
        if let Some(database) = database.filter(|_| scheme == "redis+unix" || !bare.contains('/')) {
            url.append(database);
        }
        let password = (!password.is_empty()).then(|| Text::plain(decoded(password)));
        let left_out = (!left.is_empty()).then(|| left.join("&"));
        Some(Self { url, password, verify, left_out })
    }

    fn redis_by_host(plain: &str, database: Option<&Text>) -> Option<Self> {
        let (address, own) = match plain.rsplit_once(':') {
            Some((address, last)) if address.contains(':') && !address.contains('[') && is_number(last) => {
                (address, Some(Text::plain(last)))
            }
            _ => (plain, None),
        };
        let mut url = Text::plain(format!("redis://{}", bracketed(address)));
        if let Some(database) = own.as_ref().or(database) {
            url.append(&Text::plain("/"));
            url.append(database);
        }
        is_authority(address).then(|| Self::of(url))
    }

    /// A location of which a variable is part. One that begins with it is taken for a whole URL, if it is all there is.
    fn redis_from_environment(text: &Text, database: Option<&Text>) -> Option<Self> {
        let is_url = match text.pieces() {
            [Piece::Variable { default, .. }] => default.as_ref().is_none_or(|default| default.contains("://")),
            [Piece::Plain(plain), ..] => plain.starts_with("redis://") || plain.starts_with("rediss://"),
            _ => false,
        };
        let mut url = if is_url { Text::default() } else { Text::plain("redis://") };
        url.append(text);
        if let Some(database) = database.filter(|_| !is_url) {
            url.append(&Text::plain("/"));
            url.append(database);
        }
        Some(Self::of(url))
    }
}

/// A host, as it stands in a URL.
pub(super) fn host(host: &Text) -> String {
    const RESERVED: &AsciiSet = &super::RESERVED.remove(b':').remove(b'[').remove(b']');
    bracketed(&host.written(|plain| utf8_percent_encode(plain, RESERVED).to_string()))
}

/// An IPv6 address without a port gets its brackets.
fn bracketed(text: &str) -> String {
    if text.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{text}]") } else { text.to_owned() }
}

/// Whether a text can be a host with a port and nothing else.
fn is_authority(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '[' | ']'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
