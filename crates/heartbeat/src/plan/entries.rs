//! Named things: the entries of `checks`, `groups`, `actions`, `alerts` and `templates`, over all files.

use heartbeat_core::Id;
use heartbeat_core::id::IdMap;

use crate::config::node::{Body, Key};
use crate::config::problem::did_you_mean;
use crate::config::values::names;
use crate::config::{Context, Node, Problem, Span};

/// One named thing, not decoded yet.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its id.
    pub(super) id: Id,
    /// What it holds, without its id.
    pub(super) node: Node,
}

/// The entries of one kind of thing, in the order of the files.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// What is still to be decoded.
    pub(super) list: Vec<Entry>,
    ids: Vec<Id>,
    named: IdMap<Span>,
    /// How often a derived id has come.
    derived: IdMap<u32>,
}

impl Entries {
    /// Whether something of that name is there.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.named.contains_key(id)
    }

    /// Where something is named.
    pub(super) fn place(&self, id: &str) -> Option<Span> {
        self.named.get(id).copied()
    }

    /// All ids, in order.
    pub(super) fn ids(&self) -> &[Id] {
        &self.ids
    }

    /// Takes what stands under the plural `key` of a file. `derive` makes an id for an item of a list that has none.
    pub(super) fn take(
        &mut self,
        singular: &str,
        node: Node,
        context: &mut Context<'_>,
        derive: fn(&Node, &mut Context<'_>) -> Option<String>,
    ) {
        match node.body {
            Body::Map(entries) => {
                for (key, node) in entries {
                    let Some(id) = names::id(&key.name, key.span, context) else { continue };
                    self.add(singular, id, key.span, node, context);
                }
            }
            Body::List(items) => {
                for item in items {
                    let at = item.span;
                    match without_id(item) {
                        (node, Some(given)) => {
                            let Some(text) = context.text("an id", &given) else { continue };
                            let Some(id) = names::id(&text, given.span, context) else { continue };
                            self.add(singular, id, given.span, node, context);
                        }
                        (node, None) => {
                            let Some(text) = derive(&node, context) else { continue };
                            let Some(id) = names::id(&text, at, context) else { continue };
                            let id = self.unused(id);
                            self.add(singular, id, at, node, context);
                        }
                    }
                }
            }
            Body::Null => {}
            Body::Scalar(_) => {
                let _: Option<()> = context.expected(&format!("a map or a list of {singular}s"), &node);
            }
        }
    }

    fn add(&mut self, singular: &str, id: Id, at: Span, node: Node, context: &mut Context<'_>) {
        if let Some(first) = self.named.get(&id) {
            let message = format!("there are two {singular}s named `{id}`");
            context.problems.push(Problem::error(at, message).also(*first, "the other one"));
            return;
        }
        self.named.insert(id.clone(), at);
        self.ids.push(id.clone());
        self.list.push(Entry { id, node });
    }

    /// The id itself, or with `-2`, `-3` … if it is taken.
    fn unused(&mut self, id: Id) -> Id {
        let count = self.derived.entry(id.clone()).or_insert(0);
        loop {
            *count += 1;
            let candidate = if *count == 1 { id.clone() } else { Id::new(format!("{id}-{count}")) };
            if !self.named.contains_key(&candidate) {
                return candidate;
            }
        }
    }
}

/// An item of a list without its key `id`, and what stood there.
fn without_id(item: Node) -> (Node, Option<Node>) {
    let Body::Map(mut entries) = item.body else { return (item, None) };
    let place = entries.iter().position(|(key, node)| &*key.name == "id" && !node.is_null());
    let given = place.map(|place| entries.remove(place).1);
    (Node { span: item.span, body: Body::Map(entries) }, given)
}

/// The id that a URL gives: `host[:port][/path]`; of `mailto:` and the like what follows.
pub(super) fn id_of_url(url: &str) -> String {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest,
        None => url.split_once(':').map_or(url, |(_, rest)| rest),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match url.contains("://") {
        true => authority.rsplit_once('@').map_or(authority, |(_, host)| host),
        false => authority,
    };
    format!("{host}{}", path.trim_end_matches('/'))
}

/// The id of a target that somebody has typed: as near to [`id_of_url`] as a right id can be, for it is the URL itself that
/// has to be complained about.
pub(super) fn id_of_target(url: &str) -> String {
    let id: String = id_of_url(url).chars().filter(|c| !c.is_control()).take(names::LONGEST).collect();
    if id.trim().is_empty() { "target".to_owned() } else { id }
}

/// Wraps a short form: text that stands where a map could.
pub(super) fn wrap(key: &str, node: Node) -> Node {
    let span = node.span;
    Node { span, body: Body::Map(vec![(Key { name: key.into(), span }, node)]) }
}

/// Refuses what refers to nothing, and says what is near.
pub(super) fn refuse_unknown(noun: &str, name: &str, at: Span, known: &[&Entries], context: &mut Context<'_>) -> bool {
    if known.iter().any(|entries| entries.contains(name)) {
        return false;
    }
    let mut problem = Problem::error(at, format!("there is no {noun} named `{name}`"));
    // Of very many problems few are shown, and each search walks over all names.
    if !context.problems.are_many() {
        let names = known.iter().flat_map(|entries| entries.ids().iter().map(Id::as_str));
        problem.help = did_you_mean(name, names);
    }
    context.problems.push(problem);
    true
}
