#![allow(clippy::disallowed_methods)] // mounts and pipes are made by programs

use std::os::unix::fs::{MetadataExt as _, symlink};
use std::process::Command;

use super::*;

/// 2026-01-02T03:04:05Z.
const NOW: Wall = Wall::from_unix_millis(1_767_323_045_000);

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn flag(&self) -> Flag {
        Flag::new(self.folder.path().join("heart.beat"))
    }

    /// What a flag of this text says.
    fn says(&self, text: &str) -> State {
        fs::write(self.flag().path(), text).expect("the folder can be written");
        self.flag().read(NOW)
    }

    /// What is said of whatever lies there now: out of service, and why.
    #[track_caller]
    fn why(&self) -> String {
        match self.flag().read(NOW) {
            State::Down(drain) => drain.why.replace(&*self.folder.path().to_string_lossy(), "…"),
            State::Up => panic!("in service"),
        }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.flag().path()).expect("the flag is there")
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) {
    let done = Command::new(program).args(arguments).arg(last).output();
    let done = done.unwrap_or_else(|error| panic!("this test needs `{program}`: {error}"));
    let message = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{message}; this test needs root: unshare -rm cargo nextest run");
}

/// A small file system of its own.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn over(folder: &'a Path) -> Self {
        run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs"], folder);
        Self(folder)
    }

    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("a file");
        for size in [1 << 12, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        run("umount", &["-l"], self.0);
    }
}

fn is_down(state: &State) -> bool {
    matches!(state, State::Down(_))
}

#[test]
fn it_is_down_by_a_0_anywhere() {
    let place = Place::new();
    assert_eq!(place.flag().read(NOW), State::Up, "no file");
    for (text, down) in [("", false), ("1", false), ("up\n", false), ("0", true), ("10", true), ("o\n\n  0", true)] {
        assert_eq!(is_down(&place.says(text)), down, "{text:?}");
    }
    assert_eq!(place.why(), "…/heart.beat exists and contains 0");
    fs::write(place.flag().path(), b"\xff\xfe0\x00").expect("the folder can be written");
    assert!(is_down(&place.flag().read(NOW)), "what is no text holds a 0 too");
}

#[test]
fn a_time_that_is_over_ends_it() {
    let place = Place::new();
    for (until, down) in [
        ("2026-01-02T03:04:04Z", false),
        ("2026-01-02T03:04:05Z", false),
        ("2026-01-02T03:04:06Z", true),
        ("2026-01-02T04:04:05+02:00", false),
        ("2026-01-02T04:04:05-00:30", true),
        ("  2020-01-01T00:00:00Z  ", false),
        ("noon", true),
        ("2020-01-01", true),
        ("", true),
    ] {
        assert_eq!(is_down(&place.says(&format!("0\nuntil: {until}\n"))), down, "{until:?}");
    }
}

#[test]
fn it_says_why_and_how_long() {
    let place = Place::new();
    let State::Down(drain) = place.says("0\r\nuntil: 2026-02-01T00:00:00Z\r\nreason: a new disk \r\nelse: 1\n") else {
        panic!("it is down");
    };
    assert_eq!(drain.reason.as_deref(), Some("a new disk"));
    assert_eq!(drain.until, Some(Wall::from_unix_millis(1_769_904_000_000)));
    let changed = fs::metadata(place.flag().path()).expect("the flag is there").mtime();
    assert_eq!(drain.since.map(|since| since.unix_millis() / 1000), Some(changed));
    assert!(drain.to_string().ends_with("exists and contains 0: a new disk"));
    let State::Down(drain) = place.says("0\nreason:\n") else { panic!("it is down") };
    assert_eq!(drain.reason, None, "no words are no reason");
}

#[test]
fn what_cannot_be_read_takes_out_of_service() {
    let place = Place::new();
    let path = place.flag().path().to_owned();
    fs::create_dir(&path).expect("a folder");
    assert_eq!(place.why(), "…/heart.beat cannot be read: it is no file");
    fs::remove_dir(&path).expect("it is there");

    run("mkfifo", &[], &path);
    assert_eq!(place.why(), "…/heart.beat cannot be read: it is no file");
    fs::remove_file(&path).expect("it is there");

    let _socket = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    assert!(place.why().starts_with("…/heart.beat cannot be read: "));
    fs::remove_file(&path).expect("it is there");

    symlink("/dev/zero", &path).expect("a link");
    assert_eq!(place.why(), "…/heart.beat cannot be read: it is no file");
    fs::remove_file(&path).expect("it is there");

    symlink(&path, &path).expect("a link");
    assert!(place.why().contains("symbolic link"), "{}", place.why());
    fs::remove_file(&path).expect("it is there");

    let longest = usize::try_from(LONGEST).expect("it is small");
    assert_eq!(place.says(&"x".repeat(longest)), State::Up);
    assert!(is_down(&place.says(&"x".repeat(longest + 1))));
    assert_eq!(place.why(), "…/heart.beat cannot be read: it is longer than 65536 bytes");

    let below = Flag::new(path.join("heart.beat"));
    assert!(is_down(&below.read(NOW)), "a file where its folder should be");
    assert_eq!(Flag::new("/nonexistent/folder/heart.beat").read(NOW), State::Up);
}

#[test]
fn an_order_is_written_as_the_django_application_did() {
    let place = Place::new();
    let raise = |until, reason: Option<&str>| {
        place.flag().raise(&Order { until, reason: reason.map(str::to_owned) }).expect("the folder can be written");
        place.text()
    };
    let later = Some(NOW + std::time::Duration::from_secs(60));
    assert_eq!(
        raise(later, Some("disks\nuntil: 1999\u{7}")),
        "0\nuntil: 2026-01-02T03:05:05Z\nreason: disks until: 1999\n"
    );
    let State::Down(drain) = place.flag().read(NOW) else { panic!("it is down") };
    assert_eq!((drain.until, drain.reason.as_deref()), (later, Some("disks until: 1999")));
    assert_eq!(raise(None, Some("disks")), "0\nreason: disks\n");
    assert_eq!(raise(None, None), "0", "nothing of the longer one is left");
}

#[test]
fn a_flag_is_overwritten_in_place() {
    let place = Place::new();
    fs::write(place.flag().path(), "1").expect("the folder can be written");
    let before = fs::metadata(place.flag().path()).expect("it is there").ino();
    place.flag().raise(&Order::default()).expect("it can be written");
    assert_eq!(fs::metadata(place.flag().path()).expect("it is there").ino(), before);
    let behind = place.folder.path().join("behind");
    place.flag().lower().expect("it can be removed");
    symlink(&behind, place.flag().path()).expect("a link");
    place.flag().raise(&Order::default()).expect("a link to where nothing is yet");
    assert!(is_down(&place.flag().read(NOW)) && behind.exists());
    place.flag().lower().expect("it can be removed");
    assert_eq!(place.flag().read(NOW), State::Up);
    place.flag().lower().expect("one that is not there is as good as removed");
}

#[test]
fn only_a_file_is_written() {
    let place = Place::new();
    let path = place.flag().path().to_owned();
    fs::create_dir(&path).expect("a folder");
    assert!(place.flag().raise(&Order::default()).is_err());
    assert!(place.flag().lower().is_err());
    fs::remove_dir(&path).expect("it is still there");
    run("mkfifo", &[], &path);
    assert!(place.flag().raise(&Order::default()).is_err(), "nobody is at the other end of the pipe");
    fs::remove_file(&path).expect("it is still there");
    symlink("/dev/null", &path).expect("a link");
    assert!(place.flag().raise(&Order::default()).is_err());
    assert!(Flag::new("/nonexistent/folder/heart.beat").raise(&Order::default()).is_err());
}

#[test]
fn a_full_disk_is_an_error_and_leaves_what_was_there() {
    let place = Place::new();
    let mount = Mount::over(place.folder.path());
    mount.fill();
    assert!(place.flag().raise(&Order::default()).is_err());
    assert_eq!(place.flag().read(NOW), State::Up);
    assert!(!place.flag().path().exists(), "nothing that a later reader could take for a flag");
    fs::remove_file(place.folder.path().join("filler")).expect("it was filled");
    place.flag().raise(&Order::default()).expect("there is space");
    mount.fill();
    place.flag().raise(&Order { until: None, reason: Some("x".repeat(10_000)) }).expect_err("the disk is full");
    assert!(is_down(&place.flag().read(NOW)), "it was down before");
    place.flag().lower().expect("taking away needs no space");
}

#[test]
fn a_read_only_disk_is_an_error() {
    let place = Place::new();
    let _mount = Mount::over(place.folder.path());
    place.flag().raise(&Order::default()).expect("there is space");
    run("mount", &["-o", "remount,ro"], place.folder.path());
    assert!(place.flag().raise(&Order::default()).is_err());
    assert!(place.flag().lower().is_err());
    assert!(is_down(&place.flag().read(NOW)));
}

#[test]
fn the_flag_of_a_view_lies_beside_it() {
    assert_eq!(Flag::new("/etc/heart.beat").of_view("ready").path(), Path::new("/etc/heart.beat.ready"));
    assert_eq!(Flag::new("/etc/f").of_view("../$x y").path(), Path::new("/etc/f...%2F%24x%20y"));
}
