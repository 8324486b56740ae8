//! Rollups as bytes, many in one value.
//!
//! They lie in columns: places as gaps, a count for each verdict, and of latencies the mean and how far the most is above it.
//! A column in which all is the same takes two or three bytes: that is the usual one. Latencies are rounded to a scale of
//! sixteen steps to a doubling, like the buckets of a histogram: what is left out is mostly noise, and noise cannot be packed.

use std::iter;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::store::rollup::{Rollup, VERDICTS};

/// Rollups by their place in a span of time, or in a group of checks; ascending.
pub(super) type Cells = Vec<(u16, Rollup)>;

/// A doubling of a latency has 2 to this power steps.
const SCALE_BITS: u32 = 4;

/// Nothing unpacked is longer, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// How the columns follow the first byte.
const PLAIN: u8 = 1;
const DEFLATED: u8 = 2;

/// Takes `more` into `cells`.
pub(super) fn merge(cells: &mut Cells, more: &[(u16, Rollup)]) {
    if cells.is_empty() {
        cells.extend_from_slice(more);
        return;
    }
    for (slot, rollup) in more {
        add(cells, *slot, rollup);
    }
}

/// Takes one into `cells`.
pub(super) fn add(cells: &mut Cells, slot: u16, rollup: &Rollup) {
    match cells.binary_search_by_key(&slot, |(slot, _)| *slot) {
        Ok(at) => cells[at].1.add(rollup),
        Err(at) => cells.insert(at, (slot, *rollup)),
    }
}

/// Packs quickly, for a short time.
pub(super) fn pack(cells: &[(u16, Rollup)]) -> Vec<u8> {
    let mut bytes = vec![PLAIN];
    write_columns(cells, &mut bytes);
    bytes
}

/// Packs for years. It keeps its tables from list to list.
pub(super) struct Packer(Compress);

impl Packer {
    pub(super) fn new() -> Self {
        Self(Compress::new(Compression::default(), true))
    }

    /// The smaller of both forms; the deflated one has a checksum.
    pub(super) fn pack(&mut self, cells: &[(u16, Rollup)]) -> Vec<u8> {
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

/// Unpacks what [`pack`] or a [`Packer`] made. It keeps its room from list to list.
pub(super) struct Unpacker {
    inflate: Decompress,
    inflated: Vec<u8>,
    columns: Columns,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new(true), inflated: vec![0; MAX_BYTES], columns: Columns::default() }
    }

    /// Fills the list with what is in the bytes; all places are below `slots`.
    ///
    /// # Errors
    /// What makes no sense in the bytes. Some of it may be in the list.
    pub(super) fn unpack(&mut self, bytes: &[u8], slots: u16, cells: &mut Cells) -> Result<(), &'static str> {
        cells.clear();
        match bytes.split_first() {
            Some((&PLAIN, columns)) => self.columns.read(columns, slots, cells),
            Some((&DEFLATED, stream)) => {
                self.inflate.reset(true);
                match self.inflate.decompress(stream, &mut self.inflated, FlushDecompress::Finish) {
                    Ok(Status::StreamEnd) => {
                        let length = usize::try_from(self.inflate.total_out()).unwrap_or(MAX_BYTES);
                        self.columns.read(&self.inflated[..length], slots, cells)
                    }
                    Ok(_) => Err("its deflated stream has no end"),
                    Err(_) => Err("its deflated stream is broken"),
                }
            }
            Some(_) => Err("it begins with the number of an unknown format"),
            None => Err("it is empty"),
        }
    }
}

fn write_columns(cells: &[(u16, Rollup)], bytes: &mut Vec<u8>) {
    number(cells.len() as u32, bytes);
    let slots = cells.iter().map(|(slot, _)| u32::from(*slot));
    let before = iter::once(0).chain(slots.clone().map(|slot| slot + 1));
    column(slots.zip(before).map(|(slot, before)| slot - before), bytes);
    for verdict in 0..VERDICTS.len() {
        column(cells.iter().map(|(_, rollup)| rollup.counts[verdict]), bytes);
    }
    let timed = || cells.iter().map(|(_, rollup)| rollup).filter(|rollup| rollup.timed() > 0);
    let means = || timed().map(|rollup| level(rollup.mean()));
    let lowest = means().min().unwrap_or(0);
    number(lowest, bytes);
    column(means().map(|mean| mean - lowest), bytes);
    column(means().zip(timed()).map(|(mean, rollup)| level(rollup.most).saturating_sub(mean)), bytes);
}

/// The columns of a list, each of numbers as wide as any.
#[derive(Default)]
struct Columns {
    gaps: Vec<u32>,
    counts: [Vec<u32>; VERDICTS.len()],
    means: Vec<u32>,
    above: Vec<u32>,
}

impl Columns {
    /// Reads a list. All loops are over columns, and ask nothing in between: a year by the minute is half a million rollups.
    fn read(&mut self, mut bytes: &[u8], slots: u16, cells: &mut Cells) -> Result<(), &'static str> {
        let bytes = &mut bytes;
        let count = take_number(bytes)?;
        if count > slots.into() {
            return Err("it has more rollups than places");
        }
        take_column(count, bytes, &mut self.gaps)?;
        for column in &mut self.counts {
            take_column(count, bytes, column)?;
        }
        let [pass, warn, fail, local] = &self.counts;
        let timed = pass.iter().zip(warn).filter(|(pass, warn)| **pass | **warn > 0).count() as u32;
        let lowest = take_number(bytes)?;
        take_column(timed, bytes, &mut self.means)?;
        take_column(timed, bytes, &mut self.above)?;
        if !bytes.is_empty() {
            return Err("it goes on after its end");
        }

        let (mut next, mut possible) = (0_u32, true);
        let mut latencies = self.means.iter().zip(&self.above);
        let verdicts = pass.iter().zip(warn).zip(fail.iter().zip(local));
        cells.extend(self.gaps.iter().zip(verdicts).map(|(gap, ((pass, warn), (fail, local)))| {
            let slot = next.saturating_add(*gap);
            next = slot.saturating_add(1);
            let mut rollup = Rollup { counts: [*pass, *warn, *fail, *local], ..Rollup::default() };
            if rollup.timed() > 0
                && let Some((mean, above)) = latencies.next()
            {
                let level = lowest.saturating_add(*mean);
                let (mean, most) = (at_level(level), at_level(level.saturating_add(*above)));
                possible &= mean.is_some() && most.is_some();
                rollup.sum = u64::from(mean.unwrap_or(0)) * u64::from(rollup.timed());
                rollup.most = most.unwrap_or(0);
            }
            (slot as u16, rollup)
        }));
        // They ascend: if the last one has its place, all have.
        if next > slots.into() {
            return Err("it has a place beyond its end");
        }
        if possible { Ok(()) } else { Err("it has an impossible latency") }
    }
}

/// Where a latency is on the scale: below 32 us to the microsecond, then in sixteen steps to each doubling.
fn level(micros: u32) -> u32 {
    let doublings = micros.checked_ilog2().unwrap_or(0).saturating_sub(SCALE_BITS);
    (doublings << SCALE_BITS) + (micros >> doublings)
}

/// The middle of what lies on one level; `None` if no latency does.
#[inline]
fn at_level(level: u32) -> Option<u32> {
    MIDDLES.get(level as usize).copied()
}

/// Up to the one of the longest latency.
const LEVELS: usize = ((u32::BITS + 1 - SCALE_BITS) << SCALE_BITS) as usize;

/// By their levels.
static MIDDLES: [u32; LEVELS] = {
    let mut middles = [0; LEVELS];
    let mut level = 0;
    while level < middles.len() {
        let doublings = (level >> SCALE_BITS).saturating_sub(1);
        let steps = level - (doublings << SCALE_BITS);
        middles[level] = ((steps << doublings) + ((1 << doublings) - 1) / 2) as u32;
        level += 1;
    }
    middles
};

/// A column: its first byte is how many bytes each value has, the low ones first, or 0 before one number for all.
fn column(values: impl Iterator<Item = u32> + Clone, bytes: &mut Vec<u8>) {
    let Some(first) = values.clone().next() else { return };
    let most = values.clone().max().unwrap_or(first);
    if values.clone().all(|value| value == first) {
        bytes.push(0);
        number(first, bytes);
    } else if most <= u8::MAX.into() {
        bytes.push(1);
        bytes.extend(values.map(|value| value as u8));
    } else {
        bytes.push(4);
        bytes.extend(values.flat_map(u32::to_le_bytes));
    }
}

/// Fills `values` with the column that comes next. One of no values takes no bytes.
fn take_column(count: u32, bytes: &mut &[u8], values: &mut Vec<u32>) -> Result<(), &'static str> {
    values.clear();
    if count == 0 {
        return Ok(());
    }
    let count = count as usize;
    match take(1, bytes)?[0] {
        0 => values.resize(count, take_number(bytes)?),
        1 => values.extend(take(count, bytes)?.iter().map(|value| u32::from(*value))),
        4 => values.extend(take(4 * count, bytes)?.as_chunks().0.iter().map(|value| u32::from_le_bytes(*value))),
        _ => return Err("it has a column of an unknown kind"),
    }
    Ok(())
}

/// Seven bits to a byte, the low ones first (LEB128).
fn number(mut value: u32, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_number(bytes: &mut &[u8]) -> Result<u32, &'static str> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = take(1, bytes)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return u32::try_from(value).map_err(|_| TOO_GREAT);
        }
    }
    Err(TOO_GREAT)
}

const TOO_GREAT: &str = "it has a number that is too great";

fn take<'a>(count: usize, bytes: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or("it ends too early")?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const SLOTS: u16 = 360;

    fn unpack(bytes: &[u8]) -> Result<Cells, &'static str> {
        let mut cells = Cells::new();
        Unpacker::new().unpack(bytes, SLOTS, &mut cells).map(|()| cells)
    }

    fn rollup() -> impl Strategy<Value = Rollup> {
        let micros = prop_oneof![0..100_u64, 0..20_000_000_u64, Just(u64::MAX)].prop_map(Duration::from_micros);
        vec((select(&VERDICTS[..]), micros), 1..6).prop_map(|results| {
            let mut rollup = Rollup::default();
            results.into_iter().for_each(|(verdict, latency)| rollup.add(&Rollup::of(verdict, latency)));
            rollup
        })
    }

    fn cells() -> impl Strategy<Value = Cells> {
        btree_map(0..SLOTS, rollup(), 0..40).prop_map(|cells| cells.into_iter().collect())
    }

    fn is_near(found: u32, expected: u32) -> bool {
        f64::from(found.abs_diff(expected)) <= f64::from(expected) * 0.032
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(cells in cells()) {
            let mut packer = Packer::new();
            for bytes in [pack(&cells), packer.pack(&cells), packer.pack(&cells)] {
                let found = unpack(&bytes).expect("it was packed just now");
                prop_assert_eq!(found.len(), cells.len());
                for ((slot, found), (expected_slot, expected)) in found.iter().zip(&cells) {
                    prop_assert_eq!((slot, found.counts), (expected_slot, expected.counts));
                    prop_assert!(is_near(found.most, expected.most), "{found:?} {expected:?}");
                    prop_assert!(is_near(found.mean(), expected.mean()), "{found:?} {expected:?}");
                }
                prop_assert_eq!(unpack(&packer.pack(&found)).expect("again"), found, "nothing drifts");
            }
        }

        #[test]
        fn garbage_does_no_harm(bytes in vec(any::<u8>(), 0..200), kind in PLAIN..=DEFLATED) {
            let _ = unpack(&bytes);
            let _ = unpack(&[&[kind], &bytes[..]].concat());
        }

        #[test]
        fn what_was_damaged_is_refused(cells in cells(), at in any::<usize>(), mask in 1..=255_u8) {
            let mut bytes = Packer::new().pack(&cells);
            let at = at % bytes.len();
            prop_assert!(unpack(&bytes[..at]).is_err());
            let whole = unpack(&bytes);
            bytes[at] ^= mask;
            if bytes[0] == DEFLATED {
                prop_assert!(unpack(&bytes).is_err() || unpack(&bytes) == whole, "it has a checksum");
            }
        }
    }

    #[test]
    fn every_latency_has_its_level_and_they_ascend() {
        let mut before = 0;
        for micros in (0..70_000).chain((17..32).map(|bit| 1 << bit)).chain([u32::MAX]) {
            let found = at_level(level(micros)).expect("a latency");
            assert!(is_near(found, micros), "{micros} became {found}");
            assert_eq!(level(found), level(micros));
            assert!(level(micros) >= before);
            before = level(micros);
        }
        assert_eq!([at_level(before + 1), at_level(u32::MAX)], [None; 2]);
    }

    #[test]
    fn too_much_is_not_inflated() {
        let mut bytes = Vec::with_capacity(1 << 20);
        bytes.push(DEFLATED);
        let zeros = vec![0; 10 << 20];
        Packer::new().0.compress_vec(&zeros, &mut bytes, FlushCompress::Finish).expect("it is deflated");
        assert_eq!(unpack(&bytes), Err("its deflated stream has no end"));
    }
}
