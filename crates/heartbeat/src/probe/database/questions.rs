//! What is asked of a database once we are in.

use heartbeat_core::outcome::Fault;

use super::{Answer, Session, write};
use crate::config::values::Verbatim;
use crate::config::{Context, Fields, Node, Shape, Value};
use crate::probe::expect::Limits;
use crate::probe::{Failure, scratch};

/// The questions of one check.
#[derive(Clone, Debug)]
pub struct Questions {
    query: Option<String>,
    value: Option<String>,
    table: Option<String>,
}

/// SQL as it is written: `$` has a meaning in it.
struct Sql(String);

impl Value for Sql {
    fn shape() -> Shape {
        Shape::Text { noun: "SQL", pattern: None }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let Verbatim(text) = Verbatim::decode(node, context)?;
        match text.trim().is_empty() || text.contains('\0') {
            true => context.expected("SQL", node),
            false => Some(Self(text)),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.0.as_str())
    }
}

/// The name of a table, with or without that of its schema.
struct Table(String);

impl Value for Table {
    fn shape() -> Shape {
        Shape::Text {
            noun: "the name of a table",
            pattern: Some("^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)?$"),
        }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        /// What PostgreSQL and MySQL both take.
        const LONGEST: usize = 63;
        let noun = "the name of a table: letters, digits and `_`, perhaps with a schema and a dot before it";
        let text = context.text(noun, node)?;
        let is_name = |name: &str| {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            plain && !name.is_empty() && name.len() <= LONGEST && !name.starts_with(|c: char| c.is_ascii_digit())
        };
        match text.split('.').count() <= 2 && text.split('.').all(is_name) {
            true => Some(Self(text)),
            false => context.expected(noun, node),
        }
    }

    fn show(&self) -> Node {
        Node::text(self.0.as_str())
    }
}

impl Questions {
    /// Reads `query`, `write`, `table` and `expect`, with what `limits` reads in the latter.
    pub fn read(
        fields: &mut Fields<'_, '_, '_>,
        limits: fn(&mut Fields<'_, '_, '_>) -> Limits,
    ) -> Option<(Self, Limits)> {
        let query: Option<Sql> = fields
            .optional("query", "SQL that must succeed, in place of the cheapest round trip; `$` stands for itself.");
        let write = fields.or(
            "write",
            "Whether a row is written, read back and deleted at every probe, in a table that is made for it if missing.",
            false,
        );
        let named: Option<Table> =
            fields.optional("table", "The table that `write` writes to; `heartbeat` if it is left out.");
        let Table(table) = named.unwrap_or_else(|| Table("heartbeat".to_owned()));
        if write && fields.written("table").is_none() {
            fields.show("table", || Node::text(table.as_str()));
        }
        let (limits, value) = fields.section("expect", "What must be the case.", |fields| {
            let limits = limits(fields);
            let value: Option<String> = fields.optional(
                "value",
                "The first column of the first row that `query` returns, as text. NULL and no row at all are no value; \
                 further rows do not count.",
            );
            Some((limits, value))
        })?;
        if value.is_some() && query.is_none() {
            fields.error("expect", "`expect.value` needs a `query` that returns it");
            return None;
        }
        if fields.written("table").is_some() && !write {
            fields.error("table", "`table` is only for `write: true`");
            return None;
        }
        Some((Self { query: query.map(|sql| sql.0), value, table: write.then_some(table) }, limits))
    }

    /// Whether something is written.
    pub fn writes(&self) -> bool {
        self.table.is_some()
    }

    /// Asks them all. `node` is the name of this node.
    ///
    /// # Errors
    /// What was not as it should be.
    pub async fn ask<S: Session>(&self, session: &mut S, node: &str) -> Result<(), Failure> {
        match &self.query {
            Some(query) => {
                let answer = session.run(query).await.map_err(|wrong| wrong.failure("the query failed"))?;
                self.judge(&answer)?;
            }
            None if self.table.is_none() => {
                session.ping().await.map_err(|wrong| wrong.failure("the server answers no query"))?;
            }
            None => {}
        }
        match &self.table {
            Some(table) => write::write(session, table, &scratch::key(node)).await,
            None => Ok(()),
        }
    }

    fn judge(&self, answer: &Answer) -> Result<(), Failure> {
        const SHOWN: usize = 80;
        let Some(expected) = &self.value else { return Ok(()) };
        let found = match answer {
            Answer::Text(text) if text == expected => return Ok(()),
            Answer::Text(text) if text.chars().count() > SHOWN => {
                format!("`{}…`", text.chars().take(SHOWN).collect::<String>())
            }
            Answer::Text(text) => format!("`{text}`"),
            Answer::Null => "NULL".to_owned(),
            Answer::Nothing => "no row".to_owned(),
        };
        Err(Failure::new(Fault::Body, format!("the query returned {found}, expected `{expected}`")))
    }
}
