//! Eclipse MicroProfile Health 4.0, "REST interfaces specifications".

use heartbeat_core::answer::Standing;
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::{Format, Page, Row, json};

pub(super) const FORMAT: Format = Format {
    name: "microprofile",
    doc: "JSON after Eclipse MicroProfile Health: `UP` or `DOWN`, and a list of checks",
    content_type: "application/json",
    accept: None,
    render: |page| json(&Body { status: up_or_down(page.status < 400), checks: Checks(page) }, b"  "),
};

const fn up_or_down(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

#[derive(Serialize)]
struct Body<'a> {
    status: &'static str,
    checks: Checks<'a>,
}

struct Checks<'a>(&'a Page<'a>);

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for row in self.0.rows() {
            list.serialize_element(&Check::of(&row))?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Check<'a> {
    name: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
}

impl<'a> Check<'a> {
    fn of(row: &Row<'a>) -> Self {
        let Row { reason, target, .. } = *row;
        let data = (!reason.is_empty() || !target.is_empty()).then_some(Data { reason, target });
        let up = matches!(row.standing, Standing::Up | Standing::Degraded);
        Self { name: row.name, status: up_or_down(up), data }
    }
}
