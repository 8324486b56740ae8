//! What every line of the table must keep to.

use heartbeat_core::outcome::Verdict;

use super::testing::{AMPLE, SHORT, SLACK, decode, no_names, spec};
use super::*;
use crate::config::node::Body;
use crate::config::{FieldDoc, Node, Shape};

/// The keys of a kind, those in its sections included.
fn keys(docs: &[FieldDoc]) -> Vec<&FieldDoc> {
    let of = |doc| match doc {
        &FieldDoc { shape: Shape::Section(ref inner), .. } => keys(inner),
        doc => vec![doc],
    };
    docs.iter().flat_map(of).collect()
}

#[test]
fn examples_are_right_and_every_key_is_explained() {
    for kind in KINDS {
        let decoded = decode(kind.example);
        assert!(decoded.spec.is_some() && decoded.said.is_empty(), "{}: {}", kind.name, decoded.said);
        assert!(kind.doc.ends_with('.'), "{}", kind.doc);
        for field in keys(&Fields::describe(kind.decode)) {
            assert!(field.doc.ends_with('.') && field.doc.len() > 10, "{}.{}: {}", kind.name, field.key, field.doc);
        }
    }
}

#[test]
fn names_and_keys_are_there_once() {
    let mut picked = std::collections::BTreeSet::new();
    for kind in KINDS {
        match kind.picked_by {
            PickedBy::Key(key) => assert!(picked.insert(key), "{key}"),
            PickedBy::Schemes(schemes) => schemes.iter().for_each(|scheme| assert!(picked.insert(scheme), "{scheme}")),
        }
    }
}

/// Every text of a tree.
fn texts(node: &Node, found: &mut Vec<String>) {
    match &node.body {
        Body::Null => {}
        Body::Scalar(scalar) => found.push(scalar.text.to_string()),
        Body::List(items) => items.iter().for_each(|item| texts(item, found)),
        Body::Map(entries) => entries.iter().for_each(|(_, value)| texts(value, found)),
    }
}

#[test]
fn a_canary_is_shown_nowhere() {
    const CANARY: &str = "c4n4ry";
    for text in [
        "{ url: 'https://u:c4n4ry@h/', headers: { a: c4n4ry }, body: c4n4ry, proxy: { url: 'http://p', password: c4n4ry } }",
        "{ url: 'https://h/', bearer: c4n4ry }",
        "{ url: 'https://h/', basic: { user: u, password: c4n4ry } }",
        "{ url: 'tcp://h:1', send: c4n4ry }",
        "url: 'postgres://u:c4n4ry@h/db'",
        "{ url: 'postgres://u@h/db', password: c4n4ry }",
        "url: 'mysql://u:c4n4ry@h/db'",
        "{ url: 'mariadb://u@h/db', password: c4n4ry }",
        "{ url: 'redis://u:c4n4ry@h' }",
        "{ url: 'redis+unix:///s', password: c4n4ry }",
        "{ url: 'memcached://u:c4n4ry@h' }",
        "{ command: 'true', env: { A: c4n4ry } }",
        "{ shell: 'true', env: { A: c4n4ry } }",
    ] {
        let decoded = decode(text);
        let spec = decoded.spec.unwrap_or_else(|| panic!("{}", decoded.said));
        let mut shown = vec![spec.target(), format!("{spec:?}"), format!("{:?}", spec.values()), decoded.said];
        texts(&decoded.shown, &mut shown);
        assert!(shown.iter().all(|shown| !shown.contains(CANARY)), "{text}: {shown:?}");
    }
}

/// A kind that nobody has heard of: one value, and nothing else was touched.
struct Toy(fn() -> Result<Observation, Failure>);

impl Prober for Toy {
    fn probe<'a>(&'a self, _: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        let result = self.0();
        Box::pin(async move { result })
    }
}

/// A prober that never comes to its end.
struct Endless;

impl Prober for Endless {
    fn probe<'a>(&'a self, trace: &'a Trace) -> Boxed<'a, Result<Observation, Failure>> {
        trace.enter(Phase::Connect);
        trace.enter(Phase::FirstByte);
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn results_become_verdicts() {
    let warning = || Ok(Observation { warning: Some(Failure::new(Fault::Latency, "slow")), performance: None });
    for (result, verdict, fault) in [
        ((|| Ok(Observation::default())) as fn() -> _, Verdict::Pass, None),
        (warning, Verdict::Warn, Some(Fault::Latency)),
        (|| Err(Failure::new(Fault::Status, "bad")), Verdict::Fail, Some(Fault::Status)),
        (|| Err(Failure::new(Fault::Files, "none")), Verdict::Local, Some(Fault::Files)),
    ] {
        let report = run(&Toy(result), AMPLE).await;
        assert_eq!((report.outcome.verdict, report.outcome.fault), (verdict, fault));
        assert!(report.phases.total >= report.outcome.latency);
    }
}

#[tokio::test]
async fn reasons_are_one_line() {
    let toy = Toy(|| Err(Failure::new(Fault::Body, format!("a\nb\u{1b}[2J\0{}", "x".repeat(5000)))));
    let reason = run(&toy, AMPLE).await.outcome.reason;
    assert!(reason.starts_with("a b [2J x") && reason.chars().count() == 1000, "{reason}");
}

#[tokio::test]
async fn the_deadline_stands_above_all() {
    let report = run(&Endless, SHORT).await;
    assert_eq!(report.outcome.fault, Some(Fault::Timeout));
    assert_eq!(report.outcome.reason.as_ref(), "timed out after 300ms while waiting for the first byte");
    assert!(report.outcome.latency >= SHORT && report.outcome.latency < SHORT + SLACK);
    assert!(report.phases.connect.is_some() && report.phases.first_byte.is_none());
}

#[test]
fn building_a_check_of_an_address_asks_nobody() {
    for kind in KINDS {
        let spec = decode(kind.example).spec.expect("right");
        // A missing variable is the only thing that may be wrong with an example on another machine.
        if let Err(error) = spec.build(&no_names()) {
            assert!(error.contains("environment variable"), "{}: {error}", kind.name);
        }
    }
}

#[test]
fn a_plain_probe_in_flight_takes_little_room() {
    let (world, trace) = (no_names(), Trace::default());
    for url in ["http://127.0.0.1:1/", "tcp://127.0.0.1:1"] {
        let prober = spec(&format!("url: {url}")).build(&world).expect("it needs nothing");
        let size = size_of_val(&*prober.probe(&trace)) + size_of_val(&run(&*prober, AMPLE));
        assert!(size <= 1536, "{url}: {size} bytes");
    }
}
