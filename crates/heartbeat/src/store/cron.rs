//! The state of the YAML cron utility, taken over: who was in an outage stays in it, and nobody is told twice.
//!
//! It is a JSON object of entries under hashes that mean nothing to us, with the tests' names in them. Its times have no
//! year: `%m/%d %H:%M`, in UTC. The old file is never changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use heartbeat_core::ledger::{Batch, Ledger};
use heartbeat_core::record::{CheckRecord, Incident, State, Told};
use heartbeat_core::{Id, Wall};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::Opened;
use crate::store::Storage;

/// Where the cron utility kept its state, in the folder of ours.
const OLD_NAME: &str = ".heartbeat.json";

/// The 29th of February may be so many years ago.
const LEAP: i16 = 8;

/// A check of the configuration, to which an entry of that name belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: Id,
    /// The fingerprint of its kind and target.
    pub target: u64,
    /// The alerts that it tells.
    pub alerts: Vec<Id>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// The states and open incidents of the checks that are still in the configuration.
    pub ledger: Ledger,
    /// Names of entries that are not.
    pub unknown: Vec<String>,
}

/// Gives a `file:` store that was just opened the cron utility's state, if that was in its place or, ours being absent, is
/// in `.heartbeat.json` beside it. What happened is told in the notices.
pub fn adopt(opened: &mut Opened, storage: &Storage, now: Wall, known: impl Fn(&str) -> Option<Known>) {
    let Storage::File(path) = storage else { return };
    let beside = path.with_file_name(OLD_NAME);
    let (text, origin) = match opened.old.take() {
        Some(text) => (text, path.as_path()),
        None if opened.fresh => match fs::read_to_string(&beside) {
            Ok(text) => (text, beside.as_path()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                opened
                    .notices
                    .push(format!("the cron utility's state in `{}` cannot be taken over: {error}", beside.display()));
                return;
            }
        },
        None => return,
    };
    match import(&text, now, known) {
        Ok(Import { ledger, unknown }) => {
            let mut notice = format!("took over {} checks from `{}`", ledger.checks.len(), origin.display());
            if !unknown.is_empty() {
                notice += &format!("; not in the configuration any more: {}", unknown.join(", "));
            }
            opened.notices.push(notice);
            if let Err(error) = opened.store.replace(&ledger, &Batch::default()) {
                opened.unwritable = Some(error);
            }
            opened.ledger = ledger;
        }
        Err(error) => {
            opened
                .notices
                .push(format!("the cron utility's state in `{}` cannot be taken over: {error}", origin.display()));
        }
    }
}

/// Whether a text is the cron utility's state, rather than some other JSON.
pub(super) fn is_state(text: &str) -> bool {
    entries(text).is_ok_and(|entries| {
        !entries.is_empty()
            && entries.values().all(|entry| entry.get("name").is_some_and(Value::is_string) && state(entry).is_some())
    })
}

/// Reads the cron utility's state.
///
/// # Errors
/// If it is no JSON object.
pub fn import(text: &str, now: Wall, known: impl Fn(&str) -> Option<Known>) -> Result<Import, String> {
    let mut import = Import::default();
    for entry in entries(text)?.values() {
        let Some(name) = entry.get("name").and_then(Value::as_str) else { continue };
        let (Some(state), Some(known)) = (state(entry), known(name)) else {
            import.unknown.push(name.to_owned());
            continue;
        };
        let record = record(entry, state, known.target, now);
        if state == State::Down {
            let opened = record.first_fail.or(record.last_fail).unwrap_or(now);
            let last_message = entry.get("last_fail_alert_time").and_then(unix_time);
            let told = match last_message {
                Some(_) => {
                    known.alerts.into_iter().map(|alert| (alert, Told { pending: 0, delivered: true })).collect()
                }
                None => BTreeMap::new(),
            };
            let incident = Incident { last_message, told, ..Incident::opened(record.epoch, opened, State::Up) };
            import.ledger.incidents.insert(known.id.clone(), incident);
        }
        import.ledger.checks.insert(known.id, record.into());
    }
    Ok(import)
}

fn entries(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn state(entry: &Value) -> Option<State> {
    match entry.get("state").and_then(Value::as_str)? {
        "passing" => Some(State::Up),
        "failing" => Some(State::Down),
        _ => None,
    }
}

fn record(entry: &Value, state: State, target: u64, now: Wall) -> CheckRecord {
    let time = |name: &str| entry.get(name).and_then(Value::as_str).and_then(|text| past_time(text, now));
    let count = entry.get("fail_count").and_then(Value::as_u64).unwrap_or(0);
    let fail_count = u32::try_from(count).unwrap_or(u32::MAX);
    let passes = u32::from(state == State::Up && fail_count == 0);
    let (first_pass, first_fail) = (time("first_pass_time"), time("first_fail_time"));
    CheckRecord {
        state,
        since: if state == State::Up { first_pass } else { first_fail },
        epoch: 1,
        fail_count,
        passes,
        cleans: passes,
        warns: 0,
        first_pass,
        last_pass: time("last_pass_time"),
        first_fail,
        last_fail: time("last_fail_time"),
        reason: "".into(),
        target,
    }
}

fn unix_time(value: &Value) -> Option<Wall> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0)?;
    Some(Wall::from_unix_millis((seconds * 1000.0) as i64))
}

/// `%m/%d %H:%M` in UTC: the latest such time that is not in the future.
fn past_time(text: &str, now: Wall) -> Option<Wall> {
    let (date, time) = text.trim().split_once(' ')?;
    let (month, day) = date.split_once('/')?;
    let (hour, minute) = time.split_once(':')?;
    let (month, day): (i8, i8) = (month.parse().ok()?, day.parse().ok()?);
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) {
        return None;
    }
    let this_year = Timestamp::from_millisecond(now.unix_millis()).ok()?.to_zoned(TimeZone::UTC).year();
    (0..=LEAP).find_map(|ago| {
        let date = Date::new(this_year - ago, month, day).ok()?;
        let at = date.at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).ok()?;
        let at = Wall::from_unix_millis(at.timestamp().as_millisecond());
        (at <= now).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    const STATE: &str = r#"{
        "9f86d081": {"name": "web", "state": "failing", "fail_count": 4, "first_pass_time": "11/20 08:00",
            "last_pass_time": "11/21 05:59", "first_fail_time": "11/21 06:00", "last_fail_time": "11/21 06:03",
            "last_fail_alert_time": 1795240800.5},
        "60303ae2": {"name": "db", "state": "passing", "fail_count": 0, "first_pass_time": "12/31 23:59",
            "last_pass_time": "11/21 06:03", "first_fail_time": null, "last_fail_time": "never"},
        "fd61a03a": {"name": "gone", "state": "passing"},
        "a4e624d6": {"name": "odd", "state": "perhaps"},
        "2c26b46b": "no entry at all"
    }"#;

    fn known(name: &str) -> Option<Known> {
        let id = Id::from(match name {
            "web" => "a-web",
            "db" => "a-db",
            "odd" => "a-odd",
            _ => return None,
        });
        Some(Known { id, target: 7, alerts: vec![Id::from("sms"), Id::from("mail")] })
    }

    fn wall(text: &str) -> Wall {
        Wall::from_unix_millis(text.parse::<Timestamp>().expect("a time").as_millisecond())
    }

    fn now() -> Wall {
        wall("2026-11-21T06:04:30Z")
    }

    #[test]
    fn an_outage_goes_on_and_has_been_told() {
        let import = import(STATE, now(), known).expect("it is read");
        let web = &import.ledger.checks["a-web"];
        assert_eq!((web.state, web.fail_count, web.passes, web.target), (State::Down, 4, 0, 7));
        assert_eq!(web.since, Some(wall("2026-11-21T06:00:00Z")));
        assert_eq!(web.last_pass, Some(wall("2026-11-21T05:59:00Z")));
        let incident = &import.ledger.incidents["a-web"];
        assert_eq!(incident.epoch, web.epoch);
        assert_eq!(incident.opened, wall("2026-11-21T06:00:00Z"));
        assert_eq!(incident.last_message, Some(Wall::from_unix_millis(1_795_240_800_500)));
        assert_eq!(incident.told.len(), 2);
        assert!(incident.told.values().all(|told| told.delivered && told.pending == 0));
    }

    #[test]
    fn a_passing_test_is_up() {
        let import = import(STATE, now(), known).expect("it is read");
        let db = &import.ledger.checks["a-db"];
        assert_eq!((db.state, db.fail_count, db.passes, db.cleans), (State::Up, 0, 1, 1));
        assert_eq!(db.since, Some(wall("2025-12-31T23:59:00Z")), "not in the future");
        assert_eq!((db.first_fail, db.last_fail), (None, None));
        assert!(!import.ledger.incidents.contains_key("a-db"));
    }

    #[test]
    fn entries_that_nothing_belongs_to_are_named() {
        let import = import(STATE, now(), known).expect("it is read");
        assert_eq!(import.unknown, ["gone", "odd"]);
        assert_eq!(import.ledger.checks.len(), 2);
    }

    #[test]
    fn an_outage_that_nobody_heard_of_is_still_to_be_told() {
        let state = r#"{"x": {"name": "web", "state": "failing", "fail_count": 1, "last_fail_alert_time": null}}"#;
        let import = import(state, now(), known).expect("it is read");
        let incident = &import.ledger.incidents["a-web"];
        assert_eq!((incident.last_message, incident.told.len(), incident.opened), (None, 0, now()));
    }

    #[test]
    fn times_are_the_latest_that_are_past() {
        let cases = [
            ("11/21 06:04", Some("2026-11-21T06:04:00Z")),
            ("11/21 06:05", Some("2025-11-21T06:05:00Z")),
            ("02/29 12:00", Some("2024-02-29T12:00:00Z")),
            ("02/30 12:00", None),
            ("13/01 00:00", None),
            ("01/01 24:00", None),
            ("11/21", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(past_time(text, now()), expected.map(wall), "{text}");
        }
    }

    #[test]
    fn garbage_is_an_error_and_no_state() {
        for text in ["", "[]", "{", "null", "{\"a\": 1}", "{}"] {
            assert!(!is_state(text), "{text}");
        }
        assert!(import("[]", now(), known).is_err());
        assert!(is_state(r#"{"x": {"name": "web", "state": "passing"}}"#));
    }

    #[test]
    fn the_file_beside_is_taken_over_once_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let old = folder.path().join(OLD_NAME);
        fs::write(&old, STATE).expect("a file");
        let storage = Storage::File(folder.path().join(".heartbeat.state.json"));
        let mut opened = store::open(&storage).expect("it opens");
        adopt(&mut opened, &storage, now(), known);
        assert_eq!(opened.ledger.checks.len(), 2);
        assert!(opened.notices[0].contains("took over 2 checks") && opened.notices[0].contains("gone, odd"));
        drop(opened);
        assert_eq!(fs::read_to_string(&old).expect("it is there"), STATE);

        let mut opened = store::open(&storage).expect("it opens");
        let ledger = opened.ledger.clone();
        assert_eq!(ledger.checks.len(), 2, "it was saved");
        adopt(&mut opened, &storage, now(), |_| None);
        assert_eq!(opened.ledger, ledger);
        assert!(opened.notices.is_empty());
    }

    #[test]
    fn an_old_file_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(OLD_NAME), "{\"x\": ").expect("a file");
        let storage = Storage::File(folder.path().join("state.json"));
        let mut opened = store::open(&storage).expect("it opens");
        adopt(&mut opened, &storage, now(), known);
        assert!(opened.notices[0].contains(OLD_NAME), "{:?}", opened.notices);
    }
}
