//! From results to minutes, and from minutes to hours and days.
//!
//! Results lie in the order of time, and a mark (`rolled`, in `meta`) divides those that have been counted from those that have
//! not. [`advance`] moves it over a slice of them and counts them into tiles, in one transaction, so that each result counts
//! once, whenever the process dies. One that comes with a time before the mark, because the clock was set back, is counted
//! [at once](Late). When half a day is over its tiles are folded into rows of single checks, a block of checks at a time.
//!
//! Why tiles: a minute of 100,000 checks is some 1,600 of them, and would be 100,000 rows of single checks. Why rows of single
//! checks: a year of one check would be as many tiles as it has minutes.
//!
//! Everything adds: a row that is there already takes more in, so no step needs to know whether a time was seen before. A row
//! that makes no sense is dropped, and named in the log: it is a little history, and no reason to do without the rest.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use heartbeat_core::Wall;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, params};

use super::packed::{self, Cells, Packer, Unpacker};
use super::rows::{TICK_BITS, key_of};
use crate::store::rollup::{Point, Rollup, Step, VERDICTS};

/// So many results are counted in one go: a change of state that comes meanwhile waits for them.
const SLICE: usize = 10_000;

/// So many checks share a tile: 2 to this power.
const BLOCK_BITS: u32 = 6;
const BLOCK: i64 = 1 << BLOCK_BITS;

/// The low bits of a tile's key: its minute.
const MINUTE_BITS: u32 = 10;

const MINUTE: i64 = 60_000;

/// Each table of rollups is kept up to this size, in bytes. Then the oldest go: the minutes of 1,000 checks after more than a
/// year, their hours after decades.
const SIZE: i64 = 1 << 30;

/// Room is made at once for so many points: two years by the minute. A clock that was far off makes spans of millennia.
const ROOM: i64 = 1 << 20;

/// So many old rows go in one transaction. A fold adds less.
const GOING: i64 = 512;

/// A table of rollups: each row is a list of them.
struct Table {
    name: &'static str,
    /// So many at most are in a row: of one check at so many times, or in tiles of so many checks at one time.
    slots: u16,
    /// From one time to the next, in milliseconds.
    pace: i64,
    /// So many times have the same number in their keys.
    times: i64,
}

const TILES: Table = Table { name: "tiles", slots: BLOCK as u16, pace: MINUTE, times: 720 };

/// Half a day is some 500 to 800 bytes: several fill a page of the database well.
const MINUTES: Table = Table { name: "minutes", slots: 720, pace: MINUTE, times: 720 };
const HOURS: Table = Table { name: "hours", slots: 24, pace: 60 * MINUTE, times: 24 };
const DAYS: Table = Table { name: "days", slots: 1, pace: 24 * 60 * MINUTE, times: 1 };

/// Those with rows of single checks.
const SINGLE: [&Table; 3] = [&MINUTES, &HOURS, &DAYS];

impl Table {
    const fn of(step: Step) -> &'static Self {
        match step {
            Step::Minute => &MINUTES,
            Step::Hour => &HOURS,
            Step::Day => &DAYS,
        }
    }

    /// How long the times with one number are, in milliseconds.
    const fn span(&self) -> i64 {
        self.times * self.pace
    }

    /// When they began that have the same number as this time.
    const fn begin(&self, millis: i64) -> i64 {
        millis.div_euclid(self.span()) * self.span()
    }

    /// The place of a time among them.
    const fn slot(&self, millis: i64) -> u16 {
        (millis.rem_euclid(self.span()) / self.pace) as u16
    }

    const fn key(&self, millis: i64, rest: i64) -> i64 {
        (millis.div_euclid(self.span()) << 32) + rest
    }

    /// The meta entry with the size of its rows.
    fn meter(&self) -> String {
        format!("{}_bytes", self.name)
    }

    /// Fills the list with what is in a row. One that makes no sense holds nothing, and is told.
    fn unpack(&self, unpacker: &mut Unpacker, key: i64, bytes: &[u8], cells: &mut Cells) {
        if let Err(problem) = unpacker.unpack(bytes, self.slots, cells) {
            let name = self.name;
            tracing::warn!("row {key} of table `{name}` holds no rollups: {problem}; what it held is left out");
            cells.clear();
        }
    }
}

/// The key in `results` before which all have been counted.
pub(super) fn mark(connection: &Connection) -> rusqlite::Result<i64> {
    Ok(number(connection, "rolled")?.unwrap_or(i64::MIN))
}

/// How much of the database rollups are, in bytes.
pub(super) fn size(connection: &Connection) -> rusqlite::Result<i64> {
    let tables = SINGLE.iter().chain([&&TILES]);
    tables.map(|table| Ok(number(connection, &table.meter())?.unwrap_or(0))).sum()
}

fn number(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut asking = connection.prepare_cached("SELECT value FROM meta WHERE name = ?")?;
    asking.query_row([name], |row| row.get(0)).optional()
}

fn set_number(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let mut setting = connection.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)")?;
    setting.execute(params![name, value]).map(drop)
}

fn grow(connection: &Connection, table: &Table, bytes: i64) -> rusqlite::Result<()> {
    set_number(connection, &table.meter(), number(connection, &table.meter())?.unwrap_or(0) + bytes)
}

/// One step of what there is to do: counts a slice of results, or folds a block of tiles. The caller holds the transaction.
/// Says whether there was anything.
pub(super) fn advance(connection: &Connection) -> rusqlite::Result<bool> {
    let newest: Option<i64> = connection.query_row("SELECT max(at) FROM results", [], |row| row.get(0))?;
    let Some(newest) = newest else { return Ok(false) };
    // The last minute is left until it is over.
    let end = key_of(Wall::from_unix_millis((newest >> TICK_BITS).div_euclid(MINUTE) * MINUTE));
    let mark = mark(connection)?;
    Ok(count(connection, mark, end)? || fold(connection, end.max(mark) >> TICK_BITS)?)
}

/// Counts results between two keys, and says whether there were any.
fn count(connection: &Connection, begin: i64, end: i64) -> rusqlite::Result<bool> {
    let mut tally = Tally::default();
    let (mut counted, mut last) = (0, begin);
    let mut slice = connection
        .prepare("SELECT at, verdict, latency, subject FROM results WHERE at >= ? AND at < ? ORDER BY at LIMIT ?")?;
    let mut rows = slice.query(params![begin, end, SLICE as i64])?;
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        tally.count(last, row.get(3)?, &result(row)?);
        counted += 1;
    }
    if counted > 0 {
        tally.write(connection)?;
        set_number(connection, "rolled", if counted < SLICE { end } else { last + 1 })?;
    }
    Ok(counted > 0)
}

/// What a row of results, with verdict and latency as its second and third column, comes to.
fn result(row: &Row<'_>) -> rusqlite::Result<Rollup> {
    let (verdict, latency) = (row.get::<_, u8>(1)?, Duration::from_micros(row.get::<_, i64>(2)?.cast_unsigned()));
    // A number that we never write is of no verdict.
    Ok(VERDICTS.get(usize::from(verdict)).map_or_else(Rollup::default, |verdict| Rollup::of(*verdict, latency)))
}

/// Results on their way into tiles.
#[derive(Default)]
struct Tally(BTreeMap<i64, Cells>);

impl Tally {
    fn count(&mut self, at: i64, subject: i64, result: &Rollup) {
        let cells = self.0.entry(tile(at >> TICK_BITS, subject)).or_default();
        packed::add(cells, subject.rem_euclid(BLOCK) as u16, result);
    }

    fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        let mut tiles = Rows::of(connection, &TILES)?;
        for (key, cells) in self.0 {
            tiles.add(key, &cells, packed::pack)?;
        }
        tiles.finish(connection)
    }
}

/// Results that come after their time has been counted.
pub(super) struct Late {
    mark: i64,
    tally: Tally,
}

impl Late {
    pub(super) fn new(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { mark: mark(connection)?, tally: Tally::default() })
    }

    /// Counts a result, if nobody else will.
    pub(super) fn count(&mut self, at: i64, subject: i64, result: &Rollup) {
        if at < self.mark {
            self.tally.count(at, subject, result);
        }
    }

    pub(super) fn write(self, connection: &Connection) -> rusqlite::Result<()> {
        if self.tally.0.is_empty() { Ok(()) } else { self.tally.write(connection) }
    }
}

/// Folds a block of the oldest tiles, if their half day is over, and says whether it was.
fn fold(connection: &Connection, now: i64) -> rusqlite::Result<bool> {
    let oldest: Option<i64> = connection.query_row("SELECT min(key) FROM tiles", [], |row| row.get(0))?;
    let Some(oldest) = oldest.filter(|key| tile_time(*key) < MINUTES.begin(now)) else { return Ok(false) };
    let (begin, block) = (MINUTES.begin(tile_time(oldest)), block_of(oldest));
    let mut checks = vec![Cells::new(); BLOCK as usize];
    each_tile(connection, &block, |at, tile| {
        for (check, rollup) in tile {
            checks[usize::from(*check)].push((MINUTES.slot(at), *rollup));
        }
    })?;
    let first = (block.start() & i64::from(u32::MAX)) >> MINUTE_BITS << BLOCK_BITS;
    let mut packer = Packer::new();
    for table in SINGLE {
        let mut rows = Rows::of(connection, table)?;
        for (subject, minutes) in (first..).zip(&checks).filter(|(_, minutes)| !minutes.is_empty()) {
            let mut cells = Cells::new();
            for (minute, rollup) in minutes {
                packed::add(&mut cells, table.slot(begin + i64::from(*minute) * MINUTE), rollup);
            }
            rows.add(table.key(begin, subject), &cells, |cells| packer.pack(cells))?;
        }
        rows.finish(connection)?;
        prune(connection, table, SIZE)?;
    }
    remove(connection, &TILES, "BETWEEN ? AND ?", [*block.start(), *block.end()])?;
    Ok(true)
}

/// A table in which rows take more in.
struct Rows<'c> {
    table: &'static Table,
    read: CachedStatement<'c>,
    write: CachedStatement<'c>,
    unpacker: Unpacker,
    cells: Cells,
    growth: i64,
}

impl<'c> Rows<'c> {
    fn of(connection: &'c Connection, table: &'static Table) -> rusqlite::Result<Self> {
        let name = table.name;
        Ok(Self {
            table,
            read: connection.prepare_cached(&format!("SELECT cells FROM {name} WHERE key = ?"))?,
            write: connection.prepare_cached(&format!("INSERT OR REPLACE INTO {name} (key, cells) VALUES (?, ?)"))?,
            unpacker: Unpacker::new(),
            cells: Cells::new(),
            growth: 0,
        })
    }

    /// What is in the row with that key.
    fn get(&mut self, key: i64) -> rusqlite::Result<&mut Cells> {
        self.cells.clear();
        if let Some(row) = self.read.query([key])?.next()? {
            let bytes = row.get_ref(0)?.as_blob()?;
            self.growth -= bytes.len() as i64;
            self.table.unpack(&mut self.unpacker, key, bytes, &mut self.cells);
        }
        Ok(&mut self.cells)
    }

    fn add(&mut self, key: i64, more: &Cells, pack: impl FnOnce(&[(u16, Rollup)]) -> Vec<u8>) -> rusqlite::Result<()> {
        packed::merge(self.get(key)?, more);
        let bytes = pack(&self.cells);
        self.growth += bytes.len() as i64;
        self.write.execute(params![key, bytes]).map(drop)
    }

    fn finish(self, connection: &Connection) -> rusqlite::Result<()> {
        grow(connection, self.table, self.growth)
    }
}

/// Takes away the oldest rows of a table that is bigger than that, some at a time.
fn prune(connection: &Connection, table: &Table, size: i64) -> rusqlite::Result<()> {
    if number(connection, &table.meter())? <= Some(size) {
        return Ok(());
    }
    let oldest = format!("IN (SELECT key FROM {} ORDER BY key LIMIT ?)", table.name);
    remove(connection, table, &oldest, [GOING])
}

/// Removes rows whose key is such.
fn remove(connection: &Connection, table: &Table, such: &str, numbers: impl Params) -> rusqlite::Result<()> {
    let mut remove =
        connection.prepare_cached(&format!("DELETE FROM {} WHERE key {such} RETURNING length(cells)", table.name))?;
    let lengths = remove.query_map(numbers, |row| row.get::<_, i64>(0))?;
    let gone = lengths.sum::<rusqlite::Result<i64>>()?;
    grow(connection, table, -gone)
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
    let floor = |at: i64| at.div_euclid(table.pace).saturating_mul(table.pace);
    // A step that begins in time counts as a whole.
    let ceiling = |at: i64| floor(at.saturating_sub(1)).saturating_add(table.pace);
    let times = floor(from.unix_millis())..ceiling(until.unix_millis());
    let (spans, tiles) = (numbers(connection, table, &times)?, numbers(connection, &TILES, &times)?);
    let mut line = Line::with_room(table, &times, &[&spans, &tiles]);

    let mut rows = Rows::of(connection, table)?;
    for number in spans {
        let begin = number * table.span();
        for (slot, rollup) in rows.get((number << 32) + subject)? {
            line.push(begin + i64::from(*slot) * table.pace, rollup);
        }
    }
    let place = subject.rem_euclid(BLOCK) as u16;
    for number in tiles {
        each_tile(connection, &block_of(tile(number * TILES.span(), subject)), |at, tile| {
            if let Ok(index) = tile.binary_search_by_key(&place, |(place, _)| *place) {
                line.push(floor(at), &tile[index].1);
            }
        })?;
    }
    let sql = "SELECT at, verdict, latency FROM results WHERE at >= ? AND subject = ?";
    let mut fresh = connection.prepare_cached(sql)?;
    let mut fresh = fresh.query([mark(connection)?, subject])?;
    while let Some(row) = fresh.next()? {
        line.push(floor(row.get::<_, i64>(0)? >> TICK_BITS), &result(row)?);
    }
    Ok(line.finish())
}

/// The points of an answer, as they are found.
struct Line {
    /// When their steps may begin.
    times: Range<i64>,
    points: Vec<Point>,
    in_order: bool,
}

impl Line {
    /// With room for all that can be in these spans, so that it need not grow: it may be large.
    fn with_room(table: &Table, times: &Range<i64>, spans: &[&Range<i64>]) -> Self {
        let spans: i64 = spans.iter().map(|spans| (spans.end - spans.start).max(0)).sum();
        let most = times.end.saturating_sub(times.start) / table.pace;
        let room = spans.saturating_mul(table.times).min(most).min(ROOM);
        let points = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        Self { times: times.clone(), points, in_order: true }
    }

    /// Takes in what the step that begins then came to, or a part of it.
    fn push(&mut self, begin: i64, rollup: &Rollup) {
        if !self.times.contains(&begin) {
            return;
        }
        let at = Wall::from_unix_millis(begin);
        match self.points.last_mut() {
            Some(last) if last.at == at => return last.rollup.add(rollup),
            Some(last) if last.at > at => self.in_order = false,
            _ => {}
        }
        self.points.push(Point { at, rollup: *rollup });
    }

    /// Oldest first. So they were found, unless the clock was set back.
    fn finish(mut self) -> Vec<Point> {
        if !self.in_order {
            self.points.sort_by_key(|point| point.at);
            self.points.dedup_by(|point, before| {
                let same = point.at == before.at;
                if same {
                    before.rollup.add(&point.rollup);
                }
                same
            });
        }
        self.points
    }
}

/// The numbers of the spans, between two times, of which a table may have rows.
fn numbers(connection: &Connection, table: &Table, times: &Range<i64>) -> rusqlite::Result<Range<i64>> {
    let key = |end| {
        let sql = format!("SELECT {end}(key) FROM {}", table.name);
        connection.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0))
    };
    let Some((first, last)) = key("min")?.zip(key("max")?) else { return Ok(0..0) };
    let number = |at: i64| at.div_euclid(table.span());
    Ok(number(times.start).max(first >> 32)..number(times.end).min(last >> 32) + 1)
}

/// Hands the tiles of a block to `each`, with the times of their minutes, in the order of time.
fn each_tile(
    connection: &Connection,
    block: &RangeInclusive<i64>,
    mut each: impl FnMut(i64, &Cells),
) -> rusqlite::Result<()> {
    let mut tiles = connection.prepare_cached("SELECT key, cells FROM tiles WHERE key BETWEEN ? AND ? ORDER BY key")?;
    let mut rows = tiles.query([block.start(), block.end()])?;
    let (mut unpacker, mut tile) = (Unpacker::new(), Cells::new());
    while let Some(row) = rows.next()? {
        let key = row.get(0)?;
        TILES.unpack(&mut unpacker, key, row.get_ref(1)?.as_blob()?, &mut tile);
        each(tile_time(key), &tile);
    }
    Ok(())
}

/// The tile of a check at a time.
fn tile(millis: i64, subject: i64) -> i64 {
    TILES.key(millis, (subject >> BLOCK_BITS << MINUTE_BITS) + i64::from(MINUTES.slot(millis)))
}

/// The tiles of the same checks and the same half day.
fn block_of(tile: i64) -> RangeInclusive<i64> {
    let first = tile >> MINUTE_BITS << MINUTE_BITS;
    first..=first + (1 << MINUTE_BITS) - 1
}

/// When the minute of a tile began.
fn tile_time(key: i64) -> i64 {
    (key >> 32) * TILES.span() + (key & ((1 << MINUTE_BITS) - 1)) * MINUTE
}
