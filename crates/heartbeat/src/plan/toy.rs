//! Kinds for tests of what is common to all kinds.

use std::collections::BTreeMap;

use super::Kinds;
use crate::alert::{self, Channel};
use crate::config::values::Secret;
use crate::config::{Fields, Node};
use crate::probe::{self, PickedBy, Prober, World};

/// The table of toys.
pub(super) const KINDS: Kinds = Kinds { checks: CHECKS, alerts: ALERTS };

static CHECKS: &[probe::Kind] = &[
    probe::Kind {
        name: "web",
        doc: "Fetches a page.",
        picked_by: PickedBy::Schemes(&["http", "https"]),
        example: "url: https://example.org/",
        decode: web,
    },
    probe::Kind {
        name: "run",
        doc: "Runs a command.",
        picked_by: PickedBy::Key("command"),
        example: "command: [true]",
        decode: run,
    },
];

static ALERTS: &[alert::Kind] = &[
    alert::Kind {
        name: "email",
        doc: "Mail.",
        example: "{ type: email, to: a@example.org }",
        short: mailto,
        decode: email,
    },
    alert::Kind {
        name: "webhook",
        doc: "A request.",
        example: "{ type: webhook, url: https://example.org/ }",
        short: hook,
        decode: webhook,
    },
];

/// What a toy decoded.
#[derive(Debug, Default)]
pub(super) struct Toy {
    pub(super) target: String,
    pub(super) values: BTreeMap<String, String>,
}

fn web(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn probe::Spec>> {
    let url = fields.required::<String>("url", "The page.");
    let _ = fields.optional::<Secret>("password", "A password.");
    let status = fields.section("expect", "What is expected.", |fields| {
        let status = fields.or("status", "The status.", 200_u16);
        let _: Option<String> = fields.optional("body", "A word in the body.");
        Some(status)
    });
    let values = BTreeMap::from([("status".to_owned(), status.unwrap_or_default().to_string())]);
    Some(Box::new(Toy { target: url?, values }))
}

fn run(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn probe::Spec>> {
    let command = fields.required::<String>("command", "The command.");
    Some(Box::new(Toy { target: command?, values: BTreeMap::new() }))
}

fn email(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn alert::Spec>> {
    let server = fields.or("smtp", "The server.", "smtp://localhost:25".to_owned());
    let to = fields.required::<String>("to", "The address.")?;
    Some(Box::new(Toy { target: format!("{to} over {server}"), values: BTreeMap::new() }))
}

fn webhook(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn alert::Spec>> {
    let url = fields.required::<String>("url", "Where to.")?;
    Some(Box::new(Toy { target: url, values: BTreeMap::new() }))
}

fn mailto(text: &str) -> Option<Node> {
    let address = text.strip_prefix("mailto:")?;
    Some(Node::map([("type", Node::text("email")), ("to", Node::text(address))]))
}

fn hook(text: &str) -> Option<Node> {
    text.starts_with("https://").then(|| Node::map([("type", Node::text("webhook")), ("url", Node::text(text))]))
}

impl probe::Spec for Toy {
    fn target(&self) -> String {
        self.target.clone()
    }

    fn address(&self) -> Option<String> {
        None
    }

    fn values(&self) -> Vec<(String, String)> {
        self.values.clone().into_iter().collect()
    }

    fn build(&self, _: &World) -> Result<Box<dyn Prober>, String> {
        Err("a toy".to_owned())
    }
}

impl alert::Spec for Toy {
    fn target(&self) -> String {
        self.target.clone()
    }

    fn build(&self) -> Result<Box<dyn Channel>, String> {
        Err("a toy".to_owned())
    }
}
