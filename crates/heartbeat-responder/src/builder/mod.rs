//! What an application says of its health.

mod arrange;
mod error;
mod options;

use std::path::PathBuf;
use std::sync::Arc;

use heartbeat_core::answer::Statuses;
use http::Extensions;

use crate::board::Board;
use crate::check::Check;
use crate::flag::Flag;
use crate::health::{Health, Inner};
use crate::lookout::Lookout;
use crate::observer::{Observer, Transition};
use crate::runner::Runner;
use crate::service::{FindPeer, Peer};
use crate::view::{Details, FlagRule};

pub use error::BuildError;
pub use options::{Options, ViewOptions};

type Told = dyn FnMut(&Transition) + Send;

/// Makes a [`Health`].
#[derive(Default)]
pub struct Builder {
    flag: Option<(PathBuf, FlagRule)>,
    checks: Vec<(String, Options, Arc<dyn Check>)>,
    defaults: Options,
    views: Vec<(String, ViewOptions)>,
    prefix: String,
    statuses: Statuses,
    details: Details,
    token: Option<String>,
    find_peer: FindPeer,
    observer: Option<Box<Told>>,
}

impl Builder {
    /// The file that takes this server out of service while it holds a `0`; `heartbeat down` writes it. The file
    /// `FLAG.NAME` beside it does so for the view of that name alone.
    pub fn flag(self, file: impl Into<PathBuf>) -> Self {
        self.flag_with(file, FlagRule { takedown: true })
    }

    /// A flag that may be there to be shown only.
    pub fn flag_with(mut self, file: impl Into<PathBuf>, rule: FlagRule) -> Self {
        self.flag = Some((file.into(), rule));
        self
    }

    /// A check, shown under this name.
    pub fn check(self, name: impl Into<String>, check: impl Check + 'static) -> Self {
        self.check_with(name, Options::new(), check)
    }

    /// A check that is run and judged in a way of its own.
    pub fn check_with(mut self, name: impl Into<String>, options: Options, check: impl Check + 'static) -> Self {
        self.checks.push((name.into(), options, Arc::new(check)));
        self
    }

    /// How checks are run and judged that do not say it themselves.
    pub const fn defaults(mut self, options: Options) -> Self {
        self.defaults = options;
        self
    }

    /// A further view; in place of a [default one](crate::defaults::with_defaults) if it has the same name.
    pub fn view(mut self, name: impl Into<String>, options: ViewOptions) -> Self {
        self.views.push((name.into(), options));
        self
    }

    /// Puts this before the paths of the default views: with `/internal`, readiness is at `/internal/readyz`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The HTTP statuses of answers, unless a view has its own.
    pub const fn statuses(mut self, statuses: Statuses) -> Self {
        self.statuses = statuses;
        self
    }

    /// Who sees reasons, unless a view says it itself.
    pub const fn details(mut self, details: Details) -> Self {
        self.details = details;
        self
    }

    /// The word that shows the details to strangers, as `Authorization: Bearer WORD`.
    pub fn token(mut self, word: impl Into<String>) -> Self {
        self.token = Some(word.into());
        self
    }

    /// How to find out who asks, in place of looking for a [`Peer`] in the request's extensions. With axum's `ConnectInfo`:
    ///
    /// ```
    /// # use std::net::SocketAddr;
    /// # use heartbeat_responder::Health;
    /// # #[derive(Clone)]
    /// # struct ConnectInfo<T>(T);
    /// let health = Health::builder()
    ///     .peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.into()));
    /// ```
    pub fn peer(mut self, find: impl Fn(&Extensions) -> Option<Peer> + Send + Sync + 'static) -> Self {
        self.find_peer = FindPeer::by(find);
        self
    }

    /// Whom to tell when a check or the flag (its subject is `flag`) has another state: once each time, not at every run or
    /// poll. A check's first state is told too; the flag is up until it says otherwise.
    ///
    /// It has a thread of its own, so it may take its time; what follows meanwhile waits, up to 1,024 transitions.
    pub fn observer(mut self, told: impl FnMut(&Transition) + Send + 'static) -> Self {
        self.observer = Some(Box::new(told));
        self
    }

    /// Begins to watch. To be called inside of a runtime of Tokio, whose timers are enabled.
    ///
    /// # Errors
    /// If something was said that cannot be, or the system gives us no thread.
    pub fn build(self) -> Result<Health, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let (planned, layout) = self.arrange()?;
        let observer = self.observer.map_or_else(|| Ok(Observer::default()), Observer::start);
        let observer = observer.map_err(BuildError::Thread)?;
        let board = Arc::new(Board::new(layout));
        let lookout = match self.flag {
            Some((file, _)) => {
                let lookout = Lookout::start(&board, &Flag::new(file), observer.clone().of_flags());
                Some(lookout.map_err(BuildError::Thread)?)
            }
            None => None,
        };
        let runner = runtime.spawn(Runner::new(Arc::clone(&board), observer, planned).run()).abort_handle();
        Ok(Health::of(Inner { board, find_peer: self.find_peer, runner, lookout }))
    }
}
