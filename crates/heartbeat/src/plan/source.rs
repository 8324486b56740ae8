//! The files of a configuration: which syntax they are in, and the files that they include.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Format;
use crate::config::forerunners::{cron, django, ini};
use crate::config::text::NotText;
use crate::config::{Context, Node, Problem, Span, text, toml, yaml};
use crate::host;

/// The largest file, in bytes: millions of checks.
const LARGEST: u64 = 256 << 20;

/// A file as a tree, with the format that its content gave away.
pub(super) struct Document {
    pub(super) node: Node,
    pub(super) format: Format,
}

/// Reads a file. `None` has been reported.
pub(super) fn open(path: &Path, context: &mut Context<'_>) -> Option<Document> {
    let text = read_text(path, context)?;
    parse(&path.display().to_string(), text, context)
}

/// The text of a file. `None` has been reported.
pub(super) fn read_text(path: &Path, context: &mut Context<'_>) -> Option<String> {
    let name = path.display().to_string();
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            context.problems.push(Problem {
                at: None,
                ..Problem::error(Span::default(), format!("cannot read the configuration {name}: {error}"))
            });
            return None;
        }
    };
    match text::from_bytes(bytes) {
        Ok(text) => Some(text),
        Err(refused) => {
            let NotText { text, mut problem } = *refused;
            let source = context.problems.add_source(name, text);
            problem.at = problem.at.map(|at| Span { source, ..at });
            context.problems.push(problem);
            None
        }
    }
}

/// The bytes of a file, which may be a pipe. A device without an end is not waited for.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// Reads a text; the extension of its name tells the syntax, as far as it does.
pub(super) fn parse(name: &str, text: String, context: &mut Context<'_>) -> Option<Document> {
    // One copy for both.
    let text: Arc<str> = text.into();
    let source = context.problems.add_source(name, Arc::clone(&text));
    if django::recognise(name, &text) {
        let problem =
            Problem::error(Span { source, line: 0, column: 0 }, "these are settings of Django: they cannot be run")
                .help(format!("`heartbeat config convert {name} > heartbeat.yaml` makes a native file of them"));
        context.problems.push(problem);
        return None;
    }
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let node = match extension {
        "toml" => toml::read(source, &text, &mut context.problems)?,
        "yaml" | "yml" => yaml::read(source, &text, &mut context.problems)?,
        _ if ini::recognise(&text) => {
            let node = ini::translate(source, &text, host::env::launch_folder(), &mut context.problems);
            return Some(Document { node, format: Format::Ini });
        }
        _ => yaml::read(source, &text, &mut context.problems)?,
    };
    if node.is_null() || node.as_map().is_some_and(<[_]>::is_empty) {
        let problem = Problem::error(Span { source, line: 1, column: 1 }, "the file is empty")
            .help("the smallest configuration is a list `checks:` with one URL");
        context.problems.push(problem);
        return None;
    }
    if cron::recognise(&node) {
        let node = cron::translate(&node, &mut context.problems);
        return Some(Document { node, format: Format::Cron });
    }
    Some(Document { node, format: Format::Native })
}

/// The files that `patterns` match, sorted; each once, and never the including file itself.
pub(super) fn included(patterns: &[(String, Span)], main: &Path, context: &mut Context<'_>) -> Vec<(PathBuf, Span)> {
    let mut found = Vec::new();
    let mut known: BTreeSet<PathBuf> = identity(main).into_iter().collect();
    for (pattern, at) in patterns {
        let path = context.path(pattern, *at);
        let matches = match super::glob::matches(&path) {
            Ok(matches) => matches,
            Err(error) => {
                let _: Option<()> = context.error(*at, format!("cannot look for `{}`: {error}", path.display()));
                continue;
            }
        };
        // A pattern may match nothing yet; a plain name must be there.
        if matches.is_empty() && !super::glob::is_pattern(&path) {
            let _: Option<()> = context.error(*at, format!("there is no file {}", path.display()));
        }
        for path in matches {
            let Some(identity) = identity(&path) else { continue };
            if Some(&identity) == self::identity(main).as_ref() {
                let _: Option<()> = context.error(*at, format!("`{pattern}` includes this file itself"));
            } else if known.insert(identity) {
                found.push((path, *at));
            }
        }
    }
    found
}

fn identity(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}
