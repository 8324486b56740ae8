//! Checks: the keys that all kinds share, and the choice of the kind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::Id;
use heartbeat_core::policy::{Policy, Remind};
use heartbeat_core::template::Template;
use sha2::{Digest as _, Sha256};

use super::entries::{Entry, id_of_url, wrap};
use super::{Kinds, Texts};
use crate::config::values::{Count, Names, StateWords, Times};
use crate::config::{Context, Fields, Node, Problem, Value};
use crate::message::{self, About};
use crate::probe::{self, Kind, PickedBy};

/// A check. There may be a million of them, so what most of them do not have, and what others can be told from, has no
/// place in it.
#[derive(Debug)]
pub struct Check {
    /// Its id.
    pub id: Id,
    /// Its line in the table of kinds.
    pub kind: &'static Kind,
    /// What the kind decoded.
    pub spec: Box<dyn probe::Spec>,
    /// How it is scheduled and judged.
    pub policy: Arc<Policy>,
    /// The actions bound to it.
    pub actions: Arc<[Id]>,
    /// The alerts that it tells.
    pub alerts: Arc<[Id]>,
    /// Checks and groups: while one is down or failing, the alerts of this check are withheld.
    pub depends_on: Arc<[Id]>,
    /// Whether it decides the answers to load balancers.
    pub takedown: bool,
    /// A fingerprint of kind and target.
    pub target: u64,
    /// What is to be said about it, if that is anything of its own.
    own: Option<Box<Own>>,
}

/// What a check may say of itself.
#[derive(Debug, Default, PartialEq)]
struct Own {
    name: Option<String>,
    labels: BTreeMap<String, String>,
    runbook: Option<String>,
    values: BTreeMap<String, String>,
    texts: Option<Texts>,
}

impl Check {
    /// Its name for people.
    pub fn name(&self) -> &str {
        self.own.as_ref().and_then(|own| own.name.as_deref()).unwrap_or(&self.id)
    }

    /// The texts of its messages.
    pub fn texts(&self) -> &Texts {
        self.own.as_ref().and_then(|own| own.texts.as_ref()).unwrap_or_else(|| Texts::standard())
    }

    /// What messages may say about it: its id, name, kind, target, labels, runbook and plain values.
    pub fn about(&self) -> About {
        let Policy { interval, fast_interval, timeout, fall, rise, .. } = *self.policy;
        let spans = [("interval", interval), ("fast_interval", fast_interval), ("timeout", timeout)]
            .map(|(key, value)| (key, crate::config::values::duration::format(value)));
        let numbers = [("fall", fall.to_string()), ("rise", rise.to_string()), ("takedown", self.takedown.to_string())];
        let shared = spans.into_iter().chain(numbers).map(|(key, value)| (key.to_owned(), value));
        let mut values: BTreeMap<String, String> = shared.chain(self.spec.values()).collect();
        let own = self.own.as_deref();
        values.extend(own.map(|own| own.values.clone()).unwrap_or_default());
        About {
            id: self.id.clone(),
            name: self.name().to_owned(),
            kind: self.kind.name.to_owned(),
            target: self.spec.target(),
            labels: own.map(|own| own.labels.clone()).unwrap_or_default(),
            runbook: own.and_then(|own| own.runbook.clone()),
            values,
        }
    }
}

/// What every kind of check has.
pub(super) struct Common {
    policy: Arc<Policy>,
    pub(super) actions: Names,
    pub(super) alerts: Option<Names>,
    pub(super) depends_on: Names,
    takedown: bool,
    own: Own,
}

/// A check whose references are still names.
pub(super) struct Draft {
    pub(super) check: Check,
    pub(super) actions: Names,
    pub(super) alerts: Option<Names>,
    pub(super) depends_on: Names,
}

/// Reads the keys that all kinds share.
pub(super) fn common(fields: &mut Fields<'_, '_, '_>, id: &str) -> Common {
    let defaults = Policy::default();
    let name = fields.optional::<String>("name", "A name for people; the id if it is left out.");
    if name.is_none() {
        fields.show("name", || Node::text(id));
    }
    // Merged before, and no part of what `config show` prints.
    let _ = fields.raw("use", "The template that fills in what is not written here.", String::shape);
    let interval = fields.or("interval", "From the start of a probe to the start of the next one.", defaults.interval);
    let fast = fields.optional::<Duration>(
        "fast_interval",
        "The interval while a fall or rise is being counted; the shorter of `interval` and 10s if it is left out.",
    );
    let fast_interval = fast.unwrap_or_else(|| interval.min(defaults.fast_interval));
    if fast.is_none() {
        fields.show("fast_interval", || fast_interval.show());
    }
    let timeout = fields.or("timeout", "The deadline of a whole probe, name resolution included.", defaults.timeout);
    let fall = fields.or("fall", "Consecutive failures before the check is down.", Count(defaults.fall));
    let rise = fields.or("rise", "Consecutive passes before it is up again.", Count(defaults.rise));
    let remind: Remind = fields.or(
        "remind",
        "The pace of reminders while it is down; `never`, or `0s` for every failing probe.",
        defaults.remind,
    );
    for (key, value) in [("interval", interval), ("fast_interval", fast_interval), ("timeout", timeout)] {
        if value.is_zero() {
            fields.error(key, format!("`{key}` must be longer than `0s`"));
        }
    }
    if timeout > interval {
        let at = fields.span(if fields.written("timeout").is_some() { "timeout" } else { "interval" });
        let [timeout, interval] = [timeout, interval].map(crate::config::values::duration::format);
        let message =
            format!("the timeout {timeout} is longer than the interval {interval}: a slow probe delays the next");
        fields.context().problems.push(Problem::warning(at, message));
    }
    let policy = Policy { interval, fast_interval, timeout, fall: fall.0, rise: rise.0, remind };
    let policy = fields.context().share(policy);

    let actions = fields.or("actions", "The actions that are promoted and demoted with this check.", Names::default());
    let alerts = fields.optional("alerts", "The alerts that it tells; all of them if it is left out.");
    let depends_on = fields.or(
        "depends_on",
        "Checks and groups: while one of them is down or failing, the alerts of this check are withheld.",
        Names::default(),
    );
    let takedown = fields.or("takedown", "Whether it decides the answers to load balancers.", true);
    let labels = fields.or("labels", "Free names and values, for messages and webhooks.", BTreeMap::new());
    let runbook = fields.optional("runbook", "Where to read what to do when it is down.");
    let values = fields.or("values", "Further values that messages may name.", BTreeMap::new());
    let texts = texts(fields);
    let own = Own { name: name.filter(|name| name != id), labels, runbook, values, texts };
    Common { policy, actions, alerts, depends_on, takedown, own }
}

/// The texts of its messages; `None` if none of them is its own.
fn texts(fields: &mut Fields<'_, '_, '_>) -> Option<Texts> {
    let standard = Texts::standard();
    let down = fields.instead_of(&standard.down, "down_message", "The message when it goes down.");
    let up = fields.instead_of(&standard.up, "up_message", "The message when it is up again.");
    let style = fields.section("messages", "How values look in messages.", |fields| {
        let times =
            fields.or("times", "`full`: local time with its offset; `short`: `11/21 07:15` in UTC.", Times::Full);
        let states = fields.or("states", "The words for states: `up`/`down`, or `passing`/`failing`.", StateWords::Up);
        Some((times, states))
    });
    let (times, states) = style.unwrap_or_default();
    if down.is_none() && up.is_none() && (times, states) == (standard.times, standard.states) {
        return None;
    }
    let or = |own: Option<Template>, standard: &Template| own.unwrap_or_else(|| standard.clone());
    let texts = Texts { down: or(down, &standard.down), up: or(up, &standard.up), times, states };
    (texts != *standard).then_some(texts)
}

/// Reports the names in a check's messages that nothing defines.
fn refuse_unknown_names(fields: &mut Fields<'_, '_, '_>, check: &Check) {
    let Some(texts) = check.own.as_ref().and_then(|own| own.texts.as_ref()) else { return };
    let about = check.about();
    for (key, text) in [("down_message", &texts.down), ("up_message", &texts.up)] {
        let at = fields.written(key).map_or_else(|| fields.start(), |node| node.span);
        for name in message::unknown_in_check(text, &about) {
            let mut problem =
                Problem::error(at, format!("`{key}` of {} names `{name}`, which nothing defines", fields.what()));
            problem.help = message::suggest_in_check(name, &about);
            fields.context().problems.push(problem);
        }
    }
}

/// Decodes a merged check.
pub(super) fn decode(
    entry: &Id,
    merged: &Node,
    kind: &'static Kind,
    context: &mut Context<'_>,
) -> (Option<Draft>, Node) {
    Fields::read(context, format_args!("check `{entry}`"), merged, |fields| {
        let common = common(fields, entry);
        let spec = (kind.decode)(fields)?;
        let draft = draft(entry, kind, common, spec);
        refuse_unknown_names(fields, &draft.check);
        Some(draft)
    })
}

fn draft(id: &Id, kind: &'static Kind, common: Common, spec: Box<dyn probe::Spec>) -> Draft {
    let Common { policy, actions, alerts, depends_on, takedown, own } = common;
    let nobody: Arc<[Id]> = Arc::default();
    let check = Check {
        id: id.clone(),
        kind,
        policy,
        actions: nobody.clone(),
        alerts: nobody.clone(),
        depends_on: nobody,
        takedown,
        target: fingerprint(kind.name, &spec.target()),
        own: (own != Own::default()).then(|| Box::new(own)),
        spec,
    };
    Draft { check, actions, alerts, depends_on }
}

/// Stable over releases, for it is stored: a check with another one starts anew.
fn fingerprint(kind: &str, target: &str) -> u64 {
    let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(target).finalize();
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A check that is only a URL is a map with that URL.
pub(super) fn unfold(entry: Entry) -> Entry {
    match entry.node.as_text() {
        Some(_) => Entry { node: wrap("url", entry.node), ..entry },
        None => entry,
    }
}

/// The id of a check in a list that gives none.
pub(super) fn derive_id(node: &Node, context: &mut Context<'_>) -> Option<String> {
    match node.get("url").unwrap_or(node) {
        url if url.as_text().is_some() => Some(id_of_url(&context.text("a URL", url)?)),
        _ => {
            let problem = Problem::error(node.span, "a check in a list needs an `id` if it has no `url`")
                .help("add `id: NAME`, or write the checks as a map of names");
            context.problems.push(problem);
            None
        }
    }
}

/// The schemes and keys of kinds that are planned, so that the answer is better than "unknown".
const LATER: [&str; 13] =
    ["push", "smtp", "smtps", "ssh", "dns", "grpc", "grpcs", "icmp", "mqtt", "mqtts", "nats", "amqp", "amqps"];

/// The kind that a merged check is of; `None` has been reported.
pub(super) fn pick(
    kinds: Kinds,
    what: fmt::Arguments<'_>,
    merged: &Node,
    context: &mut Context<'_>,
) -> Option<&'static Kind> {
    if merged.as_map().is_none() {
        return context.expected(&format!("a URL or a map for {what}"), merged);
    }
    let mut picked: Option<(&'static Kind, &str)> = None;
    let written = |key: &str| merged.get(key).filter(|node| !node.is_null());
    let url = written("url").and_then(|url| context.word("a URL", url));
    let scheme = url.as_deref().and_then(scheme_of);
    for kind in kinds.checks {
        let key = match kind.picked_by {
            PickedBy::Key(key) if written(key).is_some() => key,
            PickedBy::Schemes(schemes) if scheme.is_some_and(|scheme| is_one_of(scheme, schemes)) => "url",
            _ => continue,
        };
        if let Some((_, first)) = picked {
            let at = merged.entry(key).map_or(merged.span, |(key, _)| key.span);
            return context.error(at, format!("{what} has both `{first}` and `{key}`: it can probe only one thing"));
        }
        picked = Some((kind, key));
    }
    if let Some((kind, key)) = picked {
        match merged.entry("url").filter(|(_, node)| !node.is_null() && key != "url") {
            Some((url, _)) => {
                return context
                    .error(url.span, format!("{what} has both `{key}` and `url`: it can probe only one thing"));
            }
            None => return Some(kind),
        }
    }
    refuse(kinds, what, merged, context);
    None
}

fn scheme_of(url: &str) -> Option<&str> {
    url.split_once(':').map(|(scheme, _)| scheme)
}

fn is_one_of(scheme: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Whether a part of a check may be meant for a kind: unless it picks another one.
pub(super) fn may_be(kinds: Kinds, kind: &Kind, part: &Node) -> bool {
    let picks = |kind: &Kind| match kind.picked_by {
        PickedBy::Key(key) => part.get(key).is_some(),
        PickedBy::Schemes(schemes) => {
            let url = part.get("url").and_then(Node::as_text);
            url.and_then(scheme_of).is_some_and(|scheme| is_one_of(scheme, schemes))
        }
    };
    picks(kind) || !kinds.checks.iter().any(picks)
}

/// Says why no kind can be picked.
fn refuse(kinds: Kinds, what: fmt::Arguments<'_>, merged: &Node, context: &mut Context<'_>) {
    if let Some((key, _)) = LATER.iter().find_map(|later| merged.entry(later)) {
        let problem = Problem::error(key.span, format!("`{}` is not in this version", key.name));
        context.problems.push(problem);
        return;
    }
    let Some(url) = merged.get("url").filter(|node| !node.is_null()) else {
        let problem =
            Problem::error(merged.span, format!("{what} says nothing to probe")).help(match targets(kinds).as_str() {
                "" => "this build knows no kind of check".to_owned(),
                targets => format!("give it one of {targets}"),
            });
        context.problems.push(problem);
        return;
    };
    let Some(text) = context.text("a URL", url) else { return };
    let problem = match text.split_once("://") {
        Some((scheme, _)) if LATER.contains(&scheme.to_ascii_lowercase().as_str()) => {
            Problem::error(url.span, format!("checks of `{scheme}://` are not in this version"))
        }
        Some((scheme, _)) => {
            let mut problem = Problem::error(url.span, format!("no kind of check takes `{scheme}://`"));
            problem.help = crate::config::problem::did_you_mean(scheme, schemes(kinds))
                .or_else(|| Some(format!("known are {}", schemes(kinds).collect::<Vec<_>>().join(", "))));
            problem
        }
        None => Problem::error(url.span, format!("expected a URL such as `https://example.org/`, found `{text}`")),
    };
    context.problems.push(problem);
}

fn schemes(kinds: Kinds) -> impl Iterator<Item = &'static str> {
    kinds
        .checks
        .iter()
        .flat_map(|kind| match kind.picked_by {
            PickedBy::Schemes(schemes) => schemes,
            PickedBy::Key(_) => &[],
        })
        .copied()
}

fn targets(kinds: Kinds) -> String {
    let keys = kinds.checks.iter().filter_map(|kind| match kind.picked_by {
        PickedBy::Key(key) => Some(key),
        PickedBy::Schemes(_) => None,
    });
    let mut names: Vec<_> = keys.map(|key| format!("`{key}:`")).collect();
    if schemes(kinds).next().is_some() {
        names.insert(0, "`url:`".to_owned());
    }
    names.join(", ")
}
