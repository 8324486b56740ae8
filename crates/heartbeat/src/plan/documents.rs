//! The documents that are made from the decoders are complete and up to date, and the examples load.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Kinds, Loader, documentation, shape, toy};
use crate::host::env::variable;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_reference_page_is_current() {
    let path = root().join("docs/reference.md");
    let made = documentation::reference(Kinds::built_in());
    if variable("HEARTBEAT_BLESS").is_some() {
        fs::write(&path, &made).expect("the page");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(made == written, "docs/reference.md is out of date: run the tests with HEARTBEAT_BLESS=1 and commit it");
}

#[test]
fn every_kind_has_its_chapter_and_its_keys_a_sentence() {
    for kinds in [Kinds::built_in(), toy::KINDS] {
        let page = documentation::reference(kinds);
        for kind in kinds.checks {
            assert!(page.contains(&format!("\n## Check: {}\n", kind.name)), "{}", kind.name);
            for field in shape::check_of(kind) {
                assert!(field.doc.ends_with('.'), "`{}` of {}: {}", field.key, kind.name, field.doc);
            }
        }
        for kind in kinds.alerts {
            assert!(page.contains(&format!("\n## Alert: {}\n", kind.name)), "{}", kind.name);
            for field in shape::alert_of(kind) {
                assert!(field.doc.ends_with('.'), "`{}` of {}: {}", field.key, kind.name, field.doc);
            }
        }
    }
}

#[test]
fn the_schema_knows_every_key_of_a_toy() {
    let schema = documentation::schema(toy::KINDS);
    let text = schema.to_string();
    for key in ["\"url\"", "\"command\"", "\"expect\"", "\"status\"", "\"depends_on\"", "\"smtp\"", "\"webhook\""] {
        assert!(text.contains(key), "{key}");
    }
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
    assert_eq!(schema["properties"]["limits"]["properties"]["probes"]["default"], 2000);
    assert_eq!(schema["properties"]["process"]["properties"]["daemonize"]["default"], false);
}

#[test]
fn the_full_example_loads_without_a_word() {
    let nothing = |_: &str| None;
    let loader = Loader { variables: &nothing, ..Loader::default() };
    let (plan, problems) = loader.load(&root().join("examples/full.yaml"));
    assert!(plan.is_some() && problems.render().is_empty(), "{}", problems.render());
}

#[test]
fn the_examples_of_the_kinds_load() {
    for kind in Kinds::built_in().checks {
        let example = kind.example.trim().replace('\n', "\n    ");
        let text = format!("alerts: []\nchecks:\n  example:\n    {example}\n");
        let (plan, problems) = Loader::default().text("example.yaml", &text);
        assert!(plan.is_some(), "{}:\n{}", kind.name, problems.render());
    }
    for kind in Kinds::built_in().alerts {
        let example = kind.example.trim().replace('\n', "\n    ");
        let text = format!("checks: [https://example.org/]\nalerts:\n  example:\n    {example}\n");
        let (plan, problems) = Loader::default().text("example.yaml", &text);
        assert!(plan.is_some(), "{}:\n{}", kind.name, problems.render());
    }
}

/// What `config convert` makes of each of the Django app's files that are converted in the tests of the forerunners.
#[test]
fn the_converted_settings_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forerunners");
    for (name, checks, alerts) in [("readme", 3, 0), ("postgres", 1, 1), ("sockets", 6, 0), ("mail", 2, 1)] {
        let text = fs::read_to_string(folder.join(format!("django-{name}.py.native"))).expect("a converted file");
        let variables = |name: &str| match name {
            "C_EMAIL" => Some("c@example.org".to_owned()),
            _ => Some("7".to_owned()),
        };
        let loader = Loader { variables: &variables, ..Loader::default() };
        let (plan, problems) = loader.text("heartbeat.yaml", &text);
        let plan = plan.unwrap_or_else(|| panic!("{name}\n{}", problems.render()));
        assert_eq!((plan.checks.len(), plan.alerts.len()), (checks, alerts), "{name}");
        assert!(plan.responder.is_some(), "{name}");
    }
}
