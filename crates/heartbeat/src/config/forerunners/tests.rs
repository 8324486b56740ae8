//! Whole files: what becomes of each, word for word, and what is said about it.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::{cron, django, ini};
use crate::config::write::Remarks;
use crate::config::{Node, Problems, write, yaml};

/// A file of a forerunner with the native file and the problems that it must become.
struct Fixture {
    name: &'static str,
    text: &'static str,
    native: &'static str,
    problems: &'static str,
}

macro_rules! fixtures {
    ($($name:literal),+ $(,)?) => {
        [$(Fixture {
            name: $name,
            text: include_str!(concat!("../../../tests/forerunners/", $name)),
            native: include_str!(concat!("../../../tests/forerunners/", $name, ".native")),
            problems: include_str!(concat!("../../../tests/forerunners/", $name, ".problems")),
        }),+]
    };
}

const FIXTURES: &[Fixture] = &fixtures![
    "ini-readme.conf",
    "ini-full.conf",
    "ini-action-scope.conf",
    "ini-bad.conf",
    "cron-readme.yaml",
    "cron-readme-headers.yaml",
    "cron-readme-tcp.yaml",
    "cron-readme-shell.yaml",
    "cron-readme-message.yaml",
    "cron-full.yaml",
    "cron-bad.yaml",
    "cron-odd.yaml",
    "django-readme.py",
    "django-postgres.py",
    "django-sockets.py",
    "django-mail.py",
    "django-odd.py",
    "django-bad.py",
];

/// Translates a text as the loader would.
fn translate(name: &str, text: &str) -> (Option<Node>, Problems) {
    let (converted, problems) = convert(name, text);
    (converted.map(|(node, _)| node), problems)
}

/// Translates a text as the loader would, with what is to be remarked.
fn convert(name: &str, text: &str) -> (Option<(Node, Remarks)>, Problems) {
    let mut problems = Problems::default();
    let source = problems.add_source(name, text);
    if name.ends_with(".py") {
        let converted = django::convert(source, text, &mut problems);
        return (converted.map(|converted| (converted.node, converted.remarks)), problems);
    }
    if name.ends_with(".conf") {
        let node = ini::translate(source, text, Path::new("/launch"), &mut problems);
        return (Some((node, Remarks::default())), problems);
    }
    let node = yaml::read(source, text, &mut problems).map(|document| cron::translate(&document, &mut problems));
    (node.map(|node| (node, Remarks::default())), problems)
}

#[test]
fn every_file_becomes_exactly_this() {
    let mut wrong = String::new();
    for Fixture { name, text, native, problems } in FIXTURES {
        let (converted, found) = convert(name, text);
        let written = converted.map(|(node, remarks)| write::with_remarks(&node, &remarks)).unwrap_or_default();
        for (what, found, expected) in [("native", &*written, *native), ("problems", &*found.render(), *problems)] {
            if found != expected {
                let _ = writeln!(wrong, "--- {name}.{what} should be\n{expected}--- but is\n{found}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The dollar signs of a file mean what they say: the native decoder must not expand them.
#[test]
fn every_dollar_sign_of_a_file_survives() {
    let (node, problems) = translate("a.conf", "[$HOME]\nhostname = a\npath = /${HOME}$$/$x\ntype = http\n");
    assert_eq!(problems.render(), "");
    let node = node.expect("it was translated");
    let url = node.get("checks").and_then(|checks| checks.get("$HOME")?.get("url")).expect("there is a URL");
    assert_eq!(url.as_text(), Some("http://a:8080/$${HOME}$$$$/$$x"));
}

#[test]
fn files_are_recognised_by_what_is_in_them() {
    for text in ["[general]\n", "x = 1\n[promotions]", "[demotions]\n", "[web]\nTYPE: http\n", "[a]\n[b] ; x\ntype=tcp"]
    {
        assert!(ini::recognise(text), "{text}");
    }
    for text in ["", "type = http\n", "[web]\nurl = x\n", "checks:\n  - type: http\n", "[checks.a]\nurl = 'http://a'\n"]
    {
        assert!(!ini::recognise(text), "{text}");
    }
    let document = |text: &str| yaml::read(0, text, &mut Problems::default()).expect("this is YAML");
    for text in ["tests:", "tests: []\nchecks: []\n", "- tests: []\n", "- alerts: []\n- tests:\n"] {
        assert!(cron::recognise(&document(text)), "{text}");
    }
    for text in ["checks: []", "- a", "alerts: []", "tests"] {
        assert!(!cron::recognise(&document(text)), "{text}");
    }
}

/// What is converted reads back as the tree that is decoded when the file is read directly.
fn reads_back(name: &str, text: &str) -> Result<(), TestCaseError> {
    let (Some((node, remarks)), problems) = convert(name, text) else { return Ok(()) };
    if problems.has_errors() {
        return Ok(());
    }
    let written = write::with_remarks(&node, &remarks);
    let again = yaml::read(0, &written, &mut Problems::default());
    let again = again.ok_or_else(|| TestCaseError::fail(format!("this is not YAML:\n{written}")))?;
    prop_assert_eq!(write::write(&again), write::write(&node), "{}", written);
    Ok(())
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_converted_reads_back(
        lines in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "[general]", "[promotions]", "[demotions]", "[DEFAULT]", "[a]", "[a b", "[]", " [c]", "rem x", "# c",
                    "type = http", "TYPE: tcp", "action = a", "a = echo 'x", "a = echo %(b)s", "b = %(a)s%(b)s", "  more",
                    "\t# odd", "port = 1 ; x", "path = %%(x)s", "hostname = ::1", "timeout = 1e9", "interval = nan",
                ]).prop_map(str::to_owned),
                "\\PC{0,20}",
                "[a-z\\[\\]=:;%()s \t\"$'\r]{0,20}",
            ],
            0..12,
        ),
    ) {
        reads_back("a.conf", &lines.join("\n"))?;
        ini::recognise(&lines.join("\n"));
    }

    #[test]
    fn no_document_panics_and_what_is_converted_reads_back(
        lines in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "tests:", "- tests:", "alerts:", "- alerts:", "  - http:", "    url: http://a:b@c/$d", "  - tcp:",
                    "    host: a", "    port: 1", "  - shell:", "    command: echo $message '$message'", "      name: x",
                    "    timeout: 1", "    headers: {a: b}", "    down_message: $name$url ${timeout", "  - twilio:",
                    "    to_number: +1", "  - {http: {url: https://x/}, name: \"\\u0007 ~\"}", "    ignore_fail_count: 3",
                    "    alert_period_hours: 1e3", "    up_message: '$x $command$host'", "    name: ''",
                ]).prop_map(str::to_owned),
                "  [ a-z:${}\"'-]{0,20}",
            ],
            0..12,
        ),
    ) {
        reads_back("a.yaml", &format!("tests:\n{}", lines.join("\n")))?;
        reads_back("a.yaml", &lines.join("\n"))?;
    }

    #[test]
    fn no_settings_panic_and_what_is_converted_reads_back(
        words in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "HEARTBEAT = ", "DATABASES = ", "CACHES = ", "ADMINS = ", "{", "}", "[", "]", "(", ")", ": ", ", ", "\n",
                    "'class': 'heartbeat.heartbeats.Db'", "'class': 'heartbeat.heartbeats.Flag', 'filename': '/f'",
                    "'class': 'heartbeat.heartbeats.Cache'", "'class': 'a.B', 'url': X", "'actions': {'takedown': True}",
                    "'actions': {'mail_admins': 1}", "'default': {", "'ENGINE': 'django.db.backends.postgresql'",
                    "'ENGINE': 'mysql'", "'ENGINE': 'sqlite3', 'NAME': B / 'x'", "'HOST': ", "'PASSWORD': ", "'a'", "\"b\"",
                    "os.environ['X']", "os.environ.get('X', 'd')", "env('Y')", "f'{x}'", "b''", "'''", "\\\n", "    ", "\t",
                    "if x:", "def f():", "from a import *", "import b", "x", "x = ", "x += ", "x['a'] = ", "lambda y: ", " + ",
                    " / ", " or ", "**x", "*x", "# c\n", ";", "=", "for", "-1", "0x1F", "1e5", "'BACKEND': 'RedisCache'",
                    "'BACKEND': 'MemcachedCache'", "'LOCATION': 'redis://u:p@h:1/2?db=3'", "'LOCATION': ['unix:/s', 'h:1']",
                    "(('A', 'a@b'),)", "'\\x41\\n\\u2028'", "dict(a=1)", "'$HOME ${X} # x'",
                ]).prop_map(str::to_owned),
                "\\PC{0,6}",
                "[\"'\\[\\](){}:,=\\\\\n\r a-fru0-9]{0,12}",
            ],
            0..60,
        ),
    ) {
        let text = words.concat();
        reads_back("a.py", &text)?;
        // Most of that is no Python: within brackets that are closed and lines that end, more of it is.
        let closed: String = text.chars().filter(|c| !"()[]{}'\"\\\n\r".contains(*c)).collect();
        reads_back("a.py", &format!("HEARTBEAT = {{'a': {{'class': 'heartbeat.heartbeats.Db', {closed}}}}}\n{text}"))?;
        reads_back("a.py", &format!("HEARTBEAT = {{'a': {{'class': 'a.B', 'x': [{closed}], 'y': ({closed})}}}}\n"))?;
    }
}
