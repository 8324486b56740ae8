//! What the suites of the kinds share: checks from text, and servers that misbehave on the wire.

pub(crate) mod caches;
pub(crate) mod names;
pub(crate) mod process;
pub(crate) mod servers;

use std::time::Duration;

use heartbeat_core::outcome::{Fault, Verdict};

use super::resolve::Resolver;
use super::{KINDS, Kind, PickedBy, Report, Spec, World, run};
use crate::config::{Context, Fields, Node, Problems, yaml};
pub(crate) use crate::net::testing::{authority, fake};

/// Long enough for whatever comes to an end by itself, on a busy machine too.
pub(crate) const AMPLE: Duration = Duration::from_secs(20);

/// A timeout for what never ends by itself.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// How late a verdict may be here: the machine that runs the tests is busy with others.
pub(crate) const SLACK: Duration = Duration::from_secs(5);

/// A decoded check, how it is shown, and what was said about it.
pub(crate) struct Decoded {
    pub(crate) spec: Option<Box<dyn Spec>>,
    pub(crate) shown: Node,
    pub(crate) said: String,
}

/// Decodes the map of a check, as YAML, by the kind that the table picks.
pub(crate) fn decode(text: &str) -> Decoded {
    let mut problems = Problems::default();
    let source = problems.add_source("check.yaml", text);
    let node = yaml::read(source, text, &mut problems).unwrap_or_else(|| panic!("YAML:\n{}", problems.render()));
    let kind = pick(&node);
    let nothing = |_: &str| None;
    let mut context = Context::new(problems, &nothing);
    let (spec, shown) = Fields::read(&mut context, format_args!("check `test`"), &node, |fields| (kind.decode)(fields));
    Decoded { spec, shown, said: context.problems.render() }
}

fn pick(node: &Node) -> &'static Kind {
    let scheme = node.get("url").and_then(Node::as_text).and_then(|url| url.split(':').next()).unwrap_or_default();
    let picked = KINDS.iter().find(|kind| match kind.picked_by {
        PickedBy::Schemes(schemes) => schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)),
        PickedBy::Key(key) => node.get(key).is_some(),
    });
    picked.unwrap_or_else(|| panic!("no kind for {node:?}"))
}

/// A check that must be right.
pub(crate) fn spec(text: &str) -> Box<dyn Spec> {
    let decoded = decode(text);
    decoded.spec.unwrap_or_else(|| panic!("refused:\n{}", decoded.said))
}

/// What is said about a check that must be wrong.
pub(crate) fn refusal(text: &str) -> String {
    let decoded = decode(text);
    assert!(decoded.said.contains("error: "), "accepted: {text}\n{}", decoded.said);
    decoded.said
}

/// A world whose name server is at this address.
pub(crate) fn world_of(server: std::net::SocketAddr) -> World {
    World::with(names::resolver(server))
}

/// A world in which every name is asked of nobody: for checks of addresses.
pub(crate) fn no_names() -> World {
    World::with(Resolver::of(Vec::new(), hickory_resolver::config::ResolverOpts::default()))
}

/// Probes once, under a deadline that is not to be met.
pub(crate) async fn probe(text: &str) -> Report {
    probe_in(&no_names(), text, AMPLE).await
}

/// Probes once.
pub(crate) async fn probe_in(world: &World, text: &str, timeout: Duration) -> Report {
    let prober = spec(text).build(world).unwrap_or_else(|error| panic!("not built: {error}"));
    let report = run(&*prober, timeout).await;
    drop(prober);
    assert_eq!(world.bodies().left(), 64 << 20, "memory for bodies was not given back");
    report
}

/// A probe that passes.
pub(crate) async fn passes(text: &str) -> Report {
    let report = probe(text).await;
    assert_eq!(report.outcome.verdict, Verdict::Pass, "{:?}", report.outcome);
    report
}

/// A probe that fails with this fault; its reason.
pub(crate) async fn fails(text: &str, fault: Fault) -> String {
    let report = probe(text).await;
    assert_eq!(report.outcome.fault, Some(fault), "{:?}", report.outcome);
    assert_ne!(report.outcome.verdict, Verdict::Pass);
    report.outcome.reason.to_string()
}

/// A probe that is ended by its deadline, in time; its reason.
pub(crate) async fn times_out(text: &str) -> String {
    times_out_in(&no_names(), text, Fault::Timeout).await
}

/// A probe that is ended by its deadline, in time and with this fault; its reason.
pub(crate) async fn times_out_in(world: &World, text: &str, fault: Fault) -> String {
    let report = probe_in(world, text, SHORT).await;
    assert_eq!(report.outcome.fault, Some(fault), "{:?}", report.outcome);
    let latency = report.outcome.latency;
    assert!(latency >= SHORT && latency < SHORT + SLACK, "the verdict came after {latency:?}");
    report.outcome.reason.to_string()
}
