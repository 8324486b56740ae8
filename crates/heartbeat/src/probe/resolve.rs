//! Name resolution as a client of this machine sees it: /etc/hosts, then the name servers of /etc/resolv.conf.
//!
//! Every lookup asks anew: an answer that we had remembered would hide what a new client sees. Both files are read again
//! when they have changed (another network, a renewed lease), off the threads that probe. The deadline of the probe stands
//! above all; the name servers' own timeouts only decide when the next one is asked.
//!
//! Whose fault is it? A name server that is silent, slow or fails is `dns`, for a client of the target fares alike. Only
//! when not even a question can be sent, or a name server fails while this machine has no route out of itself, it is ours.
//!
//! Absent on purpose: nsswitch.conf, mDNS and DNSSEC.

mod sockets;

use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use heartbeat_core::Mono;
use heartbeat_core::outcome::Fault;
use hickory_resolver::Resolver as Asker;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use nix::errno::Errno;

use self::sockets::Sockets;
use super::net;
use super::values::{Family, IpVersion};
use super::{Failure, Phase, Trace};
use crate::host::clock;

/// How often the files of the system are looked at, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// When one family has answered with addresses, how long the other is still waited for: the resolution delay of RFC 8305,
/// section 3. A name server that drops questions for one family must not stop every check.
const OTHER_FAMILY: Duration = Duration::from_millis(50);

/// The files that say how names are resolved.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Resolves names. Shared by all probes; a clone is another handle.
#[derive(Clone)]
pub struct Resolver {
    current: Arc<Mutex<Current>>,
    sockets: Sockets,
}

struct Current {
    resolver: Asker<Sockets>,
    /// What was seen of the files, and when; `None`: the configuration is a fixed one.
    files: Option<(Mono, Stamps)>,
}

/// When each of the files was changed.
type Stamps = [Option<SystemTime>; 2];

impl Resolver {
    /// The system's way. A file that is missing or broken is as good as an empty one: the local name server is asked then,
    /// as resolv.conf(5) has it.
    pub fn system() -> Self {
        let stamps = stamps();
        let sockets = Sockets::default();
        let resolver = read_system(&sockets);
        Self::with(Current { resolver, files: Some((clock::mono(), stamps)) }, sockets)
    }

    /// A resolver that asks just these servers, without /etc/hosts.
    pub fn of(servers: Vec<NameServerConfig>, mut options: ResolverOpts) -> Self {
        options.use_hosts_file = ResolveHosts::Never;
        let sockets = Sockets::default();
        let resolver = build(ResolverConfig::from_name_servers(servers), options, &sockets);
        Self::with(Current { resolver, files: None }, sockets)
    }

    fn with(current: Current, sockets: Sockets) -> Self {
        Self { current: Arc::new(Mutex::new(current)), sockets }
    }

    /// The addresses of a name, in the order in which they are to be tried; never empty.
    ///
    /// # Errors
    /// [`Fault::Dns`] if the name has none or the name servers fail; a local fault if we cannot ask at all.
    pub async fn lookup(&self, name: &str, family: Family, trace: &Trace) -> Result<Vec<IpAddr>, Failure> {
        let found = match name.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => {
                trace.enter(Phase::Dns);
                let resolver = self.fresh();
                let asked = clock::mono();
                let found = match family.only() {
                    Some(version) => ask(&resolver, name, version).await,
                    None => ask_both(&resolver, name).await,
                };
                trace.complete();
                found.map_err(|error| judge(name, &error, self.sockets.refused_since(asked)))?
            }
        };
        let ordered = family.order(found);
        if ordered.is_empty() {
            return Err(Failure::new(Fault::Dns, format!("{name} has no address that `ip` allows")));
        }
        Ok(ordered)
    }

    /// The resolver; and every few seconds a look at the files, in the background.
    fn fresh(&self) -> Asker<Sockets> {
        let mut current = self.lock();
        if let Some((looked, stamps)) = &mut current.files {
            let now = clock::mono();
            if now.since(*looked) >= LOOK_AGAIN {
                *looked = now;
                let (this, seen) = (self.clone(), *stamps);
                tokio::task::spawn_blocking(move || this.look_again(seen));
            }
        }
        current.resolver.clone()
    }

    fn look_again(&self, seen: Stamps) {
        let stamps = stamps();
        if stamps == seen {
            return;
        }
        let resolver = read_system(&self.sockets);
        let mut current = self.lock();
        current.resolver = resolver;
        current.files = Some((clock::mono(), stamps));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

fn stamps() -> Stamps {
    FILES.map(|path| fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read_system(sockets: &Sockets) -> Asker<Sockets> {
    let read = hickory_resolver::system_conf::read_system_conf();
    let (config, options) = read.unwrap_or_else(|_| {
        let local = NameServerConfig::udp_and_tcp(std::net::Ipv4Addr::LOCALHOST.into());
        (ResolverConfig::from_name_servers(vec![local]), ResolverOpts::default())
    });
    build(config, options, sockets)
}

fn build(config: ResolverConfig, mut options: ResolverOpts, sockets: &Sockets) -> Asker<Sockets> {
    options.cache_size = 0;
    let mut builder = Asker::builder_with_config(config, sockets.clone());
    *builder.options_mut() = options;
    builder.build().expect("fails only over TLS options, and there are none")
}

async fn ask(resolver: &Asker<Sockets>, name: &str, version: IpVersion) -> Result<Vec<IpAddr>, NetError> {
    let record = match version {
        IpVersion::V4 => RecordType::A,
        IpVersion::V6 => RecordType::AAAA,
    };
    let found = resolver.lookup(name, record).await?;
    Ok(found.answers().iter().filter_map(|answer| answer.data.ip_addr()).collect())
}

async fn ask_both(resolver: &Asker<Sockets>, name: &str) -> Result<Vec<IpAddr>, NetError> {
    type Asking<'a> = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, NetError>> + Send + 'a>>;
    let mut four: Asking<'_> = Box::pin(ask(resolver, name, IpVersion::V4));
    let mut six: Asking<'_> = Box::pin(ask(resolver, name, IpVersion::V6));
    let (first, other) = tokio::select! {
        first = &mut four => (first, six),
        first = &mut six => (first, four),
    };
    match first {
        Ok(mut addresses) if !addresses.is_empty() => {
            if let Ok(Ok(more)) = tokio::time::timeout(OTHER_FAMILY, other).await {
                addresses.extend(more);
            }
            Ok(addresses)
        }
        Ok(_) => other.await,
        Err(error) => other.await.map_err(|second| telling(error, second)),
    }
}

/// Of two failures the one that says more about the name.
fn telling(a: NetError, b: NetError) -> NetError {
    fn rank(error: &NetError) -> u8 {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == ResponseCode::NoError => 0,
            NetError::Io(_) => 1,
            NetError::Dns(_) if !error.is_nx_domain() => 3,
            NetError::Dns(_) => 4,
            _ => 2,
        }
    }
    if rank(&b) > rank(&a) { b } else { a }
}

/// What a failure means, when the system has refused us sockets meanwhile or not. A definite answer stands; for the rest
/// the library has one word, that there were no connections.
fn judge(name: &str, error: &NetError, refusal: Option<io::Error>) -> Failure {
    let ours = refusal.filter(|_| !matches!(error, NetError::Dns(_)));
    ours.and_then(|refusal| net::exhausted(&refusal)).unwrap_or_else(|| explain(name, error))
}

fn explain(name: &str, error: &NetError) -> Failure {
    let dns = |reason: String| Failure::new(Fault::Dns, reason);
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => dns(format!("the name {name} does not exist")),
            ResponseCode::NoError => dns(format!("the name {name} has no address")),
            code => refusal(name, code),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => refusal(name, *code),
        NetError::Timeout => unanswered(format!("no name server answered the question for {name}")),
        NetError::Io(io) => unasked(name, io),
        NetError::NoConnections | NetError::Busy => {
            unanswered(format!("no name server could be asked for {name}: {error}"))
        }
        _ => dns(format!("the name {name} could not be resolved: {error}")),
    }
}

/// The name server answered that it will not or cannot answer. Behind a local one this is how a lost network looks.
fn refusal(name: &str, code: ResponseCode) -> Failure {
    unanswered(format!("the name server did not resolve {name}: {code}"))
}

/// No name server helped: ours if this machine is cut off, for then none can.
fn unanswered(reason: String) -> Failure {
    if net::has_any_route() {
        Failure::new(Fault::Dns, reason)
    } else {
        Failure::new(Fault::Network, format!("{reason}; this machine has no route to anywhere"))
    }
}

/// The question could not be sent.
fn unasked(name: &str, error: &io::Error) -> Failure {
    if let Some(failure) = net::exhausted(error) {
        return failure;
    }
    let words = net::words(error);
    match net::errno(error) {
        Some(
            Errno::ENETUNREACH
            | Errno::ENETDOWN
            | Errno::EHOSTUNREACH
            | Errno::EADDRNOTAVAIL
            | Errno::EPERM
            | Errno::EACCES,
        ) => Failure::new(Fault::Resolver, format!("no name server can be reached to resolve {name}: {words}")),
        _ => Failure::new(Fault::Dns, format!("the name {name} could not be resolved: {words}")),
    }
}

#[cfg(test)]
mod tests;
