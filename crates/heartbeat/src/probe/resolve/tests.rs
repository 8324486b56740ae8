//! Name servers that answer, fail, lie and are silent.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use heartbeat_core::outcome::Fault;
use hickory_resolver::proto::op::ResponseCode;

use super::*;
use crate::probe::testing::names::{self, Say};
use crate::probe::testing::{self, fake, probe_in, times_out_in, world_of};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn look(server: SocketAddr, name: &str, family: Family) -> Result<Vec<IpAddr>, Failure> {
    names::resolver(server).lookup(name, family, &Trace::default()).await
}

#[tokio::test]
async fn both_versions_are_found_and_ordered() {
    let six: IpAddr = Ipv6Addr::LOCALHOST.into();
    let server = names::server(move |_, wants_six| Say::Addresses(vec![if wants_six { six } else { HERE }])).await;
    let found = |family| look(server.address, "both.example", family);
    // The version that is late by more than the resolution delay may be missing, on a busy machine too.
    assert!([vec![six, HERE], vec![six], vec![HERE]].contains(&found(Family::Auto).await.expect("found")));
    assert_eq!(found(Family::Only4).await, Ok(vec![HERE]));
    assert_eq!(found(Family::Only6).await, Ok(vec![six]));
}

#[tokio::test]
async fn one_version_is_enough() {
    for other in [Say::Addresses(vec![]), Say::Code(ResponseCode::ServFail), Say::Silence] {
        let server = names::server(move |_, six| if six { other.clone() } else { Say::Addresses(vec![HERE]) }).await;
        assert_eq!(look(server.address, "four.example", Family::Auto).await, Ok(vec![HERE]));
    }
}

#[tokio::test]
async fn addresses_are_asked_of_nobody() {
    let nobody = fake::closed().await;
    assert_eq!(look(nobody, "127.0.0.1", Family::Auto).await, Ok(vec![HERE]));
    assert_eq!(look(nobody, "::1", Family::Only6).await, Ok(vec![Ipv6Addr::LOCALHOST.into()]));
    let failure = look(nobody, "::1", Family::Only4).await.expect_err("not allowed");
    assert_eq!(failure, Failure::new(Fault::Dns, "::1 has no address that `ip` allows"));
}

#[tokio::test]
async fn localhost_needs_no_name_server() {
    let found = Resolver::system().lookup("localhost", Family::Auto, &Trace::default()).await.expect("found");
    assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test]
async fn failures_are_told_apart() {
    for (say, reason) in [
        (Say::Code(ResponseCode::NXDomain), "the name gone.example does not exist"),
        (Say::Addresses(vec![]), "the name gone.example has no address"),
    ] {
        let server = names::server(move |_, _| say.clone()).await;
        let failure = look(server.address, "gone.example", Family::Auto).await.expect_err("no address");
        assert_eq!(failure, Failure::new(Fault::Dns, reason));
    }
}

#[tokio::test]
async fn a_failing_name_server_is_dns_unless_our_network_is_gone() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused] {
        let server = names::server(move |_, _| Say::Code(code)).await;
        let failure = look(server.address, "x.example", Family::Auto).await.expect_err("refused");
        let fault = if net::has_any_route() { Fault::Dns } else { Fault::Network };
        assert_eq!(failure.fault, fault, "{failure:?}");
        assert!(failure.reason.starts_with("the name server did not resolve x.example: "), "{failure:?}");
    }
}

#[tokio::test]
async fn a_silent_name_server_is_dns_at_the_deadline() {
    let server = names::server(|_, _| Say::Silence).await;
    let reason = times_out_in(&world_of(server.address), "url: 'http://silent.example/'", Fault::Dns).await;
    assert_eq!(reason, "timed out after 300ms while resolving the name");
    let nobody = fake::closed().await;
    times_out_in(&world_of(nobody), "url: 'tcp://silent.example:22'", Fault::Dns).await;
}

#[tokio::test]
async fn a_lying_name_server_is_dns() {
    let server = names::server(|_, _| Say::Garbage).await;
    times_out_or_fails(server.address).await;
}

/// What makes no sense may be an answer that somebody else forged: waiting on is as right as giving up.
async fn times_out_or_fails(server: SocketAddr) {
    let report = probe_in(&world_of(server), "url: 'http://lie.example/'", testing::SHORT).await;
    assert_eq!(report.outcome.fault, Some(Fault::Dns), "{:?}", report.outcome);
    assert!(report.outcome.latency < testing::SHORT + testing::SLACK);
}

#[tokio::test]
async fn checks_of_addresses_do_not_care() {
    let names = names::server(|_, _| Say::Silence).await;
    let web = fake::answering(fake::ok("")).await;
    let report = probe_in(&world_of(names.address), &format!("url: {}", web.url("/")), testing::AMPLE).await;
    assert_eq!((report.outcome.fault, report.phases.dns), (None, None));
}

#[tokio::test]
async fn a_name_leads_to_the_target_and_is_asked_anew_each_time() {
    let names = names::all_here().await;
    let web = fake::answering(fake::ok("")).await;
    let world = world_of(names.address);
    let text = format!("url: 'http://web.example:{}/'", web.address.port());
    for _ in 0..2 {
        let report = probe_in(&world, &text, testing::AMPLE).await;
        assert_eq!(report.outcome.fault, None, "{:?}", report.outcome);
        assert!(report.phases.dns.is_some());
    }
    drop(names);
    let report = probe_in(&world, &text, testing::SHORT).await;
    assert_eq!(report.outcome.fault, Some(Fault::Dns), "an answer was remembered: {:?}", report.outcome);
}

#[test]
fn what_we_cannot_ask_is_ours() {
    for (errno, fault) in [
        (Errno::ENETUNREACH, Fault::Resolver),
        (Errno::EHOSTUNREACH, Fault::Resolver),
        (Errno::EPERM, Fault::Resolver),
        (Errno::EMFILE, Fault::Files),
        (Errno::ENFILE, Fault::Files),
        (Errno::ENOBUFS, Fault::Memory),
        (Errno::ECONNREFUSED, Fault::Dns),
    ] {
        let error = NetError::from(io::Error::from(errno));
        assert_eq!(explain("x.example", &error).fault, fault, "{errno}");
    }
}

#[test]
fn without_descriptors_it_is_ours_unless_somebody_has_answered() {
    let refused = || Some(io::Error::from(Errno::EMFILE));
    assert_eq!(judge("x.example", &NetError::NoConnections, refused()).fault, Fault::Files);
    assert_eq!(judge("x.example", &NetError::Timeout, refused()).fault, Fault::Files);
    let answer = NetError::Dns(DnsError::ResponseCode(ResponseCode::NXDomain));
    assert!(!judge("x.example", &answer, refused()).fault.is_local() || !net::has_any_route());
}

#[tokio::test]
async fn what_the_system_refused_is_remembered_by_its_time() {
    use hickory_resolver::net::runtime::RuntimeProvider as _;
    let (sockets, start) = (Sockets::default(), clock::mono());
    assert!(sockets.refused_since(start).is_none());
    // An address that RFC 5737 sets aside: not ours.
    let foreign = SocketAddr::from(([192, 0, 2, 1], 0));
    assert!(sockets.bind_udp(foreign, foreign).await.is_err());
    let refusal = sockets.clone().refused_since(start).expect("it is noted, and clones share it");
    assert_eq!(net::errno(&refusal), Some(Errno::EADDRNOTAVAIL));
    assert!(sockets.refused_since(clock::mono() + Duration::from_nanos(1)).is_none(), "it was before");
}
