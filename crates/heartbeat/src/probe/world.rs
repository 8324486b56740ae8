//! What probes share, built once: the resolver, the trusted authorities, the memory for bodies.

use std::sync::Arc;

use super::budget::Budget;
use super::resolve::Resolver;
use super::tls;
use crate::host::hostname::hostname;

/// The most bytes of bodies that all probes together keep at once.
const BODIES: usize = 64 << 20;

/// What probers share. Cheap until something is asked of it.
#[derive(Debug)]
pub struct World {
    resolver: Resolver,
    tls: tls::Shared,
    bodies: Budget,
    node: Arc<str>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// The world of this machine: its hosts file, its name servers, its trusted authorities.
    pub fn new() -> Self {
        Self::with(Resolver::system())
    }

    /// A world in which names are resolved by `resolver`.
    pub fn with(resolver: Resolver) -> Self {
        Self::with_bodies(resolver, Budget::new(BODIES))
    }

    /// The same with so much memory for bodies.
    pub fn with_bodies(resolver: Resolver, bodies: Budget) -> Self {
        Self { resolver, tls: tls::Shared::default(), bodies, node: hostname().into() }
    }

    /// The same on a node of this name; without a word, it has the host's.
    pub fn of_node(self, node: Option<&str>) -> Self {
        Self { node: node.map_or(self.node, Arc::from), ..self }
    }

    /// The name of this node, for what a probe writes and must not share with other nodes.
    pub fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// Resolves names.
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The memory that bodies may take.
    pub fn bodies(&self) -> &Budget {
        &self.bodies
    }

    /// What connections over TLS have in common.
    pub fn tls(&self) -> &tls::Shared {
        &self.tls
    }
}
