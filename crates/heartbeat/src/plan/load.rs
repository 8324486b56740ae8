//! From files to a plan.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::checks::{self, Reader};
use super::entries::{Entries, Entry};
use super::responder::Alone;
use super::root::{Lists, Named, Settings};
use super::source::{self, Document};
use super::{Format, Kinds, Plan, action, alert, check, entries, group, references, responder, root};
use crate::config::context::Variables;
use crate::config::node::{Body, Key};
use crate::config::{Context, Fields, Node, Problem, Problems, Span};
use crate::host;

/// A plan, if there are no errors, and everything that is wrong or doubtful.
pub type Loaded = (Option<Plan>, Problems);

/// Reads a configuration with everything that it includes.
pub fn load(path: &Path) -> Loaded {
    Loader::default().load(path)
}

/// Reads a configuration and returns it as a tree with every default filled in and every secret hidden.
pub fn show(path: &Path) -> (Option<Node>, Problems) {
    Loader::default().show(path)
}

/// Reads only the responder of a configuration, whatever else is wrong with it: a server must be taken out of service even
/// by somebody whose environment lacks the secrets of the checks.
pub fn responder(path: &Path) -> (Option<Alone>, Problems) {
    let mut context = Context::new(Problems::default(), Loader::default().variables);
    let document = source::open(path, &mut context);
    let read = document.and_then(|document| Alone::read(&document.node, &mut context));
    finish(read, context)
}

/// Reads a text as if it were a file of that name. Nothing is included.
pub fn from_text(name: &str, text: &str, variables: Variables<'_>) -> Loaded {
    Loader { variables, ..Loader::default() }.text(name, text)
}

/// A plan of one check with the defaults that are built in, for a target that the command line names.
pub fn one_target(url: &str) -> Loaded {
    Loader::default().target(url)
}

/// Reads configurations, with tables of kinds and an environment of the caller's choice.
#[derive(Clone, Copy)]
pub struct Loader<'v> {
    /// The kinds that there are.
    pub kinds: Kinds,
    /// The environment for `${NAME}`.
    pub variables: Variables<'v>,
}

impl Default for Loader<'_> {
    fn default() -> Self {
        Self { kinds: Kinds::built_in(), variables: &host::env::variable }
    }
}

impl Loader<'_> {
    /// Reads a file; see [`load`].
    pub fn load(&self, path: &Path) -> Loaded {
        let (read, problems) = self.file(path, false);
        (read.map(|(plan, _)| plan), problems)
    }

    /// Reads a file; see [`show`].
    pub fn show(&self, path: &Path) -> (Option<Node>, Problems) {
        let (read, problems) = self.file(path, true);
        (read.map(|(_, shown)| shown), problems)
    }

    /// Reads a text; see [`from_text`].
    pub fn text(&self, name: &str, text: &str) -> Loaded {
        let mut context = Context::new(Problems::default(), self.variables);
        let read = source::parse(name, text.to_owned(), &mut context)
            .and_then(|document| Decoder::new(self.kinds, None).plan(document, &mut context));
        let (read, problems) = finish(read, context);
        (read.map(|(plan, _)| plan), problems)
    }

    /// Makes a plan of one check; see [`one_target`].
    pub fn target(&self, url: &str) -> Loaded {
        let mut context = Context::verbatim(Problems::default(), Some(PathBuf::new()));
        let source = context.problems.add_source("command line", url);
        let span = Span { source, line: 1, column: 1 };
        let target = Node::text(url).at(span);
        let entry = |name: &str, node| (Key { name: name.into(), span }, node);
        let map = |entries| Node { span, body: Body::Map(entries) };
        let checks = map(vec![entry(&entries::id_of_target(url), map(vec![entry("url", target)]))]);
        let nobody = Node { span, body: Body::List(Vec::new()) };
        let document =
            Document { node: map(vec![entry("checks", checks), entry("alerts", nobody)]), format: Format::Native };
        let read = Decoder::new(self.kinds, None).plan(document, &mut context);
        let (read, problems) = finish(read, context);
        (read.map(|(plan, _)| plan), problems)
    }

    fn file(&self, path: &Path, showing: bool) -> (Option<(Plan, Node)>, Problems) {
        let mut context = Context::new(Problems::default(), self.variables);
        context.showing = showing;
        match source::open(path, &mut context) {
            Some(document) => self.decode(document, path, context),
            None => (None, context.problems),
        }
    }

    /// Decodes a file that has been read.
    pub(super) fn decode(
        &self,
        document: Document,
        path: &Path,
        mut context: Context<'_>,
    ) -> (Option<(Plan, Node)>, Problems) {
        let read = Decoder::new(self.kinds, Some(path)).plan(document, &mut context);
        warn_of_open_secrets(&mut context);
        finish(read, context)
    }
}

/// Warns of files of secrets that everybody may read. Whether they are there shows when they are needed.
fn warn_of_open_secrets(context: &mut Context<'_>) {
    for (path, at) in std::mem::take(&mut context.secret_files) {
        let is_open = fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o004 != 0);
        if is_open {
            let problem = Problem::warning(at, format!("everybody may read the secret in {}", path.display()))
                .help(format!("run `chmod o= {}`", path.display()));
            context.problems.push(problem);
        }
    }
}

fn finish<T>(read: Option<T>, context: Context<'_>) -> (Option<T>, Problems) {
    (read.filter(|_| !context.problems.has_errors()), context.problems)
}

/// One reading of one configuration.
struct Decoder<'p> {
    kinds: Kinds,
    /// The main file, if it is one.
    path: Option<&'p Path>,
}

impl<'p> Decoder<'p> {
    fn new(kinds: Kinds, path: Option<&'p Path>) -> Self {
        Self { kinds, path }
    }

    /// Decodes everything that can be decoded, so that all problems come to light at once.
    fn plan(&self, mut document: Document, context: &mut Context<'_>) -> Option<(Plan, Node)> {
        let start = document.node.span;
        let mut named = Named::default();
        let lists = Lists::of(&mut document.node);
        let (settings, mut shown) =
            Fields::read(context, format_args!("the configuration"), &document.node, |fields| {
                root::main(fields, self.kinds, lists, &mut named)
            });
        drop(document.node);
        let settings = settings?;
        self.include(&settings, &mut named, context);
        // A flag alone is something to answer for.
        let responds = settings.responder.is_some();
        if named.checks.list.is_empty() && !responds && !context.problems.has_errors() {
            let problem = Problem::error(start, "there are no checks").help("add `checks:` with at least one URL");
            context.problems.push(problem);
        }
        if !named.says_alerts && !named.checks.list.is_empty() && document.format == Format::Native {
            let problem = Problem::warning(start, "nobody is told: there are no alerts")
                .help("add `alerts:`, or `alerts: []` if that is meant");
            context.problems.push(problem);
        }
        let names_differ = references::shared_names(&named, context);

        let mut shown_parts = Vec::new();
        let checks = self.checks(&mut named, &settings, context, &mut shown_parts);
        let groups = decode_all(&mut named.groups, context, &mut shown_parts, "groups", |entry, context| {
            group::decode(&entry.id, &entry.node, context)
        });
        let actions = decode_all(&mut named.actions, context, &mut shown_parts, "actions", |entry, context| {
            action::decode(&entry.id, &entry.node, context)
        });
        let alerts = decode_all(&mut named.alerts, context, &mut shown_parts, "alerts", |entry, context| {
            alert::decode(self.kinds, &entry.id, entry.node, settings.smtp.as_ref(), context)
        });
        if let Some(smtp) = &settings.smtp {
            context.problems.next_subject();
            alert::check_smtp(self.kinds, smtp, context);
        }
        let checks = references::checks(checks, &named, context);
        let groups = references::groups(groups, &named, context);
        let responder = settings.responder.map(|draft| responder::resolve(draft, &named, context));
        if document.format == Format::Native && !context.problems.has_errors() {
            references::idle_actions(&checks, &named, context);
        }
        if names_differ {
            references::cycles(&checks, &groups, &named, context);
        }
        if context.showing && alerts.is_empty() && named.says_alerts {
            let span = Span::default();
            shown_parts.push((Key { name: "alerts".into(), span }, Node { span, body: Body::List(Vec::new()) }));
        }
        if let Body::Map(entries) = &mut shown.body {
            entries.splice(0..0, shown_parts);
        }
        let plan = Plan {
            origin: self.path.map(Path::to_owned),
            format: document.format,
            checks,
            groups,
            actions: actions.into_iter().map(Arc::new).collect(),
            alerts: alerts.into_iter().map(Arc::new).collect(),
            storage: settings.storage,
            log: settings.log.unwrap_or_default(),
            process: settings.process,
            node: settings.node,
            limits: settings.limits,
            responder,
            places: OnceLock::new(),
        };
        Some((plan, shown))
    }

    fn checks(
        &self,
        named: &mut Named,
        settings: &Settings,
        context: &mut Context<'_>,
        shown: &mut Vec<(Key, Node)>,
    ) -> Vec<check::Draft> {
        let parts = std::mem::take(&mut named.templates.list).into_iter().map(|entry| (entry.id, entry.node)).collect();
        let defaults = settings.defaults.as_ref();
        let reader = Reader { kinds: self.kinds, defaults, templates: &named.templates, parts };
        let (checks, trees) = reader.read(&mut std::mem::take(&mut named.checks.list), context);
        show_all(shown, "checks", trees);
        checks
    }

    fn include(&self, settings: &Settings, named: &mut Named, context: &mut Context<'_>) {
        let Some((_, first)) = settings.include.first() else { return };
        let Some(main) = self.path else {
            let _: Option<()> = context.error(*first, "only a file can include others");
            return;
        };
        for (path, at) in source::included(&settings.include, main, context) {
            context.problems.next_subject();
            let Some(mut document) = source::open(&path, context) else { continue };
            if document.format != Format::Native {
                let _: Option<()> =
                    context.error(at, format!("{} is a file of a forerunner: it cannot be included", path.display()));
                continue;
            }
            let lists = Lists::of(&mut document.node);
            Fields::read(context, format_args!("an included file"), &document.node, |fields| {
                root::included(fields, self.kinds, lists, named)
            });
        }
    }
}

/// Decodes entries one after the other, each a subject of its own, and collects them as `config show` prints them.
fn decode_all<T>(
    entries: &mut Entries,
    context: &mut Context<'_>,
    shown: &mut Vec<(Key, Node)>,
    plural: &str,
    decode: impl FnMut(Entry, &mut Context<'_>) -> (Option<T>, Node),
) -> Vec<T> {
    let (decoded, trees) = checks::decode_all(std::mem::take(&mut entries.list), context, decode);
    show_all(shown, plural, trees);
    decoded
}

/// Adds things of one kind to what `config show` prints.
fn show_all(shown: &mut Vec<(Key, Node)>, plural: &str, trees: Vec<(Key, Node)>) {
    if !trees.is_empty() {
        let span = Span::default();
        shown.push((Key { name: plural.into(), span }, Node { span, body: Body::Map(trees) }));
    }
}
