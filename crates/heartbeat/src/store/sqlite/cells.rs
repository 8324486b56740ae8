//! What results of one check come to in one step of time, and how many of that are packed.
//!
//! A packed list holds columns: slots as gaps, a count for each verdict, and of latencies the mean and how far the least and the
//! most are from it. A column in which all is the same takes two or three bytes: that is the usual one. Latencies are kept on
//! a scale of sixteen steps to a doubling, like the buckets of a histogram: what remains of them is mostly noise, and noise is
//! what cannot be packed.

use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use heartbeat_core::Wall;
use heartbeat_core::outcome::Verdict;

use crate::store::rollup::{Latency, Point};

/// A doubling of a latency has 2 to this power steps.
const SCALE_BITS: u32 = 4;

/// No list that is unpacked is longer, in cells …
const MAX_CELLS: u64 = 1440;

/// … or in bytes.
const MAX_BYTES: usize = 64 << 10;

/// How the columns follow the first byte.
const PLAIN: u8 = 1;
const DEFLATED: u8 = 2;

/// Counts and latencies of some results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    /// In the order of [`VERDICTS`].
    pub(super) counts: [u32; 4],
    /// Of the latencies of passes and warnings, in microseconds.
    sum: u64,
    least: u32,
    most: u32,
}

/// In the order of their numbers in the tables.
pub(super) const VERDICTS: [Verdict; 4] = [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Local];

/// Cells by their place in a span of time, or in a group of checks; ascending.
pub(super) type Cells = Vec<(u16, Cell)>;

impl Cell {
    /// One result: its verdict's place in [`VERDICTS`], and its latency in microseconds.
    pub(super) fn of(verdict: usize, micros: i64) -> Self {
        let mut cell = Self::default();
        if let Some(count) = cell.counts.get_mut(verdict) {
            *count = 1;
        }
        if cell.timed() > 0 {
            let micros = u32::try_from(micros.max(0)).unwrap_or(u32::MAX);
            (cell.sum, cell.least, cell.most) = (micros.into(), micros, micros);
        }
        cell
    }

    /// How many results have a latency that counts.
    fn timed(&self) -> u32 {
        self.counts[0].saturating_add(self.counts[1])
    }

    /// Takes other results in.
    pub(super) fn add(&mut self, other: &Self) {
        self.least = match (self.timed(), other.timed()) {
            (_, 0) => self.least,
            (0, _) => other.least,
            _ => self.least.min(other.least),
        };
        self.most = self.most.max(other.most);
        self.sum = self.sum.saturating_add(other.sum);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
    }

    fn mean(&self) -> u32 {
        u32::try_from(self.sum / u64::from(self.timed().max(1))).unwrap_or(u32::MAX)
    }

    /// As people ask for it.
    pub(super) fn point(&self, at: Wall) -> Point {
        let [pass, warn, fail, local] = self.counts;
        let micros = |micros: u32| Duration::from_micros(micros.into());
        let latency = Latency { least: micros(self.least), mean: micros(self.mean()), most: micros(self.most) };
        Point { at, pass, warn, fail, local, latency: (self.timed() > 0).then_some(latency) }
    }

    /// The other way round.
    pub(super) fn from_point(point: &Point) -> Self {
        let Point { pass, warn, fail, local, latency, .. } = *point;
        let mut cell = Self { counts: [pass, warn, fail, local], ..Self::default() };
        if let (Some(Latency { least, mean, most }), true) = (latency, cell.timed() > 0) {
            let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
            (cell.least, cell.most) = (micros(least), micros(most));
            cell.sum = u64::from(micros(mean)) * u64::from(cell.timed());
        }
        cell
    }
}

/// Takes `more` into `cells`.
pub(super) fn merge(cells: &mut Cells, more: &[(u16, Cell)]) {
    if cells.is_empty() {
        cells.extend_from_slice(more);
        return;
    }
    for (slot, cell) in more {
        match cells.binary_search_by_key(slot, |(slot, _)| *slot) {
            Ok(at) => cells[at].1.add(cell),
            Err(at) => cells.insert(at, (*slot, *cell)),
        }
    }
}

/// Packs cells for a short time: quickly.
pub(super) fn pack(cells: &[(u16, Cell)]) -> Vec<u8> {
    let mut bytes = vec![PLAIN];
    write_columns(cells, &mut bytes);
    bytes
}

/// Packs cells for years. It keeps its tables from list to list.
pub(super) struct Press(Compress);

impl Press {
    pub(super) fn new() -> Self {
        Self(Compress::new(Compression::default(), true))
    }

    /// The smaller of both forms; the deflated one has a checksum.
    pub(super) fn pack(&mut self, cells: &[(u16, Cell)]) -> Vec<u8> {
        let plain = pack(cells);
        let mut bytes = Vec::with_capacity(plain.len());
        bytes.push(DEFLATED);
        self.0.reset();
        match self.0.compress_vec(&plain[1..], &mut bytes, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => bytes,
            // There was not room enough in less than the plain form takes.
            _ => plain,
        }
    }
}

/// Unpacks what [`pack`] or [`Press`] made, up to a slot below `slots`.
///
/// # Errors
/// What makes no sense in the bytes.
pub(super) fn unpack(bytes: &[u8], slots: u16) -> Result<Cells, &'static str> {
    match bytes.split_first() {
        Some((&PLAIN, columns)) => read_columns(columns, slots),
        Some((&DEFLATED, stream)) => {
            let mut columns = Vec::with_capacity((stream.len() * 4).clamp(1 << 12, MAX_BYTES));
            let mut inflate = Decompress::new(true);
            loop {
                let stream =
                    stream.get(usize::try_from(inflate.total_in()).unwrap_or(usize::MAX)..).unwrap_or_default();
                match inflate.decompress_vec(stream, &mut columns, FlushDecompress::Finish) {
                    Ok(Status::StreamEnd) => return read_columns(&columns, slots),
                    Ok(_) if columns.len() == columns.capacity() && columns.len() < MAX_BYTES => {
                        columns.reserve(columns.len());
                    }
                    Ok(_) => return Err("its deflated stream has no end"),
                    Err(_) => return Err("its deflated stream is broken"),
                }
            }
        }
        Some(_) => Err("it begins with the number of an unknown format"),
        None => Err("it is empty"),
    }
}

fn write_columns(cells: &[(u16, Cell)], bytes: &mut Vec<u8>) {
    number(cells.len() as u64, bytes);
    let slots = cells.iter().map(|(slot, _)| u64::from(*slot));
    let before = std::iter::once(0).chain(slots.clone().map(|slot| slot + 1));
    column(slots.zip(before).map(|(slot, before)| slot - before), bytes);
    for verdict in 0..VERDICTS.len() {
        column(cells.iter().map(|(_, cell)| cell.counts[verdict].into()), bytes);
    }
    let timed = || cells.iter().map(|(_, cell)| cell).filter(|cell| cell.timed() > 0);
    let lowest = timed().map(|cell| level(cell.mean())).min().unwrap_or(0);
    number(lowest, bytes);
    column(timed().map(|cell| level(cell.mean()) - lowest), bytes);
    column(timed().map(|cell| level(cell.mean()).saturating_sub(level(cell.least))), bytes);
    column(timed().map(|cell| level(cell.most).saturating_sub(level(cell.mean()))), bytes);
}

fn read_columns(mut bytes: &[u8], slots: u16) -> Result<Cells, &'static str> {
    let bytes = &mut bytes;
    let count = take(bytes)?;
    if count > MAX_CELLS {
        return Err("it has too many cells");
    }
    let count = count as usize;
    let mut cells = Cells::with_capacity(count);
    let mut next = 0_u64;
    take_column(count, bytes, |_, gap| {
        let slot = next.checked_add(gap).filter(|slot| *slot < slots.into()).ok_or("it has a cell beyond its end")?;
        next = slot + 1;
        cells.push((slot as u16, Cell::default()));
        Ok(())
    })?;
    for verdict in 0..VERDICTS.len() {
        take_column(count, bytes, |at, value| {
            cells[at].1.counts[verdict] = u32::try_from(value).map_err(|_| "it has a count that is too great")?;
            Ok(())
        })?;
    }
    let timed: Vec<usize> = (0..count).filter(|at| cells[*at].1.timed() > 0).collect();
    let lowest = take(bytes)?;
    let mut means = vec![0; timed.len()];
    let at_level = |found: Option<u64>| found.and_then(at_level).ok_or("it has an impossible latency");
    take_column(timed.len(), bytes, |at, above| {
        let cell = &mut cells[timed[at]].1;
        means[at] = lowest.saturating_add(above);
        cell.sum = u64::from(at_level(Some(means[at]))?) * u64::from(cell.timed());
        Ok(())
    })?;
    take_column(timed.len(), bytes, |at, below| {
        cells[timed[at]].1.least = at_level(means[at].checked_sub(below))?;
        Ok(())
    })?;
    take_column(timed.len(), bytes, |at, above| {
        cells[timed[at]].1.most = at_level(means[at].checked_add(above))?;
        Ok(())
    })?;
    if bytes.is_empty() { Ok(cells) } else { Err("it goes on after its end") }
}

/// Where a latency is on the scale: below 32 us to the microsecond, then in sixteen steps to each doubling.
fn level(micros: u32) -> u64 {
    let doublings = micros.checked_ilog2().unwrap_or(0).saturating_sub(SCALE_BITS);
    u64::from((doublings << SCALE_BITS) + (micros >> doublings))
}

/// The middle of what lies on one level.
fn at_level(level: u64) -> Option<u32> {
    let level = u32::try_from(level).ok()?;
    let doublings = Some((level >> SCALE_BITS).saturating_sub(1)).filter(|doublings| *doublings < u32::BITS)?;
    let steps = u64::from(level - (doublings << SCALE_BITS));
    let middle = ((1_u64 << doublings) - 1) / 2;
    u32::try_from((steps << doublings) + middle).ok()
}

/// A value that all have, or all values.
fn column(values: impl Iterator<Item = u64> + Clone, bytes: &mut Vec<u8>) {
    let Some(first) = values.clone().next() else { return };
    if values.clone().all(|value| value == first) {
        bytes.push(0);
        number(first, bytes);
    } else {
        bytes.push(1);
        values.for_each(|value| number(value, bytes));
    }
}

fn take_column(
    count: usize,
    bytes: &mut &[u8],
    mut each: impl FnMut(usize, u64) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    if count == 0 {
        return Ok(());
    }
    match take_byte(bytes)? {
        0 => {
            let value = take(bytes)?;
            (0..count).try_for_each(|at| each(at, value))
        }
        1 => (0..count).try_for_each(|at| each(at, take(bytes)?)),
        _ => Err("it has a column of an unknown kind"),
    }
}

/// Seven bits to a byte, the low ones first (LEB128).
fn number(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = take_byte(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("it has a number that is too great")
}

fn take_byte(bytes: &mut &[u8]) -> Result<u8, &'static str> {
    let (first, rest) = bytes.split_first().ok_or("it ends too early")?;
    *bytes = rest;
    Ok(*first)
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn cell() -> impl Strategy<Value = Cell> {
        vec((0..4_usize, prop_oneof![0..100_i64, 0..20_000_000_i64, Just(i64::MAX)]), 1..6).prop_map(|results| {
            let mut cell = Cell::default();
            results.into_iter().for_each(|(verdict, micros)| cell.add(&Cell::of(verdict, micros)));
            cell
        })
    }

    fn cells() -> impl Strategy<Value = Cells> {
        btree_map(0..360_u16, cell(), 0..40).prop_map(|cells| cells.into_iter().collect())
    }

    fn is_near(found: u32, expected: u32) -> bool {
        f64::from(found.abs_diff(expected)) <= f64::from(expected) * 0.032
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(cells in cells()) {
            let mut press = Press::new();
            for bytes in [pack(&cells), press.pack(&cells), press.pack(&cells)] {
                let found = unpack(&bytes, 360).expect("it was packed just now");
                prop_assert_eq!(found.len(), cells.len());
                for ((slot, found), (expected_slot, expected)) in found.iter().zip(&cells) {
                    prop_assert_eq!((slot, found.counts), (expected_slot, expected.counts));
                    if expected.timed() > 0 {
                        prop_assert!(is_near(found.least, expected.least), "{found:?} {expected:?}");
                        prop_assert!(is_near(found.most, expected.most), "{found:?} {expected:?}");
                        prop_assert!(is_near(found.mean(), expected.mean()), "{found:?} {expected:?}");
                    }
                }
                prop_assert_eq!(unpack(&press.pack(&found), 360).expect("again"), found, "nothing drifts");
            }
        }

        #[test]
        fn garbage_is_refused(bytes in vec(any::<u8>(), 0..200), kind in 0..3_u8) {
            let _ = unpack(&bytes, 360);
            let _ = unpack(&[&[kind], &bytes[..]].concat(), 360);
        }

        #[test]
        fn damage_is_refused(cells in cells(), at in any::<usize>(), mask in 1..=255_u8) {
            let mut bytes = Press::new().pack(&cells);
            let at = at % bytes.len();
            bytes[at] ^= mask;
            if let Ok(found) = unpack(&bytes, 360) {
                prop_assert!(found.len() <= 360);
            }
            let _ = unpack(&bytes[..at], 360);
        }
    }

    #[test]
    fn every_latency_has_its_level_and_they_ascend() {
        let mut before = 0;
        for micros in (0..70_000).chain((0..32).map(|bit| 1 << bit)).chain([u32::MAX]) {
            let found = at_level(level(micros)).expect("a latency");
            assert!(is_near(found, micros), "{micros} became {found}");
            assert_eq!(level(found), level(micros));
            if micros >= before {
                assert!(level(micros) >= level(before));
            }
            before = micros;
        }
    }

    #[test]
    fn too_much_is_not_inflated() {
        let mut bytes = vec![DEFLATED];
        let mut deflate = Compress::new(Compression::default(), true);
        bytes.reserve(1 << 20);
        deflate.compress_vec(&vec![0; 10 << 20], &mut bytes, FlushCompress::Finish).expect("it is deflated");
        assert_eq!(unpack(&bytes, 360), Err("its deflated stream has no end"));
    }
}
