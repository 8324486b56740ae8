//! The contract of the kind against servers that keep to it, and many that do not.

mod conditions;
mod hostile;
mod proxies;
mod redirects;
mod versions;

use heartbeat_core::outcome::Fault;

use crate::probe::testing::{fails, fake, passes};

#[tokio::test]
async fn a_good_answer_passes_and_its_phases_are_known() {
    let server = fake::answering(fake::ok("hello")).await;
    let report = passes(&format!("url: {}", server.url("/"))).await;
    assert_eq!(report.outcome.reason.as_ref(), "");
    let phases = report.phases;
    assert!(phases.connect.is_some() && phases.first_byte.is_some(), "{phases:?}");
    assert_eq!((phases.dns, phases.tls), (None, None));
    assert!(phases.total >= phases.first_byte.unwrap());
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let address = fake::closed().await;
    let reason = fails(&format!("url: http://{address}/"), Fault::Refused).await;
    assert_eq!(reason, format!("connection to {address} refused"));
}

#[tokio::test]
async fn another_status_is_a_fault() {
    let server = fake::answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(fails(&format!("url: {}", server.url("/")), Fault::Status).await, "status 503, expected 2xx");
}
