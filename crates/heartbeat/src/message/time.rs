//! Times and durations for people and for machines.

use std::time::Duration;

use heartbeat_core::Wall;
use heartbeat_core::record::State;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Texts;
use crate::config::values::{StateWords, Times};

/// How texts for people write times and states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// How times look.
    pub times: Times,
    /// The words for states.
    pub states: StateWords,
    /// Where [`Times::Full`] is local to.
    pub zone: TimeZone,
}

impl Style {
    /// Full times of a zone, and our own words.
    pub const fn full(zone: TimeZone) -> Self {
        Self { times: Times::Full, states: StateWords::Up, zone }
    }

    /// What a check's texts ask for.
    pub const fn of(texts: &Texts, zone: TimeZone) -> Self {
        Self { times: texts.times, states: texts.states, zone }
    }

    /// A point in time, or `never`.
    pub fn time(&self, at: Option<Wall>) -> String {
        let Some(at) = at.and_then(timestamp) else { return "never".to_owned() };
        let form = match self.times {
            Times::Full => "%Y-%m-%d %H:%M:%S %:z",
            Times::Short => "%m/%d %H:%M",
        };
        at.to_zoned(self.zone()).strftime(form).to_string()
    }

    /// A span between two points in time; the day is only named where it matters.
    pub(super) fn span(&self, from: Wall, until: Wall) -> String {
        let (Some(start), Some(end)) = (timestamp(from), timestamp(until)) else {
            return format!("{} to {}", self.time(Some(from)), self.time(Some(until)));
        };
        let (start, end) = (start.to_zoned(self.zone()), end.to_zoned(self.zone()));
        if start.date() == end.date() {
            return format!("{}-{}", start.strftime("%H:%M"), end.strftime("%H:%M"));
        }
        let form = "%Y-%m-%d %H:%M";
        format!("{} to {}", start.strftime(form), end.strftime(form))
    }

    /// The word for a state.
    pub(super) const fn state(&self, state: State) -> &'static str {
        match (self.states, state) {
            (StateWords::Passing, State::Up | State::Degraded) => "passing",
            (StateWords::Passing, State::Down) => "failing",
            _ => state.as_str(),
        }
    }

    fn zone(&self) -> TimeZone {
        match self.times {
            Times::Full => self.zone.clone(),
            Times::Short => TimeZone::UTC,
        }
    }
}

/// A point in time for machines: RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: Wall) -> String {
    timestamp(at).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// How long something lasted, in its two largest units: `3d 4h`, `12m 30s`, `45s`, `850ms`.
pub fn lasted(span: Duration) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let seconds = span.as_secs();
    let Some(first) = UNITS.iter().position(|(_, size)| seconds >= *size) else {
        return format!("{}ms", span.as_millis());
    };
    let (unit, size) = UNITS[first];
    let (count, rest) = (seconds / size, seconds % size);
    match UNITS.get(first + 1) {
        Some((smaller, size)) if rest >= *size => format!("{count}{unit} {}{smaller}", rest / size),
        _ => format!("{count}{unit}"),
    }
}

/// How long a probe took: `12ms`, `1.25s`.
pub(super) fn latency(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{}ms", span.as_millis())
    } else {
        format!("{:.2}s", span.as_secs_f64())
    }
}

/// `None` beyond the years -9999 to 9999.
fn timestamp(at: Wall) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.unix_millis()).ok()
}
