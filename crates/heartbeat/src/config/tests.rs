//! The readers: what they make of good, bad and hostile text.

use proptest::prelude::*;

use super::node::Body;
use super::{Node, Problems, Span, text, toml, yaml};

type Read = fn(u16, &str, &mut Problems) -> Option<Node>;

fn read_with(read: Read, name: &str, text: &str) -> (Option<Node>, Problems) {
    let mut problems = Problems::default();
    let source = problems.add_source(name, text);
    let node = read(source, text, &mut problems);
    assert_eq!(node.is_none(), problems.has_errors(), "{}", problems.render());
    (node, problems)
}

fn yaml(text: &str) -> Node {
    let (node, problems) = read_with(yaml::read, "x.yaml", text);
    node.unwrap_or_else(|| panic!("{}", problems.render()))
}

fn toml(text: &str) -> Node {
    let (node, problems) = read_with(toml::read, "x.toml", text);
    node.unwrap_or_else(|| panic!("{}", problems.render()))
}

fn refused(read: Read, text: &str) -> String {
    let (node, problems) = read_with(read, "x", text);
    assert!(node.is_none());
    problems.render()
}

/// The tree on one line, without positions: text that was quoted in quotes.
fn sketch(node: &Node) -> String {
    match &node.body {
        Body::Null => "null".to_owned(),
        Body::Scalar(scalar) if scalar.quoted => format!("{:?}", scalar.text),
        Body::Scalar(scalar) => scalar.text.to_string(),
        Body::List(items) => format!("[{}]", items.iter().map(sketch).collect::<Vec<_>>().join(", ")),
        Body::Map(entries) => {
            let entries: Vec<_> = entries.iter().map(|(key, node)| format!("{}: {}", key.name, sketch(node))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn at(line: u32, column: u32) -> Span {
    Span { source: 0, line, column }
}

#[test]
fn scalars_keep_the_text_that_was_written() {
    let node =
        yaml("{a: +17775551212, b: 0x10, c: yes, d: '007', e: 1e3, f: ~, g: , h: \"x\\n\", i: !!str 5, j: 2001-01-01}");
    let expected =
        r#"{a: +17775551212, b: 0x10, c: yes, d: "007", e: 1e3, f: null, g: null, h: "x\n", i: "5", j: 2001-01-01}"#;
    assert_eq!(sketch(&node), expected);
    let node = toml("a = +17775551212\nb = 0x10\nc = true\nd = '007'\ne = 1.50\nf = 1_000\nj = 2001-01-01\n");
    assert_eq!(sketch(&node), r#"{a: +17775551212, b: 16, c: true, d: "007", e: 1.50, f: 1000, j: 2001-01-01}"#);
}

#[test]
fn toml_keeps_the_order_of_the_file() {
    let node = toml("z = 1\n[m.b]\nx = 1\n[a]\n[m.a]\ny = {c = 1, b = 2}\n[[l]]\nk = 1\n[[l]]\nk = 2\n");
    assert_eq!(sketch(&node), "{z: 1, m: {b: {x: 1}, a: {y: {c: 1, b: 2}}}, a: {}, l: [{k: 1}, {k: 2}]}");
}

#[test]
fn every_node_knows_its_place() {
    for node in [yaml("ä: 1\nb:\n  cc: [x, 'y']\n"), toml("\"ä\" = 1\n[b]\ncc = ['x', 'y']\n")] {
        let (key, inner) = node.entry("b").expect("b");
        let (_, list) = inner.entry("cc").expect("cc");
        let items = list.as_list().expect("a list");
        let found = (key.span, items[0].span, items[1].span);
        let expected = match items[0].body {
            Body::Scalar(ref scalar) if scalar.quoted => (at(2, 2), at(3, 7), at(3, 12)),
            _ => (at(2, 1), at(3, 8), at(3, 11)),
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn yaml_merges_maps_under_what_is_written() {
    let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: {\"<<\": 1}\ne: *a\n";
    let node = yaml(text);
    assert_eq!(sketch(node.get("c").expect("c")), "{x: 3, y: 1, z: 2}");
    assert_eq!(sketch(node.get("d").expect("d")), "{<<: 1}");
    assert_eq!(sketch(node.get("e").expect("e")), "{x: 1, y: 1}");
}

#[test]
fn the_forms_of_the_cron_utility_are_kept() {
    let node = yaml("- tests:\n  - http:\n    name: Google\n    url: https://www.google.com/\n");
    assert_eq!(sketch(&node), "[{tests: [{http: null, name: Google, url: https://www.google.com/}]}]");
}

#[test]
fn depth_costs_no_stack() {
    for text in ["[".repeat(10_000), "- ".repeat(10_000), "{a: ".repeat(10_000), "? ".repeat(10_000)] {
        let said = refused(yaml::read, &text);
        assert!(said.contains("error: "), "{said}");
    }
    let mut deep = String::new();
    for level in 0..2_000 {
        deep.push_str(&" ".repeat(level));
        deep.push_str("a:\n");
    }
    assert!(refused(yaml::read, &deep).contains("nested more than 64 levels deep"));
    for text in [
        format!("a = {}", "[".repeat(10_000)),
        format!("a = {}", "{a = ".repeat(10_000)),
        format!("[{}a]", "a.".repeat(10_000)),
        format!("{}a = 1", "a.".repeat(10_000)),
    ] {
        let said = refused(toml::read, &text);
        assert!(said.contains("nested more than 64 levels deep"), "{said}");
    }
}

#[test]
fn sixty_four_levels_are_fine_and_one_more_is_not() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    yaml(&nested(64));
    assert!(refused(yaml::read, &nested(65)).contains("64 levels"));
    toml(&format!("a = {}", nested(63)));
    assert!(refused(toml::read, &format!("a = {}", nested(64))).contains("64 levels"));
    let behind_aliases = |levels: usize| format!("a: &a {}\nb: {{ c: *a }}\n", nested(levels));
    yaml(&behind_aliases(62));
    assert!(refused(yaml::read, &behind_aliases(63)).contains("this alias nests more than 64 levels deep"));
}

#[test]
fn alias_bombs_are_bounded() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let copies = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{copies}]\n"));
    }
    assert!(refused(yaml::read, &bomb).contains("aliases repeat more than 1000000 values in all"));
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    let refused = |bytes: &[u8]| {
        let problem = text::from_bytes(bytes.to_vec()).expect_err("not text").problem;
        (problem.message, problem.at.map(|at| (at.line, at.column)))
    };
    assert_eq!(refused(b"a: 1\nb: \xff\xfe"), ("this is not UTF-8 text: byte 0xff".to_owned(), Some((2, 4))));
    assert_eq!(
        refused(b"\x7fELF\x00"),
        ("this is a binary file: the character U+007F is not text".to_owned(), Some((1, 1)))
    );
    assert_eq!(refused(b"a: \0"), ("this is a binary file: the character U+0000 is not text".to_owned(), Some((1, 4))));
    assert_eq!(text::from_bytes(b"\xef\xbb\xbfa: 1\r\n".to_vec()).ok().as_deref(), Some("a: 1\r\n"));
}

/// Pieces that mean something to one of the syntaxes.
fn tokens() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a",
        "b:",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "    ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "<<: ",
        "!x ",
        "!!str ",
        "'",
        "\"",
        "|\n",
        ">\n",
        "#",
        "---\n",
        "...\n",
        "? ",
        "%",
        "= ",
        "[a.b]\n",
        "[[a]]\n",
        "a = 1\n",
        "\"\"\"",
        "1",
        "ä",
        "\r",
        "\u{feff}",
        "0x",
        "1979-05-27",
        "_",
        ".",
    ]);
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in prop_oneof![tokens(), any::<String>()]) {
        for read in [yaml::read as Read, toml::read] {
            let mut problems = Problems::default();
            let source = problems.add_source("x", text.as_str());
            let node = read(source, &text, &mut problems);
            prop_assert_eq!(node.is_none(), problems.has_errors());
            problems.render();
        }
    }
}
