//! Plain text: one line without its end.

use heartbeat_core::answer::Answer;

use super::{Format, Page};

pub(super) const FORMAT: Format = Format {
    name: "text",
    doc: "Plain text: `OK`, `Server maintenance under way`, `Fail`",
    content_type: "text/plain; charset=utf-8",
    accept: Some("text/plain"),
    render,
};

fn render(page: &Page<'_>) -> String {
    match page.answer {
        Answer::Ok => "OK".to_owned(),
        Answer::Drained => "Server maintenance under way".to_owned(),
        Answer::Stalled | Answer::Down | Answer::Stale | Answer::Unknown => match page.why() {
            Some(why) if page.detailed => format!("Fail: {why}"),
            _ => "Fail".to_owned(),
        },
    }
}
