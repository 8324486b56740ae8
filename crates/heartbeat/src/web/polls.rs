//! Who has asked, how often, and what they were told.
//!
//! A drain is over when everybody who asks has been told of it: so for every poller and view we keep how many answers in a
//! row said so, and the pace at which it asks. Pollers are told apart by address; two load balancers behind one address
//! are one here, with a shorter interval.
//!
//! A connection looks its poller up once; counting a poll is a few atomic writes. The number of pollers is bounded: the one
//! that has been silent longest is forgotten.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heartbeat_core::{Mono, Now, Wall};
use heartbeat_responder::Answer;
use heartbeat_responder::reply::Reply;
use serde::{Deserialize, Serialize};

/// So many pollers are remembered.
const POLLERS: usize = 256;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Peer {
    /// Somebody at a Unix socket.
    Unix,
    /// An address; IPv4 in IPv6 is IPv4.
    Address(IpAddr),
}

impl Peer {
    /// Whoever is at that address.
    pub fn at(address: SocketAddr) -> Self {
        Self::Address(address.ip().to_canonical())
    }

    /// Whether it is on this machine.
    pub fn is_local(self) -> bool {
        match self {
            Self::Unix => true,
            Self::Address(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix => f.write_str("unix"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        peer.to_string()
    }
}

impl TryFrom<String> for Peer {
    type Error = std::net::AddrParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "unix" => Ok(Self::Unix),
            address => address.parse().map(Self::Address),
        }
    }
}

/// By which protocol it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// HTTP/1.
    Http,
    /// HAProxy's agent-check.
    Agent,
    /// gRPC health.
    Grpc,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Agent => "agent",
            Self::Grpc => "grpc",
        })
    }
}

/// What is known of a poller and a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poller {
    /// Who asks.
    pub peer: Peer,
    /// How.
    pub transport: Transport,
    /// For which view; `None`: where there is none.
    pub view: Option<Arc<str>>,
    /// How many polls were answered with which HTTP status.
    pub polls: BTreeMap<u16, u64>,
    /// The first poll.
    pub first: Wall,
    /// The latest poll.
    pub last: Wall,
    /// How long ago that was, by the monotonic clock.
    pub silent: Duration,
    /// The time from one poll to the next, smoothed; `None` after a single one.
    pub interval: Option<Duration>,
    /// The latest status.
    pub status: u16,
    /// So many answers up to now, without one between them, said that this server is drained.
    pub drained_in_a_row: u32,
    /// So many answers up to now, without one between them, said to send no requests, for whatever reason.
    pub refused_in_a_row: u32,
}

/// All pollers.
#[derive(Debug, Default)]
pub struct Polls {
    tracks: Mutex<HashMap<Key, Arc<Track>>>,
}

type Key = (Peer, Transport, Option<Arc<str>>);

/// Counts the polls of one poller and view.
#[derive(Debug, Default)]
struct Track {
    /// It made room for another poller. Should its own still be there, it is looked up anew.
    forgotten: AtomicBool,
    /// Of the first and latest poll: milliseconds of the wall clock.
    first: AtomicI64,
    last: AtomicI64,
    /// Of the latest poll: microseconds of the monotonic clock; 0: none yet.
    latest: AtomicU64,
    /// Microseconds; 0: not known.
    interval: AtomicU64,
    status: AtomicU16,
    drained: AtomicU32,
    refused: AtomicU32,
    /// Status and number. A view has at most five statuses; a reload may bring others.
    polls: [(AtomicU16, AtomicU64); STATUSES],
}

/// So many different statuses are told apart; whatever comes after them counts as the last one.
const STATUSES: usize = 12;

/// A connection remembers the counters of so many views.
const VIEWS: usize = 16;

impl Polls {
    /// The counters of a connection from there.
    pub fn of(self: &Arc<Self>, peer: Peer, transport: Transport) -> Counters {
        Counters { polls: self.clone(), peer, transport, known: Vec::new() }
    }

    /// Everybody who is remembered, in the order of their addresses.
    pub fn list(&self, now: Now) -> Vec<Poller> {
        let mut list: Vec<_> = lock(&self.tracks).iter().map(|(key, track)| track.show(key, now.mono)).collect();
        list.sort_by(|a, b| (a.peer, a.transport, &a.view).cmp(&(b.peer, b.transport, &b.view)));
        list
    }

    fn track(&self, key: Key) -> Arc<Track> {
        let mut tracks = lock(&self.tracks);
        if let Some(track) = tracks.get(&key) {
            return track.clone();
        }
        if tracks.len() >= POLLERS {
            let silent = tracks.iter().min_by_key(|(_, track)| track.latest.load(Ordering::Relaxed));
            if let Some(silent) = silent.map(|(key, _)| key.clone()).and_then(|key| tracks.remove(&key)) {
                silent.forgotten.store(true, Ordering::Relaxed);
            }
        }
        tracks.entry(key).or_default().clone()
    }
}

/// The counters that one connection uses.
#[derive(Clone, Debug)]
pub struct Counters {
    polls: Arc<Polls>,
    peer: Peer,
    transport: Transport,
    /// Usually one.
    known: Vec<(Option<Arc<str>>, Arc<Track>)>,
}

impl Counters {
    /// Who asks.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Counts an answer that was sent.
    pub fn count(&mut self, reply: &Reply, now: Now) {
        self.count_answer(reply.view.as_ref(), reply.answer, reply.status, now);
    }

    /// Counts an answer that was sent by other means than a [`Reply`]. `status` is the HTTP status that the view has for it.
    pub fn count_answer(&mut self, view: Option<&Arc<str>>, answer: Option<Answer>, status: u16, now: Now) {
        let place = match self.known.iter().position(|(known, _)| known.as_ref() == view) {
            Some(place) if !self.known[place].1.forgotten.load(Ordering::Relaxed) => place,
            _ => {
                // Nor need the views of a layout that is gone be kept.
                self.known.retain(|(_, track)| !track.forgotten.load(Ordering::Relaxed));
                if self.known.len() >= VIEWS {
                    self.known.clear();
                }
                let track = self.polls.track((self.peer, self.transport, view.cloned()));
                self.known.push((view.cloned(), track));
                self.known.len() - 1
            }
        };
        self.known[place].1.count(answer, status, now);
    }
}

impl Track {
    fn count(&self, answer: Option<Answer>, status: u16, now: Now) {
        // 0 is never: the first microsecond of a process has no polls.
        let micros = u64::try_from(now.mono.since_origin().as_micros()).unwrap_or(u64::MAX).max(1);
        let wall = now.wall.unix_millis();
        self.last.store(wall, Ordering::Relaxed);
        match self.latest.swap(micros, Ordering::Relaxed) {
            0 => self.first.store(wall, Ordering::Relaxed),
            before => {
                let gap = micros.saturating_sub(before).max(1);
                let smoothed = match self.interval.load(Ordering::Relaxed) {
                    0 => gap,
                    // The weight of a new gap is a quarter: a few polls after a change of pace it is that pace.
                    old => old - old / 4 + gap / 4,
                };
                self.interval.store(smoothed, Ordering::Relaxed);
            }
        }
        self.status.store(status, Ordering::Relaxed);
        in_a_row(&self.drained, answer == Some(Answer::Drained));
        in_a_row(&self.refused, !answer.is_some_and(Answer::is_ok));
        for (known, polls) in &self.polls[..STATUSES - 1] {
            let claimed = known.compare_exchange(0, status, Ordering::Relaxed, Ordering::Relaxed);
            if claimed.is_ok() || claimed == Err(status) {
                polls.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        let (last, polls) = &self.polls[STATUSES - 1];
        last.store(status, Ordering::Relaxed);
        polls.fetch_add(1, Ordering::Relaxed);
    }

    fn show(&self, (peer, transport, view): &Key, now: Mono) -> Poller {
        let micros = |number: &AtomicU64| Duration::from_micros(number.load(Ordering::Relaxed));
        let wall = |number: &AtomicI64| Wall::from_unix_millis(number.load(Ordering::Relaxed));
        let polls =
            self.polls.iter().map(|(status, polls)| (status.load(Ordering::Relaxed), polls.load(Ordering::Relaxed)));
        Poller {
            peer: *peer,
            transport: *transport,
            view: view.clone(),
            polls: polls.filter(|(_, polls)| *polls > 0).collect(),
            first: wall(&self.first),
            last: wall(&self.last),
            silent: now.since_origin().saturating_sub(micros(&self.latest)),
            interval: Some(micros(&self.interval)).filter(|interval| !interval.is_zero()),
            status: self.status.load(Ordering::Relaxed),
            drained_in_a_row: self.drained.load(Ordering::Relaxed),
            refused_in_a_row: self.refused.load(Ordering::Relaxed),
        }
    }
}

fn in_a_row(count: &AtomicU32, again: bool) {
    if again {
        count.fetch_add(1, Ordering::Relaxed);
    } else if count.load(Ordering::Relaxed) != 0 {
        count.store(0, Ordering::Relaxed);
    }
}

/// Nobody panics while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        let millis = i64::try_from(seconds).unwrap() * 1000;
        Now { mono: Mono::from_origin(Duration::from_secs(seconds)), wall: Wall::from_unix_millis(millis) }
    }

    fn peer(number: u32) -> Peer {
        Peer::Address(std::net::Ipv4Addr::from(0x0a00_0000 + number).into())
    }

    fn only(polls: &Polls, now: Now) -> Poller {
        let mut list = polls.list(now);
        assert_eq!(list.len(), 1);
        list.remove(0)
    }

    #[test]
    fn a_poller_has_a_pace_and_a_latest_answer() {
        let polls = Arc::new(Polls::default());
        let view: Arc<str> = "status".into();
        let poll = |second, answer, status| {
            polls.of(peer(1), Transport::Http).count_answer(Some(&view), Some(answer), status, at(second));
        };
        poll(10, Answer::Ok, 200);
        let first = only(&polls, at(11));
        assert_eq!((first.interval, first.first, first.silent), (None, at(10).wall, Duration::from_secs(1)));
        (12..=20).step_by(2).for_each(|second| poll(second, Answer::Ok, 200));
        poll(22, Answer::Drained, 503);
        poll(24, Answer::Drained, 503);
        let drained = only(&polls, at(27));
        assert_eq!(drained.polls.into_iter().collect::<Vec<_>>(), [(200, 6), (503, 2)]);
        assert_eq!(drained.interval, Some(Duration::from_secs(2)));
        assert_eq!((drained.first, drained.last, drained.silent), (at(10).wall, at(24).wall, Duration::from_secs(3)));
        assert_eq!((drained.status, drained.drained_in_a_row, drained.refused_in_a_row), (503, 2, 2));
        poll(26, Answer::Down, 503);
        let down = only(&polls, at(27));
        assert_eq!((down.drained_in_a_row, down.refused_in_a_row), (0, 3));
        poll(28, Answer::Ok, 200);
        let up = only(&polls, at(29));
        assert_eq!((up.drained_in_a_row, up.refused_in_a_row), (0, 0));
    }

    #[test]
    fn a_new_pace_is_believed_after_a_few_polls() {
        let polls = Arc::new(Polls::default());
        let mut counters = polls.of(peer(1), Transport::Http);
        (0..10).for_each(|poll| counters.count_answer(None, None, 404, at(10 + 2 * poll)));
        (0..12).for_each(|poll| counters.count_answer(None, None, 404, at(40 + 10 * poll)));
        let interval = only(&polls, at(200)).interval.unwrap();
        assert!((9..=11).contains(&interval.as_secs()), "{interval:?}");
    }

    #[test]
    fn views_transports_and_peers_are_told_apart() {
        let polls = Arc::new(Polls::default());
        let (status, live): (Arc<str>, Arc<str>) = ("status".into(), "live".into());
        let mut http = polls.of(peer(1), Transport::Http);
        http.count_answer(Some(&status), Some(Answer::Ok), 200, at(1));
        http.count_answer(Some(&live), Some(Answer::Ok), 200, at(2));
        http.count_answer(None, None, 404, at(3));
        polls.of(peer(1), Transport::Agent).count_answer(Some(&status), Some(Answer::Ok), 200, at(4));
        polls.of(Peer::Unix, Transport::Http).count_answer(Some(&status), Some(Answer::Ok), 200, at(5));
        let list = polls.list(at(6));
        let keys: Vec<_> =
            list.iter().map(|poller| (poller.peer.to_string(), poller.transport, poller.view.as_deref())).collect();
        let address = || "10.0.0.1".to_owned();
        assert_eq!(
            keys,
            [
                ("unix".to_owned(), Transport::Http, Some("status")),
                (address(), Transport::Http, None),
                (address(), Transport::Http, Some("live")),
                (address(), Transport::Http, Some("status")),
                (address(), Transport::Agent, Some("status")),
            ]
        );
        let written = serde_json::to_string(&list).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Poller>>(&written).unwrap(), list);
    }

    #[test]
    fn the_longest_silent_one_is_forgotten_and_may_come_back() {
        let polls = Arc::new(Polls::default());
        let mut early = polls.of(peer(0), Transport::Http);
        early.count_answer(None, None, 404, at(1));
        for number in 1..=1000 {
            polls.of(peer(number), Transport::Http).count_answer(None, None, 404, at(1 + u64::from(number)));
        }
        let remembered = |peer| polls.list(at(2000)).into_iter().any(|poller| poller.peer == peer);
        assert_eq!(polls.list(at(2000)).len(), POLLERS);
        assert!(!remembered(peer(0)) && !remembered(peer(744)) && remembered(peer(745)));
        early.count_answer(None, None, 404, at(1500));
        assert!(remembered(peer(0)) && !remembered(peer(745)));
    }

    #[test]
    fn a_status_too_many_is_counted_all_the_same() {
        let polls = Arc::new(Polls::default());
        let mut counters = polls.of(Peer::Unix, Transport::Http);
        (200..220).for_each(|status| counters.count_answer(None, None, status, at(1)));
        assert_eq!(only(&polls, at(2)).polls.values().sum::<u64>(), 20);
    }
}
