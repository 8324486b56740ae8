//! What is known of a file without running it, and what is not.

use proptest::prelude::*;

use super::{Module, Value};
use crate::config::Span;

fn module(text: &str) -> Module {
    Module::read(0, text).unwrap_or_else(|problem| panic!("{text}\n{problem:?}"))
}

/// A value in a short form: `?` and the noun for what cannot be known.
fn shown(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(" ");
    match value {
        Value::None => "None".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => format!("'{}'", text.native()),
        Value::List(items) => format!("[{}]", list(items.items.iter().map(|item| shown(&item.value)).collect())),
        Value::Dict(dict) => {
            let entry =
                |(key, value): &(super::Expr, super::Expr)| format!("{}:{}", shown(&key.value), shown(&value.value));
            format!("{{{}}}", list(dict.entries.iter().map(entry).collect()))
        }
        Value::Unknown(noun) => format!("?{noun}"),
    }
}

/// What `X` is worth at the end.
fn x(text: &str) -> String {
    module(text).get("X").map_or_else(|| "nothing".to_owned(), |found| shown(&found.value))
}

#[test]
fn literals_are_what_they_say() {
    for (expression, expected) in [
        ("None", "None"),
        ("True", "true"),
        ("1_000", "1000"),
        ("0x1F", "31"),
        ("0o17", "15"),
        ("0b11", "3"),
        ("-2.5", "-2.5"),
        ("'a' \"b\" r'\\c'", "'ab\\c'"),
        ("('a'\n  # comment\n  'b')", "'ab'"),
        ("'a' \\\n 'b'", "'ab'"),
        ("'a' + 'b' + 'c'", "'abc'"),
        ("'$HOME' + '${X}'", "'$$HOME$${X}'"),
        ("[1, 2,]", "[1 2]"),
        ("(1)", "1"),
        ("(1,)", "[1]"),
        ("1, 2", "[1 2]"),
        ("()", "[]"),
        ("{1, 2}", "[1 2]"),
        ("{}", "{}"),
        ("{'a': 1, 'b': {'c': (2,)}, **{'d': 3}}", "{'a':1 'b':{'c':[2]} 'd':3}"),
        ("[1] + [2, *[3]]", "[1 2 3]"),
        ("dict(a=1, b='c')", "{'a':1 'b':'c'}"),
        ("str(1)", "1"),
        ("list((1, 2))", "[1 2]"),
        ("os.path.join('/a', 'b', 'c/', 'd')", "'/a/b/c/d'"),
        ("os.path.join('/a', '/b')", "'/b'"),
        ("Path('/a') / 'b' / 'c'", "'/a/b/c'"),
        ("BASE / 'b'", "'${BASE}/b'"),
        ("SOLR_URL", "'${SOLR_URL}'"),
        ("'http://' + HOST + '/'", "'http://${HOST}/'"),
        ("os.environ['A']", "'${A}'"),
        ("environ.get('A')", "'${A}'"),
        ("os.environ.get('A', None)", "'${A}'"),
        ("os.environ.get('A', '')", "'${A:-}'"),
        ("os.getenv('A', default='b c')", "'${A:-b c}'"),
        ("int(os.environ.get('A', 5432))", "'${A:-5432}'"),
        ("os.environ.get('A') or 'b'", "'${A:-b}'"),
        ("'' or 'b'", "'b'"),
        ("env('A', default='b')", "'${A:-b}'"),
        ("config('A', cast=int)", "'${A}'"),
    ] {
        assert_eq!(x(&format!("X = {expression}\n")), expected, "{expression}");
    }
}

#[test]
fn what_only_running_it_would_tell_is_unknown() {
    for (expression, expected) in [
        ("f'{a}'", "?an f-string"),
        ("'a' f'{a}'", "?an f-string"),
        ("b'a'", "?a string of bytes"),
        ("len('a')", "?a call of `len`"),
        ("a.b.c", "?the attribute `a.b.c`"),
        ("1 if a else 2", "?a condition"),
        ("lambda: 1", "?a function"),
        ("[x for x in y]", "?a comprehension"),
        ("{x: 1 for x in y}", "?a comprehension"),
        ("60 * 5", "?an expression"),
        ("1 + 1", "?an expression"),
        ("'a' % b", "?an expression"),
        ("'a'.upper()", "?an expression"),
        ("not a", "?an expression"),
        ("a / 'b' + 'c'", "?an expression"),
        ("[*a]", "?a list of unknown length"),
        ("{**a}", "?a dictionary with unknown entries"),
        ("os.environ[a]", "?a look-up in the environment"),
        ("os.environ['A B']", "?a look-up in the environment"),
        ("os.environ.get('A', b)", "?a default that is no literal"),
        ("os.environ.get('A', '}')", "?a default that is no literal"),
        ("env('A', cast=list, more=1)", "?a call of `env`"),
        ("1j", "?a number in another form"),
        ("größe", "?the name `größe`"),
        ("$", "?an expression"),
        ("", "?nothing"),
    ] {
        assert_eq!(x(&format!("X = {expression}\n")), expected, "{expression}");
    }
    assert_eq!(
        x("X = {'a': len(b, c), 'd': [lambda e, f: g, 1], h(): 2, 'i': j[k:l], 'm': (yield)}"),
        "{'a':?a call of `len` 'd':[?a function 1] ?a call of `h`:2 'i':?an expression 'm':?an expression}"
    );
}

#[test]
fn a_name_is_worth_what_it_was_last_given_above() {
    for (text, expected) in [
        ("A = 1\nA = 2\nX = A\nA = 3\n", "2"),
        ("A = B = 'a'\nX = A + B", "'aa'"),
        ("A: str = 'a'; X = A", "'a'"),
        ("X = 1\nX = X, X", "[1 1]"),
        ("A = f()\nX = A", "'${A}'"),
        ("def A():\n  A = 1\nX = A", "'${A}'"),
        ("class A:\n\tX = 1\n\tdef b(self): X = 2\nX = 3\n", "3"),
        ("if a:\n    X = 1\nelse: X = 2\n", "nothing"),
        ("'''\nX = 1\n'''\n", "nothing"),
        ("# X = 1\n", "nothing"),
        ("X = 1 # 'a\n", "1"),
        ("async def f():\n  X = 1\n@g(1)\nclass C(D): X = 1\nmatch y:\n  case 1:\n    X = 1\n", "nothing"),
        ("match = 1\nX = match", "1"),
        ("X == 1\nX: int\nX.y = 1\nf(X=1)\n", "nothing"),
        ("  X = 1\n  Y = 2\n", "1"),
        ("\r\nX = 1\r\nY = 2\rZ = X", "1"),
    ] {
        assert_eq!(x(text), expected, "{text:?}");
    }
}

#[test]
fn what_is_not_taken_is_remembered_with_its_place() {
    let changes = |text: &str| {
        let module = module(text);
        let mut all = module.changes("X");
        all.sort_by_key(|(_, change)| change.at);
        let shown = all.iter().map(|(name, change)| format!("{name} {}:{}", change.at.line, change.at.column));
        shown.collect::<Vec<_>>().join(", ")
    };
    for (text, expected) in [
        ("X = 1\nX += 1\nX['a']['b'] = 2; X.update(a)\nX['a'].pop()\ndel X\n", "X 2:1, X 3:1, X 3:18, X 4:1, X 5:5"),
        ("X = 1\n(a, X), b = c\n[*X] = d\n", "X 2:5, X 3:3"),
        ("X = 1\nif a:\n    X = 2\nfor b in c: X = 3\n", "X 3:5, X 4:13"),
        ("from a import (b as X,\n c)\nimport d.X\n", "X 1:21, X 3:10"),
        ("A = 1\nA += 1\nB = [A]\nX = B\n", "A 2:1"),
        // An assignment makes good for what was before, unless that has gone elsewhere.
        ("X = 1\nX += 1\nX = 2\n", ""),
        ("A = 1\nA += 1\nX = A\nA = 2\n", "A 2:1"),
        ("def f():\n  X = 1\n  X += 1\n", ""),
    ] {
        assert_eq!(changes(text), expected, "{text:?}");
    }
    let sweeps = |text: &str| module(text).sweeps.iter().map(|sweep| sweep.at.line).collect::<Vec<_>>();
    assert_eq!(
        sweeps("from .base import *\nimport os\nif a:\n  from b import *\nc(globals())\ndef f(): d(locals())\n"),
        [1, 4, 5]
    );
}

#[test]
fn what_is_no_python_is_told_where_it_begins() {
    for (text, line, column, message) in [
        ("a = 'b\n", 1, 5, "this string has no end"),
        ("\n '''b\n\n", 2, 2, "this string has no end"),
        ("a = (1\nb = 2\n", 1, 5, "`(` is never closed"),
        ("a = 1)\n", 1, 6, "`)` closes nothing"),
        ("a = [1\n  )\n", 2, 3, "expected `]`, found `)`"),
    ] {
        let problem = Module::read(3, text).expect_err(text);
        assert_eq!(problem.at, Some(Span { source: 3, line, column }), "{text}");
        assert_eq!(problem.message, format!("this is not Python: {message}"));
    }
}

#[test]
fn no_file_makes_more_of_itself_than_it_holds() {
    // Brackets beyond any stack, and names that nest beyond any brackets.
    for deep in [10_000, 60] {
        let text = format!("X = {}{}\nY = 1", "[".repeat(deep), "]".repeat(deep));
        assert_eq!(x(&text).contains('?'), deep > 64, "{}", x(&text).len());
    }
    let mut text = "X = []\n".to_owned();
    text.push_str(&"X = [X]\n".repeat(100_000));
    assert!(x(&text).contains("more than") || x(&text).contains("${X}"));
    // Doubling, of text, of lists and of what both are shared by.
    let text = format!("X = 'ab'\n{}", "X = X + X\n".repeat(100));
    assert!(x(&text).len() < 64 << 20);
    let text = format!("A = [1, 2]\n{}X = len(A)", "A = A + A\n".repeat(100));
    assert_eq!(x(&text), "?a call of `len`");
    let text = format!("A = [1]\n{}X = len(A)", "A = [A, A]\n".repeat(100));
    assert_eq!(x(&text), "?a call of `len`");
    let text = format!("A = '{}'\n{}X = 1", "a".repeat(1 << 20), "B = A\nC = [*D, A]\n".repeat(10_000));
    assert_eq!(x(&text), "1");
    let text = format!("X = 1\n{}", "X += X\nX = X\n".repeat(100_000));
    assert_eq!(x(&text), "1");
    assert!(Module::read(0, &" ".repeat(5 << 20)).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "(X|=|\\(|\\)|\\[|\\]|\\{|\\}|,|:|'|\"|\n|\\\\|lambda|for|\\*|\\.|if |def |1|\\PC){0,60}") {
        let _ = Module::read(0, &text).map(|module| x_of(&module));
    }
}

fn x_of(module: &Module) -> Option<String> {
    module.get("X").map(|found| shown(&found.value))
}
