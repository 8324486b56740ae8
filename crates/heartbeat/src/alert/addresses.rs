//! Mail addresses.

use lettre::message::{Mailbox, Mailboxes};

use crate::config::{Context, Node, Shape, Value};

const NOUN: &str = "a mail address such as `ops@example.org`";

/// One address, with or without a name: `Operations <ops@example.org>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(pub(super) Mailbox);

impl Value for Address {
    fn shape() -> Shape {
        Shape::Text { noun: "a mail address", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = context.text(NOUN, node)?;
        match text.parse() {
            Ok(mailbox) => Some(Self(mailbox)),
            Err(_) => context.expected(NOUN, node),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.0.to_string())
    }
}

/// At least one address: one, several with commas between them, or a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Addresses(pub(super) Vec<Mailbox>);

impl Value for Addresses {
    fn shape() -> Shape {
        Shape::Either(vec![Address::shape(), Shape::List(Box::new(Address::shape()))])
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        if node.as_list().is_some() {
            let all: Vec<Address> = Vec::decode(node, context)?;
            return match all.is_empty() {
                true => context.error(node.span, format!("expected {NOUN}, found an empty list")),
                false => Some(Self(all.into_iter().map(|address| address.0).collect())),
            };
        }
        let text = context.text(NOUN, node)?;
        match text.parse::<Mailboxes>().map(|all| all.into_iter().collect::<Vec<_>>()) {
            Ok(all) if !all.is_empty() => Some(Self(all)),
            _ => context.expected(NOUN, node),
        }
    }

    fn show(&self) -> Node {
        Node::list(self.0.iter().map(|mailbox| Node::text(mailbox.to_string())))
    }
}
