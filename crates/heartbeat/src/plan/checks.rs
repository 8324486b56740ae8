//! All checks of a configuration: each with what its template and the defaults add to it.
//!
//! There may be very many, and none of them knows of another: they are shared out among the cores. What comes of it, values and
//! problems, is the same as if they had been read one after the other.

use std::collections::{HashMap, HashSet};
use std::num::NonZero;

use heartbeat_core::Id;

use super::entries::{Entries, Entry, refuse_unknown};
use super::merge::{merge, prune, unknown};
use super::{Kinds, check, shape};
use crate::config::node::Key;
use crate::config::problem::did_you_mean;
use crate::config::{Context, FieldDoc, Fields, Node, Problem, Span};
use crate::host::cores;
use crate::probe::Kind;

/// To read so many takes longer than to start a thread.
const WORTH_A_THREAD: NonZero<usize> = NonZero::new(250).expect("it is not zero");

/// What checks are read with.
pub(super) struct Reader<'r> {
    pub(super) kinds: Kinds,
    /// What holds for every check that does not say otherwise.
    pub(super) defaults: Option<&'r Node>,
    /// Which templates there are.
    pub(super) templates: &'r Entries,
    /// What they say.
    pub(super) parts: HashMap<Id, Node>,
}

/// What was used of it, in copies of a part's own.
#[derive(Default)]
struct Used {
    /// The defaults as each kind sees them; of a kind that is not here there was no check.
    defaults: Vec<(&'static Kind, Option<Node>)>,
    /// By name; `None` for one that could not be read.
    templates: HashMap<String, Option<Node>>,
}

/// Things that were decoded, and as `config show` prints them.
pub(super) type Decoded<T> = (Vec<T>, Vec<(Key, Node)>);

impl Reader<'_> {
    /// Reads all of them, and what is left of the templates and defaults.
    pub(super) fn read(&self, list: &mut [Entry], context: &mut Context<'_>) -> Decoded<check::Draft> {
        let share = cores::share(list.len(), WORTH_A_THREAD);
        let around = &*context;
        // One room for all of them: what a thread has taken for itself, others cannot use afterwards.
        let mut drafts = Vec::new();
        drafts.resize_with(list.len(), || None);
        let parts = list.chunks_mut(share).zip(drafts.chunks_mut(share));
        let parts = cores::at_once(parts, |(part, drafts)| {
            let (mut context, mut used) = (around.part(), Used::default());
            let trees = decode_each(part, drafts, &mut context, |entry, context| self.check(entry, &mut used, context));
            (trees, used, context)
        });
        let mut all = Vec::new();
        let (mut used, mut used_kinds) = (HashSet::new(), HashSet::new());
        for (trees, part, found) in parts {
            context.join(found);
            used.extend(part.templates.into_keys());
            used_kinds.extend(part.defaults.iter().map(|(kind, _)| kind.name));
            all.extend(trees);
        }
        self.rest(&used, &used_kinds, context);
        (drafts.into_iter().flatten().collect(), all)
    }

    fn check(&self, entry: Entry, used: &mut Used, context: &mut Context<'_>) -> (Option<check::Draft>, Node) {
        let Entry { id, node } = check::unfold(entry);
        let mut merged = node;
        if let Some(at) = merged.get("use").filter(|node| !node.is_null()).cloned() {
            let Some(name) = context.text("the name of a template", &at) else { return failed() };
            if refuse_unknown("template", &name, at.span, &[self.templates], context) {
                return failed();
            }
            if let Some(template) = used.template(name, &self.parts) {
                merged = merge(merged, template);
            }
        }
        let Some(kind) = check::pick(self.kinds, format_args!("check `{id}`"), &merged, context) else {
            return failed();
        };
        if let Some(defaults) = used.defaults_of(kind, self.defaults) {
            merged = merge(merged, defaults);
        }
        check::decode(&id, &merged, kind, context)
    }

    /// What no check has used must be right as well.
    fn rest(&self, used: &HashSet<String>, used_kinds: &HashSet<&str>, context: &mut Context<'_>) {
        for id in self.templates.ids() {
            let Some(template) = self.parts.get(id) else { continue };
            context.problems.next_subject();
            if let Some((key, _)) = template.entry("use") {
                let _: Option<()> = context.error(key.span, "a template cannot use another template");
            }
            if !used.contains(id.as_str()) {
                check_part(
                    self.kinds,
                    &format!("template `{id}`"),
                    template,
                    &|kind| check::may_be(self.kinds, kind, template),
                    context,
                );
            }
        }
        if let Some(defaults) = self.defaults {
            context.problems.next_subject();
            check_part(self.kinds, "`defaults`", defaults, &|kind| !used_kinds.contains(kind.name), context);
        }
    }
}

impl Used {
    /// The part of the defaults that concerns a kind.
    fn defaults_of(&mut self, kind: &'static Kind, defaults: Option<&Node>) -> Option<&Node> {
        let place = self.defaults.iter().position(|(known, _)| std::ptr::eq(*known, kind)).unwrap_or_else(|| {
            self.defaults.push((kind, defaults.map(|defaults| prune(defaults, &shape::check_of(kind)).apart())));
            self.defaults.len() - 1
        });
        self.defaults[place].1.as_ref()
    }

    fn template(&mut self, name: String, parts: &HashMap<Id, Node>) -> Option<&Node> {
        let entry = self.templates.entry(name);
        entry.or_insert_with_key(|name| parts.get(name.as_str()).map(Node::apart)).as_ref()
    }
}

/// Looks through a part of a check that stands alone: every key must be known to some kind of check, and every value be
/// right for the kinds that `concerns` names.
fn check_part(
    kinds: Kinds,
    what: &str,
    part: &Node,
    concerns: &dyn Fn(&'static Kind) -> bool,
    context: &mut Context<'_>,
) {
    if part.as_map().is_none() {
        if !part.is_null() {
            let _: Option<()> =
                context.error(part.span, format!("expected a map for {what}, found {}", part.describe()));
        }
        return;
    }
    let readers: Vec<Vec<FieldDoc>> = kinds.checks.iter().map(shape::check_of).collect();
    let slices: Vec<&[FieldDoc]> = readers.iter().map(Vec::as_slice).collect();
    for (key, known) in unknown(part, &slices) {
        let mut problem = Problem::error(key.span, format!("unknown key `{}` in {what}", key.name));
        problem.help = did_you_mean(&key.name, known);
        context.problems.push(problem);
    }
    context.partial = true;
    for (kind, docs) in kinds.checks.iter().zip(&readers).filter(|(kind, _)| concerns(kind)) {
        Fields::read(context, format_args!("{what}"), &prune(part, docs), |fields| {
            check::common(fields, "");
            (kind.decode)(fields)
        });
    }
    context.partial = false;
}

/// Decodes entries one after the other, each a subject of its own, and returns them as `config show` prints them.
fn decode_each<T>(
    entries: &mut [Entry],
    decoded: &mut [Option<T>],
    context: &mut Context<'_>,
    mut decode: impl FnMut(Entry, &mut Context<'_>) -> (Option<T>, Node),
) -> Vec<(Key, Node)> {
    let mut trees = Vec::new();
    for (Entry { id, node }, decoded) in entries.iter_mut().zip(decoded) {
        context.problems.next_subject();
        let node = std::mem::replace(node, Node::null(Span::default()));
        let key = context.showing.then(|| Key { name: id.as_str().into(), span: node.span });
        let (value, tree) = decode(Entry { id: id.clone(), node }, context);
        trees.extend(key.map(|key| (key, tree)));
        *decoded = value;
    }
    trees
}

/// Decodes things of which there are few.
pub(super) fn decode_all<T>(
    mut entries: Vec<Entry>,
    context: &mut Context<'_>,
    decode: impl FnMut(Entry, &mut Context<'_>) -> (Option<T>, Node),
) -> Decoded<T> {
    let mut decoded = Vec::new();
    decoded.resize_with(entries.len(), || None);
    let trees = decode_each(&mut entries, &mut decoded, context, decode);
    (decoded.into_iter().flatten().collect(), trees)
}

/// What a decoder returns when it has reported why it could not even begin.
fn failed<T>() -> (Option<T>, Node) {
    (None, Node::null(Span::default()))
}
