//! The table of results, for people and for machines.

use serde_json::{Value, json};

use crate::lab::{NOISY, Outcome};

/// One line: a measured number beside its goal.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// The measured values, as text.
    pub(crate) measured: String,
    /// The number that the goal is about.
    pub(crate) number: f64,
    /// The bound.
    pub(crate) bound: Bound,
}

/// What a number must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// One, give or take this.
    Near(f64),
    /// Only to be known.
    None,
}

impl Row {
    /// A number that is at most this.
    pub(crate) fn at_most(bound: f64, what: impl Into<String>, number: f64, measured: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), number, bound: Bound::AtMost(bound) }
    }

    /// A number that is at least this.
    pub(crate) fn at_least(bound: f64, what: impl Into<String>, number: f64, measured: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), number, bound: Bound::AtLeast(bound) }
    }

    /// A number without a goal.
    pub(crate) fn plain(what: impl Into<String>, number: f64, measured: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), number, bound: Bound::None }
    }

    /// What we need for one, against somebody else.
    pub(crate) fn ratio(what: &str, ours: &Outcome, other: &Outcome, bound: f64) -> Self {
        let noise = if ours.is_noisy || other.is_noisy { NOISY } else { "" };
        let measured = format!("{:.1} us against {:.1} us{noise}", ours.micros, other.micros);
        Self::at_most(bound, format!("{what}, against {}", other.name), ours.micros / other.micros, measured)
    }

    /// Memory in megabytes.
    pub(crate) fn memory(bound: f64, what: impl Into<String>, megabytes: f64) -> Self {
        Self::at_most(bound, format!("{}: memory in MB", what.into()), megabytes, format!("{megabytes:.1} MB"))
    }

    /// Whether the goal is met.
    pub(crate) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.number <= most,
            Bound::AtLeast(least) => self.number >= least,
            Bound::Near(off) => (self.number - 1.0).abs() <= off,
            Bound::None => true,
        }
    }
}

/// Prints rows as a Markdown table.
pub(crate) fn print(rows: &[Row]) {
    println!("| what | measured | ratio or value | goal | met |\n|---|---|---|---|---|");
    for row in rows {
        let goal = match row.bound {
            Bound::AtMost(most) => format!("<= {most:.3}"),
            Bound::AtLeast(least) => format!(">= {least:.3}"),
            Bound::Near(off) => format!("1 +- {off:.3}"),
            Bound::None => String::new(),
        };
        let met = match row.bound {
            Bound::None => "",
            _ if row.is_met() => "yes",
            _ => "**no**",
        };
        println!("| {} | {} | {:.3} | {} | {met} |", row.what, row.measured, row.number, shorten(&goal));
    }
}

/// Without the zeros at the end.
fn shorten(goal: &str) -> &str {
    goal.trim_end_matches('0').trim_end_matches('.')
}

/// The rows for machines.
pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let mut line = json!({ "what": row.what, "measured": row.measured, "number": row.number });
        match row.bound {
            Bound::AtMost(most) => line["at_most"] = most.into(),
            Bound::AtLeast(least) => line["at_least"] = least.into(),
            Bound::Near(off) => line["near_one"] = off.into(),
            Bound::None => return line,
        }
        line["met"] = row.is_met().into();
        line
    };
    rows.iter().map(row).collect()
}
