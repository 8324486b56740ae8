//! The whole program from outside: real processes, real sockets on loopback, kill -9.
#![allow(clippy::disallowed_methods)] // tests start processes and read clocks

mod actions;
mod alerts;
#[path = "../../../heartbeat-responder/tests/answers/mod.rs"]
mod answers;
mod arrows;
mod balancers;
mod crash;
mod documents;
mod drain;
mod exim;
mod faults;
mod forerunners;
mod grpc;
mod haproxy;
mod isolation;
mod kubelet;
mod lifecycle;
mod listening;
mod nginx;
mod polls;
mod process;
mod reload;
mod scale;
mod subject;
mod support;
mod toy_kind;
mod trouble;
mod usage;
