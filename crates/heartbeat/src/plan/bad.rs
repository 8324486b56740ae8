//! One bad file for each rule of the decoder, with its exact message: `tests/bad/RULE.yaml` and `.toml`, each beside
//! `RULE.yaml.expected` and `RULE.toml.expected`.
//!
//! Both syntaxes must be refused in the same words; only a rule of one syntax alone (`yaml-…`, `toml-…`) has no twin. Run
//! with `HEARTBEAT_BLESS=1` the expectations are written anew; read the difference before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Loader;
use crate::host::env::variable;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad")
}

fn files() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).expect("the folder of bad files");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

/// What is said about a file, without our own folder in it.
fn said_about(name: &str) -> String {
    let prefix = format!("{}/", folder().display());
    let unset = |_: &str| None;
    let loader = Loader { variables: &unset, ..Loader::default() };
    let (_, problems) = loader.load(&folder().join(name));
    problems.render().replace(&prefix, "")
}

#[test]
fn every_bad_file_gets_its_message() {
    let files = files();
    let mut wrong = Vec::new();
    for name in files.iter().filter(|name| !name.ends_with(".expected")) {
        let said = said_about(name);
        assert!(!said.is_empty(), "{name} is accepted without a word");
        let expectation = folder().join(format!("{name}.expected"));
        if variable("HEARTBEAT_BLESS").is_some() {
            fs::write(&expectation, &said).expect("an expectation");
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        if said != expected {
            wrong.push(format!("{name}: expected\n{expected}\nfound\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_expectation_has_its_file() {
    let files = files();
    for name in files.iter().filter_map(|name| name.strip_suffix(".expected")) {
        assert!(files.contains(name), "{name}.expected expects something of no file");
    }
}

#[test]
fn both_syntaxes_are_refused_in_the_same_words() {
    let words = |name: &str| {
        let said = said_about(name);
        // What differs are places, and the lines that stand there.
        let mut lines: Vec<_> = said.lines().filter(|line| !line.starts_with(['-', ' '])).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let files = files();
    for rule in files.iter().filter_map(|name| name.strip_suffix(".yaml")).filter(|rule| !rule.starts_with("yaml-")) {
        assert_eq!(words(&format!("{rule}.yaml")), words(&format!("{rule}.toml")), "{rule}");
    }
    for rule in files.iter().filter_map(|name| name.strip_suffix(".toml")).filter(|rule| !rule.starts_with("toml-")) {
        assert!(files.contains(&format!("{rule}.yaml")), "{rule}.toml has no twin");
    }
}
