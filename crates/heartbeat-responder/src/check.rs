//! What an application checks about itself.
//!
//! A [`Check`] is asked again and again by the runner, never twice at once and never by a poll. Closures and functions that
//! return a future are checks; [`blocking`] makes one of what would hold up a thread.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::outcome::{self, Outcome};
use tokio::sync::Mutex;
use tokio::task::JoinError;

/// A future of a trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Something that can be found to be well or not.
pub trait Check: Send + Sync {
    /// Looks once. The future is dropped at the timeout; what it started should end with it.
    ///
    /// It must not block its thread: what would, belongs into [`blocking`]. A panic is a failure.
    fn check(&self) -> Boxed<'_, Verdict>;
}

/// What a check found.
///
/// It is made of what functions return anyway: `()` is a pass, an `Err` is a failure with the error's text for its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be.
    Pass,
    /// All is as it should be, and these words are shown in place of `Ok`.
    PassAs(String),
    /// A pass, but something wants attention: enough of them in a row make the check degraded, which keeps a server in service.
    Warn(String),
    /// Not as it should be, and why. Those who see details read the reason, so no passwords.
    Fail(String),
}

impl From<()> for Verdict {
    fn from((): ()) -> Self {
        Self::Pass
    }
}

impl<T: Into<Self>, E: Display> From<Result<T, E>> for Verdict {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(|error| Self::Fail(error.to_string()), Into::into)
    }
}

impl Verdict {
    /// As the engine knows it.
    pub(crate) fn outcome(self, latency: Duration) -> Outcome {
        let (verdict, reason) = match self {
            Self::Pass => return Outcome::pass(latency),
            Self::PassAs(word) => (outcome::Verdict::Pass, word),
            Self::Warn(reason) => (outcome::Verdict::Warn, reason),
            Self::Fail(reason) => (outcome::Verdict::Fail, reason),
        };
        Outcome { verdict, fault: None, reason: outcome::one_line(&reason).into(), latency }
    }
}

impl<F, R> Check for F
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output: Into<Verdict>> + Send + 'static,
{
    fn check(&self) -> Boxed<'_, Verdict> {
        let looking = self();
        Box::pin(async { looking.await.into() })
    }
}

/// A check of something that blocks its thread: a file system, a database library without async.
///
/// It runs on Tokio's threads for such things. A run that has not ended by its timeout cannot be ended by anybody: the
/// check fails until it does, and no other run is started beside it.
///
/// ```
/// # use heartbeat_responder::{Health, blocking};
/// let health = Health::builder().check("uploads", blocking(|| std::fs::write("/srv/uploads/.heartbeat", "")));
/// ```
pub fn blocking<R: Into<Verdict>>(look: impl FnMut() -> R + Send + 'static) -> impl Check {
    Blocking(Arc::new(Mutex::new(look)))
}

/// Whoever looks has the lock, even if nobody waits for the result any more.
struct Blocking<F>(Arc<Mutex<F>>);

impl<F, R> Check for Blocking<F>
where
    F: FnMut() -> R + Send + 'static,
    R: Into<Verdict>,
{
    fn check(&self) -> Boxed<'_, Verdict> {
        let Ok(mut look) = Arc::clone(&self.0).try_lock_owned() else {
            return Box::pin(std::future::ready(still_running()));
        };
        let looking = tokio::task::spawn_blocking(move || look().into());
        Box::pin(async { looking.await.unwrap_or_else(broken) })
    }
}

/// The verdict while an earlier run cannot be ended.
pub(crate) fn still_running() -> Verdict {
    Verdict::Fail("the run before this one has not ended".to_owned())
}

/// The verdict of a run that did not come to one.
pub(crate) fn broken(error: JoinError) -> Verdict {
    let Ok(panic) = error.try_into_panic() else { return Verdict::Fail("the check was ended".to_owned()) };
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Verdict::Fail(format!("the check panicked: {}", text.unwrap_or("with a value that is no text")))
}
