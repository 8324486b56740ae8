//! The heartbeat program as a library, so that its tests can reach what they test.

pub mod action;
pub mod alert;
pub mod cli;
pub mod config;
pub mod exit;
pub mod host;
pub mod log;
pub mod message;
pub mod net;
pub mod plan;
pub mod probe;
pub mod run;
pub mod store;
pub mod web;
