//! What decoding may know of the world, and where it reports to.

use std::any::Any;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::node::{Node, Span};
use super::problem::{Problem, Problems};

/// Reads a variable of the environment.
pub type Variables<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The surroundings of one decoding.
pub struct Context<'a> {
    /// Where problems go.
    pub problems: Problems,
    /// The environment for `${NAME}`; `None` for a file of a forerunner, which knows no environment.
    variables: Option<Variables<'a>>,
    /// Paths are relative to the folder of the source; for an INI file, to this one.
    base: Option<PathBuf>,
    /// The files of secrets that were named, and where. Decoding opens none of them.
    pub secret_files: Vec<(PathBuf, Span)>,
    /// Whether what is decoded is a part of something, as a template is: missing keys are no mistake then.
    pub partial: bool,
    /// The keys that were asked for in the maps that are being read, the innermost last.
    pub(super) asked_for: Vec<&'static str>,
    /// Whether the result is wanted as a tree too, for `config show`.
    pub showing: bool,
    /// What was decoded lately and may come again.
    shared: VecDeque<Arc<dyn Any + Send + Sync>>,
}

/// So many things are remembered to be [shared](Context::share).
const REMEMBERED: usize = 16;

impl<'a> Context<'a> {
    /// A context in which `${NAME}` is looked up in `variables`.
    pub fn new(problems: Problems, variables: Variables<'a>) -> Self {
        Self { variables: Some(variables), ..Self::verbatim(problems, None) }
    }

    /// A context for a forerunner's file: `$` means nothing, and paths are relative to `base`, if given.
    pub fn verbatim(problems: Problems, base: Option<PathBuf>) -> Self {
        Self {
            problems,
            variables: None,
            base,
            secret_files: Vec::new(),
            partial: false,
            asked_for: Vec::new(),
            showing: false,
            shared: VecDeque::new(),
        }
    }

    /// The same surroundings for a part of the work, to be done at the same time as other parts.
    pub fn part(&self) -> Self {
        Self {
            problems: self.problems.part(),
            variables: self.variables,
            base: self.base.clone(),
            secret_files: Vec::new(),
            partial: self.partial,
            asked_for: Vec::new(),
            showing: self.showing,
            shared: VecDeque::new(),
        }
    }

    /// Takes over what a [part](Self::part) has found. Parts are joined in the order of the work.
    pub fn join(&mut self, part: Self) {
        self.problems.join(part.problems);
        self.secret_files.extend(part.secret_files);
    }

    /// One copy for all that are equal: of very many checks most say the same, by their templates and the defaults. Only
    /// what came lately is looked through, so that what never comes twice costs little.
    pub fn share<T: PartialEq + Send + Sync + 'static>(&mut self, value: T) -> Arc<T> {
        let same = |known: &Arc<dyn Any + Send + Sync>| {
            known.downcast_ref::<T>().filter(|known| **known == value)?;
            Arc::clone(known).downcast::<T>().ok()
        };
        if let Some(known) = self.shared.iter().find_map(same) {
            return known;
        }
        let value = Arc::new(value);
        self.shared.truncate(REMEMBERED - 1);
        self.shared.push_front(value.clone());
        value
    }

    /// Reports an error and returns `None`, so that a decoder can end with it.
    pub fn error<T>(&mut self, at: Span, message: impl Into<String>) -> Option<T> {
        self.problems.push(Problem::error(at, message));
        None
    }

    /// Reports that something else was expected, in the words that all decoders share.
    pub fn expected<T>(&mut self, what: &str, node: &Node) -> Option<T> {
        self.error(node.span, format!("expected {what}, found {}", node.describe()))
    }

    /// The text of a scalar with `${NAME}` and `${NAME:-default}` expanded and `$$` turned into `$`.
    ///
    /// `noun` says what was expected, should it not be a scalar.
    pub fn text(&mut self, noun: &str, node: &Node) -> Option<String> {
        self.word(noun, node).map(Cow::into_owned)
    }

    /// The same for those who only look at the text: most texts have nothing to expand and need no copy.
    pub fn word<'n>(&mut self, noun: &str, node: &'n Node) -> Option<Cow<'n, str>> {
        let Some(text) = node.as_text() else { return self.expected(noun, node) };
        match self.variables {
            Some(variables) if text.contains('$') => self.expand(text, node.span, variables).map(Cow::Owned),
            _ => Some(Cow::Borrowed(text)),
        }
    }

    /// The text of a scalar as it was written: messages, commands and regular expressions have their own use for `$`.
    pub fn verbatim_text(&mut self, noun: &str, node: &Node) -> Option<String> {
        match node.as_text() {
            Some(text) => Some(text.to_owned()),
            None => self.expected(noun, node),
        }
    }

    fn expand(&mut self, text: &str, at: Span, variables: Variables<'_>) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut complete = true;
        while let Some(dollar) = rest.find('$') {
            out.push_str(&rest[..dollar]);
            rest = &rest[dollar..];
            if let Some(after) = rest.strip_prefix("$$") {
                out.push('$');
                rest = after;
            } else if let Some(inner) = rest.strip_prefix("${") {
                let Some(end) = inner.find('}') else {
                    return self.error(at, format!("`${{` without a closing brace in `{text}`"));
                };
                let (name, default) = match inner[..end].split_once(":-") {
                    Some((name, default)) => (name, Some(default)),
                    None => (&inner[..end], None),
                };
                match variables(name).filter(|value| !value.is_empty() || default.is_none()) {
                    Some(value) => out.push_str(&value),
                    None => match default {
                        Some(default) => out.push_str(default),
                        None => {
                            complete = false;
                            self.problems.push(
                                Problem::error(at, format!("the environment variable `{name}` is not set"))
                                    .help(format!("set it, or give a default: `${{{name}:-…}}`")),
                            );
                        }
                    },
                }
                rest = &inner[end + 1..];
            } else {
                out.push('$');
                rest = &rest[1..];
            }
        }
        out.push_str(rest);
        complete.then_some(out)
    }

    /// A path of the configuration, made independent of the working directory.
    pub fn path(&self, text: &str, at: Span) -> PathBuf {
        let base = match &self.base {
            Some(base) => base.as_path(),
            None => self
                .problems
                .source(at.source)
                .and_then(|source| Path::new(&*source.name).parent())
                .unwrap_or_else(|| Path::new("")),
        };
        base.join(text)
    }
}
