//! Settings as the mapping asks for them. What cannot be taken as it stands is reported here, once and with its place.

use std::collections::HashSet;

use super::python::{Dict, Expr, Module, Origin, Piece, Text, URL, Value};
use crate::config::forerunners::build::{self, Map};
use crate::config::node::Node;
use crate::config::{Problem, Problems, Span};

/// Why something of the app's cannot be told to us, on one line, and where that shows.
pub(super) struct Unmapped {
    pub(super) at: Span,
    pub(super) why: String,
}

impl Unmapped {
    pub(super) fn new(at: Span, why: impl Into<String>) -> Self {
        Self { at, why: one_line(&why.into()) }
    }
}

/// The entry `default` of a setting that is a dictionary of dictionaries.
pub(super) struct Default<'a> {
    pub(super) at: Span,
    pub(super) entries: &'a Dict,
    /// The class that Django connects with.
    pub(super) backend: &'a str,
    pub(super) backend_at: Span,
}

/// The settings of a project.
pub(super) struct Settings<'a> {
    module: &'a Module,
    problems: &'a mut Problems,
    /// Settings whose changes have been told.
    told: HashSet<&'static str>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(module: &'a Module, problems: &'a mut Problems) -> Self {
        Self { module, problems, told: HashSet::new() }
    }

    /// A setting, if the file assigns it. What else happens to it is said.
    pub(super) fn get(&mut self, name: &'static str) -> Option<&'a Expr> {
        if self.told.insert(name) {
            for (changed, change) in self.module.changes(name) {
                let message = format!("`{changed}` is {} here: that is not taken", change.what);
                let problem = Problem::warning(change.at, message);
                self.problems.push(problem.help("put what it comes to into the converted file"));
            }
        }
        self.module.get(name)
    }

    /// The entry `default` of a setting, with the class that it names under `backend`. `asked` is where it is needed.
    pub(super) fn default_of(
        &mut self,
        setting: &'static str,
        backend: &str,
        asked: Span,
    ) -> Result<Default<'a>, Unmapped> {
        let all = self.get(setting).ok_or_else(|| Unmapped::new(asked, format!("{setting} is not in this file")))?;
        let is = |what: &str, found: &Expr| Unmapped::new(found.at, format!("{what} is {}", found.describe()));
        let dict = all.as_dict().ok_or_else(|| is(setting, all))?;
        let what = format!("the entry `default` of {setting}");
        let lacks = |of: &str, name: &str, at| Unmapped::new(at, format!("{of} has no `{name}`"));
        let (_, default) = dict.get("default").ok_or_else(|| lacks(setting, "default", all.at))?;
        let entries = default.as_dict().ok_or_else(|| is(&what, default))?;
        let at = default.at;
        if entries.get(URL).is_some() {
            return Ok(Default { at, entries, backend: URL, backend_at: at });
        }
        let (_, class) = entries.get(backend).ok_or_else(|| lacks(&what, backend, at))?;
        let name = class.as_plain().ok_or_else(|| is(&format!("`{backend}` of {what}"), class))?;
        Ok(Default { at, entries, backend: name, backend_at: class.at })
    }

    /// Where a setting gets its value.
    pub(super) fn place(&self, name: &str) -> Span {
        self.module.place(name)
    }

    /// Says that something is not, or not quite, as it was.
    pub(super) fn warn(&mut self, at: Span, message: impl Into<String>, help: &str) {
        self.problems.push(Problem::warning(at, one_line(&message.into())).help(help));
    }

    /// The value as text. If only running the settings would tell, it is what the variable `variable` will hold.
    pub(super) fn text(&mut self, value: &Expr, variable: &str) -> Text {
        match &value.value {
            Value::Text(text) => {
                self.tell_names(text, value.at);
                text.clone()
            }
            Value::Number(number) => Text::plain(&**number),
            Value::None => Text::default(),
            _ => {
                let message = format!("expected text, found {}: it becomes `${{{variable}}}`", value.describe());
                self.warn(value.at, message, "write what it comes to in its place, or set the variable");
                Text::variable(variable, None, Origin::Name)
            }
        }
    }

    /// Says that a path is relative, if it is: Django and we begin at different folders.
    pub(super) fn tell_relative(&mut self, path: &Text, at: Span) {
        if let [Piece::Plain(plain), ..] = path.pieces()
            && !plain.starts_with('/')
        {
            let message = "a relative path is now relative to the folder of the converted file";
            self.warn(at, message, "write the whole path");
        }
    }

    /// Says which names become variables.
    pub(super) fn tell_names(&mut self, text: &Text, at: Span) {
        for piece in text.pieces() {
            if let Piece::Variable { name, origin: Origin::Name, .. } = piece {
                let message = format!("`{name}` is assigned no literal in this file: it becomes `${{{name}}}`");
                self.warn(at, message, "write its value in its place, or set the variable");
            }
        }
    }

    /// A switch; what is neither on nor off as far as can be seen is `otherwise`, the safer one.
    pub(super) fn switch(&mut self, value: &Expr, otherwise: bool) -> bool {
        let found = match &value.value {
            Value::None => Some(false),
            Value::Bool(yes) => Some(*yes),
            Value::Number(number) => Some(number.bytes().any(|byte| matches!(byte, b'1'..=b'9'))),
            Value::Text(text) => text.as_plain().map(|text| !text.is_empty()),
            Value::List(list) => Some(!list.items.is_empty()),
            Value::Dict(dict) => Some(!dict.entries.is_empty()),
            Value::Unknown(_) => None,
        };
        found.unwrap_or_else(|| {
            let message = format!("expected `True` or `False`, found {}: taken for `{otherwise}`", value.describe());
            self.warn(value.at, message, "correct it in the converted file");
            otherwise
        })
    }

    /// A password, `None` if it is empty; what is said of it is said of the place of its key, for a line may show it.
    pub(super) fn password(&mut self, key: Span, value: &Expr, variable: &str) -> Option<Node> {
        let text = match &value.value {
            Value::None => return None,
            Value::Text(text) => text.clone(),
            Value::Number(number) => Text::plain(&**number),
            _ => {
                let message = format!("expected a password, found {}", value.describe());
                self.warn(key, message, &format!("set the variable {variable}, from which it is taken now"));
                Text::variable(variable, None, Origin::Environment)
            }
        };
        self.tell_names(&text, key);
        match text.pieces() {
            [] => None,
            [Piece::Variable { name, default, .. }] if default.as_ref().is_none_or(|default| default.is_empty()) => {
                let mut map = Map::new(key);
                map.put("env", key, build::plain(name, key));
                Some(map.finish())
            }
            _ => {
                self.warn(
                    key,
                    "a password stands open in the converted file",
                    "move it: `{ file: PATH }`, `{ env: NAME }`",
                );
                Some(build::verbatim(text.native(), key))
            }
        }
    }

    /// Says which entries of a dictionary mean nothing here, besides `known` ones.
    pub(super) fn tell_unknown(&mut self, dict: &Dict, known: &[&str], of: &str) {
        for (key, _) in &dict.entries {
            match key.as_plain() {
                Some(name) if known.contains(&name) => {}
                Some(name) => {
                    let message = format!("`{name}` of {of} has no equivalent: it is left out");
                    self.warn(key.at, message, "look whether the check needs it");
                }
                None => {
                    let message = format!("expected a name, found {}: the entry is left out", key.describe());
                    self.warn(key.at, message, "look whether the check needs it");
                }
            }
        }
    }
}

/// What a file says may stand in a sentence of ours, and must not break out of it.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}
