//! What can be asked for: which services, and how they are judged and shown.

use std::hint::black_box;
use std::sync::Arc;

use heartbeat_core::answer::{Question, Standing, Statuses};
use heartbeat_core::record::{CheckRecord, State};
use heartbeat_core::state::is_failing;
use heartbeat_core::{Id, Wall};

use crate::format::Format;

/// A service, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name in every answer.
    pub id: Id,
    /// What is checked, for those who may know: a URL without its password, or nothing.
    pub target: Arc<str>,
    /// How it stands.
    pub known: Known,
}

/// What is known of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// How it stands.
    pub standing: Standing,
    /// Why; of a service that is up, a word in place of `Ok`. For those who may know.
    pub reason: Arc<str>,
    /// Since when.
    pub since: Option<Wall>,
}

impl Known {
    /// What is known after a result has led to this record.
    ///
    /// While a fall or a rise is being counted, the latest result does not speak for the state: a check that is up and has
    /// failed once is shown without that failure, and one that is down keeps the reason it is down for.
    pub fn after(&self, record: &CheckRecord) -> Self {
        let speaks = match record.state {
            State::Unknown => true,
            State::Up => record.cleans > 0,
            State::Degraded => record.cleans == 0 && !is_failing(record),
            State::Down => record.passes == 0,
        };
        let standing = Standing::of(record.state, false);
        let reason = match speaks {
            true => record.reason.clone(),
            false if standing == self.standing => self.reason.clone(),
            false => Arc::default(),
        };
        Self { standing, reason, since: record.since }
    }

    /// What is known when no result has come for too long, of a service in this state.
    pub fn stale(&self, state: State, why: impl Into<Arc<str>>) -> Self {
        match Standing::of(state, true) {
            Standing::Down => self.clone(),
            standing => Self { standing, reason: why.into(), since: self.since },
        }
    }
}

/// A set of services and which of them decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Places in the list of services, in the order in which they are shown.
    pub members: Vec<Member>,
}

/// One service of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its place in the list of services.
    pub service: usize,
    /// Whether it decides the answer, rather than being shown only.
    pub takedown: bool,
}

/// Something that can be asked for under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name: for gRPC, for drains of this view alone, and for people.
    pub name: Arc<str>,
    /// Where it is. The last slash may be left out or added by whoever asks.
    pub path: Arc<str>,
    /// The place of its scope in the list of scopes.
    pub scope: usize,
    /// What it answers.
    pub question: Question,
    /// The HTTP status of each answer.
    pub statuses: Statuses,
    /// The format, unless a request asks for another.
    pub format: &'static Format,
    /// Who sees reasons and targets.
    pub details: Details,
}

/// Who sees reasons and targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Details {
    /// Whoever asks from this machine, not through a proxy, and whoever has the token.
    #[default]
    Local,
    /// Whoever has the token.
    Token,
    /// Everybody.
    Public,
}

/// Everything that a [`Board`](crate::Board) shows.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// All services.
    pub services: Vec<Service>,
    /// Sets of them.
    pub scopes: Vec<Scope>,
    /// What can be asked for. Of two with one path the first is there.
    pub views: Vec<View>,
    /// The flag, if there is one.
    pub flag: Option<FlagRule>,
    /// The word that opens the details to strangers, as `Authorization: Bearer WORD`.
    pub token: Option<Token>,
}

/// How the flag counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagRule {
    /// Whether it takes this server out of service, rather than being shown only.
    pub takedown: bool,
}

/// A secret word. It does not show in debug output. How long it takes to compare tells its length at most.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A token of this word.
    pub fn new(word: impl Into<Arc<str>>) -> Self {
        Self(word.into())
    }

    /// Whether the value of an `Authorization` header (RFC 6750, section 2.1) holds it.
    pub(crate) fn opens(&self, authorization: &str) -> bool {
        let Some((scheme, word)) = authorization.split_once(' ') else { return false };
        let (ours, theirs) = (self.0.as_bytes(), word.trim().as_bytes());
        let differences = ours.iter().zip(theirs).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
        // An empty word would be everybody's.
        let comparable = !ours.is_empty() && ours.len() == theirs.len();
        scheme.eq_ignore_ascii_case("bearer") && comparable && differences == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests;
