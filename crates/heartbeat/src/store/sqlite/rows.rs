//! Between the core's values and rows: one pair of functions for each table.
//!
//! What is asked for in SQL is a column, what is only carried is JSON. Unsigned numbers keep their bits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use heartbeat_core::delivery::{Delivery, Running, Status};
use heartbeat_core::id::IdMap;
use heartbeat_core::intent::Transition;
use heartbeat_core::ledger::{Batch, Ledger, ResultRow};
use heartbeat_core::outcome::{Fault, Outcome};
use heartbeat_core::record::{CheckRecord, State};
use heartbeat_core::{Id, Wall};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rollups::Late;
use crate::store::History;
use crate::store::rollup::{Rollup, VERDICTS};

/// Results of one millisecond are told apart by this many bits of their key.
pub(super) const TICK_BITS: u32 = 12;

/// Of a reason so many bytes are kept in the history: it may hold what a hostile target said.
const MAX_REASON: usize = 256;

/// The numbers of checks and groups, as far as they were needed.
#[derive(Default)]
pub(super) struct Subjects(IdMap<i64>);

impl Subjects {
    /// The number of `id`, a new one if it has none. Call [`clear`](Self::clear) if the transaction fails.
    fn key(&mut self, connection: &Connection, id: &Id) -> rusqlite::Result<i64> {
        if let Some(key) = self.0.get(id) {
            return Ok(*key);
        }
        let add = "INSERT INTO subjects (id) VALUES (?) RETURNING key";
        let key = match subject(connection, id)? {
            Some(key) => key,
            None => connection.query_row(add, [id.as_str()], |row| row.get(0))?,
        };
        self.0.insert(id.clone(), key);
        Ok(key)
    }

    /// Forgets the numbers that a transaction gave which was then taken back.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The number of a check or group, if it has one.
pub(super) fn subject(connection: &Connection, id: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT key FROM subjects WHERE id = ?", [id], |row| row.get(0)).optional()
}

/// Writes a whole batch. The caller holds the transaction.
pub(super) fn write(connection: &Connection, subjects: &mut Subjects, batch: &Batch) -> rusqlite::Result<()> {
    write_checks(connection, subjects, &batch.checks)?;
    write_records(connection, "incidents", &batch.incidents)?;
    write_records(connection, "actions", &batch.actions)?;
    write_records(connection, "lanes", &batch.lanes)?;
    write_records(connection, "channels", &batch.channels)?;
    write_deliveries(connection, &batch.deliveries)?;
    if let Some(next) = batch.deliveries.iter().map(|delivery| delivery.sequence.saturating_add(1)).max() {
        write_next_sequence(connection, next)?;
    }
    write_transitions(connection, subjects, &batch.transitions)?;
    write_results(connection, subjects, &batch.results)
}

/// Makes the tables of the ledger equal to `ledger`; the history stays. The caller holds the transaction.
pub(super) fn rewrite(connection: &Connection, subjects: &mut Subjects, ledger: &Ledger) -> rusqlite::Result<()> {
    connection.execute_batch(
        "DELETE FROM checks; DELETE FROM incidents; DELETE FROM actions; DELETE FROM lanes;
         DELETE FROM channels; DELETE FROM meta WHERE name = 'next_sequence';
         DELETE FROM outbox WHERE status IN ('due', 'started');",
    )?;
    write(connection, subjects, &ledger.to_batch())?;
    write_next_sequence(connection, ledger.next_sequence)
}

/// Everything that is remembered.
pub(super) fn read_ledger(connection: &Connection) -> rusqlite::Result<Ledger> {
    let mut ledger = Ledger::default();
    collect(connection, "SELECT id, checks.* FROM checks JOIN subjects ON key = subject", |row| {
        ledger.checks.insert(id(row, "id")?, read_check(row)?.into());
        Ok(())
    })?;
    ledger.incidents = read_records(connection, "incidents")?;
    ledger.actions = read_records(connection, "actions")?;
    ledger.lanes = read_records(connection, "lanes")?;
    ledger.channels = read_records(connection, "channels")?;
    collect(connection, "SELECT * FROM outbox WHERE status IN ('due', 'started') ORDER BY sequence", |row| {
        let delivery = read_delivery(row)?;
        ledger.outbox.insert(delivery.intent.key.clone(), delivery);
        Ok(())
    })?;
    ledger.next_sequence = connection
        .query_row("SELECT value FROM meta WHERE name = 'next_sequence'", [], |row| unsigned(row, "value"))
        .optional()?
        .unwrap_or(0);
    Ok(ledger)
}

/// The newest `limit` entries of each list.
pub(super) fn read_history(connection: &Connection, limit: usize) -> rusqlite::Result<History> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut history = History::default();
    let newest = |sql: &str| format!("SELECT * FROM ({sql} LIMIT {limit})");
    collect(
        connection,
        &(newest("SELECT * FROM transitions JOIN subjects ON key = subject ORDER BY row DESC") + " ORDER BY row"),
        |row| {
            history.transitions.push(read_transition(row)?);
            Ok(())
        },
    )?;
    collect(
        connection,
        &(newest("SELECT * FROM outbox WHERE status NOT IN ('due', 'started') ORDER BY row DESC") + " ORDER BY row"),
        |row| {
            history.settled.push(read_delivery(row)?);
            Ok(())
        },
    )?;
    collect(
        connection,
        &(newest("SELECT * FROM results JOIN subjects ON key = subject ORDER BY at DESC") + " ORDER BY at"),
        |row| {
            history.results.push(read_result(row)?);
            Ok(())
        },
    )?;
    Ok(history)
}

fn write_checks(
    connection: &Connection,
    subjects: &mut Subjects,
    changes: &[(Id, Option<Arc<CheckRecord>>)],
) -> rusqlite::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut remove = connection.prepare_cached("DELETE FROM checks WHERE subject = ?")?;
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO checks (subject, state, since, epoch, fail_count, passes, warns, cleans, first_pass,
             last_pass, first_fail, last_fail, reason, target) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for (id, change) in changes {
        let key = subjects.key(connection, id)?;
        match change {
            None => remove.execute([key])?,
            Some(check) => put.execute(params![
                key,
                check.state.as_str(),
                check.since.map(At),
                check.epoch.cast_signed(),
                check.fail_count,
                check.passes,
                check.warns,
                check.cleans,
                check.first_pass.map(At),
                check.last_pass.map(At),
                check.first_fail.map(At),
                check.last_fail.map(At),
                &*check.reason,
                check.target.cast_signed(),
            ])?,
        };
    }
    Ok(())
}

fn read_check(row: &Row<'_>) -> rusqlite::Result<CheckRecord> {
    Ok(CheckRecord {
        state: state(row, "state")?,
        since: time(row, "since")?,
        epoch: unsigned(row, "epoch")?,
        fail_count: row.get("fail_count")?,
        passes: row.get("passes")?,
        warns: row.get("warns")?,
        cleans: row.get("cleans")?,
        first_pass: time(row, "first_pass")?,
        last_pass: time(row, "last_pass")?,
        first_fail: time(row, "first_fail")?,
        last_fail: time(row, "last_fail")?,
        reason: text(row, "reason")?,
        target: unsigned(row, "target")?,
    })
}

/// Writes to one of the tables of records: an id and what is remembered under it, as JSON.
fn write_records<T: Serialize>(
    connection: &Connection,
    table: &str,
    changes: &[(Id, Option<T>)],
) -> rusqlite::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut remove = connection.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?"))?;
    let mut put = connection.prepare_cached(&format!("INSERT OR REPLACE INTO {table} (id, record) VALUES (?, ?)"))?;
    for (id, change) in changes {
        match change {
            None => remove.execute([id.as_str()])?,
            Some(record) => put.execute(params![id.as_str(), json(record)?])?,
        };
    }
    Ok(())
}

fn read_records<T: DeserializeOwned>(connection: &Connection, table: &str) -> rusqlite::Result<BTreeMap<Id, T>> {
    let mut records = BTreeMap::new();
    collect(connection, &format!("SELECT id, record FROM {table}"), |row| {
        records.insert(id(row, "id")?, parsed(row, "record")?);
        Ok(())
    })?;
    Ok(records)
}

fn write_deliveries(connection: &Connection, deliveries: &[Delivery]) -> rusqlite::Result<()> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO outbox (key, sequence, status, status_at, pid, start_ticks, attempts, not_before,
             answer, durable, intent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for delivery in deliveries {
        let (status, at, running) = match &delivery.status {
            Status::Due => ("due", None, None),
            Status::Started(running) => ("started", Some(running.at), Some(running)),
            Status::Done(at) => ("done", Some(*at), None),
            Status::Dead(at) => ("dead", Some(*at), None),
            Status::Uncertain(at) => ("uncertain", Some(*at), None),
            Status::Superseded(at) => ("superseded", Some(*at), None),
        };
        put.execute(params![
            &*delivery.intent.key,
            delivery.sequence.cast_signed(),
            status,
            at.map(At),
            running.map(|running| running.pid),
            running.map(|running| running.start_ticks.cast_signed()),
            delivery.attempts,
            At(delivery.not_before),
            &*delivery.answer,
            delivery.durable,
            json(&delivery.intent)?,
        ])?;
    }
    Ok(())
}

fn read_delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let at = || Ok::<_, rusqlite::Error>(row.get::<_, At>("status_at")?.0);
    let status = match row.get::<_, String>("status")?.as_str() {
        "due" => Status::Due,
        "started" => {
            Status::Started(Running { at: at()?, pid: row.get("pid")?, start_ticks: unsigned(row, "start_ticks")? })
        }
        "done" => Status::Done(at()?),
        "dead" => Status::Dead(at()?),
        "uncertain" => Status::Uncertain(at()?),
        "superseded" => Status::Superseded(at()?),
        other => return Err(no_such_word(other)),
    };
    Ok(Delivery {
        intent: parsed(row, "intent")?,
        sequence: unsigned(row, "sequence")?,
        status,
        attempts: row.get("attempts")?,
        not_before: row.get::<_, At>("not_before")?.0,
        answer: text(row, "answer")?,
        durable: row.get("durable")?,
    })
}

fn write_next_sequence(connection: &Connection, next: u64) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO meta (name, value) VALUES ('next_sequence', ?)
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        [next.cast_signed()],
    )?;
    Ok(())
}

fn write_transitions(
    connection: &Connection,
    subjects: &mut Subjects,
    transitions: &[Transition],
) -> rusqlite::Result<()> {
    if transitions.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO transitions (subject, epoch, at, from_state, to_state, reason) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    for transition in transitions {
        insert.execute(params![
            subjects.key(connection, &transition.subject)?,
            transition.epoch.cast_signed(),
            At(transition.at),
            transition.from.as_str(),
            transition.to.as_str(),
            &*transition.reason,
        ])?;
    }
    Ok(())
}

fn read_transition(row: &Row<'_>) -> rusqlite::Result<Transition> {
    Ok(Transition {
        subject: id(row, "id")?,
        epoch: unsigned(row, "epoch")?,
        at: row.get::<_, At>("at")?.0,
        from: state(row, "from_state")?,
        to: state(row, "to_state")?,
        reason: text(row, "reason")?,
    })
}

fn write_results(connection: &Connection, subjects: &mut Subjects, results: &[ResultRow]) -> rusqlite::Result<()> {
    if results.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO results (at, subject, verdict, latency, fault, reason) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    let (mut previous, mut late) = (i64::MIN, Late::new(connection)?);
    for result in results {
        let subject = subjects.key(connection, &result.check)?;
        let Outcome { verdict, fault, latency, .. } = result.outcome;
        let number = VERDICTS.iter().position(|one| *one == verdict);
        let reason = Some(clip(&result.outcome.reason)).filter(|reason| !reason.is_empty());
        let mut at = key_of(result.at);
        // The key of a time that is already taken: the next one. After 4,096 in a millisecond it is the next millisecond's.
        if (at..at.saturating_add(1 << TICK_BITS)).contains(&previous) {
            at = previous + 1;
        }
        while 0
            == insert.execute(params![
                at,
                subject,
                number.and_then(|number| i64::try_from(number).ok()),
                i64::try_from(latency.as_micros()).unwrap_or(i64::MAX),
                fault.map(Fault::as_str),
                reason,
            ])?
        {
            at = at.wrapping_add(1);
        }
        previous = at;
        late.count(at, subject, &Rollup::of(verdict, latency));
    }
    late.write(connection)
}

fn read_result(row: &Row<'_>) -> rusqlite::Result<ResultRow> {
    let at = row.get::<_, i64>("at")? >> TICK_BITS;
    let verdict = row.get::<_, u8>("verdict")?;
    let fault = row.get::<_, Option<String>>("fault")?;
    Ok(ResultRow {
        check: id(row, "id")?,
        at: Wall::from_unix_millis(at),
        outcome: Outcome {
            verdict: *VERDICTS.get(usize::from(verdict)).ok_or_else(|| no_such_word(&verdict.to_string()))?,
            fault: fault.map(|word| named(&Fault::ALL, Fault::as_str, &word)).transpose()?,
            reason: row.get::<_, Option<String>>("reason")?.unwrap_or_default().into(),
            latency: Duration::from_micros(unsigned(row, "latency")?),
        },
    })
}

/// The first key of a result of that time.
pub(super) fn key_of(at: Wall) -> i64 {
    at.unix_millis().saturating_mul(1 << TICK_BITS)
}

fn clip(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON)]
}

/// Hands every row of a query to `each`.
fn collect(
    connection: &Connection,
    sql: &str,
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}

/// A time as a column.
struct At(Wall);

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.unix_millis()))
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|millis| Self(Wall::from_unix_millis(millis)))
    }
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Wall>> {
    Ok(row.get::<_, Option<At>>(column)?.map(|at| at.0))
}

fn unsigned(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

fn text(row: &Row<'_>, column: &str) -> rusqlite::Result<Arc<str>> {
    row.get::<_, String>(column).map(Arc::from)
}

fn id(row: &Row<'_>, column: &str) -> rusqlite::Result<Id> {
    text(row, column).map(Id::new)
}

fn state(row: &Row<'_>, column: &str) -> rusqlite::Result<State> {
    let states = [State::Unknown, State::Up, State::Degraded, State::Down];
    named(&states, State::as_str, &row.get::<_, String>(column)?)
}

/// The one of `all` that goes by `word`.
fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, word: &str) -> rusqlite::Result<T> {
    all.iter().copied().find(|one| name(*one) == word).ok_or_else(|| no_such_word(word))
}

fn no_such_word(word: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        0,
        Type::Text,
        format!("unexpected value `{}`", word.escape_debug()).into(),
    )
}

fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn parsed<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    struct Json<T>(T);
    impl<T: DeserializeOwned> FromSql for Json<T> {
        fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
            serde_json::from_str(value.as_str()?).map(Self).map_err(FromSqlError::other)
        }
    }
    row.get::<_, Json<T>>(column).map(|json| json.0)
}
