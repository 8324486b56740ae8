//! The suite that every kind of alert must pass. It walks the table: a kind without a rig fails it.

mod exim;
mod mail;
mod programs;
mod rig;
mod web;

use std::time::Duration;

use super::{Accepted, Channel, KINDS, Kind, Refused, Spec};
use crate::config::{Context, Fields, Node, Problems, Shape, yaml};
use crate::message::tests::sample;
use rig::Mood;

/// Long enough for whatever comes to an end by itself, on a busy machine too.
const AMPLE: Duration = Duration::from_secs(20);

/// A decoded alert, how it is shown, and what was said about it.
struct Decoded {
    spec: Option<Box<dyn Spec>>,
    shown: Node,
    said: String,
}

/// Decodes the map of an alert.
fn decode(text: &str) -> Decoded {
    let mut problems = Problems::default();
    let source = problems.add_source("alert.yaml", text);
    let node = yaml::read(source, text, &mut problems).unwrap_or_else(|| panic!("YAML:\n{}", problems.render()));
    let name = node.get("type").and_then(Node::as_text).expect("a type");
    let kind = KINDS.iter().find(|kind| kind.name == name).expect("a kind of the table");
    decode_node(kind, &node, problems)
}

fn decode_node(kind: &Kind, node: &Node, problems: Problems) -> Decoded {
    let nothing = |_: &str| None;
    let mut context = Context::new(problems, &nothing);
    let (spec, shown) = Fields::read(&mut context, format_args!("alert `test`"), node, |fields| {
        let _: Option<String> = fields.optional("type", "The kind.");
        (kind.decode)(fields)
    });
    Decoded { spec, shown, said: context.problems.render() }
}

/// An alert that must be right.
fn spec(text: &str) -> Box<dyn Spec> {
    let decoded = decode(text);
    assert_eq!(decoded.said, "", "{text}");
    decoded.spec.expect("no problem was reported")
}

fn channel(text: &str) -> Box<dyn Channel> {
    spec(text).build().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What is said about an alert that must be wrong.
fn refusal(text: &str) -> String {
    let decoded = decode(text);
    assert!(decoded.spec.is_none() || decoded.said.contains("error"), "accepted:\n{text}");
    decoded.said
}

async fn send(channel: &dyn Channel) -> Result<Accepted, Refused> {
    let message = sample();
    tokio::time::timeout(AMPLE, channel.send(&message)).await.expect("an end by itself")
}

/// Waits for a condition.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(AMPLE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Every kind, with a provider in this mood where that can be.
async fn each(mood: Mood) -> Vec<(&'static str, rig::Rig)> {
    let mut rigs = Vec::new();
    for kind in KINDS {
        rigs.extend(rig::of(kind.name, mood).await.map(|rig| (kind.name, rig)));
    }
    assert!(!rigs.is_empty());
    rigs
}

#[test]
fn examples_decode_and_options_are_documented() {
    for kind in KINDS {
        assert!(kind.doc.ends_with('.'), "{}: {}", kind.name, kind.doc);
        let decoded = decode(kind.example);
        assert_eq!(decoded.said, "", "{}", kind.name);
        assert!(!decoded.spec.expect("the example decodes").target().is_empty(), "{}", kind.name);
        let docs = Fields::describe(|fields| (kind.decode)(fields));
        assert!(!docs.is_empty(), "{}", kind.name);
        for doc in docs {
            assert!(doc.doc.len() > 10 && doc.doc.ends_with('.'), "{} {}: {}", kind.name, doc.key, doc.doc);
            assert!(!doc.required || kind.example.contains(doc.key), "{} {} is not in the example", kind.name, doc.key);
        }
    }
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    for kind in KINDS {
        let said = refusal(&format!("type: {}\nnonsense: 1\n", kind.name));
        assert!(said.contains("unknown key `nonsense`"), "{}: {said}", kind.name);
        for doc in Fields::describe(|fields| (kind.decode)(fields)).iter().filter(|doc| doc.required) {
            assert!(said.contains(&format!("lacks `{}`", doc.key)), "{} {}: {said}", kind.name, doc.key);
        }
    }
}

#[test]
fn short_forms_are_of_one_kind_and_decode() {
    for text in ["mailto:ops@example.org", "https://example.org/hook", "http://127.0.0.1:1/"] {
        let found: Vec<_> = KINDS.iter().filter_map(|kind| Some((kind, (kind.short)(text)?))).collect();
        let [(kind, node)] = found.as_slice() else { panic!("{text}: {} kinds", found.len()) };
        let decoded = decode_node(kind, node, Problems::default());
        assert_eq!(decoded.said, "", "{text}");
        decoded.spec.expect("decoded").build().expect("built");
    }
}

#[tokio::test]
async fn delivered() {
    for (kind, rig) in each(Mood::Accepts).await {
        let accepted = send(&*channel(&rig.yaml)).await.unwrap_or_else(|refused| panic!("{kind}: {refused:?}"));
        assert!(!accepted.answer.is_empty(), "{kind}");
        let text = "Web shop is down: status 503, expected 200";
        eventually(kind, || (rig.delivered)().replace("=\r\n", "").replace("=\n", "").contains(text).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn refused_for_good() {
    for (kind, rig) in each(Mood::RefusesForGood).await {
        match send(&*channel(&rig.yaml)).await {
            Err(Refused::ForGood { answer }) => assert!(answer.contains("no such person"), "{kind}: {answer}"),
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn refused_for_now() {
    for (kind, rig) in each(Mood::RefusesForNow).await {
        match send(&*channel(&rig.yaml)).await {
            Err(Refused::ForNow { answer, .. }) => assert!(answer.contains("come back later"), "{kind}: {answer}"),
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn nobody_there() {
    for (kind, rig) in each(Mood::Absent).await {
        match send(&*channel(&rig.yaml)).await {
            Err(Refused::ForNow { answer, .. }) => assert!(answer.len() > 10, "{kind}: {answer}"),
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_provider_that_hangs_is_left_at_the_deadline() {
    for (kind, rig) in each(Mood::Hangs).await {
        let (channel, message) = (channel(&rig.yaml), sample());
        // The provider tells that it has been reached; then it is left.
        let reached = eventually(kind, || (rig.delivered)().contains("reached").then_some(()));
        tokio::select! {
            ended = channel.send(&message) => panic!("{kind}: {ended:?}"),
            () = reached => {}
        }
        eventually(&format!("{kind} leaves nothing behind"), || (rig.delivered)().contains("left").then_some(())).await;
    }
}

#[tokio::test]
async fn garbage_is_no_yes_and_may_pass() {
    for (kind, rig) in each(Mood::Garbage).await {
        match send(&*channel(&rig.yaml)).await {
            Err(Refused::ForNow { answer, .. }) => {
                assert!(!answer.chars().any(char::is_control) && answer.chars().count() <= 301, "{kind}: {answer}");
            }
            other => panic!("{kind}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_flood_is_bounded() {
    for (kind, rig) in each(Mood::Floods).await {
        let result = send(&*channel(&rig.yaml)).await;
        let answer = match &result {
            Ok(accepted) => &accepted.answer,
            Err(refused) => refused.answer(),
        };
        assert!(answer.chars().count() <= 301, "{kind}: {answer}");
    }
}

#[tokio::test]
async fn secrets_are_nowhere() {
    for mood in [Mood::Echoes, Mood::Accepts, Mood::RefusesForGood, Mood::RefusesForNow, Mood::Absent, Mood::Garbage] {
        for (kind, rig) in each(mood).await {
            let decoded = decode(&rig.yaml);
            let spec = decoded.spec.expect("decoded");
            let mut seen = vec![decoded.said, format!("{spec:?}"), spec.target(), format!("{:?}", decoded.shown)];
            seen.push(format!("{:?}", send(&*spec.build().expect("built")).await));
            for text in seen {
                for secret in rig::forbidden() {
                    assert!(!text.contains(&secret), "{kind}, {mood:?}: {secret} in {text}");
                }
            }
        }
    }
}

#[test]
fn every_secret_field_has_had_a_canary() {
    let is_secret = |shape: &Shape| format!("{shape:?}").contains("credential of the service manager");
    for kind in KINDS {
        for doc in Fields::describe(|fields| (kind.decode)(fields)) {
            let in_rig = rig::SECRETS.iter().any(|(name, key)| *name == kind.name && *key == doc.key);
            assert_eq!(in_rig, is_secret(&doc.shape), "{} {}", kind.name, doc.key);
        }
    }
}
