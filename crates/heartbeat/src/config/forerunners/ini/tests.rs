//! The INI daemon's dialect, rule by rule.

use std::path::Path;

use super::dialect::Ini;
use super::translate;
use crate::config::{Problems, Span};

/// The value of an option, or the problems.
fn value(text: &str, section: &str, option: &str) -> Result<Option<String>, String> {
    let mut problems = Problems::default();
    problems.add_source("x.conf", text);
    let ini = Ini::parse(0, text, &mut problems);
    let found = ini.get(ini.section(section), option, &mut problems).map(|found| found.text);
    if problems.has_errors() { Err(problems.render()) } else { Ok(found) }
}

fn read(text: &str) -> String {
    value(text, "a", "x").expect("it is right").expect("it is there")
}

#[test]
fn values_are_read_as_python_2_does() {
    for (text, expected) in [
        ("[a]\nx = 1\n", "1"),
        ("[a]\nx:1", "1"),
        ("[a]\r\nX = 1\r\n", "1"),
        ("[a] ; the rest is ignored\nx = 1 ; one", "1"),
        ("[a]\nx = a;b", "a;b"),
        ("[a]\nx = a;b ; only the first semicolon counts", "a;b ; only the first semicolon counts"),
        ("[a]\nx = ; nothing", ""),
        ("[a]\nx = \"\"", ""),
        ("[a]\nx = a # b", "a # b"),
        ("[a]\nx = a\n  b ; c\n\n\td", "a\nb ; c\nd"),
        ("[a]\nx = a\n# comment\n; comment\nrem comment\nREM\n b", "a\nb"),
        ("[a]\nremote = 1\nx = %(remote)s", "1"),
        ("[a]\nx = 1\n[b]\nx = 2\n[a]\ny = 3\n", "1"),
        ("[a]\nx = 1\n[a]\nX = 2", "2"),
        ("[DEFAULT]\nx = 1\n[a]\n", "1"),
        ("[a]\n[DEFAULT]\nx = 1\n", "1"),
        ("[DEFAULT]\nx = %(y)s\ny = 1\n[a]\ny = 2", "2"),
        ("[a]\nx = %(Y)s-%(y)s\ny = %(z)s\nz = 3", "3-3"),
        ("[a]\nx = 100%", "100%"),
        ("[a]\nx = %%20", "%%20"),
        ("[a]\nx = %%%(y)s%\ny = 1", "%1%"),
        ("[a]\nx = %(__name__)s", "a"),
        ("[a]\nx = = :", "= :"),
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
    assert_eq!(value("[A]\nx = 1", "a", "x"), Ok(None));
    assert_eq!(value("[default]\nx = 1\n[a]\n", "a", "x"), Ok(None));
}

#[test]
fn interpolation_is_bounded() {
    let mut chain = "[a]\n".to_owned();
    for level in 0..10 {
        chain.push_str(&format!("x{level} = %(x{})s\n", level + 1));
    }
    chain.push_str("x10 = end\n");
    assert_eq!(value(&chain, "a", "x0"), Ok(Some("end".to_owned())));
    assert!(value(&chain.replace("x10 = end", "x10 = %(x11)s\nx11 = end"), "a", "x0").is_err());

    let mut bomb = "[a]\n".to_owned();
    for level in 0..10 {
        bomb.push_str(&format!("x{level} = {}\n", format!("%(x{})s", level + 1).repeat(20)));
    }
    bomb.push_str("x10 = end\n");
    let problems = value(&bomb, "a", "x0").expect_err("it would be 30 TB");
    assert!(problems.contains("grows beyond 1 MiB"), "{problems}");
}

#[test]
fn a_value_knows_its_place() {
    let mut problems = Problems::default();
    let ini = Ini::parse(7, "# ü\n[a]\n\nx \t=  ü%(y)s\ny = 1", &mut problems);
    let found = ini.get(ini.section("a"), "x", &mut problems).expect("it is there");
    assert_eq!(found.key, Span { source: 7, line: 4, column: 1 });
    assert_eq!(found.at, Span { source: 7, line: 4, column: 7 });
}

/// One option of a translated file.
fn native(text: &str, path: &[&str]) -> String {
    let mut problems = Problems::default();
    problems.add_source("x.conf", text);
    let mut node = &translate(0, text, Path::new("/launch"), &mut problems);
    assert!(!problems.has_errors(), "{}", problems.render());
    for key in path {
        node = node.get(key).unwrap_or_else(|| panic!("no `{key}` in {text}"));
    }
    node.as_text().expect("it is text").to_owned()
}

#[test]
fn every_word_of_general_is_understood() {
    for (written, level) in
        [("DEBUG", "debug"), ("Info", "info"), ("WARNING", "warn"), ("error", "error"), ("CRITICAL", "error")]
    {
        assert_eq!(native(&format!("[general]\nloglevel = {written}\n"), &["log", "level"]), level);
    }
    for (written, meaning) in [
        ("1", "true"),
        ("yes", "true"),
        ("True", "true"),
        ("ON", "true"),
        ("0", "false"),
        ("No", "false"),
        ("false", "false"),
        ("off", "false"),
    ] {
        assert_eq!(native(&format!("[general]\ndaemonize = {written}\n"), &["process", "daemonize"]), meaning);
    }
    assert_eq!(native("[general]\nthreads = 7\n", &["limits", "probes"]), "7");
    assert_eq!(native("[general]\ninterval = 0.5\n", &["defaults", "fast_interval"]), "500ms");
    assert_eq!(native("[general]\nlogfile = a/b\n", &["log", "file"]), "/launch/a/b");
    assert_eq!(native("[general]\npidfile = /a/b\n", &["process", "pidfile"]), "/a/b");
    assert_eq!(native("[general]\ngroup = ops\n", &["process", "group"]), "ops");
}

#[test]
fn every_type_of_check_has_its_url() {
    for (settings, url) in [
        ("", "tcp://localhost:8080"),
        ("type = TCP\nhostname = a\nport = 1\npath = ignored", "tcp://a:1"),
        ("type = Http", "http://localhost:8080/"),
        ("type = https\npath = health", "https://localhost:8080/health"),
        ("type = http\npath = /a?b=c#d", "http://localhost:8080/a?b=c#d"),
        ("type = http\npath = /ü x", "http://localhost:8080/%C3%BC%20x"),
        ("type = http\nhostname = 2001:db8::1", "http://[2001:db8::1]:8080/"),
    ] {
        assert_eq!(native(&format!("[a]\n{settings}\n"), &["checks", "a", "url"]), url);
    }
}
