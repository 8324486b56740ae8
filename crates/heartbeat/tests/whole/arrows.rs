//! Who may know whom. The table is the architecture; this test keeps the code to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module of the program, and those of its siblings that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("host", &[]),
    ("exit", &[]),
    ("config", &["host"]),
    ("message", &["config"]),
    ("net", &[]),
    ("probe", &["config", "host", "net"]),
    ("alert", &["config", "host", "message", "net"]),
    ("action", &["config", "host", "message"]),
    ("store", &["config", "host"]),
    ("web", &["config", "host", "net"]),
    ("plan", &["action", "alert", "config", "host", "message", "probe", "store", "web"]),
    ("log", &["host", "plan"]),
    ("run", &["action", "alert", "config", "host", "log", "message", "plan", "probe", "store", "web"]),
    ("cli", &["action", "alert", "config", "exit", "host", "log", "message", "plan", "probe", "run", "store", "web"]),
];

#[test]
fn every_module_knows_only_whom_it_may() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<_, BTreeSet<_>> =
        ARROWS.iter().map(|(module, known)| (*module, known.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for file in rust_files(&source) {
        let inside = file.strip_prefix(&source).expect("below the source");
        let module = inside.iter().next().and_then(|part| part.to_str()).expect("a module").trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let Some(known) = allowed.get(module) else {
            wrong.push(format!("module `{module}` is not in the table: say there whom it may know"));
            continue;
        };
        seen.insert(module.to_owned());
        let text = std::fs::read_to_string(&file).expect("a source file");
        for named in crate_modules(&text) {
            if named != module && allowed.contains_key(named.as_str()) && !known.contains(named.as_str()) {
                wrong.push(format!("{}: `{module}` may not know `{named}`", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, allowed.keys().map(|module| (*module).to_owned()).collect(), "a module of the table is gone");
}

#[test]
fn core_is_pure() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../heartbeat-core");
    let text = std::fs::read_to_string(core.join("src/lib.rs")).expect("core's root");
    assert!(text.contains("#![no_std]"), "core must not have clocks, files and threads");
    let manifest = std::fs::read_to_string(core.join("Cargo.toml")).expect("core's manifest");
    let dependencies = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap_or("");
    for forbidden in ["tokio", "std\"", "heartbeat-responder", "nix", "libc"] {
        assert!(!dependencies.contains(forbidden), "core depends on {forbidden}");
    }
}

/// The modules named as `crate::NAME` or inside `use crate::{NAME, NAME::…}`, outside of comments.
fn crate_modules(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        named.insert(first_word(&name));
                        name.clear();
                        continue;
                    }
                    _ => {}
                }
                if depth == 0 {
                    name.push(c);
                }
            }
            named.insert(first_word(&name));
        } else {
            named.insert(first_word(rest));
        }
    }
    named
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
