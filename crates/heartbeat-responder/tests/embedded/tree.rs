//! What an application takes in with this crate. The list is the promise; a new line in it wants a reason.

use std::collections::BTreeSet;
use std::process::Command;

/// Every crate of the tree, the crate itself included. Macros (`serde_derive` and what it needs) are not in
/// the application that comes out.
const TREE: &[&str] = &[
    "arc-swap",
    "bitflags",
    "bytes",
    "hashbrown",
    "heartbeat-core",
    "heartbeat-responder",
    "http",
    "http-body",
    "itoa",
    "jiff",
    "jiff-core",
    "linux-raw-sys",
    "memchr",
    "pin-project-lite",
    "proc-macro2",
    "quote",
    "rustix",
    "rustversion",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "syn",
    "tokio",
    "tower-service",
    "unicode-ident",
    "zmij",
];

#[test]
#[expect(clippy::disallowed_methods, reason = "the test asks Cargo")]
fn the_tree_is_narrow() {
    let arguments = ["tree", "-p", "heartbeat-responder", "-e", "normal", "--prefix", "none", "--offline", "--locked"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("cargo, which has built this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("text");
    let tree: BTreeSet<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(tree, TREE.iter().copied().collect());
}
