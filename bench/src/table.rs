//! The table of results, for people and for machines.

use serde_json::{Value, json};

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
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Row {
    /// Whether the goal is met.
    pub(crate) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.number <= most,
            Bound::AtLeast(least) => self.number >= least,
        }
    }
}

/// Prints rows as a Markdown table.
pub(crate) fn print(rows: &[Row]) {
    println!("| what | measured | ratio or value | goal | met |\n|---|---|---|---|---|");
    for row in rows {
        let goal = match row.bound {
            Bound::AtMost(most) => format!("<= {most}"),
            Bound::AtLeast(least) => format!(">= {least}"),
        };
        let met = if row.is_met() { "yes" } else { "**no**" };
        println!("| {} | {} | {:.3} | {goal} | {met} |", row.what, row.measured, row.number);
    }
}

/// The rows for machines.
pub(crate) fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        let (bound, sense) = match row.bound {
            Bound::AtMost(most) => (most, "at_most"),
            Bound::AtLeast(least) => (least, "at_least"),
        };
        json!({ "what": row.what, "measured": row.measured, "number": row.number, sense: bound, "met": row.is_met() })
    };
    rows.iter().map(row).collect()
}
