//! A forerunner's file as a native one.

use std::path::Path;

use super::Format;
use super::load::Loader;
use super::source;
use crate::config::forerunners::django;
use crate::config::{Context, Problem, Problems, Span, write};

/// The native equivalent of a forerunner's file, as YAML, and what has none.
///
/// What is written is the very tree that [`load`](super::load()) decodes when it reads the file: the two cannot differ.
/// `None` if the file cannot be used, or is a native one already; the problems say why.
pub fn convert(path: &Path) -> (Option<String>, Problems) {
    Loader::default().convert(path)
}

impl Loader<'_> {
    /// Converts a file; see [`convert`].
    pub fn convert(&self, path: &Path) -> (Option<String>, Problems) {
        let mut context = Context::new(Problems::default(), self.variables);
        let name = path.display().to_string();
        let Some(text) = source::read_text(path, &mut context) else { return (None, context.problems) };
        if django::recognise(&name, &text) {
            let source = context.problems.add_source(name, text.as_str());
            let converted = django::convert(source, &text, &mut context.problems);
            let text = converted.map(|converted| write::with_remarks(&converted.node, &converted.remarks));
            return (text, context.problems);
        }
        let Some(document) = source::parse(&name, text, &mut context) else { return (None, context.problems) };
        if document.format == Format::Native {
            let problem = Problem {
                at: None,
                ..Problem::error(Span::default(), format!("{} is a native file already", path.display()))
            };
            context.problems.push(problem.help("`heartbeat config show` prints it with every default filled in"));
            return (None, context.problems);
        }
        let text = write::write(&document.node);
        let (plan, problems) = self.decode(document, path, context);
        (plan.map(|_| text), problems)
    }
}
