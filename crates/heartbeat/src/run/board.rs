//! What the responder shows of a plan.

use std::collections::HashMap;

use heartbeat_core::Id;
use heartbeat_core::answer::{Question, Statuses};
use heartbeat_core::record::CheckRecord;
use heartbeat_responder::defaults::with_defaults;
use heartbeat_responder::format::Format;
use heartbeat_responder::view::{FlagRule, Known, Layout, Member, Scope, Service, Token, View};

use crate::host::env;
use crate::plan::{Plan, Responder};

/// The scope of all checks.
const ALL: usize = 0;

/// The layout of a plan's responder. Nothing is known of its services yet.
///
/// # Errors
/// If the token cannot be read: a sentence that says where it was looked for.
pub fn layout(plan: &Plan, responder: &Responder) -> Result<Layout, String> {
    let services = Services::of(plan);
    let mut scopes = vec![Scope { members: plan.checks.iter().map(|check| services.member(&check.id)).collect() }];
    let mut own = Vec::new();
    for view in &responder.views {
        let scope = match &view.members {
            None => ALL,
            Some(ids) => {
                scopes.push(Scope { members: ids.iter().map(|id| services.member(id)).collect() });
                scopes.len() - 1
            }
        };
        own.push(View {
            name: view.name.as_str().into(),
            path: view.path.as_str().into(),
            scope,
            question: view.question,
            statuses: view.statuses,
            format: view.format,
            details: view.details,
        });
    }
    let mut views = with_defaults(own, ALL, Statuses::default(), responder.details);
    for group in &plan.groups {
        let mut members = vec![services.member(&group.about.id)];
        members.extend(group.checks.iter().map(|id| Member { takedown: false, ..services.member(id) }));
        scopes.push(Scope { members });
        let id = &group.about.id;
        if views.iter().all(|view| *view.name != **id) {
            views.push(of_group(id, scopes.len() - 1, responder));
        }
    }
    let token = responder.token.as_ref().map(|token| token.reveal(&env::variable)).transpose();
    let token = token.map_err(|problem| format!("the token of the responder: {problem}"))?.map(Token::new);
    let flag = responder.flag.as_ref().map(|flag| FlagRule { takedown: flag.takedown });
    Ok(Layout { services: services.list, scopes, views, flag, token })
}

/// A group decides by its own state, which its members have led to; they are shown beside it.
fn of_group(id: &Id, scope: usize, responder: &Responder) -> View {
    View {
        name: id.as_str().into(),
        path: format!("/groups/{id}").into(),
        scope,
        question: Question::Ready,
        statuses: Statuses::default(),
        format: Format::named("services").expect("a format of the table"),
        details: responder.details,
    }
}

/// Checks and then groups, with their places.
struct Services {
    list: Vec<Service>,
    places: HashMap<Id, Member>,
}

impl Services {
    fn of(plan: &Plan) -> Self {
        let checks = plan.checks.iter().map(|check| (&check.id, check.spec.target(), check.takedown));
        let groups = plan.groups.iter().map(|group| (&group.about.id, group.about.target.clone(), true));
        let mut services = Self { list: Vec::new(), places: HashMap::new() };
        for (id, target, takedown) in checks.chain(groups) {
            services.places.insert(id.clone(), Member { service: services.list.len(), takedown });
            services.list.push(Service { id: id.clone(), target: target.into(), known: Known::default() });
        }
        services
    }

    fn member(&self, id: &Id) -> Member {
        *self.places.get(id).expect("the plan's references are resolved")
    }
}

/// What a record says, unless `stale` says that it is too old.
pub fn known(record: &CheckRecord, stale: Option<&str>) -> Known {
    let known = Known::default().after(record);
    match stale {
        Some(why) => known.stale(record.state, why),
        None => known,
    }
}
