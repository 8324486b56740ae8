//! Texts with names in them: `$name is down: $reason`.
//!
//! `$name` takes the longest identifier that follows, `${name}` says where the name ends and may hold a dotted one
//! (`${labels.team}`), `$$` is a dollar sign, and a `$` before anything else stands for itself. There is one pass: what a
//! value contains is never looked at, so no target can smuggle a name in. Deliberately absent: logic, filters, defaults. A
//! template is parsed once, and tells then which names it uses, so that an unknown one is found before an outage.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// A parsed text.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    source: Arc<str>,
    parts: Vec<Part>,
}

/// A stretch of the source.
#[derive(Clone, PartialEq, Eq)]
enum Part {
    /// Text as it stands.
    Text(Range<usize>),
    /// A name, without its dollar and braces.
    Name(Range<usize>),
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where it begins to be wrong, in bytes from the start.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl core::error::Error for Malformed {}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// [`Malformed`] for `${` without a name or without its closing brace.
    pub fn parse(source: impl Into<Arc<str>>) -> Result<Self, Malformed> {
        let source = source.into();
        let mut parts = Vec::new();
        let mut text_from = 0;
        let mut at = 0;
        while let Some(found) = source[at..].find('$') {
            let dollar = at + found;
            let Some(next) = after_dollar(&source, dollar)? else {
                at = dollar + 1;
                continue;
            };
            push_text(&mut parts, text_from..dollar);
            parts.push(next.part);
            text_from = next.end;
            at = next.end;
        }
        push_text(&mut parts, text_from..source.len());
        Ok(Self { source, parts })
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names that it uses, in order, with their place in bytes from the start; one that is used twice comes twice.
    pub fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(range) => Some((range.start, &self.source[range.clone()])),
            Part::Text(_) => None,
        })
    }

    /// The text with every name replaced by what `lookup` returns for it; what it does not know becomes nothing.
    pub fn render<'a>(&self, mut lookup: impl FnMut(&str) -> Option<Cow<'a, str>>) -> String {
        let mut out = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(range) => out.push_str(&self.source[range.clone()]),
                Part::Name(range) => out.push_str(&lookup(&self.source[range.clone()]).unwrap_or_default()),
            }
        }
        out
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.source, f)
    }
}

/// What a dollar sign begins.
struct Next {
    part: Part,
    end: usize,
}

/// Reads what follows the dollar sign at `dollar`; `None` if it stands for itself.
fn after_dollar(source: &str, dollar: usize) -> Result<Option<Next>, Malformed> {
    let start = dollar + 1;
    let rest = &source[start..];
    if rest.starts_with('$') {
        return Ok(Some(Next { part: Part::Text(start..start + 1), end: start + 1 }));
    }
    if let Some(inner) = rest.strip_prefix('{') {
        let Some(length) = inner.find('}') else {
            return Err(Malformed { at: dollar, what: "`${` without its closing brace" });
        };
        let name = &inner[..length];
        let head = identifier(name);
        let dotted = name[head..].strip_prefix('.').is_some_and(|tail| !tail.is_empty());
        if head == 0 || !(dotted || head == length) {
            return Err(Malformed {
                at: dollar, what: "`${…}` without a name such as `${name}` or `${labels.team}`"
            });
        }
        let end = start + 1 + length;
        return Ok(Some(Next { part: Part::Name(start + 1..end), end: end + 1 }));
    }
    let end = start + identifier(rest);
    Ok((end > start).then_some(Next { part: Part::Name(start..end), end }))
}

/// The length of the identifier that `text` begins with: a letter or `_`, then letters, digits and `_`.
fn identifier(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

fn push_text(parts: &mut Vec<Part>, range: Range<usize>) {
    if !range.is_empty() {
        parts.push(Part::Text(range));
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::format;
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn render(source: &str) -> String {
        let template = Template::parse(source).expect("a template");
        template.render(|name| match name {
            "name" => Some("web".into()),
            "n" => Some("WRONG".into()),
            "names" => Some("all".into()),
            "other" => Some("$name ${name} $$".into()),
            "labels.team" => Some("shop".into()),
            "a_1" => Some("one".into()),
            _ => None,
        })
    }

    #[test]
    fn names_are_replaced() {
        for (source, expected) in [
            ("$name is down", "web is down"),
            ("$names, ${name}s, $name", "all, webs, web"),
            ("$a_1-$a_1.", "one-one."),
            ("($name)", "(web)"),
            ("${labels.team}", "shop"),
            ("$labels.team", ".team"),
            ("$unknown!", "!"),
            ("ä$name…", "äweb…"),
            ("", ""),
        ] {
            assert_eq!(render(source), expected, "{source}");
        }
    }

    #[test]
    fn dollars_that_begin_no_name_stand() {
        for (source, expected) in [
            ("$$name", "$name"),
            ("$$$name", "$web"),
            ("$$$$", "$$"),
            ("costs 5$", "costs 5$"),
            ("$5 and $ and $-", "$5 and $ and $-"),
            ("$(touch /p) `id` {{7*7}}", "$(touch /p) `id` {{7*7}}"),
            ("$ä", "$ä"),
        ] {
            assert_eq!(render(source), expected, "{source}");
        }
    }

    #[test]
    fn values_are_never_looked_at() {
        assert_eq!(render("$other|$name"), "$name ${name} $$|web");
    }

    #[test]
    fn names_are_listed_with_their_place() {
        let template = Template::parse("$$ $name ${labels.team} $name").expect("a template");
        assert_eq!(template.names().collect::<Vec<_>>(), [(4, "name"), (11, "labels.team"), (25, "name")]);
        assert_eq!(template.source(), "$$ $name ${labels.team} $name");
    }

    #[test]
    fn malformed_braces_are_refused() {
        for (source, at) in [("ab ${name", 3), ("${}", 0), ("x${1}", 1), ("${a b}", 0), ("${labels.}", 0), ("${.a}", 0)]
        {
            assert_eq!(Template::parse(source).map_err(|malformed| malformed.at), Err(at), "{source}");
        }
    }

    proptest! {
        /// Whatever the values hold, the result is the text with the values put in and nothing else.
        #[test]
        fn one_pass(texts in prop::collection::vec("[^$]{0,4}", 1..6), value in "\\PC{0,12}") {
            let source = texts.join("${x}");
            let template = Template::parse(source).expect("a template");
            prop_assert_eq!(template.render(|_| Some(value.as_str().into())), texts.join(&value));
        }

        /// No text makes the parser panic, and a text with its dollars doubled says itself.
        #[test]
        fn any_text(text in "\\PC{0,40}") {
            let _ = Template::parse(text.as_str());
            let escaped = Template::parse(text.replace('$', "$$")).expect("no name in it");
            prop_assert_eq!(escaped.names().count(), 0);
            prop_assert_eq!(escaped.render(|_| Some("WRONG".into())), text);
        }
    }

    #[test]
    fn messages_of_malformed_templates() {
        let malformed = Template::parse("${").expect_err("no brace");
        assert_eq!(malformed.to_string(), "`${` without its closing brace");
        assert_eq!(format!("{:?}", Template::parse("$a").expect("a template")), "\"$a\"".to_owned());
    }
}
