//! Our own JSON: the answer with its cause, the drain, and every service as it is known.

use heartbeat_core::answer::{Answer, Standing};
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::{Format, Page, json, time};
use crate::flag;

pub(super) const FORMAT: Format = Format {
    name: "json",
    doc: "JSON of our own: the answer and its cause, the drain, every service with its state",
    content_type: "application/json",
    accept: Some("application/vnd.heartbeat+json"),
    render,
};

fn render(page: &Page<'_>) -> String {
    let drain = match &page.flag {
        Some(flag::State::Down(drain)) => Some(Drain {
            reason: drain.reason.as_deref().filter(|_| page.detailed),
            since: drain.since.and_then(time),
            until: drain.until.and_then(time),
        }),
        _ => None,
    };
    let body = Body {
        view: &page.view.name,
        answer: answer(page.answer),
        status: page.status,
        degraded: page.degraded,
        reason: if page.detailed { page.why() } else { None }.as_deref().map(str::to_owned),
        drain,
        checks: Checks(page),
    };
    json(&body, b"  ")
}

const fn answer(answer: Answer) -> &'static str {
    match answer {
        Answer::Ok => "ok",
        Answer::Stalled => "stalled",
        Answer::Down => "down",
        Answer::Drained => "drained",
        Answer::Stale => "stale",
        Answer::Unknown => "unknown",
    }
}

const fn state(standing: Standing) -> &'static str {
    match standing {
        Standing::Unknown => "unknown",
        Standing::Stale => "stale",
        Standing::Up => "up",
        Standing::Degraded => "degraded",
        Standing::Down => "down",
    }
}

#[derive(Serialize)]
struct Body<'a> {
    view: &'a str,
    answer: &'static str,
    status: u16,
    degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    drain: Option<Drain<'a>>,
    checks: Checks<'a>,
}

#[derive(Serialize)]
struct Drain<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    since: Option<String>,
    until: Option<String>,
}

struct Checks<'a>(&'a Page<'a>);

impl Serialize for Checks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let page = self.0;
        let mut list = serializer.serialize_seq(Some(page.services.len()))?;
        for (service, takedown) in &page.services {
            list.serialize_element(&Check {
                id: &service.id,
                state: state(page.standing(service)),
                takedown: *takedown,
                since: service.known.since.filter(|_| page.answer != Answer::Stalled).and_then(time),
                reason: Some(page.reason(service)).filter(|reason| !reason.is_empty()),
                target: Some(&*service.target).filter(|target| page.detailed && !target.is_empty()),
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Check<'a> {
    id: &'a str,
    state: &'static str,
    takedown: bool,
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}
