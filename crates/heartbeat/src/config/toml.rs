//! TOML, as the same tree.
//!
//! The parser bounds its own recursion (80 levels a value) and reports every syntax error that it can recover from. Its
//! tables are sorted by name; the order of the file is found again in the positions of the keys.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bounds::MAX_DEPTH;
use super::node::{Body, Key, Node, Scalar};
use super::position::Positions;
use super::problem::{Problem, Problems};

/// Reads a document. `None` if it is not TOML; that has been reported then.
pub fn read(source: u16, text: &str, problems: &mut Problems) -> Option<Node> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let reader = Reader { text, positions: Positions::new(source, text) };
    // One slip of the pen confuses the parser several times: of those only the first is worth reading.
    let (duplicates, slips): (Vec<_>, Vec<_>) =
        errors.iter().partition(|error| error.message().starts_with("duplicate key"));
    for error in slips.into_iter().take(1) {
        let message = match error.message().contains("recurs") {
            true => format!("nested more than {MAX_DEPTH} levels deep"),
            false => format!("this is not TOML: {}", error.message()),
        };
        problems.push(Problem::error(reader.positions.span(error.span().unwrap_or_default().start), message));
    }
    for error in duplicates {
        problems.push(reader.duplicate(root.get_ref(), error.span().unwrap_or_default()));
    }
    if !errors.is_empty() {
        return None;
    }
    match reader.table(root.get_ref(), 0, 1) {
        Ok(node) => Some(node),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    positions: Positions<'t>,
}

impl Reader<'_> {
    fn table(&self, table: &DeTable<'_>, at: usize, depth: usize) -> Result<Node, Problem> {
        let span = self.positions.span(at);
        if depth > MAX_DEPTH {
            return Err(Problem::error(span, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| {
            let span = self.positions.span(key.span().start);
            Ok((Key { name: key.get_ref().as_ref().into(), span }, self.value(value, depth + 1)?))
        });
        Ok(Node { span, body: Body::Map(entries.collect::<Result<_, Problem>>()?) })
    }

    fn value(&self, value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Problem> {
        let Range { start, end } = value.span();
        let scalar = |text: Cow<'_, str>, quoted| Node {
            span: self.positions.span(start),
            body: Body::Scalar(Scalar { text: text.into(), quoted }),
        };
        Ok(match value.get_ref() {
            DeValue::String(text) => scalar(text.as_ref().into(), true),
            // As written: `+17775551212` keeps its sign.
            DeValue::Integer(number) if number.radix() == 10 => {
                scalar(self.text.get(start..end).unwrap_or_default().replace('_', "").into(), false)
            }
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => scalar(number.to_string().into(), false),
                Err(_) => return Err(Problem::error(self.positions.span(start), "this number is too big")),
            },
            DeValue::Float(number) => scalar(number.as_str().into(), false),
            DeValue::Boolean(yes) => scalar(yes.to_string().into(), false),
            DeValue::Datetime(time) => scalar(time.to_string().into(), false),
            DeValue::Array(items) => {
                let span = self.positions.span(start);
                if depth > MAX_DEPTH {
                    return Err(Problem::error(span, format!("nested more than {MAX_DEPTH} levels deep")));
                }
                let items = items.iter().map(|item| self.value(item, depth + 1));
                Node { span, body: Body::List(items.collect::<Result<_, _>>()?) }
            }
            DeValue::Table(table) => self.table(table, start, depth)?,
        })
    }

    /// The problem of a key that stands twice. The parser names the second place only.
    fn duplicate(&self, root: &DeTable<'_>, second: Range<usize>) -> Problem {
        let name = self.text.get(second.clone()).unwrap_or_default().trim_matches(['"', '\'']);
        let problem =
            Problem::error(self.positions.span(second.start), format!("the key `{name}` stands here a second time"));
        let first = match self.header(second.start) {
            // In the tree the second table of a name has taken the first one's place.
            Some(path) => self.first_header(&path, name),
            None => nearest(root, name, second.start),
        };
        match first {
            Some(first) if first < second.start => problem.also(self.positions.span(first), "first here"),
            _ => problem,
        }
    }

    /// The path that the line at `offset` names, if it is the header of a table.
    fn header(&self, offset: usize) -> Option<Vec<String>> {
        let start = self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        header(self.text[start..].lines().next()?)
    }

    /// Where the first header with that path has its last name.
    fn first_header(&self, path: &[String], name: &str) -> Option<usize> {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            if header(line).is_some_and(|found| found == path) {
                return Some(start + line.rfind(name)?);
            }
            start += line.len();
        }
        None
    }
}

/// The path that a line names, if it is the header of a table.
fn header(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let parsed = line.starts_with('[').then(|| DeTable::parse(line).ok())??;
    let mut path = Vec::new();
    let mut table = parsed.get_ref();
    while let Some((key, value)) = table.iter().next() {
        path.push(key.get_ref().to_string());
        table = value.get_ref().as_table()?;
    }
    Some(path)
}

/// The last key of that name before an offset.
fn nearest(table: &DeTable<'_>, name: &str, before: usize) -> Option<usize> {
    fn inside(value: &DeValue<'_>, name: &str, before: usize) -> Option<usize> {
        match value {
            DeValue::Table(table) => nearest(table, name, before),
            DeValue::Array(items) => items.iter().filter_map(|item| inside(item.get_ref(), name, before)).max(),
            _ => None,
        }
    }
    let places = table.iter().flat_map(|(key, value)| {
        let here = Some(key.span().start).filter(|_| key.get_ref() == name);
        [here, inside(value.get_ref(), name, before)]
    });
    places.flatten().filter(|place| *place < before).max()
}
