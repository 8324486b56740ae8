//! The life of a server as those who poll it see it: not known yet, up, failed, drained, about to end.

use crate::support::{Home, Program, Web, closed_port};

/// A heartbeat that watches a service which can be told to fail.
pub(crate) struct Lifecycle {
    pub(crate) home: Home,
    pub(crate) http: u16,
    pub(crate) grpc: u16,
    service: Web,
    heartbeat: Program,
}

impl Lifecycle {
    /// A start: nobody knows yet how the service is. `keys` are further ones of the responder.
    pub(crate) fn start(keys: &str) -> Self {
        let (service, http, grpc) = (Web::answering(200), closed_port(), closed_port());
        service.hang(true);
        let home = Home::new().with(
            "heartbeat.yaml",
            &format!(
                "defaults: {{ interval: 50ms, fast_interval: 50ms, timeout: 2s, fall: 5, rise: 1, remind: never }}\n\
                 checks:\n  shop: {}\nalerts: []\nstorage: memory\n\
                 responder:\n  listen: 127.0.0.1:{http}\n  grpc: 127.0.0.1:{grpc}\n  flag: heart.beat\n  \
                 lame_duck: 1500ms\n{keys}\n",
                service.url()
            ),
        );
        let mut heartbeat = home.start(&["run"]);
        heartbeat.wait_for("started with");
        Self { home, http, grpc, service, heartbeat }
    }

    pub(crate) fn service_answers(&self) {
        self.service.answer(200);
        self.service.hang(false);
    }

    pub(crate) fn service_fails(&self) {
        self.service.answer(500);
    }

    pub(crate) fn down(&self) {
        assert_eq!(self.home.run(&["down"]).code, 0);
    }

    pub(crate) fn up(&self) {
        assert_eq!(self.home.run(&["up"]).code, 0);
    }

    /// What it has printed.
    pub(crate) fn said(&self) -> String {
        self.heartbeat.said()
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        self.heartbeat.signal(nix::sys::signal::Signal::SIGTERM);
    }

    /// Waits for the end.
    pub(crate) fn has_ended(&mut self) {
        assert_eq!(self.heartbeat.wait().code, 0);
    }
}
