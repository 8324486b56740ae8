//! The resolver's sockets, and what the system said when it gave none.
//!
//! The resolver library forgets why it could not ask: to it, a process without descriptors and a name server that is out of
//! reach are the same. The first is ours and must not count against a target, so it is noted where it happens.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heartbeat_core::Mono;
use hickory_resolver::net::runtime::{RuntimeProvider, TokioRuntimeProvider};

use crate::host::clock;

/// Makes sockets for the resolver.
#[derive(Clone, Default)]
pub(super) struct Sockets {
    tokio: TokioRuntimeProvider,
    /// The number of the last error, and when that was.
    refusal: Arc<Mutex<Option<(Mono, i32)>>>,
}

impl Sockets {
    /// What the system said last when it gave no socket to anybody who asked for one since `start`.
    pub(super) fn refused_since(&self, start: Mono) -> Option<io::Error> {
        let last = *self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(at, _)| *at >= start).map(|(_, number)| io::Error::from_raw_os_error(number))
    }

    fn noted<T>(&self, made: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &made
            && let Some(number) = error.raw_os_error()
        {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some((clock::mono(), number));
        }
        made
    }
}

/// What the trait wants to be given.
type Making<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl RuntimeProvider for Sockets {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = <TokioRuntimeProvider as RuntimeProvider>::Timer;
    type Udp = <TokioRuntimeProvider as RuntimeProvider>::Udp;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.tokio.create_handle()
    }

    fn connect_tcp(&self, to: SocketAddr, from: Option<SocketAddr>, wait: Option<Duration>) -> Making<Self::Tcp> {
        let (this, made) = (self.clone(), self.tokio.connect_tcp(to, from, wait));
        Box::pin(async move { this.noted(made.await) })
    }

    fn bind_udp(&self, from: SocketAddr, to: SocketAddr) -> Making<Self::Udp> {
        let (this, made) = (self.clone(), self.tokio.bind_udp(from, to));
        Box::pin(async move { this.noted(made.await) })
    }
}
