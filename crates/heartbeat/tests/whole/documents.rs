//! What we tell people: the README's blocks run, the examples are right by our own schema and a public validator.

use std::process::Command;

use crate::support::{Home, Program, Web, repository};

/// The fenced blocks of the README in one language.
fn blocks(language: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("the README");
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn the_readmes_commands_do_what_it_says() {
    let (web, hook) = (Web::answering(200), Web::answering(200));
    let port = web.port();
    // Addresses are ours; everything else is as it stands there.
    let local = |text: &str| {
        text.replace("https://example.org/", &web.url())
            .replace("tcp://localhost:22", &format!("tcp://127.0.0.1:{port}"))
            .replace("mailto:ops@example.org", &hook.url())
    };
    let home = Home::new();
    let mut commands = Vec::new();
    for block in blocks("console") {
        commands.extend(block.lines().filter_map(|line| line.strip_prefix("$ heartbeat ")).map(str::to_owned));
    }
    assert!(commands.len() >= 8, "the README shows fewer commands than it did: {commands:?}");
    for command in &commands {
        let command = local(command);
        let words = shell_words::split(&command).expect("a shell's words");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[0] {
            "run" => {
                let mut program = home.start(&words);
                program.wait_for("is up");
                assert_eq!(program.terminate().code, 0);
            }
            // The README's file has no action, and its alert has another name.
            "action" => {
                home.write("full.yaml", "checks: [\"tcp://127.0.0.1:1\"]\nalerts: []\nactions:\n  nginx: { demote: systemctl stop nginx }\n");
                let mut with_file = words.clone();
                with_file.extend(["-c", "full.yaml"]);
                let ended = home.run(&with_file);
                assert_eq!(ended.code, 0, "{command}: {}{}", ended.stdout, ended.stderr);
                assert!(ended.stdout.contains("systemctl stop nginx"), "{}", ended.stdout);
            }
            "alert" => {
                let file = format!(
                    "checks: [\"tcp://127.0.0.1:1\"]\nalerts:\n  oncall: {{ type: webhook, url: \"{}\" }}\n",
                    hook.url()
                );
                home.write("oncall.yaml", &file);
                let mut with_file = words.clone();
                with_file.extend(["-c", "oncall.yaml"]);
                let ended = home.run(&with_file);
                assert_eq!(ended.code, 0, "{command}: {}{}", ended.stdout, ended.stderr);
                assert!(ended.stdout.starts_with("delivered: "), "{}", ended.stdout);
            }
            // No load balancer polls here, and no daemon could say so.
            "down" | "up" => {
                home.write("flag.yaml", "responder: { flag: heart.beat, drain: { polls: 1, grace: 0s } }\n");
                let mut with_file = words.clone();
                with_file.extend(["-c", "flag.yaml"]);
                let ended = home.run(&with_file);
                assert_eq!(ended.code, 0, "{command}: {}{}", ended.stdout, ended.stderr);
                assert_eq!(home.path("heart.beat").exists(), words[0] == "down");
            }
            // Unknown until the daemon has probed once; it has.
            "demo" | "check" | "init" | "config" | "status" => {
                let ended = home.run(&words);
                assert_eq!(ended.code, 0, "{command}: {}{}", ended.stdout, ended.stderr);
            }
            other => panic!("say here what the README's `heartbeat {other}` should do"),
        }
    }
    for (number, block) in blocks("yaml").iter().enumerate() {
        let name = format!("block-{number}.yaml");
        home.write(&name, block);
        let ended = home.run(&["config", "check", "-c", &name]);
        assert_eq!(ended.code, 0, "{block}\n{}", ended.stderr);
    }
    let smallest = blocks("yaml").into_iter().next().expect("the smallest file");
    assert_eq!(local(&smallest), home.read("heartbeat.yaml"), "`init` writes the file that the README shows");
}

#[test]
fn the_demonstration_shows_the_whole_loop() {
    let ended = Home::new().run(&["demo"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    for shown in [
        "state unknown -> up",
        "probe fail",
        "state up -> down",
        "action proxy: demote: exit 0",
        "alert pager: \"shop is down",
        "state down -> up",
        "action proxy: promote: exit 0",
        "alert pager: \"shop is up",
    ] {
        assert!(ended.stdout.contains(shown), "`{shown}` is missing:\n{}", ended.stdout);
    }
}

/// Validates YAML files against our schema with the jsonschema package of Python (Debian: python3-jsonschema, python3-yaml).
const VALIDATE: &str = "
import json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
wrong = 0
for name in sys.argv[2:]:
    for error in validator.iter_errors(yaml.load(open(name), Loader=yaml.SafeLoader)):
        wrong += 1
        print(name, list(error.absolute_path), error.message)
sys.exit(1 if wrong else 0)
";

pub(crate) fn validate(home: &Home, files: &[std::path::PathBuf]) -> std::process::Output {
    home.write("schema.json", &home.run(&["config", "schema"]).stdout);
    Command::new("/usr/bin/python3")
        .args(["-c", VALIDATE])
        .arg(home.path("schema.json"))
        .args(files)
        .output()
        .expect("Python with jsonschema and yaml: run scripts/install-packages")
}

#[test]
fn the_examples_are_valid_by_the_schema_and_a_mistake_is_not() {
    let home = Home::new();
    let examples: Vec<_> = std::fs::read_dir(repository().join("examples"))
        .expect("the examples")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    assert!(examples.len() >= 2, "{examples:?}");
    let valid = validate(&home, &examples);
    assert!(
        valid.status.success(),
        "{}{}",
        String::from_utf8_lossy(&valid.stdout),
        String::from_utf8_lossy(&valid.stderr)
    );

    home.write("wrong.yaml", "checks:\n  web: { url: \"http://localhost/\", time_out: 5s }\nalerts: []\n");
    let wrong = validate(&home, &[home.path("wrong.yaml")]);
    assert!(!wrong.status.success(), "an unknown key must not be valid");
    assert!(String::from_utf8_lossy(&wrong.stdout).contains("time_out"), "{}", String::from_utf8_lossy(&wrong.stdout));
}

#[test]
fn the_full_example_is_right() {
    let example = repository().join("examples/full.yaml");
    let home = Home::new();
    let mut command = home.command(&["config", "check", "-c", &example.display().to_string()]);
    for name in ["HASS_TOKEN", "GMAIL_PASSWORD", "HOOK_SECRET"] {
        command.env(name, "canary");
    }
    let ended = Program::start(command).wait();
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(!ended.stdout.contains("canary"), "{}", ended.stdout);
}
