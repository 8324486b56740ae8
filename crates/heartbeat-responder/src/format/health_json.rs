//! Health Check Response Format for HTTP APIs, draft-inadarei-api-health-check-06.

use heartbeat_core::answer::{Answer, Question, Standing};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::{Format, Page, Row, json};

pub(super) const FORMAT: Format = Format {
    name: "health+json",
    doc: "JSON after draft-inadarei-api-health-check-06: `pass`, `warn` or `fail`, and each check",
    content_type: "application/health+json",
    accept: Some("application/health+json"),
    render: |page| {
        let status = match page.answer {
            Answer::Ok if has_concerns(page) => "warn",
            // An answer that is configured to be a success must not be called a failure: section 3.1.
            _ if page.status < 400 => "pass",
            _ => "fail",
        };
        let output = if page.detailed { page.why() } else { None };
        json(&Body { status, output: output.as_deref(), checks: Checks(page) }, b"  ")
    },
};

/// Healthy, with concerns: something is not as it should be, though it takes nothing down.
fn has_concerns(page: &Page<'_>) -> bool {
    page.view.question == Question::Ready && page.rows().any(|row| row.standing != Standing::Up)
}

#[derive(Serialize)]
struct Body<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a str>,
    checks: Checks<'a>,
}

struct Checks<'a>(&'a Page<'a>);

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for row in self.0.rows() {
            map.serialize_entry(row.name, &[Check::of(&row)])?;
        }
        map.end()
    }
}

/// One check, section 4. What heartbeat knows is a state, so there is no observed value and no time of its reading.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check<'a> {
    /// Which instance this is about: the target.
    #[serde(skip_serializing_if = "str::is_empty")]
    component_id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    output: &'a str,
}

impl<'a> Check<'a> {
    fn of(row: &Row<'a>) -> Self {
        let (status, output) = match row.standing {
            // Section 4.8: no output where all is well.
            Standing::Up => ("pass", ""),
            Standing::Degraded => ("warn", row.reason),
            // There are three words only, and what is not known is not healthy.
            Standing::Down | Standing::Unknown | Standing::Stale => ("fail", row.reason),
        };
        Self { component_id: row.target, status, output }
    }
}
