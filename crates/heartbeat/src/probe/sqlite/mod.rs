//! The kind `sqlite`: a database in a file.
//!
//! The file is opened anew for every probe, read-only unless `write` asks for more, and never made. SQLite blocks, on locks
//! and on file systems that hang, so that every probe has a thread of its own; one that hangs is left behind, and no other
//! is started for this check before it has come to its end.

mod session;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use self::session::Sqlite;
use super::database::Session as _;
use super::database::questions::Questions;
use super::expect::Limits;
use super::{Boxed, Failure, Kind, Observation, Phase, PickedBy, Prober, Spec, Trace, World};
use crate::config::{Context, Fields, Node, Shape, Value};

/// The line of the table.
pub const KIND: Kind = Kind {
    name: "sqlite",
    doc: "Opens an SQLite database and asks it something.",
    picked_by: PickedBy::Schemes(&["sqlite"]),
    example: "\
url: sqlite:/var/lib/app/app.db
query: PRAGMA quick_check
expect: { value: ok }
",
    decode,
};

/// A file, written `sqlite:PATH` or `sqlite:///PATH`.
#[derive(Clone, Debug)]
struct DatabaseFile(PathBuf);

impl Value for DatabaseFile {
    fn shape() -> Shape {
        Shape::Text { noun: "a URL", pattern: Some("^sqlite:.+") }
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let noun = "`sqlite:PATH` or `sqlite:///PATH`";
        let text = context.text(noun, node)?;
        let path = match text.split_once(':') {
            Some((_, rest)) => rest.strip_prefix("//").unwrap_or(rest),
            None => "",
        };
        let has_host = text.contains("://") && !path.starts_with('/');
        match path.is_empty() || has_host || path.contains('\0') {
            true => context.expected(noun, node),
            false => Some(Self(context.path(path, node.span))),
        }
    }

    fn show(&self) -> Node {
        Node::text(format!("sqlite:{}", self.0.display()))
    }
}

/// A decoded check.
#[derive(Debug)]
struct File {
    path: PathBuf,
    questions: Questions,
    expect: Limits,
    warn: Limits,
}

fn decode(fields: &mut Fields<'_, '_, '_>) -> Option<Box<dyn Spec>> {
    let file = fields.required("url", "The file: `sqlite:PATH` or `sqlite:///PATH`; it must be there.");
    let asked = Questions::read(fields, Limits::read_latency);
    let warn = fields.section("warn", "Limits beyond which the check passes with a warning.", |fields| {
        Some(Limits::read_latency(fields))
    });
    let (DatabaseFile(path), (questions, expect)) = (file?, asked?);
    Some(Box::new(File { path, questions, expect, warn: warn? }))
}

impl Spec for File {
    fn target(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn address(&self) -> Option<String> {
        None
    }

    fn values(&self) -> Vec<(String, String)> {
        [("url", self.target()), ("path", self.path.display().to_string())]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    fn build(&self, world: &World) -> Result<Box<dyn Prober>, String> {
        Ok(Box::new(FileProber {
            path: self.path.clone(),
            node: world.node().clone(),
            questions: self.questions.clone(),
            expect: self.expect,
            warn: self.warn,
            turn: Arc::new(Semaphore::new(1)),
        }))
    }
}

/// Ready to probe.
struct FileProber {
    path: PathBuf,
    node: Arc<str>,
    questions: Questions,
    expect: Limits,
    warn: Limits,
    /// Held by the thread of a probe until it ends.
    turn: Arc<Semaphore>,
}

impl Prober for FileProber {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        Box::pin(async move {
            trace.enter(Phase::Earlier);
            let turn = self.turn.clone().acquire_owned().await.expect("the semaphore is never closed");
            trace.enter(Phase::Open);
            let mut session = Sqlite::open(&self.path, self.questions.writes(), turn, trace.deadline()).await?;
            trace.enter(Phase::Query);
            let asked = self.questions.ask(&mut session, &self.node).await;
            trace.complete();
            let took = trace.elapsed();
            session.goodbye().await;
            asked?;
            self.expect.observe(&self.warn, took, None)
        })
    }
}
