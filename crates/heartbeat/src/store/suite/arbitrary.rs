//! Random batches, drawn from few names so that entries replace and remove each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::delivery::{Delivery, Running, Status};
use heartbeat_core::intent::{Destination, Event, Facts, Intent, Transition};
use heartbeat_core::ledger::{Batch, ResultRow};
use heartbeat_core::outcome::{Fault, Outcome};
use heartbeat_core::record::{
    ActionRecord, ChannelRecord, CheckRecord, Direction, Incident, LaneRecord, LastRun, State, Told,
};
use heartbeat_core::{Id, Wall};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A batch without results, which stores may round or drop.
pub(in crate::store) fn batch() -> impl Strategy<Value = Batch> {
    let state = (
        vec((id(), option::weighted(0.8, check().prop_map(Arc::new))), 0..4),
        vec((id(), option::weighted(0.7, incident())), 0..3),
        vec((id(), option::weighted(0.7, action())), 0..2),
        vec((id(), option::weighted(0.7, lane())), 0..2),
        vec((id(), option::weighted(0.7, channel())), 0..2),
    );
    (state, vec(delivery(), 0..4), vec(transition(), 0..3)).prop_map(
        |((checks, incidents, actions, lanes, channels), deliveries, transitions)| Batch {
            checks,
            incidents,
            actions,
            lanes,
            channels,
            deliveries,
            transitions,
            results: Vec::new(),
        },
    )
}

/// A result as a store that keeps results gives it back: microseconds, and reasons that are not too long.
pub(in crate::store) fn result() -> impl Strategy<Value = ResultRow> {
    let outcome = prop_oneof![Just(None), (proptest::sample::select(&Fault::ALL[..]), text()).prop_map(Some),];
    (id(), wall(), outcome, 0..100_000_000_u64).prop_map(|(check, at, outcome, micros)| {
        let latency = Duration::from_micros(micros);
        let outcome = match outcome {
            None => Outcome::pass(latency),
            Some((fault, reason)) => Outcome::fault(fault, reason, latency),
        };
        ResultRow { check, at, outcome }
    })
}

fn id() -> impl Strategy<Value = Id> {
    proptest::sample::select(vec!["web", "db", "näme ☃", "'; DROP TABLE checks; --", "\u{1}\"\\\n"]).prop_map(Id::from)
}

fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof![Just(String::new()), "\\PC{0,20}", Just("line\none\0\"'".to_owned())].prop_map(Arc::from)
}

fn wall() -> impl Strategy<Value = Wall> {
    (1_700_000_000_000..1_800_000_000_000_i64).prop_map(Wall::from_unix_millis)
}

fn state() -> impl Strategy<Value = State> {
    proptest::sample::select(vec![State::Unknown, State::Up, State::Degraded, State::Down])
}

fn check() -> impl Strategy<Value = CheckRecord> {
    let times = (option::of(wall()), option::of(wall()), option::of(wall()), option::of(wall()), option::of(wall()));
    (state(), times, any::<(u64, u32, u32, u32, u32, u64)>(), text()).prop_map(
        |(state, (since, first_pass, last_pass, first_fail, last_fail), numbers, reason)| {
            let (epoch, fail_count, passes, warns, cleans, target) = numbers;
            CheckRecord {
                state,
                since,
                epoch,
                fail_count,
                passes,
                warns,
                cleans,
                first_pass,
                last_pass,
                first_fail,
                last_fail,
                reason,
                target,
            }
        },
    )
}

fn incident() -> impl Strategy<Value = Incident> {
    let told = vec((id(), any::<(u32, bool)>()), 0..3).prop_map(|told| {
        told.into_iter().map(|(id, (pending, delivered))| (id, Told { pending, delivered })).collect::<BTreeMap<_, _>>()
    });
    (any::<(u64, u32)>(), wall(), option::of(wall()), told, state(), option::of(text())).prop_map(
        |((epoch, reminders), opened, last_message, told, from, withheld)| Incident {
            last_message,
            reminders,
            told,
            withheld,
            ..Incident::opened(epoch, opened, from)
        },
    )
}

fn direction() -> impl Strategy<Value = Direction> {
    proptest::sample::select(vec![Direction::Promote, Direction::Demote])
}

fn action() -> impl Strategy<Value = ActionRecord> {
    (option::of(direction()), option::of(wall()), any::<u64>(), option::of(wall()))
        .prop_map(|(verdict, since, epoch, last_intent)| ActionRecord { verdict, since, epoch, last_intent })
}

fn lane() -> impl Strategy<Value = LaneRecord> {
    let last_run = (wall(), direction(), any::<bool>(), text()).prop_map(|(at, direction, ok, result)| LastRun {
        at,
        direction,
        ok,
        result,
    });
    (option::of(last_run), vec(wall(), 0..4), option::of(wall())).prop_map(|(last_run, starts, suspended)| LaneRecord {
        last_run,
        starts,
        suspended,
    })
}

fn channel() -> impl Strategy<Value = ChannelRecord> {
    vec(wall(), 0..4).prop_map(|accepted| ChannelRecord { accepted })
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let status = prop_oneof![
        3 => Just(Status::Due),
        1 => (wall(), any::<(u32, u64)>())
            .prop_map(|(at, (pid, start_ticks))| Status::Started(Running { at, pid, start_ticks })),
        1 => wall().prop_map(Status::Done),
        1 => wall().prop_map(Status::Dead),
        1 => wall().prop_map(Status::Uncertain),
        1 => wall().prop_map(Status::Superseded),
    ];
    (intent(), 0..1_000_u64, status, any::<(u32, bool)>(), wall(), text()).prop_map(
        |(intent, sequence, status, (attempts, durable), not_before, answer)| Delivery {
            sequence,
            status,
            attempts,
            not_before,
            answer,
            durable,
            ..Delivery::new(intent, sequence)
        },
    )
}

fn intent() -> impl Strategy<Value = Intent> {
    let events = vec![Event::Promote, Event::Down, Event::Up, Event::Reminder, Event::Notice];
    let to = prop_oneof![id().prop_map(Destination::Action), id().prop_map(Destination::Alert)];
    let facts = (state(), option::of(wall()), option::of(0..1_000_000_u64), text()).prop_map(
        |(state, since, duration, reason)| Facts {
            state,
            since,
            duration: duration.map(Duration::from_millis),
            reason,
            ..Facts::default()
        },
    );
    let key = "[a-f]".prop_map(Arc::from);
    (key, wall(), proptest::sample::select(events), to, option::of(id()), option::of(any::<u64>()), facts, text())
        .prop_map(|(key, at, event, to, subject, incident, facts, message)| Intent {
            key,
            at,
            event,
            to,
            subject,
            incident,
            facts,
            message,
        })
}

fn transition() -> impl Strategy<Value = Transition> {
    (id(), any::<u64>(), wall(), state(), state(), text())
        .prop_map(|(subject, epoch, at, from, to, reason)| Transition { subject, epoch, at, from, to, reason })
}
