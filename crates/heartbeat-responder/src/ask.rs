//! What somebody asks, whatever the transport.

use std::sync::{Arc, LazyLock};

use crate::format::{FORMATS, Format};
use crate::reply::Reply;

/// A request, as far as an answer depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: Method,
    /// The path, as it was sent, without the query.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: Option<&'a str>,
    /// The `Accept` header.
    pub accept: Option<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// Whether whoever asks is on this machine: a loopback address or a Unix socket, and no proxy in between.
    pub local: bool,
}

/// A method, as far as an answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET, POST and OPTIONS: the whole answer. HAProxy's default check is an OPTIONS.
    Whole,
    /// HEAD: the answer without its body.
    Head,
    /// Anything else.
    Other,
}

impl Method {
    /// The method of that name (RFC 9110, section 9).
    pub fn named(name: &str) -> Self {
        match name {
            "GET" | "POST" | "OPTIONS" => Self::Whole,
            "HEAD" => Self::Head,
            _ => Self::Other,
        }
    }
}

/// The methods that are answered, for the header `Allow`.
pub const ALLOW: &str = "GET, HEAD, OPTIONS, POST";

/// The headers by which a proxy says that somebody else asks through it (RFC 7239, and the older ones).
pub const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

impl Asked<'_> {
    /// The format that is wanted: by `?format=`, else by the header `Accept`, else by the view. `None`: there is no such
    /// format.
    pub(crate) fn format(&self, of_view: &'static Format) -> Option<&'static Format> {
        let named =
            self.query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("format="));
        if let Some(name) = named {
            // A plus in a query is a space to some and itself to others; `health+json` is meant.
            return Format::named(&name.replace("%2B", "+").replace("%2b", "+").replace(' ', "+"));
        }
        Some(self.accept.map_or(of_view, |accept| preferred(accept, of_view)))
    }
}

/// The format that a header `Accept` (RFC 9110, section 12.5.1) prefers, the view's where that is as good. Others are only
/// taken if they are named: `*/*` and `application/json` ask for none in particular.
fn preferred(accept: &str, of_view: &'static Format) -> &'static Format {
    let essence = of_view.content_type.split(';').next().unwrap_or_default();
    let (kind, _) = essence.split_once('/').unwrap_or_default();
    let mut best = (of_view, 0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let wanted = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1000, thousandths);
        let named = |format: &&Format| format.accept.is_some_and(|ours| ours.eq_ignore_ascii_case(wanted));
        let of_kind = wanted.strip_suffix("/*").is_some_and(|wanted| wanted.eq_ignore_ascii_case(kind));
        // How closely it names a format decides between equal weights.
        let (format, closeness) = match FORMATS.iter().find(named) {
            Some(format) => (format, 3),
            None if wanted.eq_ignore_ascii_case(essence) => (of_view, 3),
            None if of_kind => (of_view, 2),
            None if wanted == "*/*" => (of_view, 1),
            None => continue,
        };
        let (_, best_weight, best_closeness) = best;
        let is_better = (weight, closeness) > (best_weight, best_closeness);
        if weight > 0 && (is_better || (weight, closeness) == (best_weight, best_closeness) && format == of_view) {
            best = (format, weight, closeness);
        }
    }
    best.0
}

/// A weight (RFC 9110, section 12.4.2); what is none counts as the least.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 0,
    }
}

/// Where no view is.
pub(crate) fn not_found() -> Arc<Reply> {
    static REPLY: LazyLock<Arc<Reply>> = LazyLock::new(|| Arc::new(Reply::refusal(404, "no view has this path\n", "")));
    REPLY.clone()
}

/// For a method that is none of ours.
pub(crate) fn method_not_allowed() -> Arc<Reply> {
    static REPLY: LazyLock<Arc<Reply>> = LazyLock::new(|| {
        let text = format!("expected one of the methods {ALLOW}\n");
        Arc::new(Reply::refusal(405, &text, &format!("Allow: {ALLOW}\r\n")))
    });
    REPLY.clone()
}

/// For a `?format=` that is none of ours.
pub(crate) fn unknown_format() -> Arc<Reply> {
    static REPLY: LazyLock<Arc<Reply>> = LazyLock::new(|| {
        let names: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
        Arc::new(Reply::refusal(400, &format!("expected one of the formats {}\n", names.join(", ")), ""))
    });
    REPLY.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(query: Option<&'a str>, accept: Option<&'a str>) -> Asked<'a> {
        Asked { method: Method::Whole, path: "/", query, accept, authorization: None, local: false }
    }

    fn of_view(name: &str) -> &'static Format {
        Format::named(name).expect("a format of the table")
    }

    fn by_query(query: &str) -> Option<&'static str> {
        asked(Some(query), Some("text/plain")).format(of_view("services")).map(|format| format.name)
    }

    fn accepted(accept: &str, view: &str) -> &'static str {
        asked(None, Some(accept)).format(of_view(view)).expect("a format").name
    }

    #[test]
    fn a_query_comes_before_what_is_accepted() {
        assert_eq!(by_query("format=json"), Some("json"));
        assert_eq!(by_query("a=b&format=microprofile&format=text"), Some("microprofile"));
        for plus in ["+", "%2B", "%2b", " "] {
            assert_eq!(by_query(&format!("format=health{plus}json")), Some("health+json"), "{plus:?}");
        }
        for wrong in ["format=", "format=TEXT", "format=xml", "format=json%00"] {
            assert_eq!(by_query(wrong), None, "{wrong:?}");
        }
        assert_eq!(by_query("formats=json"), Some("text"), "no format is named, so Accept counts");
        assert_eq!(by_query(""), Some("text"));
    }

    #[test]
    fn the_view_keeps_its_format_unless_another_is_preferred() {
        for (accept, expected) in [
            ("", "services"),
            ("*/*", "services"),
            ("application/*", "services"),
            ("application/json", "services"),
            ("text/html", "services"),
            ("text/plain", "text"),
            ("TEXT/Plain", "text"),
            (" application/health+json ; charset=utf-8", "health+json"),
            ("application/health+json, application/json", "services"),
            ("application/health+json, */*", "health+json"),
            ("application/health+json, text/plain", "health+json"),
            ("application/health+json;q=0.5, text/plain;q=0.51", "text"),
            ("text/plain;q=0.9, */*;q=1.0", "services"),
            ("text/plain;q=0", "services"),
            ("text/plain;q=2", "services"),
            ("text/plain;q=NaN", "services"),
            ("text/plain; Q=1, application/json;q=0.2", "text"),
            ("application/vnd.heartbeat+json", "json"),
            (",,;;,/,*", "services"),
        ] {
            assert_eq!(accepted(accept, "services"), expected, "{accept:?}");
        }
        assert_eq!(accepted("application/health+json, text/plain", "text"), "text", "equal weights: the view's own");
        assert_eq!(accepted("text/*, application/health+json;q=0.9", "text"), "text");
        assert_eq!(accepted("application/json", "text"), "text", "which JSON?");
    }
}
