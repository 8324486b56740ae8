//! The format of the Django application of our name: a map of services, and the status once more as text.
//!
//! An indentation of four spaces, no space at a line's end, no newline at the end; the flag first, then the services in
//! their order.

use heartbeat_core::answer::Standing;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::{Format, Page, Row, json};

pub(super) const FORMAT: Format = Format {
    name: "services",
    doc: "JSON: a map of services with `Ok` or `Fail: reason`, and the status as `header`",
    content_type: "application/json",
    accept: None,
    render: |page| {
        let header = page.status.to_string();
        json(&Body { services: Services(page), header: &header }, b"    ")
    },
};

#[derive(Serialize)]
struct Body<'a> {
    services: Services<'a>,
    header: &'a str,
}

struct Services<'a>(&'a Page<'a>);

impl Serialize for Services<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for row in self.0.rows() {
            map.serialize_entry(row.name, &word(&row))?;
        }
        map.end()
    }
}

fn word(row: &Row<'_>) -> String {
    let (word, reason) = match row.standing {
        Standing::Up if !row.reason.is_empty() => return row.reason.to_owned(),
        Standing::Up | Standing::Degraded => ("Ok", row.reason),
        Standing::Down => ("Fail", row.reason),
        Standing::Unknown | Standing::Stale => ("Not tested", ""),
    };
    if reason.is_empty() { word.to_owned() } else { format!("{word}: {reason}") }
}
