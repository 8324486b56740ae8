//! Whose turn it is: limits on probes in flight, and fair waiting for a place.
//!
//! Whoever is due waits in the queue of its host; hosts take turns, one probe each. A host that is slow, or has very many
//! checks, fills its own queue and no more than its own places, and everybody else goes past it.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::policy::Limits;

/// A host, as this module numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host(u32);

/// The probes in flight and those that wait for a place.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    limits: Limits,
    in_flight: u32,
    numbers: BTreeMap<Option<Arc<str>>, Host>,
    hosts: Vec<Queue>,
    /// Hosts with somebody waiting and a place of their own free, in the order of their turns.
    ring: VecDeque<Host>,
}

/// One host's part.
#[derive(Clone, Debug, Default)]
struct Queue {
    places: u32,
    in_flight: u32,
    waiting: VecDeque<u32>,
    in_ring: bool,
}

impl Turns {
    /// Nobody waits, nothing is in flight.
    pub(crate) fn new(limits: Limits) -> Self {
        let limits = Limits { probes: limits.probes.max(1), per_host: limits.per_host.max(1) };
        Self { limits, in_flight: 0, numbers: BTreeMap::new(), hosts: Vec::new(), ring: VecDeque::new() }
    }

    /// The number of a host. What has no host (commands) shares one number, without a limit per host.
    pub(crate) fn host(&mut self, name: Option<&Arc<str>>) -> Host {
        let next = Host(u32::try_from(self.hosts.len()).expect("fewer hosts than checks"));
        let host = *self.numbers.entry(name.cloned()).or_insert(next);
        if host == next {
            let places = if name.is_some() { self.limits.per_host } else { u32::MAX };
            self.hosts.push(Queue { places, ..Queue::default() });
        }
        host
    }

    /// A slot is due and waits for its turn.
    pub(crate) fn wait(&mut self, host: Host, slot: u32) {
        self.queue(host).waiting.push_back(slot);
        self.enter_ring(host);
    }

    /// The slot whose turn it is, if there is a place for it; the place is then taken.
    pub(crate) fn next(&mut self) -> Option<u32> {
        if self.in_flight >= self.limits.probes {
            return None;
        }
        let host = self.ring.pop_front()?;
        let queue = self.queue(host);
        queue.in_ring = false;
        let slot = queue.waiting.pop_front()?;
        self.take(host);
        self.enter_ring(host);
        Some(slot)
    }

    /// Counts a probe as in flight that was so before these turns were made.
    pub(crate) fn take(&mut self, host: Host) {
        self.in_flight += 1;
        self.queue(host).in_flight += 1;
    }

    /// A probe has ended: its place is free.
    pub(crate) fn release(&mut self, host: Host) {
        self.in_flight -= 1;
        self.queue(host).in_flight -= 1;
        self.enter_ring(host);
    }

    /// Probes in flight.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn enter_ring(&mut self, host: Host) {
        let queue = self.queue(host);
        if !queue.in_ring && !queue.waiting.is_empty() && queue.in_flight < queue.places {
            queue.in_ring = true;
            self.ring.push_back(host);
        }
    }

    fn queue(&mut self, host: Host) -> &mut Queue {
        &mut self.hosts[host.0 as usize]
    }
}
