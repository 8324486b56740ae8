//! The quotes around `$message` in a shell alert's command.
//!
//! The utility pasted the message into the text of the command, where it could do anything. Here the shell finds it in the
//! variable `message`, and the command is rewritten only as far as needed for the shell to read that variable as one
//! word of data: inside double quotes and here-documents `$message` stays, unquoted it becomes `"$message"`, inside single
//! quotes `'"$message"'`.
//!
//! The scanner follows the token recognition of POSIX.1-2017 (XCU 2.2, 2.3, 2.6, 2.7.4). It is careful rather than
//! complete: where shells disagree, or where it would have to understand more of the language, it refuses. A command
//! without `$message` is not looked at.

use std::collections::BTreeSet;

/// The name that the message comes under.
const NAME: &str = "message";

/// Nested substitutions beyond this are refused.
const DEEPEST: usize = 32;

/// Words after which what a command is given is read once more: by another shell, another language, or as a command.
const READERS: [&str; 71] = [
    ".",
    "Rscript",
    "[[",
    "ash",
    "at",
    "awk",
    "bash",
    "batch",
    "bc",
    "builtin",
    "busybox",
    "chroot",
    "command",
    "dash",
    "dc",
    "declare",
    "doas",
    "docker",
    "ed",
    "env",
    "eval",
    "ex",
    "exec",
    "expect",
    "find",
    "gawk",
    "getopts",
    "ionice",
    "ksh",
    "kubectl",
    "let",
    "lua",
    "m4",
    "make",
    "mapfile",
    "mawk",
    "mysql",
    "nice",
    "node",
    "nohup",
    "osascript",
    "parallel",
    "perl",
    "php",
    "psql",
    "pwsh",
    "python",
    "python2",
    "python3",
    "read",
    "ruby",
    "runuser",
    "screen",
    "sed",
    "setsid",
    "sh",
    "source",
    "sqlite3",
    "ssh",
    "stdbuf",
    "su",
    "sudo",
    "tclsh",
    "timeout",
    "tmux",
    "trap",
    "typeset",
    "unset",
    "watch",
    "xargs",
    "zsh",
];

/// Words after which a command still begins.
const BEFORE_A_COMMAND: [&str; 10] = ["!", "{", "do", "elif", "else", "if", "then", "time", "until", "while"];

/// A command that can be given the message, with what its owner should know.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub(super) command: String,
    pub(super) warnings: Vec<Warning>,
}

/// Something that the rewriting cannot mend.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) message: String,
    pub(super) help: String,
}

/// Rewrites a command.
///
/// # Errors
/// Why it cannot be done safely.
pub(super) fn rewrite(command: &str) -> Result<Rewritten, &'static str> {
    let mut warnings = Vec::new();
    if !names_message(command) {
        return Ok(Rewritten { command: command.to_owned(), warnings });
    }
    let mut scanner = Scanner::new(command, 0);
    scanner.commands(Scope::Whole)?;
    if scanner.escaped {
        warnings.push(Warning {
            message: "`\\$message` stands for itself: the message is not put in there".to_owned(),
            help: "remove the backslash".to_owned(),
        });
    }
    let readers: Vec<_> = scanner.readers.iter().map(|word| format!("`{word}`")).collect();
    if !readers.is_empty() {
        warnings.push(Warning {
            message: format!("{} may read the message a second time, as a program", readers.join(", ")),
            help: "pass the message as data: on standard input, or in an environment variable".to_owned(),
        });
    }
    Ok(Rewritten { command: scanner.out, warnings })
}

/// Whether the message is named at all, in a form that the utility or a shell would replace.
fn names_message(text: &str) -> bool {
    text.split('$').skip(1).any(|rest| {
        let rest = rest.strip_prefix('{').map_or(rest, |inner| inner.trim_start_matches(['#', '!']));
        rest.strip_prefix(NAME).is_some_and(|after| !after.starts_with(is_name))
    })
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// What encloses a list of commands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The command itself, or what stands between backquotes.
    Whole,
    /// Parentheses.
    Parentheses,
}

/// Whether a `$message` needs quotes of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Bare,
    Double,
}

/// What a redirection takes from the word that follows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Redirected {
    /// There is no redirection.
    Not,
    /// The name of a file.
    File,
    /// Text: `<<<`.
    Text,
}

/// A here-document whose body has not begun.
struct HereDocument {
    delimiter: String,
    /// Leading tabs are taken off: `<<-`.
    tabs: bool,
    /// A quoted delimiter: nothing in the body is expanded.
    literal: bool,
}

struct Scanner<'t> {
    rest: &'t str,
    out: String,
    depth: usize,
    /// The word that is being read, as far as its text is known.
    word: String,
    /// Whether a word is being read; quotes make one out of nothing.
    in_word: bool,
    /// Whether that word holds the message.
    word_has_message: bool,
    /// Whether the next word is the name of a command.
    at_command: bool,
    /// What the next word is to a redirection.
    redirected: Redirected,
    here_documents: Vec<HereDocument>,
    /// The words met that read the message once more.
    readers: BTreeSet<&'static str>,
    /// Whether an escaped `$message` was met.
    escaped: bool,
}

type Step = Result<(), &'static str>;

impl<'t> Scanner<'t> {
    fn new(text: &'t str, depth: usize) -> Self {
        Self {
            rest: text,
            out: String::with_capacity(text.len() + 8),
            depth,
            word: String::new(),
            in_word: false,
            word_has_message: false,
            at_command: true,
            redirected: Redirected::Not,
            here_documents: Vec::new(),
            readers: BTreeSet::new(),
            escaped: false,
        }
    }

    /// Copies the next `bytes` of the text as they are.
    fn copy(&mut self, bytes: usize) {
        let (now, rest) = self.rest.split_at(bytes);
        self.out.push_str(now);
        self.rest = rest;
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    /// Commands outside all quotes, to the end of their scope, which is copied too.
    fn commands(&mut self, scope: Scope) -> Step {
        while let Some(c) = self.rest.chars().next() {
            match c {
                ')' if scope == Scope::Parentheses => {
                    self.end_word(scope)?;
                    self.copy(1);
                    return self.no_open_here_document();
                }
                ' ' | '\t' => {
                    self.end_word(scope)?;
                    self.copy(1);
                }
                '\n' => {
                    self.end_command(scope)?;
                    self.copy(1);
                    self.here_document_bodies()?;
                }
                ';' | '&' | '|' | ')' => {
                    self.end_command(scope)?;
                    self.copy(1);
                }
                '(' => self.parenthesis(scope)?,
                '<' | '>' => self.redirection(scope)?,
                '#' if !self.in_word => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.copy(end);
                }
                '\\' => self.backslash()?,
                '\'' => self.single_quotes()?,
                '"' => self.double_quotes()?,
                '`' => self.backquotes(Quotes::Bare)?,
                '$' => self.dollar(Quotes::Bare)?,
                c => {
                    self.in_word = true;
                    self.word.push(c);
                    self.copy(c.len_utf8());
                }
            }
        }
        if scope == Scope::Parentheses {
            return Err("a parenthesis is not closed");
        }
        self.end_word(scope)?;
        self.no_open_here_document()
    }

    fn no_open_here_document(&self) -> Step {
        if self.here_documents.is_empty() { Ok(()) } else { Err("a here-document has no body") }
    }

    fn end_command(&mut self, scope: Scope) -> Step {
        self.end_word(scope)?;
        self.at_command = true;
        self.redirected = Redirected::Not;
        Ok(())
    }

    fn end_word(&mut self, scope: Scope) -> Step {
        if !self.in_word {
            return Ok(());
        }
        self.in_word = false;
        let word = std::mem::take(&mut self.word);
        let has_message = std::mem::take(&mut self.word_has_message);
        match std::mem::replace(&mut self.redirected, Redirected::Not) {
            Redirected::File if has_message => return Err("the message would be the name of a file"),
            Redirected::File | Redirected::Text => return Ok(()),
            Redirected::Not => {}
        }
        if word == "case" && scope == Scope::Parentheses {
            // The parentheses of its patterns are not balanced.
            return Err("there is a `case` in a substitution");
        }
        if !self.at_command || BEFORE_A_COMMAND.contains(&word.as_str()) || is_assignment(&word) {
            return Ok(());
        }
        self.at_command = false;
        let program = word.rsplit('/').next().unwrap_or_default();
        self.readers.extend(READERS.iter().find(|reader| **reader == program));
        if has_message {
            return Err("the message would be run as a command");
        }
        Ok(())
    }

    fn parenthesis(&mut self, scope: Scope) -> Step {
        if self.rest.starts_with("((") {
            return Err("shells do not agree on `((`");
        }
        self.end_word(scope)?;
        self.nested(1)?;
        self.at_command = true;
        Ok(())
    }

    /// Commands in parentheses, after an opening of so many bytes.
    fn nested(&mut self, opening: usize) -> Step {
        if self.depth >= DEEPEST {
            return Err("it is nested too deeply");
        }
        self.copy(opening);
        let mut inner = Scanner::new(self.rest, self.depth + 1);
        inner.commands(Scope::Parentheses)?;
        self.rest = inner.rest;
        self.take_over(inner);
        Ok(())
    }

    fn take_over(&mut self, inner: Scanner<'_>) {
        self.out.push_str(&inner.out);
        self.readers.extend(inner.readers);
        self.escaped |= inner.escaped;
    }

    fn redirection(&mut self, scope: Scope) -> Step {
        // In `2>` the digits are no word.
        if self.word.bytes().all(|b| b.is_ascii_digit()) && !self.word_has_message {
            self.word.clear();
            self.in_word = false;
        }
        self.end_word(scope)?;
        if self.rest.starts_with("<<") && !self.rest.starts_with("<<<") {
            return self.here_document();
        }
        self.redirected = if self.rest.starts_with("<<<") { Redirected::Text } else { Redirected::File };
        let operator = self.rest.find(|c| !matches!(c, '<' | '>' | '&' | '|')).unwrap_or(self.rest.len());
        self.copy(operator);
        Ok(())
    }

    fn here_document(&mut self) -> Step {
        self.copy("<<".len());
        let tabs = self.rest.starts_with('-');
        self.copy(usize::from(tabs));
        let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.copy(blanks);
        let end = self.rest.find([' ', '\t', '\n', ';', '&', '|', '<', '>', '(', ')']).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let literal = word.contains(['\'', '"', '\\']);
        let delimiter: String = word.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
        if delimiter.is_empty() || !delimiter.chars().all(|c| is_name(c) || matches!(c, '-' | '.' | '!' | '%')) {
            return Err("the delimiter of a here-document is not a plain word");
        }
        self.copy(end);
        self.here_documents.push(HereDocument { delimiter, tabs, literal });
        Ok(())
    }

    fn here_document_bodies(&mut self) -> Step {
        for document in std::mem::take(&mut self.here_documents) {
            let mut body = 0;
            let end = loop {
                let Some(line) = self.rest[body..].split_inclusive('\n').next() else {
                    return Err("a here-document is not closed");
                };
                let content = line.strip_suffix('\n').unwrap_or(line);
                let content = if document.tabs { content.trim_start_matches('\t') } else { content };
                if content == document.delimiter {
                    break body;
                }
                body += line.len();
            };
            let text = &self.rest[..end];
            self.skip(end);
            if document.literal {
                if names_message(text) {
                    return Err("nothing is put into a here-document whose delimiter is quoted");
                }
                self.out.push_str(text);
            } else {
                let mut inner = Scanner::new(text, self.depth + 1);
                inner.here_document_body()?;
                self.take_over(inner);
            }
            // The delimiter itself, up to the end of its line.
            let line = self.rest.find('\n').unwrap_or(self.rest.len());
            self.copy(line);
            if !self.rest.is_empty() {
                self.copy(1);
            }
        }
        Ok(())
    }

    /// Text that is expanded as between double quotes, though a double quote means nothing in it.
    fn here_document_body(&mut self) -> Step {
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\\' => self.backslash()?,
                '`' => self.backquotes(Quotes::Double)?,
                '$' => self.dollar(Quotes::Double)?,
                c => self.copy(c.len_utf8()),
            }
        }
        Ok(())
    }

    /// A backslash and what it quotes; with a newline it is nothing at all.
    fn backslash(&mut self) -> Step {
        let Some(next) = self.rest[1..].chars().next() else { return Err("a backslash ends it") };
        if next != '\n' {
            self.in_word = true;
            self.word.push(next);
            self.escaped |= next == '$' && self.at_message(1);
        }
        self.copy(1 + next.len_utf8());
        Ok(())
    }

    /// Whether the `$` at that byte names the message.
    fn at_message(&self, dollar: usize) -> bool {
        let rest = &self.rest[dollar + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.strip_prefix(NAME).is_some_and(|after| !after.starts_with(is_name))
    }

    fn single_quotes(&mut self) -> Step {
        self.in_word = true;
        let Some(length) = self.rest[1..].find('\'') else { return Err("a single quote is not closed") };
        let text = &self.rest[1..1 + length];
        self.skip(length + 2);
        self.word.push_str(text);
        self.out.push('\'');
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            self.out.push_str(&rest[..dollar]);
            rest = &rest[dollar..];
            let Some(name) = ["${message}", "$message"].into_iter().find(|name| {
                rest.strip_prefix(name).is_some_and(|after| name.ends_with('}') || !after.starts_with(is_name))
            }) else {
                self.out.push('$');
                rest = &rest[1..];
                continue;
            };
            self.out.push_str("'\"");
            self.out.push_str(name);
            self.out.push_str("\"'");
            self.word_has_message = true;
            rest = &rest[name.len()..];
        }
        self.out.push_str(rest);
        self.out.push('\'');
        Ok(())
    }

    fn double_quotes(&mut self) -> Step {
        self.in_word = true;
        self.copy(1);
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' => {
                    self.copy(1);
                    return Ok(());
                }
                '\\' => self.backslash()?,
                '`' => self.backquotes(Quotes::Double)?,
                '$' => self.dollar(Quotes::Double)?,
                c => {
                    self.word.push(c);
                    self.copy(c.len_utf8());
                }
            }
        }
        Err("a double quote is not closed")
    }

    fn backquotes(&mut self, quotes: Quotes) -> Step {
        self.in_word = true;
        let Some(length) = self.rest[1..].find('`') else { return Err("a backquote is not closed") };
        let text = &self.rest[1..1 + length];
        if text.contains('\\') {
            return Err("there is a backslash between backquotes");
        }
        if quotes == Quotes::Double && text.contains(['"', '\'']) {
            return Err("there are quotes between backquotes between double quotes");
        }
        if !names_message(text) {
            self.copy(length + 2);
            return Ok(());
        }
        if quotes == Quotes::Double {
            return Err("it stands between backquotes between double quotes: write `$(…)` in their place");
        }
        if self.depth >= DEEPEST {
            return Err("it is nested too deeply");
        }
        self.skip(length + 2);
        let mut inner = Scanner::new(text, self.depth + 1);
        inner.commands(Scope::Whole)?;
        self.out.push('`');
        self.take_over(inner);
        self.out.push('`');
        self.word_has_message = true;
        Ok(())
    }

    fn dollar(&mut self, quotes: Quotes) -> Step {
        self.in_word = true;
        let after = &self.rest[1..];
        match after.chars().next() {
            Some('(') if after.starts_with("((") => self.arithmetic(),
            Some('(') => {
                let inside = self.rest;
                self.nested("$(".len())?;
                let length = inside.len() - self.rest.len();
                self.word_has_message |= names_message(&inside[..length]);
                Ok(())
            }
            Some('{') => self.parameter(quotes),
            Some('\'' | '"') if quotes == Quotes::Bare => Err("shells do not agree on `$'` and `$\"`"),
            Some('$') if self.at_message(1) => Err("`$$` is the number of the shell's process"),
            Some('$' | '?' | '!' | '#' | '*' | '@' | '-') => {
                self.copy(2);
                Ok(())
            }
            _ => {
                let length = 1 + after.find(|c| !is_name(c)).unwrap_or(after.len());
                if &self.rest[..length] == "$message" {
                    self.message(length, quotes);
                } else {
                    self.copy(length);
                }
                Ok(())
            }
        }
    }

    /// Copies a reference to the message, in quotes.
    fn message(&mut self, length: usize, quotes: Quotes) {
        self.word_has_message = true;
        match quotes {
            Quotes::Double => self.copy(length),
            Quotes::Bare => {
                self.out.push('"');
                self.copy(length);
                self.out.push('"');
            }
        }
    }

    /// `${…}`: only forms that need no closer look.
    fn parameter(&mut self, quotes: Quotes) -> Step {
        const INTRICATE: &str = "a `${…}` in it is too intricate";
        let inner = &self.rest["${".len()..];
        let length = inner.find('}').ok_or("a brace is not closed")?;
        let text = &inner[..length];
        if text.contains(['\'', '"', '\\', '`', '$', '{', '\n']) {
            return Err(INTRICATE);
        }
        let whole = length + "${}".len();
        if !text.contains(NAME) {
            self.copy(whole);
            return Ok(());
        }
        let operation = text.strip_prefix('#').unwrap_or(text).strip_prefix(NAME).unwrap_or(text);
        // Indirection, `@P` and arithmetic would read the message as more than text.
        let is_number = |c: char| c.is_ascii_digit() || c == ':';
        let is_data = operation.is_empty()
            || operation.starts_with(['-', '+', '?', '#', '%', '/'])
            || [":-", ":+", ":?"].iter().any(|start| operation.starts_with(start))
            || (operation.starts_with(':') && operation.chars().all(is_number));
        if !is_data || operation.contains(NAME) {
            return Err(INTRICATE);
        }
        self.message(whole, quotes);
        Ok(())
    }

    fn arithmetic(&mut self) -> Step {
        let length = self.rest.find("))").ok_or("an arithmetic expression is not closed")? + "))".len();
        let text = &self.rest[..length];
        if text.contains(NAME) {
            return Err("the shell would calculate with the message");
        }
        if text["$((".len()..].contains(['\'', '"', '\\', '`', '$', '#', '{', '(']) {
            return Err("an arithmetic expression in it is too intricate");
        }
        self.copy(length);
        Ok(())
    }
}

fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_name)
}

#[cfg(test)]
mod tests;
