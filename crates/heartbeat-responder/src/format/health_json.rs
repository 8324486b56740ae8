//! Health Check Response Format for HTTP APIs, draft-inadarei-api-health-check-06.

use heartbeat_core::answer::{Answer, Standing};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::{Format, Page, Row, json, time};

pub(super) const FORMAT: Format = Format {
    name: "health+json",
    doc: "JSON after draft-inadarei-api-health-check-06: `pass`, `warn` or `fail`, and each check",
    content_type: "application/health+json",
    accept: Some("application/health+json"),
    render: |page| {
        let status = match page.answer {
            Answer::Ok if page.degraded => "warn",
            // An answer that is configured to be a success must not be called a failure: section 3.1.
            _ if page.status < 400 => "pass",
            _ => "fail",
        };
        let output = if page.detailed { page.why() } else { None };
        json(&Body { status, output: output.as_deref(), checks: Checks(page) }, b"  ")
    },
};

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

/// One check, section 4. What heartbeat measures is a state, so there is no observed value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    output: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    affected_endpoints: Vec<&'a str>,
}

impl<'a> Check<'a> {
    fn of(row: &Row<'a>) -> Self {
        let status = match row.standing {
            Standing::Up => "pass",
            Standing::Degraded => "warn",
            Standing::Down => "fail",
            // The draft has no word for it; section 3.1 allows words of one's own in checks that clients may ignore.
            Standing::Unknown | Standing::Stale => "unknown",
        };
        let affected_endpoints = if row.target.is_empty() { Vec::new() } else { vec![row.target] };
        Self { status, time: row.since.and_then(time), output: row.reason, affected_endpoints }
    }
}
