//! The dialect of Python 2's `ConfigParser`, with a position on every word.
//!
//! Read after `RawConfigParser._read` and `ConfigParser._interpolate` of Python 2.7, oddities included: an inline comment
//! begins at the *first* `;` of a value, if white space stands before it; continuation lines have no comments; a section
//! header may be followed by anything. One thing is mended: a `%` that begins no `%(x)s` stands for itself.

use std::collections::{BTreeSet, HashMap};

use crate::config::{Problem, Problems, Span};

/// The deepest nesting of `%(x)s` (`MAX_INTERPOLATION_DEPTH`).
const DEEPEST: usize = 10;

/// The longest value that `%(x)s` may make.
const LONGEST: usize = 1 << 20;

/// A file: its sections, each there once, in the order of their first mention.
#[derive(Debug, Default)]
pub(super) struct Ini {
    defaults: Section,
    pub(super) sections: Vec<Section>,
    index: HashMap<String, usize>,
}

/// A section with the options of all its mentions.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) name: String,
    /// Where it is first mentioned.
    pub(super) span: Span,
    pub(super) options: Vec<Setting>,
    index: HashMap<String, usize>,
}

/// An option as it was last set.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// In lower case.
    pub(super) name: String,
    pub(super) key: Span,
    /// Where its value begins.
    pub(super) at: Span,
    raw: String,
}

/// The value of an option, complete.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) key: Span,
    pub(super) at: Span,
}

/// Where the next option goes.
#[derive(Clone, Copy)]
enum Cursor {
    Nowhere,
    Defaults,
    Section(usize),
}

impl Ini {
    /// Reads a text; lines that make no sense are reported and left out.
    pub(super) fn parse(source: u16, text: &str, problems: &mut Problems) -> Self {
        let mut ini = Self::default();
        let mut cursor = Cursor::Nowhere;
        let mut option: Option<usize> = None;
        for (number, line) in text.split('\n').enumerate() {
            let place = |byte: usize| Span {
                source,
                line: u32::try_from(number + 1).unwrap_or(u32::MAX),
                column: u32::try_from(line[..byte].chars().count() + 1).unwrap_or(u32::MAX),
            };
            let content = trim(line);
            if content.is_empty() || is_comment(line) {
                continue;
            }
            let indented = line.starts_with(is_blank);
            let at = place(line.len() - line.trim_start_matches(is_blank).len());
            let section = match cursor {
                Cursor::Nowhere => None,
                Cursor::Defaults => Some(&mut ini.defaults),
                Cursor::Section(index) => Some(&mut ini.sections[index]),
            };
            if indented && let (Some(section), Some(option)) = (section, option) {
                if content.starts_with(['#', ';']) {
                    let problem =
                        Problem::warning(at, "an indented line continues the value above: this is no comment")
                            .help("begin the comment in the first column");
                    problems.push(problem);
                }
                let raw = &mut section.options[option].raw;
                raw.push('\n');
                raw.push_str(content);
                continue;
            }
            if let Some(name) = header(line) {
                option = None;
                cursor = ini.open(name, at);
                continue;
            }
            let Some((name, value)) = (!indented).then(|| split(line)).flatten() else {
                let found: String = content.chars().take(60).collect();
                let mut problem =
                    Problem::error(at, format!("expected `[section]`, `name = value` or a comment, found `{found}`"));
                if indented {
                    problem.help = Some("remove the white space at the start of the line".to_owned());
                }
                problems.push(problem);
                continue;
            };
            let section = match cursor {
                Cursor::Nowhere => {
                    problems.push(Problem::error(at, format!("`{name}` stands before the first `[section]`")));
                    continue;
                }
                Cursor::Defaults => &mut ini.defaults,
                Cursor::Section(index) => &mut ini.sections[index],
            };
            let start = line.len() - value.trim_start_matches(is_blank).len();
            let raw = without_comment(value.trim_start_matches(is_blank));
            let setting = Setting { name: name.to_lowercase(), key: at, at: place(start), raw: raw.to_owned() };
            option = Some(section.set(setting));
        }
        ini
    }

    /// Goes on in a section, new or mentioned before.
    fn open(&mut self, name: &str, span: Span) -> Cursor {
        if name == "DEFAULT" {
            return Cursor::Defaults;
        }
        let next = self.sections.len();
        let index = *self.index.entry(name.to_owned()).or_insert(next);
        if index == next {
            self.sections.push(Section { name: name.to_owned(), span, ..Section::default() });
        }
        Cursor::Section(index)
    }

    /// The section of that name.
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.index.get(name).map(|index| &self.sections[*index])
    }

    /// The options of `[DEFAULT]`.
    pub(super) fn defaults(&self) -> &[Setting] {
        &self.defaults.options
    }

    /// The value of an option of a section or of `[DEFAULT]`, `%(x)s` filled in. A value that cannot be completed has
    /// been reported, and is `None` too.
    pub(super) fn get(&self, section: Option<&Section>, name: &str, problems: &mut Problems) -> Option<Found> {
        let setting = self.setting(section, name)?;
        match self.complete(section, setting, DEEPEST) {
            Ok(text) => Some(Found { text, key: setting.key, at: setting.at }),
            Err(problem) => {
                problems.push(problem);
                None
            }
        }
    }

    fn setting<'i>(&'i self, section: Option<&'i Section>, name: &str) -> Option<&'i Setting> {
        section.and_then(|section| section.setting(name)).or_else(|| self.defaults.setting(name))
    }

    fn complete(&self, section: Option<&Section>, setting: &Setting, depth: usize) -> Result<String, Problem> {
        let mut out = String::new();
        let mut rest = setting.raw.as_str();
        // Without any `%(` even `%%` is left alone.
        if !rest.contains("%(") {
            return Ok(rest.to_owned());
        }
        while let Some(percent) = rest.find('%') {
            out.push_str(&rest[..percent]);
            rest = &rest[percent + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                out.push('%');
                rest = after;
            } else if let Some(inner) = rest.strip_prefix('(') {
                let Some((name, after)) =
                    inner.split_once(')').and_then(|(name, after)| Some((name, after.strip_prefix('s')?)))
                else {
                    let message = format!("`%(` without `)s` in the value of `{}`", setting.name);
                    return Err(
                        Problem::error(setting.at, message).help("write `%(name)s`, or `%%` for a percent sign")
                    );
                };
                out.push_str(&self.reference(section, setting, &name.to_lowercase(), depth)?);
                rest = after;
            } else {
                out.push('%');
            }
            if out.len() > LONGEST {
                return Err(Problem::error(setting.at, format!("the value of `{}` grows beyond 1 MiB", setting.name)));
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn reference(
        &self,
        section: Option<&Section>,
        setting: &Setting,
        name: &str,
        depth: usize,
    ) -> Result<String, Problem> {
        if depth == 0 {
            let message = format!("`%(…)s` in the value of `{}` is nested deeper than {DEEPEST} levels", setting.name);
            return Err(Problem::error(setting.at, message).help("does it refer to itself?"));
        }
        match self.setting(section, name) {
            Some(inner) => self.complete(section, inner, depth - 1),
            None if name == "__name__" => Ok(section.map(|section| section.name.clone()).unwrap_or_default()),
            None => {
                let place =
                    section.map_or("[DEFAULT]".to_owned(), |section| format!("[{}] or [DEFAULT]", section.name));
                Err(Problem::error(setting.at, format!("`%({name})s` names an option that is not in {place}")))
            }
        }
    }

    /// The names that any value uses as `%(name)s`.
    pub(super) fn referenced(&self) -> BTreeSet<String> {
        let settings = self.sections.iter().flat_map(|section| &section.options).chain(&self.defaults.options);
        settings
            .flat_map(|setting| setting.raw.split("%(").skip(1))
            .filter_map(|rest| rest.split_once(')'))
            .map(|(name, _)| name.to_lowercase())
            .collect()
    }
}

impl Section {
    /// Adds or replaces an option, and returns its place.
    fn set(&mut self, setting: Setting) -> usize {
        let next = self.options.len();
        let index = *self.index.entry(setting.name.clone()).or_insert(next);
        if index == next {
            self.options.push(setting);
        } else {
            self.options[index] = setting;
        }
        index
    }

    fn setting(&self, name: &str) -> Option<&Setting> {
        self.index.get(name).map(|index| &self.options[*index])
    }

    /// Whether it has this option itself.
    pub(super) fn has(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}')
}

fn trim(line: &str) -> &str {
    line.trim_matches(is_blank)
}

fn is_comment(line: &str) -> bool {
    let word = line.split(is_blank).next().unwrap_or_default();
    line.starts_with(['#', ';']) || word.eq_ignore_ascii_case("rem")
}

/// The name in a section's header; what follows the bracket is ignored.
fn header(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.split_once(']')?;
    (!name.is_empty()).then_some(name)
}

/// The two sides of the first `=` or `:`.
fn split(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(['=', ':'])?;
    (!trim(name).is_empty()).then(|| (trim(name), value))
}

/// A value without its inline comment; `""` is how an empty one is written.
fn without_comment(value: &str) -> &str {
    let value = match value.find(';') {
        Some(0) => "",
        Some(comment) if value[..comment].ends_with(is_blank) => &value[..comment],
        _ => value,
    };
    let value = trim(value);
    if value == "\"\"" { "" } else { value }
}
