//! Python source as logical lines of tokens (The Python Language Reference, chapter 2).
//!
//! Words are not told from keywords, and operators that mean nothing to us are kept as they stand: whatever a later Python
//! adds inside an expression is passed over by its brackets. What is no Python at all, a string or a bracket that never
//! ends, is an error, for nothing behind it can be trusted.

use super::literal::{self, Literal};
use crate::config::position::Positions;
use crate::config::{Problem, Span};

/// A statement with its brackets closed and its continued lines joined.
#[derive(Debug)]
pub(super) struct Line<'t> {
    /// The columns of white space before it.
    pub(super) indent: usize,
    /// At least one.
    pub(super) tokens: Vec<Token<'t>>,
}

/// A word of the language.
#[derive(Debug)]
pub(super) struct Token<'t> {
    /// Where it begins.
    pub(super) at: Span,
    /// What it is.
    pub(super) kind: Kind<'t>,
}

/// Kinds of tokens.
#[derive(Debug, PartialEq)]
pub(super) enum Kind<'t> {
    /// An identifier or a keyword.
    Name(&'t str),
    /// As it is written.
    Number(&'t str),
    /// One string, its escapes resolved.
    String(Literal),
    /// `(`, `[` or `{`.
    Open(char),
    /// `)`, `]` or `}`; it closes what was opened last.
    Close(char),
    /// Everything else.
    Operator(&'t str),
}

/// Operators of more than one character, the longest first (section 2.6).
const LONG: [&str; 25] = [
    "**=", "//=", ">>=", "<<=", "...", "**", "//", ">>", "<<", "<=", ">=", "==", "!=", "->", ":=", "+=", "-=", "*=",
    "/=", "%=", "@=", "&=", "|=", "^=", "<>",
];

/// Takes a text apart.
///
/// # Errors
/// The first place from which on it is no Python.
pub(super) fn lines<'t>(text: &'t str, positions: &Positions<'t>) -> Result<Vec<Line<'t>>, Problem> {
    let mut scanner = Scanner { text, positions, at: 0 };
    let mut lines = Vec::new();
    while scanner.at < text.len() {
        let indent = scanner.indent();
        let tokens = scanner.line()?;
        if !tokens.is_empty() {
            lines.push(Line { indent, tokens });
        }
    }
    Ok(lines)
}

struct Scanner<'p, 't> {
    text: &'t str,
    positions: &'p Positions<'t>,
    /// The byte that comes next.
    at: usize,
}

impl<'t> Scanner<'_, 't> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Passes over the white space before a line; a tab goes to the next multiple of eight.
    fn indent(&mut self) -> usize {
        let mut column = 0;
        for c in self.rest().chars() {
            match c {
                ' ' => column += 1,
                '\t' => column = (column / 8 + 1) * 8,
                _ => break,
            }
            self.at += 1;
        }
        column
    }

    /// The tokens up to the end of a logical line, which may be none.
    fn line(&mut self) -> Result<Vec<Token<'t>>, Problem> {
        let mut tokens = Vec::new();
        let mut open: Vec<(char, Span)> = Vec::new();
        while let Some(c) = self.rest().chars().next() {
            let start = self.at;
            let at = self.positions.span(start);
            let kind = match c {
                '\n' | '\r' => {
                    self.at += 1;
                    if open.is_empty() {
                        break;
                    }
                    continue;
                }
                '#' => {
                    self.at += self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
                    continue;
                }
                '\\' if self.rest()[1..].starts_with(['\n', '\r']) => {
                    self.at += if self.rest()[1..].starts_with("\r\n") { 3 } else { 2 };
                    continue;
                }
                c if c.is_whitespace() => {
                    self.at += c.len_utf8();
                    continue;
                }
                '(' | '[' | '{' => {
                    open.push((c, at));
                    self.at += 1;
                    Kind::Open(c)
                }
                ')' | ']' | '}' => {
                    let Some((opened, opened_at)) = open.pop() else {
                        return Err(no_python(at, format!("`{c}` closes nothing")));
                    };
                    if closing(opened) != c {
                        let message = format!("expected `{}`, found `{c}`", closing(opened));
                        return Err(no_python(at, message).also(opened_at, format!("`{opened}` is opened here")));
                    }
                    self.at += 1;
                    Kind::Close(c)
                }
                _ => match literal::read(self.rest()) {
                    Some(Ok((literal, length))) => {
                        self.at += length;
                        Kind::String(literal)
                    }
                    Some(Err(literal::Endless)) => return Err(no_python(at, "this string has no end".to_owned())),
                    None => self.word(c),
                },
            };
            tokens.push(Token { at, kind });
        }
        match open.pop() {
            Some((opened, at)) => Err(no_python(at, format!("`{opened}` is never closed"))),
            None => Ok(tokens),
        }
    }

    /// A name, a number or an operator.
    fn word(&mut self, first: char) -> Kind<'t> {
        let rest = self.rest();
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let (length, kind): (usize, fn(&'t str) -> Kind<'t>) =
            if is_number(rest) || first == '.' && is_number(&rest[1..]) {
                (number_length(rest), Kind::Number)
            } else if is_name(first) {
                (rest.find(|c| !is_name(c)).unwrap_or(rest.len()), Kind::Name)
            } else {
                let long = LONG.iter().find(|operator| rest.starts_with(**operator));
                (long.map_or(first.len_utf8(), |operator| operator.len()), Kind::Operator)
            };
        self.at += length;
        kind(&rest[..length])
    }
}

/// Identifiers may hold letters of all scripts.
fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Digits, points, letters for bases and exponents, and the sign of an exponent.
fn number_length(text: &str) -> usize {
    let is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let signed = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !is_hexadecimal;
        if !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.') || signed) {
            return at;
        }
        before = c;
    }
    text.len()
}

fn closing(opened: char) -> char {
    match opened {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn no_python(at: Span, message: String) -> Problem {
    Problem::error(at, format!("this is not Python: {message}"))
}
