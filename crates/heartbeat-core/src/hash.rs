//! A hash that means the same on every machine and in every version: phases and keys are derived from it.

/// FNV-1a with 64 bits, finished with the mixer of MurmurHash3, for the high bits of FNV alone say little of the last
/// letters, and ids often differ only there.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn never_changes() {
        assert_eq!(hash(b""), 0xefd0_1f60_ba99_2926);
        assert_eq!(hash(b"web"), 0x8b8f_9c35_7cbd_25a9);
    }

    #[test]
    fn spreads_ids_that_differ_in_their_last_digits() {
        let mut tenths = [0_u32; 10];
        for n in 0..1000 {
            let tenth = (u128::from(hash(std::format!("check-{n:05}").as_bytes())) * 10) >> 64;
            tenths[usize::try_from(tenth).expect("below ten")] += 1;
        }
        assert!(tenths.iter().all(|&n| (70..=130).contains(&n)), "{tenths:?}");
    }
}
