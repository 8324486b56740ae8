//! The responder: where it listens, what can be asked for, and what takes this server out of service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use heartbeat_core::Id;
use heartbeat_responder::format::{FORMATS, Format};
use heartbeat_responder::view::{self, Details};
use heartbeat_responder::{Question, Statuses, defaults};

use super::entries::refuse_unknown;
use super::root::Named;
use crate::config::node::{Body, Key};
use crate::config::problem::did_you_mean;
use crate::config::values::words::one_of;
use crate::config::values::{Count, FilePath, Names, Secret, words};
use crate::config::{Context, FieldDoc, Fields, Node, Problem, Shape, Span, Value};
use crate::message::About;
use crate::web;

/// The responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responder {
    /// Where it answers.
    pub web: web::Options,
    /// What takes this server out of service.
    pub flag: Option<Flag>,
    /// What can be asked for besides what is always there, or in the place of it.
    pub views: Vec<View>,
    /// Who sees reasons and targets, unless a view says otherwise.
    pub details: Details,
    /// What opens them to strangers.
    pub token: Option<Secret>,
    /// So long we go on answering after SIGTERM, not ready any more.
    pub lame_duck: Duration,
    /// When a drain has been seen.
    pub drain: Drain,
}

/// The flag file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// What messages say of it.
    pub about: Arc<About>,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it takes this server out of service, rather than being shown only.
    pub takedown: bool,
    /// Who is told when a drain begins or ends.
    pub alerts: Vec<Id>,
}

/// Something that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: Id,
    /// Where it is.
    pub path: String,
    /// What it answers.
    pub question: Question,
    /// The checks and groups that it is about; `None`: all checks.
    pub members: Option<Vec<Id>>,
    /// The HTTP status of each answer.
    pub statuses: Statuses,
    /// Its format.
    pub format: &'static Format,
    /// Who sees reasons and targets.
    pub details: Details,
}

/// When a drain has been seen by those who poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// So many answers in a row tell a poller.
    pub polls: u32,
    /// So long the requests under way have after that.
    pub grace: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { polls: 3, grace: Duration::from_secs(5) }
    }
}

/// A responder whose references are still names.
pub(super) struct Draft {
    responder: Responder,
    alerts: Names,
    members: Vec<Option<Names>>,
    /// Where the agents stand.
    agents: Span,
}

/// The name of the flag in answers, messages and the store.
pub const FLAG: &str = "flag";

words!(Details { "local" => Local, "token" => Token, "public" => Public });

/// The names of all formats.
static FORMAT_NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| FORMATS.iter().map(|format| format.name).collect());

impl Value for &'static Format {
    fn shape() -> Shape {
        Shape::Word(&FORMAT_NAMES)
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let table: Vec<_> = FORMATS.iter().map(|format| (format.name, format)).collect();
        one_of(&table, node, context)
    }

    fn show(&self) -> Node {
        Node::text(self.name)
    }
}

/// An HTTP status that a view answers with.
struct Status(u16);

impl Value for Status {
    fn shape() -> Shape {
        Shape::Integer { least: 200, greatest: 599 }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let noun = "an HTTP status from 200 to 599 that has a body";
        match context.text(noun, node)?.parse() {
            // RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5.
            Ok(204 | 205 | 304) => context.expected(noun, node),
            Ok(status @ 200..=599) => Some(Self(status)),
            _ => context.expected(noun, node),
        }
    }

    fn show(&self) -> Node {
        self.0.show()
    }
}

/// Which checks a view is about.
struct Members(Option<Names>);

impl Value for Members {
    fn shape() -> Shape {
        Shape::Either(vec![Shape::Word(&["all"]), Names::shape()])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        match node.as_text() {
            Some("all") => Some(Self(None)),
            _ => Names::decode(node, context).map(|names| Self(Some(names))),
        }
    }

    fn show(&self) -> Node {
        self.0.as_ref().map_or_else(|| Node::text("all"), Names::show)
    }
}

/// The keys of `responder`.
pub(super) fn fields(fields: &mut Fields<'_, '_, '_>) -> Option<Draft> {
    let web = web::Options::read(fields);
    let flag = flag(fields);
    let details = fields.or(
        "details",
        "Who sees reasons and targets: `local` is whoever asks from this machine, or has the token; `token`; `public`.",
        Details::Local,
    );
    let token = fields.optional("token", "The word that opens the details, as `Authorization: Bearer WORD`.");
    let lame_duck = fields.or(
        "lame_duck",
        "So long it answers after SIGTERM that it is not ready any more, before it ends.",
        Duration::ZERO,
    );
    let drain = fields.section("drain", "When `down --wait` takes a drain for seen.", |fields| {
        let Drain { polls, grace } = Drain::default();
        let polls = fields.or("polls", "So many answers in a row tell a load balancer: its `fall`.", Count(polls));
        let grace = fields.or("grace", "So long the requests under way have after that.", grace);
        Some(Drain { polls: polls.0, grace })
    });
    let views = views(fields, details);
    let (flag, alerts) = flag.map_or((None, Names::default()), |(flag, alerts)| (Some(flag), alerts));
    let (views, members) = views.into_iter().unzip();
    let responder = Responder { web, flag, views, details, token, lame_duck, drain: drain.unwrap_or_default() };
    Some(Draft { responder, alerts, members, agents: fields.span("agent") })
}

/// The flag: a path, or a map.
fn flag(fields: &mut Fields<'_, '_, '_>) -> Option<(Flag, Names)> {
    let doc = "The file that takes this server out of service while it holds a `0`: `heartbeat down`, `heartbeat up`.";
    let written = fields
        .raw("flag", doc, || Shape::Either(vec![FilePath::shape(), Shape::Section(Fields::describe(flag_fields))]))?;
    let node = match written.body {
        Body::Scalar(_) => super::entries::wrap("file", written.clone()),
        _ => written.clone(),
    };
    let (flag, shown) = Fields::read(fields.context(), format_args!("`flag`"), &node, flag_fields);
    fields.show("flag", || shown);
    flag
}

fn flag_fields(fields: &mut Fields<'_, '_, '_>) -> Option<(Flag, Names)> {
    let path: Option<FilePath> = fields.required("file", "Where it is.");
    let takedown = fields.or("takedown", "Whether it decides the answers, rather than being shown only.", true);
    let alerts = fields.or("alerts", "The alerts that are told when a drain begins and ends.", Names::default());
    let path = path?.0;
    let about = About {
        id: FLAG.into(),
        name: FLAG.to_owned(),
        kind: FLAG.to_owned(),
        target: path.display().to_string(),
        labels: BTreeMap::new(),
        runbook: None,
        values: BTreeMap::new(),
    };
    Some((Flag { about: Arc::new(about), path, takedown, alerts: Vec::new() }, alerts))
}

fn views(fields: &mut Fields<'_, '_, '_>, details: Details) -> Vec<(View, Option<Names>)> {
    let doc = "What can be asked for. Always there, unless one of these has their name: `status`, `ready`, `health`, \
               `startup`, `live`, and `/groups/NAME` for every group.";
    let Some(written) = fields.raw("views", doc, || Shape::Map(Box::new(Shape::Section(view_docs())))) else {
        return Vec::new();
    };
    let Some(entries) = written.as_map() else {
        let _: Option<()> = fields.context().expected("a map of views", written);
        return Vec::new();
    };
    let mut views: Vec<(View, Option<Names>)> = Vec::new();
    let mut shown = Vec::new();
    for (key, node) in entries {
        let context = fields.context();
        context.problems.next_subject();
        if !is_view_name(&key.name) {
            let message = format!("a view's name has letters, digits, `-`, `_` and `.`, found `{}`", key.name);
            let _: Option<()> = context.error(key.span, message);
            continue;
        }
        let (view, tree) = Fields::read(context, format_args!("view `{}`", key.name), node, |fields| {
            view_fields(fields, &key.name, details)
        });
        shown.push((Key { name: key.name.clone(), span: key.span }, tree));
        let Some(view) = view else { continue };
        if let Some((other, _)) = views.iter().find(|(other, _)| trimmed(&other.path) == trimmed(&view.0.path)) {
            let message = format!("view `{}` has the path of view `{}`: {}", key.name, other.name, view.0.path);
            let _: Option<()> = fields.context().error(key.span, message);
        }
        views.push(view);
    }
    fields.show("views", || Node { span: written.span, body: Body::Map(shown) });
    views
}

fn view_docs() -> Vec<FieldDoc> {
    let mut docs = Fields::describe(|fields| view_fields(fields, "NAME", Details::Local));
    // What they default to depends on the view's name and on the responder.
    for doc in docs.iter_mut().filter(|doc| matches!(doc.key, "path" | "format" | "details")) {
        doc.default = None;
    }
    docs
}

/// The keys of a view. One with the name of a view that is always there begins as that.
fn view_fields(fields: &mut Fields<'_, '_, '_>, name: &str, details: Details) -> Option<(View, Option<Names>)> {
    let (path, question, format) = match usual(name) {
        Some(view) => (view.path.to_string(), view.question, view.format),
        None => (format!("/{name}"), Question::Ready, &FORMATS[0]),
    };
    let at = fields.written("path").map_or_else(|| fields.start(), |node| node.span);
    let path = fields.or("path", "Where it is; `/NAME` if it is left out. The last slash does not matter.", path);
    if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
        let message = format!("expected a path that begins with `/`, without query and spaces, found `{path}`");
        fields.context().problems.push(Problem::error(at, message));
    }
    let members = fields.or(
        "checks",
        "The checks and groups that it is about: `all` checks, or a list. Those with `takedown: false` are shown only.",
        Members(None),
    );
    let format = fields.or("format", "The format, unless a request asks for another.", format);
    let ordinary = Statuses::default();
    let mut status = |key, doc, ordinary| fields.or(key, doc, Status(ordinary)).0;
    let statuses = Statuses {
        fail: status("fail_status", "The HTTP status when a check that decides is down.", ordinary.fail),
        drain: status(
            "drain_status",
            "When this server is drained; HAProxy's `disable-on-404` wants 404.",
            ordinary.drain,
        ),
        unknown: status("unknown_status", "When a check that decides has had no verdict yet.", ordinary.unknown),
        stale: status("stale_status", "When what is known of one is too old.", ordinary.stale),
    };
    let details =
        fields.or("details", "Who sees reasons and targets; as the responder says if it is left out.", details);
    let view = View { name: name.into(), path, question, members: None, statuses, format, details };
    Some((view, members.0))
}

/// The view of that name that is there without being asked for.
fn usual(name: &str) -> Option<view::View> {
    let views = defaults::with_defaults(Vec::new(), 0, Statuses::default(), Details::Local);
    views.into_iter().find(|view| &*view.name == name)
}

/// The name stands in the name of a file, that of the view's own flag.
fn is_view_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

fn trimmed(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Resolves what the responder names.
pub(super) fn resolve(draft: Draft, named: &Named, context: &mut Context<'_>) -> Arc<Responder> {
    let Draft { mut responder, alerts, members, agents } = draft;
    let mut known = |noun: &str, names: Names, among: &[&super::entries::Entries]| -> Vec<Id> {
        let is_known = |(name, at): &(Id, _)| !refuse_unknown(noun, name, *at, among, context);
        names.0.into_iter().filter(is_known).map(|(name, _)| name).collect()
    };
    if let Some(flag) = &mut responder.flag {
        flag.alerts = known("alert", alerts, &[&named.alerts]);
    }
    for (view, names) in responder.views.iter_mut().zip(members) {
        view.members = names.map(|names| known("check or group", names, &[&named.checks, &named.groups]));
    }
    for agent in &responder.web.agents.0 {
        let own = responder.views.iter().map(|view| view.name.as_str());
        let groups = named.groups.ids().iter().map(Id::as_str);
        if !own.clone().chain(groups.clone()).any(|name| name == &*agent.view) && usual(&agent.view).is_none() {
            let mut problem = Problem::error(agents, format!("there is no view named `{}`", agent.view));
            problem.help = did_you_mean(&agent.view, own.chain(groups));
            context.problems.push(problem);
        }
    }
    if responder.flag.is_some()
        && let Some(at) = named.checks.place(FLAG).or_else(|| named.groups.place(FLAG))
    {
        let message = format!("`{FLAG}` is the responder's flag in answers: nothing else can have that name");
        let _: Option<()> = context.error(at, message);
    }
    Arc::new(responder)
}

/// The responder of a file, whatever else is in it.
#[derive(Debug)]
pub struct Alone {
    /// The responder; its references are not looked up.
    pub responder: Responder,
    /// The names of all views.
    pub views: Vec<String>,
}

impl Alone {
    /// Reads it from the tree of a file. `None` if there is none, or if it is wrong, which has been reported.
    pub(super) fn read(file: &Node, context: &mut Context<'_>) -> Option<Self> {
        let node = file.get("responder").filter(|node| !node.is_null())?;
        let (draft, _) = Fields::read(context, format_args!("`responder`"), node, fields);
        let responder = draft?.responder;
        let own = responder.views.iter().map(|view| view.name.to_string());
        let always = defaults::with_defaults(Vec::new(), 0, Statuses::default(), Details::Local);
        let always = always.iter().map(|view| view.name.to_string());
        let groups = match file.get("groups").map(|groups| &groups.body) {
            Some(Body::Map(groups)) => groups.iter().map(|(name, _)| name.name.to_string()).collect(),
            Some(Body::List(groups)) => {
                groups.iter().filter_map(|group| group.get("id")?.as_text().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        };
        let mut views: Vec<String> = own.collect();
        for name in always.chain(groups) {
            if !views.contains(&name) {
                views.push(name);
            }
        }
        Some(Self { responder, views })
    }
}
