//! What an expression is worth without running anything.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::config::Span;

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Where it is used; a name's value stands elsewhere.
    pub at: Span,
    /// The value.
    pub value: Value,
}

/// A value, as far as it can be known.
#[derive(Clone, Debug)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A number in decimal digits.
    Number(Rc<str>),
    /// Text.
    Text(Text),
    /// A list, a tuple or a set.
    List(Rc<List>),
    /// A dictionary.
    Dict(Rc<Dict>),
    /// Only running it would tell; with the noun for it.
    Unknown(Rc<str>),
}

/// The items of a list, with the levels of lists and dictionaries within it.
#[derive(Debug)]
pub struct List {
    /// In the order of the file.
    pub items: Vec<Expr>,
    pub(super) depth: usize,
}

/// The entries of a dictionary, with the levels of lists and dictionaries within it.
#[derive(Debug)]
pub struct Dict {
    /// In the order of the file; a key may stand there twice.
    pub entries: Vec<(Expr, Expr)>,
    pub(super) depth: usize,
}

/// Text, in which variables of the environment may stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Two plain ones never stand side by side, and none is empty.
    pieces: Vec<Piece>,
}

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// It stands for itself.
    Plain(String),
    /// What a variable holds.
    Variable {
        /// Its name, fit to stand in `${NAME}`.
        name: Rc<str>,
        /// What holds without it, fit to stand in `${NAME:-default}`.
        default: Option<Rc<str>>,
        /// Why it is a variable.
        origin: Origin,
    },
}

/// Why a piece of text is a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The settings ask the environment.
    Environment,
    /// A name whose value only running the settings would tell.
    Name,
}

impl Expr {
    /// The entries of a dictionary.
    pub fn as_dict(&self) -> Option<&Dict> {
        match &self.value {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// The text, if nothing in it is a variable.
    pub fn as_plain(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => text.as_plain(),
            _ => None,
        }
    }

    /// The noun for what was found. It quotes nothing that could be a secret.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::None => "`None`".to_owned(),
            Value::Bool(true) => "`True`".to_owned(),
            Value::Bool(false) => "`False`".to_owned(),
            Value::Number(number) => format!("`{number}`"),
            Value::Text(text) => match text.pieces.as_slice() {
                [Piece::Variable { name, origin: Origin::Name, .. }] => format!("the name `{name}`"),
                [Piece::Variable { name, .. }] => format!("the variable `{name}`"),
                _ => "text".to_owned(),
            },
            Value::List(_) => "a list".to_owned(),
            Value::Dict(_) => "a dictionary".to_owned(),
            Value::Unknown(noun) => (**noun).to_owned(),
        }
    }

    pub(super) fn depth(&self) -> usize {
        match &self.value {
            Value::List(list) => list.depth,
            Value::Dict(dict) => dict.depth,
            _ => 0,
        }
    }
}

impl Dict {
    /// The entry under a key; of several the last one, as Python has it.
    pub fn get(&self, name: &str) -> Option<(&Expr, &Expr)> {
        self.entries.iter().rev().find(|(key, _)| key.as_plain() == Some(name)).map(|(key, value)| (key, value))
    }
}

impl Text {
    /// Text that stands for itself.
    pub fn plain(text: impl Into<String>) -> Self {
        let mut made = Self::default();
        made.push(Piece::Plain(text.into()));
        made
    }

    /// What a variable holds.
    pub fn variable(name: impl Into<Rc<str>>, default: Option<Rc<str>>, origin: Origin) -> Self {
        Self { pieces: vec![Piece::Variable { name: name.into(), default, origin }] }
    }

    /// What it consists of.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), piece) {
            (_, Piece::Plain(text)) if text.is_empty() => {}
            (Some(Piece::Plain(before)), Piece::Plain(text)) => before.push_str(&text),
            (_, piece) => self.pieces.push(piece),
        }
    }

    /// Adds another text at the end.
    pub fn append(&mut self, other: &Self) {
        other.pieces.iter().for_each(|piece| self.push(piece.clone()));
    }

    /// The text, if nothing in it is a variable.
    pub fn as_plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is certainly empty.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How it stands in a native file.
    pub fn native(&self) -> String {
        self.written(|text| text.replace('$', "$$"))
    }

    /// The same, with what stands for itself passed through `plain` first, which leaves dollar signs to nobody else.
    pub fn written(&self, plain: impl Fn(&str) -> String) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            let _ = match piece {
                Piece::Plain(text) => write!(out, "{}", plain(text)),
                Piece::Variable { name, default: None, .. } => write!(out, "${{{name}}}"),
                Piece::Variable { name, default: Some(default), .. } => write!(out, "${{{name}:-{default}}}"),
            };
        }
        out
    }

    /// Its length in bytes, about.
    pub(super) fn size(&self) -> usize {
        let size = |piece: &Piece| match piece {
            Piece::Plain(text) => text.len(),
            Piece::Variable { name, default, .. } => name.len() + default.as_ref().map_or(0, |default| default.len()),
        };
        self.pieces.iter().map(size).sum()
    }
}
