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
    columns: Vec<u8>,
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new(true), columns: vec![0; MAX_BYTES] }
    }

    /// Fills the list with what is in the bytes; all places are below `slots`.
    ///
    /// # Errors
    /// What makes no sense in the bytes. Some of it may be in the list.
    pub(super) fn unpack(&mut self, bytes: &[u8], slots: u16, cells: &mut Cells) -> Result<(), &'static str> {
        cells.clear();
        match bytes.split_first() {
            Some((&PLAIN, columns)) => read_columns(columns, slots, cells),
            Some((&DEFLATED, stream)) => {
                self.inflate.reset(true);
                match self.inflate.decompress(stream, &mut self.columns, FlushDecompress::Finish) {
                    Ok(Status::StreamEnd) => {
                        let length = usize::try_from(self.inflate.total_out()).unwrap_or(MAX_BYTES);
                        read_columns(&self.columns[..length], slots, cells)
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

fn read_columns(mut bytes: &[u8], slots: u16, cells: &mut Cells) -> Result<(), &'static str> {
    let bytes = &mut bytes;
    let count = take_number(bytes)?;
    if count > slots.into() {
        return Err("it has more rollups than places");
    }
    let gaps = Column::take(count, bytes)?;
    let [pass, warn, fail, local] = [(); VERDICTS.len()].map(|()| Column::take(count, bytes));
    let (pass, warn, fail, local) = (pass?, warn?, fail?, local?);
    let mut next = 0_u32;
    for at in 0..count as usize {
        let slot = next.saturating_add(gaps.get(at));
        let place = u16::try_from(slot).ok().filter(|place| *place < slots).ok_or("it has a place beyond its end")?;
        let counts = [pass.get(at), warn.get(at), fail.get(at), local.get(at)];
        cells.push((place, Rollup { counts, ..Rollup::default() }));
        next = slot + 1;
    }
    let timed = || cells.iter().filter(|(_, rollup)| rollup.timed() > 0);
    let count = timed().count() as u32;
    let lowest = take_number(bytes)?;
    let (means, above) = (Column::take(count, bytes)?, Column::take(count, bytes)?);
    let timed = cells.iter_mut().map(|(_, rollup)| rollup).filter(|rollup| rollup.timed() > 0);
    for (at, rollup) in timed.enumerate() {
        let mean = lowest.saturating_add(means.get(at));
        let most = mean.saturating_add(above.get(at));
        let (Some(mean), Some(most)) = (at_level(mean), at_level(most)) else {
            return Err("it has an impossible latency");
        };
        rollup.sum = u64::from(mean) * u64::from(rollup.timed());
        rollup.most = most;
    }
    if bytes.is_empty() { Ok(()) } else { Err("it goes on after its end") }
}

/// Where a latency is on the scale: below 32 us to the microsecond, then in sixteen steps to each doubling.
fn level(micros: u32) -> u32 {
    let doublings = micros.checked_ilog2().unwrap_or(0).saturating_sub(SCALE_BITS);
    (doublings << SCALE_BITS) + (micros >> doublings)
}

/// The middle of what lies on one level; `None` if no latency does.
#[inline]
fn at_level(level: u32) -> Option<u32> {
    let doublings = (level >> SCALE_BITS).saturating_sub(1);
    let steps = u64::from(level - (doublings << SCALE_BITS));
    let middle = (1_u64.checked_shl(doublings)? - 1) / 2;
    u32::try_from(steps.checked_shl(doublings)? + middle).ok()
}

/// A column: its first byte is how many bytes each value has, the low ones first, or 0 before one number for all.
enum Column<'a> {
    Alike(u32),
    Bytes(&'a [u8]),
    Words(&'a [[u8; 4]]),
}

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

impl<'a> Column<'a> {
    fn take(count: u32, bytes: &mut &'a [u8]) -> Result<Self, &'static str> {
        if count == 0 {
            return Ok(Self::Alike(0));
        }
        let width = take(1, bytes)?[0];
        let count = count as usize;
        match width {
            0 => Ok(Self::Alike(take_number(bytes)?)),
            1 => Ok(Self::Bytes(take(count, bytes)?)),
            4 => Ok(Self::Words(take(4 * count, bytes)?.as_chunks().0)),
            _ => Err("it has a column of an unknown kind"),
        }
    }

    #[inline]
    fn get(&self, at: usize) -> u32 {
        match self {
            Self::Alike(value) => *value,
            Self::Bytes(values) => values[at].into(),
            Self::Words(values) => u32::from_le_bytes(values[at]),
        }
    }
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
