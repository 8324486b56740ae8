//! Expressions: literals, and the few calls whose meaning nobody can mistake.
//!
//! Whatever else stands in the place of a value is [`Value::Unknown`], and reading goes on behind it: a dictionary with one
//! computed value is still a dictionary. A name is worth what it was last given above. Names and `+` can make more of a
//! file than it holds, without end: what they make together is bounded by a [`Trail`].

use std::collections::HashMap;
use std::rc::Rc;

use super::calls;
use super::literal::Literal;
use super::token::{Kind, Token};
use super::value::{Dict, Expr, List, Origin, Text, Value};
use crate::config::Span;
use crate::config::bounds::MAX_DEPTH;

/// Why an expression is worth nothing to us: the noun for it.
pub(super) type Why = Rc<str>;

/// The values of names, by the line that is being read.
pub(super) type Names = HashMap<Rc<str>, Expr>;

/// What reading leaves behind.
#[derive(Debug)]
pub(super) struct Trail {
    /// The names with values that were met.
    pub(super) uses: Vec<Rc<str>>,
    /// So many bytes of text and items of lists may yet be copied.
    left: usize,
}

impl Default for Trail {
    fn default() -> Self {
        Self { uses: Vec::new(), left: 8 << 20 }
    }
}

impl Trail {
    /// Allows for a copy of that size.
    fn spend(&mut self, size: usize) -> Result<(), Why> {
        self.left = self.left.checked_sub(size).ok_or("more than the file can be allowed to make of itself")?;
        Ok(())
    }
}

/// Reads the whole of some tokens as one value.
pub(super) fn evaluate(tokens: &[Token<'_>], at: Span, names: &Names, trail: &mut Trail) -> Expr {
    let mut reader = Reader { tokens, next: 0, names, trail, depth: 0 };
    // Without brackets, commas make a tuple.
    let value = match reader.items(None) {
        Ok(_) if reader.next < tokens.len() => Value::Unknown("an expression".into()),
        Ok((mut items, Commas::None)) if items.len() == 1 => items.remove(0).value,
        Ok((items, _)) if !items.is_empty() => list(items).unwrap_or_else(Value::Unknown),
        Ok(_) => Value::Unknown("nothing".into()),
        Err(why) => Value::Unknown(why),
    };
    Expr { at, value }
}

struct Reader<'a, 't> {
    tokens: &'a [Token<'t>],
    next: usize,
    names: &'a Names,
    trail: &'a mut Trail,
    /// Levels of brackets around the next token.
    depth: usize,
}

/// Whether there were commas between items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commas {
    None,
    Some,
}

impl<'a, 't> Reader<'a, 't> {
    fn peek(&self) -> Option<&'a Kind<'t>> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    fn is_operator(&self, operator: &str) -> bool {
        self.peek() == Some(&Kind::Operator(operator))
    }

    /// Passes over an operator, if it comes next.
    fn take(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        self.next += usize::from(found);
        found
    }

    /// Where the next token stands, or else the last one.
    fn place(&self) -> Span {
        self.tokens.get(self.next).or(self.tokens.last()).map(|token| token.at).unwrap_or_default()
    }

    /// One value, up to a comma, a colon or the end of what is around it.
    fn value(&mut self) -> Result<Expr, Why> {
        let (start, at, depth) = (self.next, self.place(), self.depth);
        let value = match self.chain() {
            Ok(value) if self.is_at_end() => value,
            result => {
                (self.next, self.depth) = (start, depth);
                self.skip(result.err().unwrap_or_else(|| "an expression".into()))?
            }
        };
        Ok(Expr { at, value })
    }

    fn is_at_end(&self) -> bool {
        matches!(self.peek(), None | Some(Kind::Close(_) | Kind::Operator("," | ":")))
    }

    /// Passes over a value that cannot be known. A comprehension is all that its brackets hold.
    fn skip(&mut self, why: Why) -> Result<Value, Why> {
        let mut open = 0_usize;
        // The colon of a lambda belongs to its value.
        let mut lambdas = 0_usize;
        let mut noun = None;
        while let Some(kind) = self.peek() {
            match kind {
                Kind::Open(_) => open += 1,
                Kind::Close(_) if open == 0 => break,
                Kind::Close(_) => open -= 1,
                Kind::Operator(",") if open == 0 && lambdas == 0 => break,
                Kind::Operator(":") if open == 0 && lambdas == 0 => break,
                Kind::Operator(":") if open == 0 => lambdas -= 1,
                Kind::Name("for") if open == 0 => return Err("a comprehension".into()),
                Kind::Name("if" | "else") if open == 0 => noun = Some("a condition"),
                Kind::Name("lambda") if open == 0 => {
                    lambdas += 1;
                    noun = Some("a function");
                }
                _ => {}
            }
            self.next += 1;
        }
        Ok(Value::Unknown(noun.map_or(why, Rc::from)))
    }

    /// Operands with one operator between them.
    fn chain(&mut self) -> Result<Value, Why> {
        let mut left = self.operand()?;
        let mut first: Option<&str> = None;
        loop {
            let operator = match self.peek() {
                Some(Kind::Operator(operator @ ("+" | "/"))) => *operator,
                Some(Kind::Name("or")) => "or",
                _ => return Ok(left),
            };
            if *first.get_or_insert(operator) != operator {
                return Err("an expression".into());
            }
            self.next += 1;
            let right = self.operand()?;
            left = match (operator, left, right) {
                ("+", Value::List(left), Value::List(right)) => {
                    self.trail.spend(left.items.len() + right.items.len())?;
                    list(left.items.iter().chain(&right.items).cloned().collect())?
                }
                ("+", Value::Text(mut left), Value::Text(right)) => {
                    left.append(&right);
                    Value::Text(left)
                }
                ("/", Value::Text(left), Value::Text(right)) => Value::Text(calls::join(left, &right)),
                ("or", Value::Text(left), right) => calls::or(left, &right)?,
                _ => return Err("an expression".into()),
            };
        }
    }

    fn operand(&mut self) -> Result<Value, Why> {
        let Some(token) = self.tokens.get(self.next) else { return Err("nothing".into()) };
        match &token.kind {
            Kind::String(_) => self.strings(),
            Kind::Number(number) => {
                self.next += 1;
                decimal(number).map(Value::Number)
            }
            Kind::Operator("-") => {
                self.next += 1;
                match self.peek() {
                    Some(Kind::Number(number)) => {
                        self.next += 1;
                        Ok(Value::Number(format!("-{}", decimal(number)?).into()))
                    }
                    _ => Err("an expression".into()),
                }
            }
            Kind::Open(bracket) => self.bracket(*bracket),
            Kind::Name(name) => self.name(name),
            Kind::Close(_) | Kind::Operator(_) => Err("an expression".into()),
        }
    }

    /// Strings that stand side by side are one.
    fn strings(&mut self) -> Result<Value, Why> {
        let mut whole = Text::default();
        let mut opaque = None;
        while let Some(Kind::String(literal)) = self.peek() {
            self.next += 1;
            match literal {
                Literal::Text(text) => whole.append(&Text::plain(text.as_str())),
                Literal::Opaque(noun) => opaque = Some(*noun),
            }
        }
        match opaque {
            Some(noun) => Err(noun.into()),
            None => Ok(Value::Text(whole)),
        }
    }

    /// What stands between brackets, both of them passed over.
    fn bracket(&mut self, bracket: char) -> Result<Value, Why> {
        self.enter()?;
        let value = match bracket {
            '{' => self.dictionary_or_set()?,
            _ => match self.items(None)? {
                (mut items, Commas::None) if bracket == '(' && items.len() == 1 => items.remove(0).value,
                (items, _) => list(items)?,
            },
        };
        self.leave()?;
        Ok(value)
    }

    fn enter(&mut self) -> Result<(), Why> {
        self.next += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(format!("more than {MAX_DEPTH} levels of brackets").into()) } else { Ok(()) }
    }

    fn leave(&mut self) -> Result<(), Why> {
        if !matches!(self.peek(), Some(Kind::Close(_))) {
            return Err("an expression".into());
        }
        self.next += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Values with commas between them, after one that has been read before.
    fn items(&mut self, first: Option<Expr>) -> Result<(Vec<Expr>, Commas), Why> {
        let mut commas = Commas::None;
        let mut items: Vec<Expr> = first.into_iter().collect();
        if !items.is_empty() && self.take(",") {
            commas = Commas::Some;
        }
        while !matches!(self.peek(), None | Some(Kind::Close(_))) {
            if self.take("*") {
                match self.value()?.value {
                    Value::List(more) => {
                        self.trail.spend(more.items.len())?;
                        items.extend(more.items.iter().cloned());
                    }
                    _ => return Err("a list of unknown length".into()),
                }
            } else {
                items.push(self.value()?);
            }
            if !self.take(",") {
                break;
            }
            commas = Commas::Some;
        }
        Ok((items, commas))
    }

    fn dictionary_or_set(&mut self) -> Result<Value, Why> {
        let mut entries: Vec<(Expr, Expr)> = Vec::new();
        while !matches!(self.peek(), None | Some(Kind::Close(_))) {
            if self.take("**") {
                match self.value()?.value {
                    Value::Dict(more) => {
                        self.trail.spend(more.entries.len())?;
                        entries.extend(more.entries.iter().cloned());
                    }
                    _ => return Err("a dictionary with unknown entries".into()),
                }
            } else {
                let key = self.value()?;
                if !self.take(":") {
                    let (items, _) = self.items(Some(key))?;
                    return list(items);
                }
                entries.push((key, self.value()?));
            }
            if !self.take(",") {
                break;
            }
        }
        dict(entries)
    }

    /// A constant, a name, or one of the calls that we know.
    fn name(&mut self, first: &str) -> Result<Value, Why> {
        self.next += 1;
        match first {
            "None" => return Ok(Value::None),
            "True" => return Ok(Value::Bool(true)),
            "False" => return Ok(Value::Bool(false)),
            "lambda" | "not" | "await" | "yield" | "if" | "else" | "for" | "in" | "is" | "and" | "or" => {
                return Err("an expression".into());
            }
            _ => {}
        }
        let mut path = first.to_owned();
        while self.is_operator(".")
            && let Some(Token { kind: Kind::Name(name), .. }) = self.tokens.get(self.next + 1)
        {
            path = format!("{path}.{name}");
            self.next += 2;
        }
        match self.peek() {
            Some(Kind::Open('(')) => {
                self.enter()?;
                let arguments = self.arguments()?;
                self.leave()?;
                calls::call(&path, arguments)
            }
            Some(Kind::Open('[')) if matches!(&*path, "os.environ" | "environ") => {
                self.enter()?;
                let name = self.value()?;
                self.leave()?;
                calls::environment(&name, None)
            }
            _ if path == first => self.reference(first),
            _ => Err(format!("the attribute `{path}`").into()),
        }
    }

    /// What a name is worth: what it was last given, and else what the environment will say.
    fn reference(&mut self, name: &str) -> Result<Value, Why> {
        if let Some((name, known)) = self.names.get_key_value(name) {
            self.trail.uses.push(name.clone());
            if let Value::Text(text) = &known.value {
                self.trail.spend(text.size())?;
            }
            if !matches!(known.value, Value::Unknown(_)) {
                return Ok(known.value.clone());
            }
        }
        match calls::is_variable(name) {
            true => Ok(Value::Text(Text::variable(name, None, Origin::Name))),
            false => Err(format!("the name `{name}`").into()),
        }
    }

    fn arguments(&mut self) -> Result<calls::Arguments, Why> {
        let mut arguments = calls::Arguments::default();
        while !matches!(self.peek(), None | Some(Kind::Close(_))) {
            let keyword = match self.tokens.get(self.next..) {
                Some([Token { kind: Kind::Name(name), at }, Token { kind: Kind::Operator("="), .. }, ..]) => {
                    Some(((*name).to_owned(), *at))
                }
                _ => None,
            };
            match keyword {
                Some((name, at)) => {
                    self.next += 2;
                    let value = self.value()?;
                    let key = Expr { at, value: Value::Text(Text::plain(name)) };
                    arguments.named.push((key, value));
                }
                None => arguments.plain.push(self.value()?),
            }
            if !self.take(",") {
                break;
            }
        }
        Ok(arguments)
    }
}

/// A list, unless it is nested too deep.
pub(super) fn list(items: Vec<Expr>) -> Result<Value, Why> {
    let depth = 1 + items.iter().map(Expr::depth).max().unwrap_or_default();
    bounded(depth).map(|()| Value::List(Rc::new(List { items, depth })))
}

/// A dictionary, unless it is nested too deep.
pub(super) fn dict(entries: Vec<(Expr, Expr)>) -> Result<Value, Why> {
    let depth = 1 + entries.iter().map(|(key, value)| key.depth().max(value.depth())).max().unwrap_or_default();
    bounded(depth).map(|()| Value::Dict(Rc::new(Dict { entries, depth })))
}

/// Names can nest values deeper than any brackets do.
fn bounded(depth: usize) -> Result<(), Why> {
    if depth > MAX_DEPTH { Err(format!("a value nested more than {MAX_DEPTH} levels deep").into()) } else { Ok(()) }
}

/// The digits of a whole number or a decimal one.
fn decimal(number: &str) -> Result<Rc<str>, Why> {
    let digits = number.replace('_', "").to_ascii_lowercase();
    let based = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some(u64::from_str_radix(digits.strip_prefix(prefix)?, radix)));
    match based {
        Some(Ok(number)) => Ok(number.to_string().into()),
        None if digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => Ok(digits.into()),
        _ => Err("a number in another form".into()),
    }
}
