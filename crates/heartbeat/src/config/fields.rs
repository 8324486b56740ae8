//! Reading the keys of one map: the decoder, the list of known keys and the documentation in one walk.
//!
//! A reader asks for every key that it knows, always all of them and in one order; only then it looks at what it got. So
//! the same function decodes a file, and, run over an empty map by [`Fields::describe`], tells which keys there are.

use std::fmt;

use super::context::Context;
use super::node::{Body, Key, Node, Span};
use super::problem::{Problem, Problems};
use super::shape::{FieldDoc, Shape};
use super::value::Value;

/// A map that is being read.
pub struct Fields<'m, 'c, 'v> {
    context: &'m mut Context<'v>,
    what: fmt::Arguments<'m>,
    map: &'m Node,
    /// Where the keys that were asked for begin in the context's list of them.
    known: usize,
    later: Vec<&'static str>,
    shown: Vec<(Key, Node)>,
    docs: Option<&'c mut Vec<FieldDoc>>,
}

impl<'m, 'c, 'v> Fields<'m, 'c, 'v> {
    /// Reads `map` with `read`, then reports the keys that `read` did not ask for.
    ///
    /// `what` names the map in messages: ``check `webapp` ``. Returns what `read` returned and the map as `config show`
    /// prints it, every default filled in. A node that is not a map is reported; `Null` is an empty map.
    pub fn read<T>(
        context: &mut Context<'v>,
        what: fmt::Arguments<'_>,
        map: &Node,
        read: impl FnOnce(&mut Fields<'_, '_, 'v>) -> Option<T>,
    ) -> (Option<T>, Node) {
        if !matches!(map.body, Body::Map(_) | Body::Null) {
            let found = map.describe();
            let problem = Problem::error(map.span, format!("expected a map for {what}, found {found}"));
            context.problems.push(problem);
            return (None, map.clone());
        }
        let known = context.asked_for.len();
        let mut fields = Fields { context, what, map, known, later: Vec::new(), shown: Vec::new(), docs: None };
        let value = read(&mut fields);
        fields.refuse_unknown_keys();
        let shown = Node { span: map.span, body: Body::Map(fields.shown) };
        (value, shown)
    }

    /// The keys that `read` asks for.
    pub fn describe<T>(read: impl FnOnce(&mut Fields<'_, '_, '_>) -> Option<T>) -> Vec<FieldDoc> {
        let mut docs = Vec::new();
        let mut context = Context::verbatim(Problems::default(), None);
        let empty = Node::null(Span::default());
        let mut fields = Fields {
            context: &mut context,
            what: format_args!(""),
            map: &empty,
            known: 0,
            later: Vec::new(),
            shown: Vec::new(),
            docs: Some(&mut docs),
        };
        let _ = read(&mut fields);
        docs
    }

    /// A key that must be there. `None` if it is missing or wrong; that has been reported then.
    pub fn required<T: Value>(&mut self, key: &'static str, doc: &'static str) -> Option<T> {
        self.note(key, || FieldDoc { key, doc, shape: T::shape(), required: true, default: None });
        let written = self.written(key);
        if self.docs.is_none() && !self.context.partial && written.is_none() {
            let message = format!("{} lacks `{key}`", self.what);
            self.context.problems.push(Problem::error(self.map.span, message).help(format!("add `{key}:`: {doc}")));
        }
        self.decode(key, written?)
    }

    /// A key that may be left out. `None` if it is absent or wrong.
    pub fn optional<T: Value>(&mut self, key: &'static str, doc: &'static str) -> Option<T> {
        self.note(key, || FieldDoc { key, doc, shape: T::shape(), required: false, default: None });
        self.decode(key, self.written(key)?)
    }

    /// A key with a default.
    pub fn or<T: Value>(&mut self, key: &'static str, doc: &'static str, default: T) -> T {
        self.note(key, || FieldDoc { key, doc, shape: T::shape(), required: false, default: Some(default.show()) });
        let Some(written) = self.written(key) else {
            self.show(key, || default.show());
            return default;
        };
        self.decode(key, written).unwrap_or(default)
    }

    /// A key with a default that many share, and that is not cloned for each of them: `None` is that default.
    pub fn instead_of<T: Value>(&mut self, default: &T, key: &'static str, doc: &'static str) -> Option<T> {
        self.note(key, || FieldDoc { key, doc, shape: T::shape(), required: false, default: Some(default.show()) });
        let Some(written) = self.written(key) else {
            self.show(key, || default.show());
            return None;
        };
        self.decode(key, written)
    }

    /// A key whose value is read elsewhere: what was written under it. Its shape is only for the documentation.
    pub fn raw(&mut self, key: &'static str, doc: &'static str, shape: impl FnOnce() -> Shape) -> Option<&'m Node> {
        self.context.asked_for.push(key);
        if let Some(docs) = self.docs.as_deref_mut() {
            docs.push(FieldDoc { key, doc, shape: shape(), required: false, default: None });
        }
        self.written(key)
    }

    /// A key that a later version will read: refused, and in no documentation.
    pub fn later(&mut self, key: &'static str) {
        self.elsewhere(key, "is not in this version");
    }

    /// A key that is known, but not here.
    pub fn elsewhere(&mut self, key: &'static str, why: &str) {
        self.later.push(key);
        if let Some((name, _)) = self.map.entry(key) {
            let problem = Problem::error(name.span, format!("`{key}` {why}"));
            self.context.problems.push(problem);
        }
    }

    /// A map of its own under a key; where it is absent, `read` sees an empty map.
    pub fn section<T>(
        &mut self,
        key: &'static str,
        doc: &'static str,
        read: impl FnOnce(&mut Fields<'_, '_, 'v>) -> Option<T>,
    ) -> Option<T> {
        self.context.asked_for.push(key);
        if let Some(docs) = self.docs.as_deref_mut() {
            let mut inner = Vec::new();
            let empty = Node::null(Span::default());
            let value = read(&mut Fields {
                context: self.context,
                what: format_args!(""),
                map: &empty,
                known: 0,
                later: Vec::new(),
                shown: Vec::new(),
                docs: Some(&mut inner),
            });
            docs.push(FieldDoc { key, doc, shape: Shape::Section(inner), required: false, default: None });
            return value;
        }
        let absent = Node::null(self.map.span);
        let written = self.map.get(key);
        let what = format_args!("`{key}` of {}", self.what);
        let (value, shown) = Fields::read(self.context, what, written.unwrap_or(&absent), read);
        if written.is_some() || shown.as_map().is_some_and(|entries| !entries.is_empty()) {
            self.show(key, || shown);
        }
        value
    }

    /// What was written under a key; `None` where nothing was, or `null`.
    pub fn written(&self, key: &str) -> Option<&'m Node> {
        self.map.get(key).filter(|node| !node.is_null())
    }

    /// Where a key stands, or the map if it is not there.
    pub fn span(&self, key: &str) -> Span {
        self.map.entry(key).map_or(self.map.span, |(key, _)| key.span)
    }

    /// Where the map begins.
    pub fn start(&self) -> Span {
        self.map.span
    }

    /// The name of the map in messages.
    pub fn what(&self) -> fmt::Arguments<'m> {
        self.what
    }

    /// Whether this walk only collects documentation: nothing is written anywhere then.
    pub fn is_describing(&self) -> bool {
        self.docs.is_some()
    }

    /// The surroundings, for problems that concern several keys.
    pub fn context(&mut self) -> &mut Context<'v> {
        self.context
    }

    /// Reports an error at a key.
    pub fn error(&mut self, key: &str, message: impl Into<String>) {
        let span = self.span(key);
        self.context.problems.push(Problem::error(span, message));
    }

    /// Adds a key to what `config show` prints. Only for keys that were read [`raw`](Self::raw).
    pub fn show(&mut self, key: &'static str, node: impl FnOnce() -> Node) {
        if self.context.showing && self.docs.is_none() {
            self.shown.push((Key { name: key.into(), span: self.span(key) }, node()));
        }
    }

    fn note(&mut self, key: &'static str, doc: impl FnOnce() -> FieldDoc) {
        self.context.asked_for.push(key);
        if let Some(docs) = self.docs.as_deref_mut() {
            docs.push(doc());
        }
    }

    fn decode<T: Value>(&mut self, key: &'static str, node: &Node) -> Option<T> {
        self.show(key, || T::redact(node));
        T::decode(node, self.context)
    }

    fn refuse_unknown_keys(&mut self) {
        let Context { asked_for, problems, .. } = &mut *self.context;
        let known = &asked_for[self.known..];
        let is_known = |name: &str| known.contains(&name) || self.later.contains(&name);
        let unknown = self.map.as_map().unwrap_or_default().iter().filter(|(key, _)| !is_known(&key.name));
        for (key, _) in unknown {
            let mut problem = Problem::error(key.span, format!("unknown key `{}` in {}", key.name, self.what));
            if !problems.are_many() {
                problem.help = super::problem::did_you_mean(&key.name, known.iter().copied());
            }
            problems.push(problem);
        }
        asked_for.truncate(self.known);
    }
}
