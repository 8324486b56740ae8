//! The flag through its whole life: whatever lies in its place is understood, or taken for a flag.

use std::fs;
use std::path::Path;

use super::wire::{get, wait_for_status};
use super::world::World;
use crate::subject;

#[test]
fn whatever_lies_in_its_place() {
    let world = World::new();
    let subject = subject::start(&world);
    let flag = world.flag();
    let write = |text: &str| fs::write(&flag, text).expect("the flag can be written");
    let folder = flag.parent().expect("a folder");
    let aside = world.folder().join("aside");
    // Each begins in service; what is put there takes out of service, or does not.
    type Put<'a> = (&'a str, u16, &'a dyn Fn(), &'a dyn Fn());
    let remove = || fs::remove_file(&flag).expect("the flag is there");
    let puts: &[Put<'_>] = &[
        ("0", 503, &|| write("0"), &remove),
        ("nothing", 200, &|| write(""), &remove),
        ("no 0", 200, &|| write("all is well\n"), &remove),
        ("a 0 anywhere", 503, &|| write("since 10 o'clock"), &remove),
        ("a time that is over", 200, &|| write("0\nuntil: 2020-01-01T00:00:00Z\n"), &remove),
        ("a time to come", 503, &|| write("0\nuntil: 2999-01-01T00:00:00+02:00\nreason: disks\n"), &remove),
        ("a time that cannot be read", 503, &|| write("0\nuntil: noon\n"), &remove),
        ("more than a flag can be", 503, &|| write(&"x".repeat(100_000)), &remove),
        ("a folder", 503, &|| fs::create_dir(&flag).expect("a folder"), &|| {
            fs::remove_dir(&flag).expect("the folder is there")
        }),
        ("a pipe", 503, &|| make_pipe(&flag), &remove),
        ("a link to itself", 503, &|| std::os::unix::fs::symlink(&flag, &flag).expect("a link"), &remove),
        (
            "a folder that cannot be entered",
            503,
            &|| {
                fs::rename(folder, &aside).expect("the folder is there");
                fs::write(folder, "no folder").expect("a file in its place");
            },
            &|| {
                fs::remove_file(folder).expect("the file is there");
                fs::rename(&aside, folder).expect("the folder is aside");
            },
        ),
    ];
    for (what, status, put, take) in puts {
        wait_for_status(&subject, "/readyz", 200);
        put();
        if *status == 200 {
            // What changes nothing cannot be waited for: that it was seen shows in what comes after it.
            write_and_take_back(&flag, &subject);
        } else {
            wait_for_status(&subject, "/readyz", *status);
            assert_eq!(get(&subject, "/readyz").body, "Server maintenance under way", "{what}");
            assert_eq!(get(&subject, "/livez").status, 200, "{what}");
            assert_eq!(get(&subject, "/startupz").status, 200, "{what}");
        }
        take();
    }
    wait_for_status(&subject, "/readyz", 200);
}

/// Puts a `0` behind what is there, and takes it away again: the subject has looked at the flag as it was in between.
fn write_and_take_back(flag: &Path, subject: &impl super::Subject) {
    let before = fs::read(flag).expect("the flag is there");
    fs::write(flag, "0").expect("the flag can be written");
    wait_for_status(subject, "/readyz", 503);
    fs::write(flag, before).expect("the flag can be written");
    wait_for_status(subject, "/readyz", 200);
}

fn make_pipe(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)).expect("a pipe can be made");
}
