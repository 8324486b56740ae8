//! What is wrong with a configuration, shown with the line that it stands on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use regex::Regex;

use super::node::Span;

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// What was expected and what was found.
    pub message: String,
    /// Where; `None` if it concerns the file as a whole.
    pub at: Option<Span>,
    /// A second place that belongs to it, with what is there: `first named here`.
    pub also: Option<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

/// Whether a problem stops us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can be used, and somebody should look.
    Warning,
}

impl Severity {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Problem {
    /// An error at a place.
    pub fn error(at: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), at: Some(at), also: None, help: None }
    }

    /// A warning at a place.
    pub fn warning(at: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(at, message) }
    }

    /// With what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a second place.
    pub fn also(mut self, at: Span, what: impl Into<String>) -> Self {
        self.also = Some((at, what.into()));
        self
    }
}

/// A text that was read, by the name under which it is shown.
#[derive(Clone, Debug)]
pub struct Source {
    /// As shown: the path as given.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

/// All problems of one configuration, with the sources that they point into.
///
/// A word that several checks share (in a template, in the defaults, behind an alias) is decoded once for each of them, yet
/// its mistake is worth one message: of a place that an earlier *subject* has complained about, later ones say nothing.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    sources: Vec<Source>,
    list: Vec<Problem>,
    subject: u32,
    told: HashMap<Span, u32>,
}

/// More of them help nobody, and a file may hold 100,000 checks.
const SHOWN: usize = 100;

impl Problems {
    /// Takes a text in and returns its index for [`Span::source`].
    ///
    /// # Panics
    /// With more than 65,535 sources: the include rules stop long before.
    pub fn add_source(&mut self, name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> u16 {
        self.sources.push(Source { name: name.into(), text: text.into() });
        u16::try_from(self.sources.len() - 1).expect("at most 65,535 sources")
    }

    /// The source of that index.
    pub fn source(&self, index: u16) -> Option<&Source> {
        self.sources.get(usize::from(index))
    }

    /// From here on, problems are those of another subject.
    pub fn next_subject(&mut self) {
        self.subject += 1;
    }

    /// An empty list over the same sources, for a part of the work.
    pub fn part(&self) -> Self {
        Self { sources: self.sources.clone(), ..Self::default() }
    }

    /// Takes in what a [part](Self::part) of the work has found, as if it had been found here and now.
    pub fn join(&mut self, part: Self) {
        let begin = self.subject;
        for problem in part.list {
            let told = problem.at.and_then(|span| part.told.get(&span));
            self.subject = begin + told.unwrap_or(&part.subject);
            self.push(problem);
        }
        self.subject = begin + part.subject;
    }

    /// Adds one, unless an earlier subject has already complained about that place, or this one in the same words.
    pub fn push(&mut self, problem: Problem) {
        if let Some(span) = problem.at.filter(|span| span.line > 0) {
            let first = *self.told.entry(span).or_insert(self.subject);
            if first != self.subject {
                return;
            }
        }
        // Those of one subject stand together at the end, and they are few.
        if !self.list.iter().rev().take(SHOWN).any(|known| *known == problem) {
            self.list.push(problem);
        }
    }

    /// Whether there are more than will be shown, so that a costly search for help can be spared.
    pub fn are_many(&self) -> bool {
        self.list.len() > SHOWN
    }

    /// Whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Everything found, in the order of the files.
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut sorted: Vec<_> = self.list.iter().collect();
        sorted.sort_by_key(|problem| problem.at);
        sorted
    }

    /// All of them as text for people, each followed by a newline; empty if there are none. Of very many, the first ones.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let sorted = self.sorted();
        for problem in sorted.iter().take(SHOWN) {
            self.render_one(problem, &mut out);
        }
        if sorted.len() > SHOWN {
            let _ = writeln!(out, "and {} more", sorted.len() - SHOWN);
        }
        out
    }

    /// All of them for programs: `severity`, `message`, `file`, `line`, `column`, `help`. What is not known is `null`.
    pub fn to_json(&self) -> serde_json::Value {
        let object = |problem: &&Problem| {
            let source = problem.at.and_then(|span| self.source(span.source));
            let place = problem.at.filter(|span| span.line > 0);
            serde_json::json!({
                "severity": problem.severity.as_str(),
                "message": without_passwords(&problem.message),
                "file": source.map(|source| &*source.name),
                "line": place.map(|span| span.line),
                "column": place.map(|span| span.column),
                "help": problem.help,
            })
        };
        self.sorted().iter().map(object).collect()
    }

    fn render_one(&self, problem: &Problem, out: &mut String) {
        let _ = writeln!(out, "{}: {}", problem.severity.as_str(), without_passwords(&problem.message));
        if let Some(span) = problem.at {
            self.render_place(span, out);
        }
        if let Some((span, what)) = &problem.also {
            let _ = writeln!(out, "   = note: {what}");
            self.render_place(*span, out);
        }
        if let Some(help) = &problem.help {
            let _ = writeln!(out, "   = help: {help}");
        }
    }

    fn render_place(&self, span: Span, out: &mut String) {
        let Some(source) = self.source(span.source) else { return };
        if span.line == 0 {
            let _ = writeln!(out, "  --> {}", source.name);
            return;
        }
        let _ = writeln!(out, "  --> {}:{}:{}", source.name, span.line, span.column);
        if let Some(line) = source.text.lines().nth(span.line as usize - 1) {
            let _ = writeln!(out, "   | {}", without_secrets(&excerpt(line, span.column as usize)));
        }
    }
}

/// Hides what looks like a secret in a line of a file: the password of a URL, and the value of a key that is called like
/// one.
///
/// A mistake may stand on the line of a secret, or keep us from finding out what is one. So names decide here.
fn without_secrets(line: &str) -> String {
    static UNDER_KEY: LazyLock<Regex> = LazyLock::new(|| {
        let keys =
            r#"(?i)((?:pass|passw(?:or)?d|secret(?:_key)?|token|authorization|cookie|api[_-]?key)["']?\s*\+?[:=]\s*)"#;
        // A file of Python may join several strings, or call something with one.
        let quoted = r#"(?:"[^"]*"?|'[^']*'?)"#;
        let values = format!(r#"({quoted}(?:\s*\+?\s*{quoted})*|[\w.]+\([^)]*\)?|[^\s"'\[{{,}}][^,}}]*)"#);
        Regex::new(&format!("{keys}{values}")).expect("a regular expression")
    });
    UNDER_KEY.replace_all(&without_passwords(line), "${1}(redacted)").into_owned()
}

/// Hides the passwords of URLs.
fn without_passwords(text: &str) -> Cow<'_, str> {
    static IN_URL: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(://[^/\s:@]*:)[^/\s@]+@").expect("a regular expression"));
    IN_URL.replace_all(text, "${1}(redacted)@")
}

/// A line that is fit for a terminal: no control characters, and of a long one the part around `column`.
fn excerpt(line: &str, column: usize) -> String {
    const LONGEST: usize = 160;
    let skipped = if column > LONGEST { column - LONGEST / 2 } else { 0 };
    let mut shown = String::from(if skipped > 0 { "…" } else { "" });
    shown.extend(line.chars().skip(skipped).take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }));
    if line.chars().nth(skipped + LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// The help for a name that is nearly one of the known ones.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let name: Vec<char> = name.chars().collect();
    let tolerated = (name.len() / 3).max(1);
    let nearest = known
        .into_iter()
        // Lengths alone rule most of 100,000 names out.
        .filter(|candidate| candidate.chars().count().abs_diff(name.len()) <= tolerated)
        .map(|candidate| (distance(&name, &candidate.chars().collect::<Vec<_>>()), candidate))
        .min()?;
    (nearest.0 <= tolerated).then(|| format!("did you mean `{}`?", nearest.1))
}

/// The restricted Damerau–Levenshtein distance: insertions, deletions, replacements, swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(rows[i - 2][j - 2] + 1);
            }
            row.push(cost);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn what_is_called_like_a_secret_is_hidden_whatever_its_form() {
        for line in [
            "password: s3cret",
            "token = 's3cret'",
            "    'PASSWORD': 's3cret', 'USER': \"kept\",",
            "    'PASSWORD': 's3cret' + \"s3cret\" 's3cret', 'USER': 'kept'",
            "    'PASSWORD': os.environ.get('DB', 's3cret'), 'USER': 'kept'",
            "    'PASSWORD': u's3cret', 'USER': 'kept'",
            "DB_PASS += 's3cret' # kept",
            "SECRET_KEY = 's3cret' # kept",
            "'LOCATION': 'redis://:s3cret@kept'",
            "url: https://me:s3cret@kept/",
        ] {
            let shown = without_secrets(line);
            assert!(shown.contains("(redacted)") && !shown.contains("s3cret"), "{shown}");
            assert_eq!(shown.contains("kept"), line.contains("kept"), "{shown}");
        }
        for line in ["passes: 3", "password:", "secrets: [a]"] {
            assert_eq!(without_secrets(line), line);
        }
    }
}
