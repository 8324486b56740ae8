//! From results to minutes, and from minutes to hours and days.
//!
//! Results lie in the order of time, and a mark (`rolled`, in `meta`) divides those that have been counted from those that have
//! not. [`advance`] moves it over a slice of them at a time and counts them into tiles, in one transaction, so that each result
//! counts once, whenever the process dies. One that comes with a time before the mark, because the clock was set back, is
//! counted [`at once`](Late). Tiles of a day that is over are folded into each check's own rows, a block of checks at a time.
//!
//! Everything adds: a row that is there already takes more in. So no step needs to know whether a time was seen before.

use std::collections::HashMap;

use heartbeat_core::Wall;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::cells::{self, Cell, Cells, Press};
use super::rows::{TICK_BITS, key_of};
use crate::store::rollup::{Point, Step};

/// So many results are counted in one go: a change of state that comes meanwhile waits for them.
const SLICE: i64 = 20_000;

/// So many checks share a tile.
const BLOCK: i64 = 64;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// So many old rows go in one transaction. A fold adds at most half of it.
const GOING: i64 = 512;

/// One of the tables of rollups.
struct Table {
    step: Step,
    name: &'static str,
    /// So many cells at most are in a row.
    slots: i64,
    /// Rows are kept so long, in days …
    age: Option<i64>,
    /// … and until they are so many bytes.
    size: i64,
}

/// Six hours of minutes are some 600 bytes: several fill a page of the database well, and a year of them is read quickly.
const TABLES: [Table; 3] = [
    Table { step: Step::Minute, name: "minutes", slots: 360, age: Some(400), size: 1 << 30 },
    Table { step: Step::Hour, name: "hours", slots: 24, age: Some(5 * 366), size: 1 << 30 },
    Table { step: Step::Day, name: "days", slots: 1, age: None, size: i64::MAX },
];

impl Table {
    fn of(step: Step) -> &'static Self {
        TABLES.iter().find(|table| table.step == step).expect("every step has its table")
    }

    /// The length of a cell, in milliseconds.
    fn cell(&self) -> i64 {
        self.step.span().as_millis() as i64
    }

    /// The time of a row, in milliseconds.
    fn span(&self) -> i64 {
        self.cell() * self.slots
    }

    /// The meta entry with the size of its rows.
    fn meter(&self) -> String {
        format!("{}_bytes", self.name)
    }
}

/// The key in `results` before which all have been counted; `None` if none have.
pub(super) fn mark(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    number(connection, "rolled")
}

/// How much of the database, in bytes, rollups are.
pub(super) fn size(connection: &Connection) -> rusqlite::Result<i64> {
    TABLES.iter().try_fold(0, |sum, table| Ok(sum + number(connection, &table.meter())?.unwrap_or(0)))
}

fn number(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT value FROM meta WHERE name = ?", [name], |row| row.get(0)).optional()
}

fn set_number(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", params![name, value]).map(|_| ())
}

/// Results on their way into tiles, by tile and place in it.
#[derive(Default)]
struct Sums(HashMap<i64, Cell>);

impl Sums {
    fn count(&mut self, at: i64, subject: i64, verdict: usize, micros: i64) {
        let key = tile(at >> TICK_BITS, subject) * BLOCK + subject.rem_euclid(BLOCK);
        self.0.entry(key).or_default().add(&Cell::of(verdict, micros));
    }

    fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut sums: Vec<(i64, Cell)> = self.0.into_iter().collect();
        sums.sort_unstable_by_key(|(key, _)| *key);
        let mut read = connection.prepare("SELECT cells FROM tiles WHERE key = ?")?;
        let mut write = connection.prepare("INSERT OR REPLACE INTO tiles (key, cells) VALUES (?, ?)")?;
        for group in sums.chunk_by(|(one, _), (other, _)| one.div_euclid(BLOCK) == other.div_euclid(BLOCK)) {
            let key = group[0].0.div_euclid(BLOCK);
            let mut cells = unpacked(&mut read, key, BLOCK, "tiles")?.unwrap_or_default();
            let more: Cells = group.iter().map(|(key, cell)| (key.rem_euclid(BLOCK) as u16, *cell)).collect();
            cells::merge(&mut cells, &more);
            write.execute(params![key, cells::pack(&cells)])?;
        }
        Ok(())
    }
}

/// Results that come after their time has been counted.
pub(super) struct Late {
    mark: i64,
    sums: Sums,
}

impl Late {
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { mark: mark(connection)?.unwrap_or(i64::MIN), sums: Sums::default() })
    }

    /// Counts a result if nobody else will.
    pub(super) fn count(&mut self, at: i64, subject: i64, verdict: usize, micros: i64) {
        if at < self.mark {
            self.sums.count(at, subject, verdict, micros);
        }
    }

    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        if self.sums.0.is_empty() { Ok(()) } else { self.sums.write(connection) }
    }
}

/// One step of what there is to do: counts a slice of results, or folds tiles of a day that is over. The caller holds the
/// transaction.
pub(super) fn advance(connection: &Connection) -> rusqlite::Result<()> {
    let newest: Option<i64> = connection.query_row("SELECT max(at) FROM results", [], |row| row.get(0))?;
    let Some(newest) = newest else { return Ok(()) };
    let end = key_of(Wall::from_unix_millis((newest >> TICK_BITS).div_euclid(MINUTE) * MINUTE));
    let begin = mark(connection)?.unwrap_or(i64::MIN);
    let done = if begin < end { count(connection, begin, end)? } else { 0 };
    if done == 0 { fold(connection, end.max(begin)) } else { Ok(()) }
}

/// Counts results between two keys and returns how many. The last minute is left until it is over.
fn count(connection: &Connection, begin: i64, end: i64) -> rusqlite::Result<i64> {
    let mut sums = Sums::default();
    let (mut counted, mut last) = (0, begin);
    let mut slice = connection
        .prepare("SELECT at, subject, verdict, latency FROM results WHERE at >= ? AND at < ? ORDER BY at LIMIT ?")?;
    let mut rows = slice.query([begin, end, SLICE])?;
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        sums.count(last, row.get(1)?, row.get(2)?, row.get(3)?);
        counted += 1;
    }
    if counted > 0 {
        sums.write(connection)?;
        set_number(connection, "rolled", if counted < SLICE { end } else { last + 1 })?;
    }
    Ok(counted)
}

/// Folds a block of the oldest tiles if their day is over at the key `now`, and takes away what is too old then.
fn fold(connection: &Connection, now: i64) -> rusqlite::Result<()> {
    let today = (now >> TICK_BITS).div_euclid(DAY);
    let oldest: Option<i64> = connection.query_row("SELECT min(key) FROM tiles", [], |row| row.get(0))?;
    let Some(oldest) = oldest.filter(|key| key >> 32 < today) else { return Ok(()) };
    let block = [oldest >> 11 << 11, (oldest >> 11 << 11) + (1 << 11) - 1];
    let mut checks = vec![Vec::new(); BLOCK as usize];
    each_row(
        connection,
        "SELECT key, cells FROM tiles WHERE key BETWEEN ? AND ? ORDER BY key",
        block,
        |key, bytes| {
            let at = tile_time(key);
            for (offset, cell) in cells::unpack(bytes, BLOCK as u16).map_err(|what| corrupt("tiles", key, what))? {
                checks[usize::from(offset)].push((at, cell));
            }
            Ok(())
        },
    )?;
    let first = (oldest >> 11 & ((1 << 21) - 1)) * BLOCK;
    let minutes = checks.into_iter().zip(first..).filter(|(minutes, _)| !minutes.is_empty());
    add_minutes(connection, minutes.map(|(minutes, subject)| (subject, minutes)))?;
    connection.execute("DELETE FROM tiles WHERE key BETWEEN ? AND ?", block)?;
    TABLES.iter().try_for_each(|table| prune(connection, table, today, table.size))
}

/// Adds minutes of checks, with their times in ascending order, to all tables.
pub(super) fn add_minutes(
    connection: &Connection,
    checks: impl Iterator<Item = (i64, Vec<(i64, Cell)>)>,
) -> rusqlite::Result<()> {
    let checks: Vec<_> = checks.collect();
    let mut press = Press::new();
    for table in &TABLES {
        let mut read = connection.prepare(&format!("SELECT cells FROM {} WHERE key = ?", table.name))?;
        let mut write = connection.prepare(&format!("INSERT OR REPLACE INTO {} VALUES (?, ?)", table.name))?;
        // In the order of the keys, so that new rows follow one another.
        let mut rows: Vec<(i64, Cells)> = Vec::new();
        for (subject, minutes) in &checks {
            for span in
                minutes.chunk_by(|(one, _), (other, _)| one.div_euclid(table.span()) == other.div_euclid(table.span()))
            {
                let number = span[0].0.div_euclid(table.span());
                rows.push(((number << 32) + subject, cells_of(table, span)));
            }
        }
        rows.sort_by_key(|(key, _)| *key);
        let mut grown = 0;
        for (key, more) in rows {
            let (mut cells, before) = match unpacked(&mut read, key, table.slots, table.name)? {
                Some(cells) => (cells, read.query_row([key], |row| Ok(row.get_ref(0)?.as_blob()?.len()))?),
                None => (Cells::new(), 0),
            };
            cells::merge(&mut cells, &more);
            let packed = press.pack(&cells);
            grown += packed.len() as i64 - before as i64;
            write.execute(params![key, packed])?;
        }
        set_number(connection, &table.meter(), number(connection, &table.meter())?.unwrap_or(0) + grown)?;
    }
    Ok(())
}

/// What minutes of one row's time come to in the cells of that row.
fn cells_of(table: &Table, minutes: &[(i64, Cell)]) -> Cells {
    let mut cells = Cells::new();
    for (at, cell) in minutes {
        let slot = (at.rem_euclid(table.span()) / table.cell()) as u16;
        match cells.last_mut() {
            Some((last, sum)) if *last == slot => sum.add(cell),
            _ => cells.push((slot, *cell)),
        }
    }
    cells
}

/// Takes away the oldest rows of a table that is over its bounds, some at a time.
fn prune(connection: &Connection, table: &Table, today: i64, size: i64) -> rusqlite::Result<()> {
    let used = number(connection, &table.meter())?.unwrap_or(0);
    let until = match table.age {
        _ if used > size => i64::MAX,
        Some(age) => ((today - age) * DAY).div_euclid(table.span()) << 32,
        None => return Ok(()),
    };
    let name = table.name;
    let old = format!("SELECT key FROM {name} WHERE key < ? ORDER BY key LIMIT ?");
    let gone: i64 = connection.query_row(
        &format!("SELECT ifnull(sum(length(cells)), 0) FROM {name} WHERE key IN ({old})"),
        [until, GOING],
        |row| row.get(0),
    )?;
    connection.execute(&format!("DELETE FROM {name} WHERE key IN ({old})"), [until, GOING])?;
    set_number(connection, &table.meter(), used - gone)
}

/// One check's points between two times, oldest first.
pub(super) fn read(
    connection: &Connection,
    subject: i64,
    from: Wall,
    until: Wall,
    step: Step,
) -> rusqlite::Result<Vec<Point>> {
    let table = Table::of(step);
    let (from, until) = (from.unix_millis().div_euclid(table.cell()) * table.cell(), until.unix_millis());
    let mut found: Vec<(i64, Cell)> = Vec::new();
    let mut push = |at: i64, cell: &Cell| {
        let at = at.div_euclid(table.cell()) * table.cell();
        match found.last_mut() {
            Some((last, sum)) if *last == at => sum.add(cell),
            _ => found.push((at, *cell)),
        }
    };

    if let Some((first, last)) = bounds(connection, table.name)? {
        let mut row = connection.prepare(&format!("SELECT cells FROM {} WHERE key = ?", table.name))?;
        for number in from.div_euclid(table.span()).max(first)..=until.div_euclid(table.span()).min(last) {
            let cells = unpacked(&mut row, (number << 32) + subject, table.slots, table.name)?;
            for (slot, cell) in cells.unwrap_or_default() {
                push(number * table.span() + i64::from(slot) * table.cell(), &cell);
            }
        }
    }
    if let Some((first, last)) = bounds(connection, "tiles")? {
        let offset = subject.rem_euclid(BLOCK) as u16;
        for day in from.div_euclid(DAY).max(first)..=until.div_euclid(DAY).min(last) {
            let begin = tile(day * DAY, subject);
            let sql = "SELECT key, cells FROM tiles WHERE key BETWEEN ? AND ? ORDER BY key";
            each_row(connection, sql, [begin, begin + (1 << 11) - 1], |key, bytes| {
                let cells = cells::unpack(bytes, BLOCK as u16).map_err(|what| corrupt("tiles", key, what))?;
                if let Ok(at) = cells.binary_search_by_key(&offset, |(offset, _)| *offset) {
                    push(tile_time(key), &cells[at].1);
                }
                Ok(())
            })?;
        }
    }
    let mut fresh = connection.prepare("SELECT at, verdict, latency FROM results WHERE at >= ? AND subject = ?")?;
    let mut rows = fresh.query([mark(connection)?.unwrap_or(i64::MIN), subject])?;
    while let Some(row) = rows.next()? {
        push(row.get::<_, i64>(0)? >> TICK_BITS, &Cell::of(row.get(1)?, row.get(2)?));
    }

    // In order already, but where the clock was set back.
    found.sort_by_key(|(at, _)| *at);
    found.dedup_by(|(at, cell), (before, sum)| {
        let same = at == before;
        if same {
            sum.add(cell);
        }
        same
    });
    found.retain(|(at, _)| (from..until).contains(at));
    Ok(found.iter().map(|(at, cell)| cell.point(Wall::from_unix_millis(*at))).collect())
}

/// The numbers of the first and the last day or span in a table.
fn bounds(connection: &Connection, table: &str) -> rusqlite::Result<Option<(i64, i64)>> {
    let key =
        |end| connection.query_row(&format!("SELECT {end}(key) FROM {table}"), [], |row| row.get::<_, Option<i64>>(0));
    Ok(key("min")?.zip(key("max")?).map(|(first, last)| (first >> 32, last >> 32)))
}

/// The tile of a check at a time.
fn tile(millis: i64, subject: i64) -> i64 {
    (millis.div_euclid(DAY) << 32) + (subject.div_euclid(BLOCK) << 11) + millis.rem_euclid(DAY) / MINUTE
}

/// When the minute of a tile began.
fn tile_time(key: i64) -> i64 {
    (key >> 32) * DAY + (key & ((1 << 11) - 1)) * MINUTE
}

/// The cells of the row with that key.
fn unpacked(row: &mut Statement<'_>, key: i64, slots: i64, table: &str) -> rusqlite::Result<Option<Cells>> {
    let unpack =
        |bytes: ValueRef<'_>| cells::unpack(bytes.as_blob()?, slots as u16).map_err(|what| corrupt(table, key, what));
    row.query_row([key], |row| unpack(row.get_ref(0)?)).optional()
}

fn each_row(
    connection: &Connection,
    sql: &str,
    between: [i64; 2],
    mut each: impl FnMut(i64, &[u8]) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(between)?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?, row.get_ref(1)?.as_blob()?)?;
    }
    Ok(())
}

fn corrupt(table: &str, key: i64, what: &str) -> rusqlite::Error {
    let problem = format!("row {key} of table `{table}` is no list of cells: {what}");
    rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, problem.into())
}
