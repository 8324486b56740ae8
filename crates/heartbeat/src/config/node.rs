//! The one tree that all syntaxes become.
//!
//! Scalars keep the text that was written: only a decoder knows whether `+17775551212` is a number or a telephone.

use std::sync::Arc;

/// Where a word stands: a source, and a line and column counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Index into the problems' list of sources.
    pub source: u16,
    /// Line, from 1; 0 for what nobody wrote.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where the value begins.
    pub span: Span,
    /// The value.
    pub body: Body,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing was written.
    Null,
    /// A word or text.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// Keys with values in the order of the file. Readers report duplicates; here every key is unique.
    Map(Vec<(Key, Node)>),
}

/// A scalar as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text without its quotes, escapes resolved.
    pub text: Arc<str>,
    /// Whether the syntax says that it is text (quoted or a block).
    pub quoted: bool,
}

/// A key with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: Arc<str>,
    /// Where it stands.
    pub span: Span,
}

impl Node {
    /// A scalar that nobody wrote, for defaults.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self { span: Span::default(), body: Body::Scalar(Scalar { text: text.into(), quoted: false }) }
    }

    /// A list that nobody wrote.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self { span: Span::default(), body: Body::List(items.into_iter().collect()) }
    }

    /// A map that nobody wrote.
    pub fn map<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter().map(|(name, node)| (Key { name: name.into(), span: Span::default() }, node));
        Self { span: Span::default(), body: Body::Map(entries.collect()) }
    }

    /// Nothing, at a place.
    pub fn null(span: Span) -> Self {
        Self { span, body: Body::Null }
    }

    /// The same value at another place.
    pub fn at(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// A copy that shares no text with this one: threads that copy it on and on would wait for each other to count.
    pub fn apart(&self) -> Self {
        let key = |key: &Key| Key { name: Arc::from(&*key.name), span: key.span };
        let body = match &self.body {
            Body::Null => Body::Null,
            Body::Scalar(scalar) => Body::Scalar(Scalar { text: Arc::from(&*scalar.text), quoted: scalar.quoted }),
            Body::List(items) => Body::List(items.iter().map(Self::apart).collect()),
            Body::Map(entries) => Body::Map(entries.iter().map(|(name, node)| (key(name), node.apart())).collect()),
        };
        Self { span: self.span, body }
    }

    /// Whether nothing was written.
    pub fn is_null(&self) -> bool {
        matches!(self.body, Body::Null)
    }

    /// The text of a scalar, unexpanded.
    pub fn as_text(&self) -> Option<&str> {
        match &self.body {
            Body::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.body {
            Body::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a map.
    pub fn as_map(&self) -> Option<&[(Key, Self)]> {
        match &self.body {
            Body::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a key of a map.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }

    /// A key of a map with its value.
    pub fn entry(&self, name: &str) -> Option<(&Key, &Self)> {
        self.as_map()?.iter().find(|(key, _)| &*key.name == name).map(|(key, node)| (key, node))
    }

    /// The noun for what was written, for messages: `a list`, `a map`, `nothing`, `` `text` ``.
    pub fn describe(&self) -> String {
        match &self.body {
            Body::Null => "nothing".to_owned(),
            Body::Scalar(scalar) => format!("`{}`", scalar.text),
            Body::List(_) => "a list".to_owned(),
            Body::Map(_) => "a map".to_owned(),
        }
    }
}
