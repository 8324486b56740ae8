//! From names to ids that exist, without cycles.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use heartbeat_core::Id;

use super::entries::{Entries, refuse_unknown};
use super::root::Named;
use super::{Check, Group, check, group};
use crate::config::values::Names;
use crate::config::{Context, Problem, Span};

/// Resolves what checks name.
pub(super) fn checks(drafts: Vec<check::Draft>, named: &Named, context: &mut Context<'_>) -> Vec<Arc<Check>> {
    // Most checks tell the same alerts and are bound to the same actions: they share their lists.
    let all: Arc<[Id]> = named.alerts.ids().into();
    let mut shared = HashSet::new();
    let mut checks = Vec::with_capacity(drafts.len());
    for draft in drafts {
        context.problems.next_subject();
        let mut check = draft.check;
        check.actions = share(&mut shared, known("action", draft.actions, &[&named.actions], context));
        check.alerts = match draft.alerts {
            Some(names) => share(&mut shared, known("alert", names, &[&named.alerts], context)),
            None => all.clone(),
        };
        let depends_on = known("check or group", draft.depends_on, &[&named.checks, &named.groups], context);
        check.depends_on = share(&mut shared, depends_on);
        checks.push(Arc::new(check));
    }
    checks
}

/// Resolves what groups name.
pub(super) fn groups(drafts: Vec<group::Draft>, named: &Named, context: &mut Context<'_>) -> Vec<Arc<Group>> {
    let resolve = |draft: group::Draft| {
        let mut group = draft.group;
        context.problems.next_subject();
        group.checks = known("check", draft.members, &[&named.checks], context);
        Arc::new(group)
    };
    drafts.into_iter().map(resolve).collect()
}

/// One copy for all that are equal: lists, texts.
pub(crate) fn share<T, V>(shared: &mut HashSet<Arc<T>>, value: V) -> Arc<T>
where
    T: Eq + Hash + ?Sized,
    V: Borrow<T> + Into<Arc<T>>,
{
    if let Some(known) = shared.get(value.borrow()) {
        return known.clone();
    }
    let value: Arc<T> = value.into();
    shared.insert(value.clone());
    value
}

fn known(noun: &str, names: Names, among: &[&Entries], context: &mut Context<'_>) -> Vec<Id> {
    let is_known = |(name, at): &(Id, Span)| !refuse_unknown(noun, name, *at, among, context);
    names.0.into_iter().filter(is_known).map(|(name, _)| name).collect()
}

/// Warns of actions that no check names: they never run.
pub(super) fn idle_actions(checks: &[Arc<Check>], named: &Named, context: &mut Context<'_>) {
    let used: HashSet<&Id> = checks.iter().flat_map(|check| check.actions.iter()).collect();
    for action in named.actions.ids().iter().filter(|action| !used.contains(action)) {
        let at = named.actions.place(action).unwrap_or_default();
        let problem = Problem::warning(at, format!("action `{action}` never runs: no check names it"))
            .help(format!("add `actions: [{action}]` to the checks that it depends on"));
        context.problems.push(problem);
    }
}

/// Reports names that a check and a group share, for both stand in `depends_on` and in the store. Returns whether all differ.
pub(super) fn shared_names(named: &Named, context: &mut Context<'_>) -> bool {
    let mut differ = true;
    for group in named.groups.ids() {
        if let (Some(check), Some(at)) = (named.checks.place(group), named.groups.place(group)) {
            let problem = Problem::error(at, format!("a group and a check are both named `{group}`"));
            context.problems.push(problem.also(check, "the check"));
            differ = false;
        }
    }
    differ
}

/// Reports the first cycle among dependencies that is met from each check; a group depends on its members.
pub(super) fn cycles(checks: &[Arc<Check>], groups: &[Arc<Group>], named: &Named, context: &mut Context<'_>) {
    let mut edges: HashMap<&Id, &[Id]> = checks.iter().map(|check| (&check.id, &*check.depends_on)).collect();
    edges.extend(groups.iter().map(|group| (&group.about.id, &*group.checks)));

    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        OnPath,
        Done,
    }
    let mut marks: HashMap<&Id, Mark> = HashMap::new();
    for start in checks.iter().map(|check| &check.id) {
        // Depth first on a stack of our own: a chain may be as long as the file.
        let mut path: Vec<(&Id, usize)> = vec![(start, 0)];
        if marks.contains_key(start) {
            continue;
        }
        marks.insert(start, Mark::OnPath);
        while let Some((id, next)) = path.last_mut() {
            let Some(to) = edges.get(*id).and_then(|edges| edges.get(*next)) else {
                marks.insert(*id, Mark::Done);
                path.pop();
                continue;
            };
            *next += 1;
            match marks.get(to) {
                Some(Mark::Done) => {}
                Some(Mark::OnPath) => {
                    let from = path.iter().position(|(id, _)| *id == to).unwrap_or(0);
                    let mut names: Vec<_> = path[from..].iter().map(|(id, _)| id.as_str()).collect();
                    names.push(to);
                    let at = named.checks.place(to).or_else(|| named.groups.place(to)).unwrap_or_default();
                    let cycle = names.join("` -> `");
                    let _: Option<()> = context.error(at, format!("dependencies run in a circle: `{cycle}`"));
                }
                None => {
                    marks.insert(to, Mark::OnPath);
                    path.push((to, 0));
                }
            }
        }
    }
}
