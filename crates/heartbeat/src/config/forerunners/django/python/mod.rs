//! A settings file as what it assigns, without running anything of it.
//!
//! Only plain statements at the outermost level give names their values. What a block, an import, an augmented assignment
//! or a method would change is remembered with its place, for whoever uses the name; the rest of the language is passed
//! over by lines and brackets. Deliberately absent: any evaluation beyond [`expression`].

mod calls;
mod expression;
mod literal;
#[cfg(test)]
mod tests;
mod token;
mod value;

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use self::expression::{Names, Trail};
use self::token::{Kind, Line, Token};
use crate::config::position::Positions;
use crate::config::{Problem, Span};

pub use calls::URL;
pub use value::{Dict, Expr, Origin, Piece, Text, Value};

/// The longest file, in bytes. What people write by hand is a hundredth of it.
const LONGEST: usize = 4 << 20;

/// So many changes of one name are remembered: more help nobody.
const MOST_CHANGES: usize = 20;

/// What a file assigns.
#[derive(Debug, Default)]
pub struct Module {
    names: Names,
    /// Where each got it.
    places: HashMap<Rc<str>, Span>,
    /// The names that the values of a name were made from.
    uses: HashMap<Rc<str>, BTreeSet<Rc<str>>>,
    /// What was not taken, by name.
    changes: HashMap<Rc<str>, Vec<Change>>,
    /// Statements that may give any name another value.
    pub sweeps: Vec<Sweep>,
}

/// A change of a name that needs more than reading.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Where.
    pub at: Span,
    /// What happens to it there.
    pub what: &'static str,
    /// Whether the value before it has been used, and a later assignment cannot make good for it.
    used: bool,
}

/// A statement that may give any name another value.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// Where.
    pub at: Span,
    /// What it does.
    pub what: &'static str,
}

impl Module {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no Python at all, or too long for a file that somebody wrote.
    pub fn read(source: u16, text: &str) -> Result<Self, Problem> {
        if text.len() > LONGEST {
            let message = format!("this is longer than {} MiB: no settings that somebody wrote", LONGEST >> 20);
            return Err(Problem::error(Span { source, line: 0, column: 0 }, message));
        }
        let mut module = Self::default();
        let mut trail = Trail::default();
        let mut blocks = Vec::new();
        for line in token::lines(text, &Positions::new(source, text))? {
            module.line(&line, &mut blocks, &mut trail);
        }
        Ok(module)
    }

    /// The value of a name at the end of the file.
    pub fn get(&self, name: &str) -> Option<&Expr> {
        self.names.get(name)
    }

    /// Where the name gets that value.
    pub fn place(&self, name: &str) -> Span {
        self.places.get(name).copied().unwrap_or_default()
    }

    /// The changes of a name, and of those that its value is made from, that were not taken.
    pub fn changes<'m>(&'m self, name: &str) -> Vec<(&'m str, Change)> {
        let mut names: BTreeSet<&str> = BTreeSet::from([name]);
        let mut next = vec![name];
        while let Some(name) = next.pop() {
            let used = self.uses.get(name).into_iter().flatten();
            next.extend(used.map(|used| &**used).filter(|used| names.insert(used)));
        }
        let changed = names.into_iter().filter_map(|name| self.changes.get_key_value(name));
        changed.flat_map(|(name, changes)| changes.iter().map(|change| (&**name, *change))).collect()
    }

    fn line(&mut self, line: &Line<'_>, blocks: &mut Vec<Block>, trail: &mut Trail) {
        while blocks.last().is_some_and(|block| block.indent >= line.indent) {
            blocks.pop();
        }
        let mut rest = line.tokens.as_slice();
        let mut inside = Inside::of(blocks);
        if let Some((body, opened)) = block(rest) {
            blocks.push(Block { indent: line.indent, is_scope: opened == Inside::Scope });
            inside = inside.max(opened);
            rest = body;
        }
        for statement in split(rest, ";") {
            self.statement(statement, inside, trail);
        }
    }

    fn statement(&mut self, tokens: &[Token<'_>], inside: Inside, trail: &mut Trail) {
        let Some(first) = tokens.first() else { return };
        match &first.kind {
            // A function's names are its own.
            _ if inside == Inside::Scope => {}
            Kind::Name("from" | "import") => self.import(tokens),
            Kind::Name("del") => self.change_targets(&tokens[1..], "deleted"),
            _ => {
                let parts: Vec<_> = split(tokens, "=").collect();
                match parts.as_slice() {
                    [targets @ .., value] if !targets.is_empty() => self.assign(targets, value, inside, trail),
                    _ => self.expression(tokens),
                }
            }
        }
    }

    fn assign(&mut self, targets: &[&[Token<'_>]], value: &[Token<'_>], inside: Inside, trail: &mut Trail) {
        if inside == Inside::Branch {
            for target in targets {
                self.change_targets(target, "given another value inside of a block");
            }
            return;
        }
        let at = value.first().map(|token| token.at).unwrap_or_default();
        let found = expression::evaluate(value, at, &self.names, trail);
        for name in &trail.uses {
            self.changes.get_mut(name).into_iter().flatten().for_each(|change| change.used = true);
        }
        let uses: BTreeSet<Rc<str>> = trail.uses.drain(..).collect();
        for target in targets {
            match target {
                [Token { kind: Kind::Name(name), .. }]
                | [Token { kind: Kind::Name(name), .. }, Token { kind: Kind::Operator(":"), .. }, ..] => {
                    let name: Rc<str> = (*name).into();
                    if let Some(changes) = self.changes.get_mut(&name) {
                        changes.retain(|change| change.used);
                    }
                    self.uses.entry(name.clone()).or_default().extend(uses.iter().cloned());
                    self.places.insert(name.clone(), target[0].at);
                    self.names.insert(name, found.clone());
                }
                _ => self.change_targets(target, "changed"),
            }
        }
    }

    /// What is neither an assignment nor an import: `X += …`, `X.update(…)`, `X['a'].update(…)`.
    fn expression(&mut self, tokens: &[Token<'_>]) {
        if let [Token { kind: Kind::Name(_), .. }, Token { kind: Kind::Operator(".") | Kind::Open('['), .. }, ..] =
            tokens
        {
            self.change_targets(tokens, "changed");
        } else if let [Token { kind: Kind::Name(_), .. }, Token { kind: Kind::Operator(operator), .. }, ..] = tokens
            && operator.len() > 1
            && operator.ends_with('=')
        {
            self.change_targets(&tokens[..1], "changed");
        }
        let asks_for_all = tokens.windows(2).find(|pair| {
            matches!(pair[0].kind, Kind::Name("globals" | "locals" | "vars")) && pair[1].kind == Kind::Open('(')
        });
        if let Some(pair) = asks_for_all {
            self.sweeps.push(Sweep { at: pair[0].at, what: "a call that is handed all settings" });
        }
    }

    /// Remembers that the names which these targets begin with are changed.
    fn change_targets(&mut self, targets: &[Token<'_>], what: &'static str) {
        let mut is_first = true;
        let mut depth = 0_usize;
        for token in targets {
            match &token.kind {
                Kind::Name(name) if is_first => {
                    self.remember(name, token.at, what);
                    is_first = false;
                }
                // `(a, b) = …`
                Kind::Open('(' | '[') if is_first => {}
                Kind::Operator("*") if is_first => {}
                Kind::Open(_) => depth += 1,
                Kind::Close(_) => depth = depth.saturating_sub(1),
                Kind::Operator(",") if depth == 0 => is_first = true,
                _ => {}
            }
        }
    }

    fn import(&mut self, tokens: &[Token<'_>]) {
        if tokens.last().is_some_and(|token| token.kind == Kind::Operator("*")) {
            self.sweeps.push(Sweep { at: tokens[0].at, what: "an import of every name" });
            return;
        }
        let names = tokens.iter().skip_while(|token| token.kind != Kind::Name("import")).skip(1);
        let following = names.clone().skip(1).map(Some).chain([None]);
        for (token, next) in names.zip(following) {
            let is_last = next.is_none_or(|next| matches!(next.kind, Kind::Operator(",") | Kind::Close(_)));
            if let Kind::Name(name) = token.kind
                && is_last
            {
                self.remember(name, token.at, "imported");
            }
        }
    }

    fn remember(&mut self, name: &str, at: Span, what: &'static str) {
        let changes = self.changes.entry(name.into()).or_default();
        if changes.len() < MOST_CHANGES {
            changes.push(Change { at, what, used: false });
        }
    }
}

/// A statement with a body.
struct Block {
    indent: usize,
    is_scope: bool,
}

/// What is around a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Inside {
    /// Nothing: it is done when the file is read.
    Nothing,
    /// A condition or a loop: only running tells whether it is done.
    Branch,
    /// A function or a class.
    Scope,
}

impl Inside {
    fn of(blocks: &[Block]) -> Self {
        match blocks {
            [] => Self::Nothing,
            _ if blocks.iter().any(|block| block.is_scope) => Self::Scope,
            _ => Self::Branch,
        }
    }
}

/// What follows the colon of a compound statement (section 8), and what that makes of its body; `None` if it is none.
fn block<'a, 't>(tokens: &'a [Token<'t>]) -> Option<(&'a [Token<'t>], Inside)> {
    let Some(Kind::Name(word)) = tokens.first().map(|token| &token.kind) else { return None };
    let opened = match *word {
        "if" | "elif" | "else" | "for" | "while" | "try" | "except" | "finally" | "with" => Inside::Branch,
        "match" | "case" if tokens.last().is_some_and(|token| token.kind == Kind::Operator(":")) => Inside::Branch,
        "def" | "class" | "async" => Inside::Scope,
        _ => return None,
    };
    let header = split(tokens, ":").next()?.len();
    Some((tokens.get(header + 1..).unwrap_or_default(), opened))
}

/// The parts between operators of that kind that stand in no brackets.
fn split<'a, 't>(tokens: &'a [Token<'t>], operator: &'static str) -> impl Iterator<Item = &'a [Token<'t>]> {
    let mut depth = 0_usize;
    tokens.split(move |token| {
        match token.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.kind == Kind::Operator(operator)
    })
}
