//! Durations: `500ms`, `30s`, `5m`, `1h30m`, `7d`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::config::{Context, Node, Problem, Shape, Value};

/// Unit, milliseconds; the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const NOUN: &str = "a duration such as `30s` or `1h30m`";

impl Value for Duration {
    fn shape() -> Shape {
        Shape::Text { noun: "a duration", pattern: Some(r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms))+$") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.word(NOUN, node)?;
        if let Some(duration) = parse(&text) {
            return Some(duration);
        }
        let mut problem = Problem::error(node.span, format!("expected {NOUN}, found {}", node.describe()));
        if text.parse::<f64>().is_ok() {
            problem = problem.help(format!("a number needs its unit: did you mean `{text}s`?"));
        }
        context.problems.push(problem);
        None
    }

    fn show(&self) -> Node {
        Node::text(format(*self))
    }
}

/// Reads a duration; `None` if it is not one.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, millis) = UNITS.iter().find(|(known, _)| *known == unit)?;
        let span = match number.parse::<u32>() {
            Ok(number) => Duration::from_millis(u64::from(number) * millis),
            // A fraction, or very many.
            Err(_) => Duration::try_from_secs_f64(number.parse::<f64>().ok()? * *millis as f64 / 1000.0).ok()?,
        };
        rest = after;
        total = total.checked_add(span)?;
    }
    Some(total)
}

/// Writes a duration so that [`parse`] reads it back, to the millisecond.
pub fn format(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in UNITS {
        if millis >= size {
            let _ = write!(out, "{}{unit}", millis / size);
            millis %= size;
        }
    }
    out
}
