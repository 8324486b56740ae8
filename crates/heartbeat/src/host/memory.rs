//! Giving back memory that only the start needed.
//!
//! An allocator keeps what was freed between things that live on. And the kernel maps the pages around every page of a program
//! that is touched: after a start, which parses, decodes and builds, that is most of the program, and counts as ours for as
//! long as we run, though what goes on is a small part of it.
#![allow(clippy::disallowed_methods)] // this is the door

use std::fs;
use std::io;
use std::ops::Range;

/// Lets go of free memory, and of the pages of the program and its libraries. Those that are needed come back when they are
/// touched, from the kernel's cache of the files.
///
/// # Errors
/// If `/proc` does not tell what is mapped.
pub fn release() -> io::Result<()> {
    release_free();
    for range in pristine(&fs::read_to_string("/proc/self/smaps")?) {
        let (start, length) = (std::ptr::with_exposed_provenance_mut(range.start), range.len());
        // Safe: what is there is as it is in the file, nobody can write to it, and it is read from there again. An error
        // means that the mapping has gone, and its pages with it.
        #[allow(unsafe_code)]
        let _ = unsafe { rustix::mm::madvise(start, length, rustix::mm::Advice::LinuxDontNeed) };
    }
    Ok(())
}

/// Pages without anything alive on them go back to the system. Other C libraries than GNU's do so by themselves, or cannot.
fn release_free() {
    // Safe: it may be called at any time, by any thread (malloc_trim(3)).
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code)]
    let _ = unsafe { libc::malloc_trim(0) };
}

/// The mappings of files that cannot be written and have no page that differs from the file, as proc_pid_smaps(5) lists them.
fn pristine(smaps: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("Anonymous:") if words.next() == Some("0") => ranges.extend(candidate.take()),
            Some(first) if !first.ends_with(':') => candidate = mapping(first, words),
            _ => {}
        }
    }
    ranges
}

/// The first line of a mapping: where, what may be done with it, offset, device, inode, name.
fn mapping<'a>(place: &str, mut words: impl Iterator<Item = &'a str>) -> Option<Range<usize>> {
    let (start, end) = place.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let is_read_only = matches!(words.next()?, "r--p" | "r-xp");
    let is_file = words.nth(2)? != "0";
    (is_read_only && is_file).then_some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
7f00000000-7f00001000 r--p 00000000 fe:00 77 /usr/bin/program
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
7f00001000-7f00003000 r-xp 00001000 fe:00 77 /usr/bin/program
Anonymous:             0 kB
7f00003000-7f00004000 r--p 00003000 fe:00 77 /usr/bin/program (its relocations)
Anonymous:             4 kB
7f00004000-7f00005000 rw-p 00004000 fe:00 77 /usr/bin/program
Anonymous:             0 kB
7f00005000-7f00006000 r--s 00005000 fe:00 78 /shared
Anonymous:             0 kB
7f00006000-7f00007000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
7f00007000-7f00008000 r--p 00000000 00:00 0
Anonymous:             0 kB
";

    #[test]
    fn only_what_is_as_in_the_file_is_let_go() {
        assert_eq!(pristine(SMAPS), [0x7f_0000_0000..0x7f_0000_1000, 0x7f_0000_1000..0x7f_0000_3000]);
    }
}
