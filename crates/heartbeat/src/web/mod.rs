//! The responder on the wire: sockets, HTTP, TLS, and who asked.
//!
//! What is answered is decided by a [`Board`], which knows nothing of sockets; what stands on it is not known here. All of it
//! runs on a thread of its own, so that nothing that a probe, the scheduler or the store does can delay a poll.

pub mod agent;
mod body;
mod crowd;
pub mod doors;
mod grpc;
mod head;
mod http;
pub mod listen;
pub mod polls;
mod reception;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod tls;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use heartbeat_responder::Board;
use nix::sys::resource::{Resource, getrlimit};
use tokio::sync::{oneshot, watch};
use tokio::task;

use crate::config::Fields;
use crate::config::values::Count;
use crate::host::clock;
use agent::{Agent, Agents};
use crowd::Crowd;
use doors::Door;
pub use doors::Doors;
use grpc::Health;
use http::Http;
use listen::{Address, Listens};
use polls::Polls;
pub use polls::{Peer, Poller, Transport};
use reception::{Protocol, Reception};
use tls::Certificates;

/// What the configuration says about the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to answer HTTP.
    pub listen: Listens,
    /// Where HAProxy's agent checks are answered.
    pub agents: Agents,
    /// Where gRPC clients are answered.
    pub grpc: Listens,
    /// So many connections at once; `None`: as many as the limit on descriptors suggests.
    pub connections: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        let address = Address::Tcp(([127, 0, 0, 1], 8811).into());
        let (agents, grpc) = (Agents::default(), Listens::default());
        Self { listen: Listens(vec![address.into()]), agents, grpc, connections: None }
    }
}

impl Options {
    /// Reads the keys of `responder` that are about the wire.
    pub fn read(fields: &mut Fields<'_, '_, '_>) -> Self {
        let listen = fields.or(
            "listen",
            "Where HTTP is answered: one address or a list. Port 0 is any that is free.",
            Self::default().listen,
        );
        let agents = fields.optional(
            "agent",
            "Where HAProxy's agent checks are answered: an address, a map or a list; `up drain` lets a server finish what it has.",
        );
        let grpc = fields.optional(
            "grpc",
            "Where gRPC's health service is answered, `grpc.health.v1`, each view by its name: one address or a list.",
        );
        let connections = fields.optional::<Count>(
            "connections",
            "Connections at once; beyond it the one that has been waiting longest makes room. A quarter of the limit on open files if it is left out, 4096 at most.",
        );
        let (agents, grpc) = (agents.unwrap_or_default(), grpc.unwrap_or_default());
        Self { listen, agents, grpc, connections: connections.map(|count| count.0) }
    }

    /// The bound on connections.
    fn connections(&self) -> usize {
        let files = || getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        self.connections.map_or_else(|| (files() / 4).clamp(16, 4096) as usize, |count| count as usize)
    }
}

/// The responder at work. It ends when this is dropped.
#[derive(Debug)]
pub struct Web {
    polls: Arc<Polls>,
    certificates: Vec<Arc<Certificates>>,
    names: Vec<String>,
    closing: watch::Sender<bool>,
    ended: Option<oneshot::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Answers at these doors what is on that board.
    ///
    /// # Errors
    /// If there is no thread or descriptor left for it.
    pub fn start(doors: Doors, board: Arc<Board>) -> io::Result<Self> {
        Self::start_with(doors, board, Bounds::default())
    }

    fn start_with(doors: Doors, board: Arc<Board>, bounds: Bounds) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (closing, close) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let polls = Arc::new(Polls::default());
        let names = doors.names().into_iter().map(str::to_owned).collect();
        let certificates = doors.all().filter_map(|door| door.tls.clone()).collect();
        let crowd = Crowd::new(doors.connections, bounds);
        let serving = {
            // A socket is registered with the runtime that it is made in, and served there.
            let _inside = runtime.enter();
            let office = Office { polls: polls.clone(), crowd: crowd.clone(), close: close.clone() };
            office.open(doors, &board)?
        };
        let work = move || {
            runtime.block_on(async {
                crowd.watch(close).await;
                for serving in serving {
                    let _ = serving.await;
                }
                crowd.disperse().await;
            });
            // Nobody may wait for it any more.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("responder".to_owned()).spawn(work)?;
        Ok(Self { polls, certificates, names, closing, ended: Some(ended), thread: Some(thread) })
    }

    /// Where it answers, for people.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads all certificates again. What is wrong with them, a sentence each: the old ones stay in force then.
    pub fn reload(&self) -> Vec<String> {
        self.certificates.iter().filter_map(|certificates| certificates.reload().err()).collect()
    }

    /// Who has asked.
    pub fn polls(&self) -> Vec<Poller> {
        self.polls.list(clock::now())
    }

    /// Ends it in order: whoever has asked is answered, then every socket is closed. Takes two seconds at most.
    pub async fn close(mut self) {
        self.closing.send_replace(true);
        if let Some(ended) = self.ended.take() {
            // An error is an end too.
            let _ = ended.await;
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.closing.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What all receptions share.
struct Office {
    polls: Arc<Polls>,
    crowd: Arc<Crowd>,
    close: watch::Receiver<bool>,
}

impl Office {
    /// Opens a reception at every door.
    fn open(&self, doors: Doors, board: &Arc<Board>) -> io::Result<Vec<task::JoinHandle<()>>> {
        let http = Arc::new(Http::new(board.clone()));
        let health = Arc::new(Health::new(board.clone(), self.close.clone()));
        let http = doors.http.into_iter().map(|door| self.reception(door, http.clone()));
        let agent = |(options, door)| self.reception(door, Arc::new(Agent::new(board.clone(), &options)));
        let agents = doors.agents.into_iter().map(agent);
        let grpc = doors.grpc.into_iter().map(|door| self.reception(door, health.clone()));
        http.chain(agents).chain(grpc).collect()
    }

    fn reception<P: Protocol>(&self, door: Door, protocol: Arc<P>) -> io::Result<task::JoinHandle<()>> {
        let reception = Reception::open(door, protocol, self.polls.clone(), self.crowd.clone())?;
        Ok(tokio::spawn(reception.serve(self.close.clone())))
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// From the beginning of a request, or of a connection, to the end of the request.
    pub(crate) request: Duration,
    /// Between two requests of a connection.
    pub(crate) idle: Duration,
    /// For the peer to take an answer.
    pub(crate) answer: Duration,
    /// For answers that are under way at the end.
    pub(crate) parting: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(5),
            // A little longer than load balancers keep theirs, so that they are the ones who hang up.
            idle: Duration::from_secs(75),
            answer: Duration::from_secs(5),
            parting: Duration::from_secs(2),
        }
    }
}
