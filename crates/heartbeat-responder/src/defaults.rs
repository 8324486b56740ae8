//! The views that are there without being asked for.
//!
//! Program and library make theirs here, so that one load balancer's configuration fits both.

use heartbeat_core::answer::{Question, Statuses};

use crate::format::Format;
use crate::view::{Details, View};

/// Name, path, format and question of each.
const DEFAULTS: [(&str, &str, &str, Question); 5] = [
    (STATUS, "/heartbeat/status/", "services", Question::Ready),
    ("ready", "/readyz", "text", Question::Ready),
    ("health", "/healthz", "health+json", Question::Ready),
    ("startup", "/startupz", "text", Question::Started),
    ("live", "/livez", "text", Question::Live),
];

/// The name of the default view.
pub const STATUS: &str = "status";

/// `own` views, and those that are there by default unless an own one has the same name.
///
/// An own view called [`STATUS`] sets the members, statuses and details of the other defaults too, for they are the same
/// view in other words. Otherwise these are the `scope` of all services and what is given here. Own views come first, so
/// that they win where a path is a default one's.
pub fn with_defaults(own: Vec<View>, scope: usize, statuses: Statuses, details: Details) -> Vec<View> {
    let of_status = own.iter().find(|view| &*view.name == STATUS);
    let (scope, statuses, details) =
        of_status.map_or((scope, statuses, details), |view| (view.scope, view.statuses, view.details));
    let mut views = own;
    for (name, path, format, question) in DEFAULTS {
        if views.iter().all(|view| &*view.name != name) {
            let format = Format::named(format).expect("a format of the table");
            let (name, path) = (name.into(), path.into());
            views.push(View { name, path, scope, question, statuses, format, details });
        }
    }
    views
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(views: &[View], name: &str) -> View {
        views.iter().find(|view| &*view.name == name).expect("a view of that name").clone()
    }

    #[test]
    fn all_are_there() {
        let views = with_defaults(Vec::new(), 3, Statuses::default(), Details::Token);
        let lines: Vec<_> =
            views.iter().map(|view| format!("{} {} {}", view.name, view.path, view.format.name)).collect();
        assert_eq!(
            lines,
            [
                "status /heartbeat/status/ services",
                "ready /readyz text",
                "health /healthz health+json",
                "startup /startupz text",
                "live /livez text",
            ]
        );
        assert!(views.iter().all(|view| view.scope == 3 && view.details == Details::Token));
    }

    #[test]
    fn an_own_view_replaces_the_default_of_its_name() {
        let mut own = named(&with_defaults(Vec::new(), 0, Statuses::default(), Details::Local), "live");
        own.path = "/alive".into();
        let views = with_defaults(vec![own.clone()], 0, Statuses::default(), Details::Local);
        assert_eq!(views.len(), DEFAULTS.len());
        assert_eq!(views[0], own);
    }

    #[test]
    fn an_own_status_is_the_default_view_in_every_form() {
        let mut own = named(&with_defaults(Vec::new(), 0, Statuses::default(), Details::Local), STATUS);
        own.scope = 1;
        own.statuses.drain = 404;
        own.details = Details::Public;
        let views = with_defaults(vec![own], 0, Statuses::default(), Details::Local);
        let ready = named(&views, "ready");
        assert_eq!((ready.scope, ready.statuses.drain, ready.details), (1, 404, Details::Public));
        assert_eq!(named(&views, "startup").scope, 1);
    }
}
