//! Real programs, most of them hostile.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::adopted::Adopted;
use super::*;
use nix::sys::signal::Signal;

const LONG: Duration = Duration::from_secs(60);

/// A shell that runs `script`.
fn sh(script: &str) -> Command {
    command(&["/bin/sh", "-c", script])
}

fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(OsString::from).collect(),
        cwd: "/".into(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        stdin: Vec::new(),
        user: None,
    }
}

async fn run(command: &Command, timeout: Duration, afterwards: Afterwards) -> Finished {
    spawn(command).unwrap().wait(timeout, afterwards).await
}

/// Waits for a condition, not for a time.
#[allow(clippy::disallowed_methods)] // a test's own deadline
async fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs; a zombie does not.
fn runs(pid: u32) -> bool {
    stat::of(pid).is_some_and(|stat| !stat.has_ended())
}

/// Whether the kernel still knows a process, if only as a zombie.
fn exists(pid: u32) -> bool {
    stat::of(pid).is_some()
}

/// The process number that a script has written to a file, once it has.
async fn number_in(path: &Path) -> u32 {
    let read = || fs::read_to_string(path).ok().and_then(|text| text.strip_suffix('\n')?.parse().ok());
    eventually(&format!("a number in {}", path.display()), Duration::from_secs(10), || read().is_some()).await;
    read().unwrap()
}

fn script(folder: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn status_and_both_streams() {
    let done = run(&sh("echo out; echo one >&2; echo two >&2; exit 3"), LONG, Afterwards::ClearGroup).await;
    assert_eq!(done.exit, Exit::Code(3));
    assert_eq!((done.stdout.text().as_str(), done.stdout.total), ("out\n", 4));
    assert_eq!(done.stderr.last_line(), "two");
    assert!(done.took < LONG);
}

#[tokio::test]
async fn nothing_is_inherited() {
    let folder = tempfile::tempdir().unwrap();
    let mut env = sh("pwd; env; cat /proc/$$/stat");
    env.cwd = folder.path().to_owned();
    env.env.push(("GREETING".into(), "a b".into()));
    let child = spawn(&env).unwrap();
    let pid = child.pid();
    let done = child.wait(LONG, Afterwards::ClearGroup).await;
    let text = done.stdout.text();
    let (stat, mut rest): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with(&pid.to_string()));
    assert_eq!(rest.remove(0), folder.path().canonicalize().unwrap().to_str().unwrap());
    rest.retain(|line| !line.starts_with("PWD=") && !line.starts_with("_=") && !line.starts_with("SHLVL="));
    rest.sort_unstable();
    assert_eq!(rest, ["GREETING=a b", "PATH=/usr/local/bin:/usr/bin:/bin"]);
    let group = stat[0].rsplit_once(") ").unwrap().1.split(' ').nth(2).unwrap();
    assert_eq!(group, pid.to_string());
}

#[tokio::test]
async fn the_path_of_the_command_counts() {
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "greet", "#!/bin/sh\necho \"$0 $1\"\n", 0o755);
    let mut greet = command(&["greet", "-x"]);
    assert_eq!(spawn(&greet).unwrap_err().class, SpawnClass::NotFound);
    let path = format!("relative:{}:/bin", folder.path().display());
    greet.env = vec![("PATH".into(), path.into())];
    let done = run(&greet, LONG, Afterwards::ClearGroup).await;
    assert_eq!(done.stdout.text(), format!("{}/greet -x\n", folder.path().display()));

    // A folder that depends on where we are is no place for programs.
    greet.cwd = folder.path().to_owned();
    greet.env = vec![("PATH".into(), ".::".into())];
    assert_eq!(spawn(&greet).unwrap_err().class, SpawnClass::NotFound);
    greet.argv[0] = "./greet".into();
    assert_eq!(run(&greet, LONG, Afterwards::ClearGroup).await.exit, Exit::Code(0));
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let missing = command(&["no-such-program"]);
    let mut nowhere = sh("true");
    nowhere.cwd = "/no/such/folder".into();
    let mut long = sh("true");
    long.env.push(("LONG".into(), "x".repeat(4 * 1024 * 1024).into()));
    let cases = [
        (
            missing,
            SpawnClass::NotFound,
            "there is no program `no-such-program` in /usr/local/bin:/usr/bin:/bin: install it, or write its full path"
                .to_owned(),
        ),
        (command(&["/no/such/program"]), SpawnClass::NotFound, "there is no program /no/such/program".to_owned()),
        (nowhere, SpawnClass::NotFound, "there is no folder /no/such/folder to run /bin/sh in".to_owned()),
        (long, SpawnClass::NotExecutable, "cannot run /bin/sh: its arguments and environment are too long".to_owned()),
        (
            command(&["/bin/sh", "-c", "a\0b"]),
            SpawnClass::NotExecutable,
            "cannot run /bin/sh: an argument or a variable holds a NUL".to_owned(),
        ),
        (command(&["/usr"]), SpawnClass::NotExecutable, "/usr is not an executable program: it is a folder".to_owned()),
    ];
    for (command, class, message) in cases {
        assert_eq!(spawn(&command).unwrap_err(), SpawnError { class, message });
    }

    let plain = script(folder, "plain", "#!/bin/sh\n", 0o644);
    let error = spawn(&command(&[&plain])).unwrap_err();
    assert_eq!(error.message, format!("{plain} is not an executable program: make it so with `chmod +x {plain}`"));
    let bare = script(folder, "bare", "echo hello\n", 0o755);
    let error = spawn(&command(&[&bare])).unwrap_err();
    assert_eq!(error.class, SpawnClass::NotExecutable);
    assert!(error.message.contains("first line is like `#!/bin/sh`"), "{error}");
    let strange = script(folder, "strange", "#!/no/such/interpreter\n", 0o755);
    let error = spawn(&command(&[&strange])).unwrap_err();
    assert_eq!(error.class, SpawnClass::NotFound);
    assert!(error.message.contains("interpreter"), "{error}");
}

#[test]
fn what_we_lack_is_not_the_targets_fault() {
    let error = |errno: nix::errno::Errno| SpawnError::from_io(&std::io::Error::from(errno), String::new()).fault();
    use heartbeat_core::outcome::Fault;
    assert_eq!(error(nix::errno::Errno::EMFILE), Fault::Files);
    assert_eq!(error(nix::errno::Errno::EAGAIN), Fault::Files);
    assert_eq!(error(nix::errno::Errno::ENOMEM), Fault::Memory);
    assert_eq!(error(nix::errno::Errno::EIO), Fault::Exit);
}

#[tokio::test]
async fn input_is_fed_without_deadlock() {
    let megabyte = vec![b'x'; 1024 * 1024];
    let with_input = |script| Command { stdin: megabyte.clone(), ..sh(script) };
    let both_ways = run(&with_input("cat"), LONG, Afterwards::ClearGroup).await;
    assert_eq!((both_ways.exit, both_ways.stdout.total), (Exit::Code(0), 1024 * 1024));
    assert_eq!(both_ways.stdout.bytes.len(), TAIL);
    let unread = run(&with_input("exit 0"), LONG, Afterwards::ClearGroup).await;
    assert_eq!(unread.exit, Exit::Code(0));
    let closed = run(&with_input("exec <&-; echo closed; exit 4"), LONG, Afterwards::ClearGroup).await;
    assert_eq!((closed.exit, closed.stdout.text().as_str()), (Exit::Code(4), "closed\n"));
    let none = run(&sh("cat; echo end"), LONG, Afterwards::ClearGroup).await;
    assert_eq!(none.stdout.text(), "end\n");
}

#[tokio::test]
async fn a_signal_is_a_signal() {
    let done = run(&sh("kill -USR1 $$"), LONG, Afterwards::ClearGroup).await;
    assert_eq!(done.exit, Exit::Signal(Signal::SIGUSR1 as i32));
}

#[tokio::test]
async fn a_deadline_ends_the_whole_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let command = sh(&format!("sleep 1000 & echo $! > {}; wait", file.display()));
    let child = spawn(&command).unwrap();
    let leader = child.pid();
    let grandchild = number_in(&file).await;
    let done = child.wait(Duration::from_millis(100), Afterwards::LeaveAlone).await;
    assert_eq!(done.exit, Exit::TimedOut);
    assert!(done.took < GRACE, "TERM was enough, yet it took {:?}", done.took);
    assert!(!exists(leader), "the leader is not reaped");
    assert!(!runs(grandchild), "the grandchild lives");
}

#[tokio::test]
async fn who_ignores_term_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let command = sh(&format!("trap '' TERM; sleep 1000 & echo $! > {}; sleep 1000", file.display()));
    let child = spawn(&command).unwrap();
    let leader = child.pid();
    let grandchild = number_in(&file).await;
    let done = child.wait(Duration::from_millis(100), Afterwards::ClearGroup).await;
    assert_eq!(done.exit, Exit::TimedOut);
    assert!(done.took >= GRACE, "it was not given its grace: {:?}", done.took);
    assert!(done.took < GRACE + Duration::from_secs(1), "{:?}", done.took);
    assert!(!exists(leader) && !runs(grandchild));
}

#[tokio::test]
async fn who_is_stopped_is_woken_to_end() {
    let stopped = sh("trap 'echo woken; exit' TERM; kill -STOP $$");
    let done = run(&stopped, Duration::from_millis(200), Afterwards::ClearGroup).await;
    assert_eq!((done.exit, done.stdout.text().as_str()), (Exit::TimedOut, "woken\n"));
    assert!(done.took < GRACE, "{:?}", done.took);
}

#[tokio::test]
async fn no_timeout_is_too_long() {
    let done = run(&sh("exit 7"), Duration::MAX, Afterwards::LeaveAlone).await;
    assert_eq!(done.exit, Exit::Code(7));
}

#[tokio::test]
async fn what_a_check_leaves_behind_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let (meek, stubborn) = (folder.path().join("meek"), folder.path().join("stubborn"));
    let command = sh(&format!(
        "sleep 1000 & echo $! > {}; sh -c \"trap '' TERM; echo \\$\\$ > {}; while :; do sleep 1000; done\" &
         while ! [ -s {} ]; do :; done; echo done",
        meek.display(),
        stubborn.display(),
        stubborn.display()
    ));
    let done = run(&command, LONG, Afterwards::ClearGroup).await;
    assert_eq!((done.exit, done.stdout.text().as_str()), (Exit::Code(0), "done\n"));
    assert!(done.took < Duration::from_secs(5), "a grandchild that holds the pipe held us: {:?}", done.took);
    let (meek, stubborn) = (number_in(&meek).await, number_in(&stubborn).await);
    eventually("nothing left", LEFTOVER_GRACE + Duration::from_secs(1), || !runs(meek) && !runs(stubborn)).await;
}

#[tokio::test]
async fn what_an_action_has_started_lives_on_and_may_go_on_writing() {
    let folder = tempfile::tempdir().unwrap();
    let (pid, beat) = (folder.path().join("pid"), folder.path().join("beat"));
    // A service that dies of SIGPIPE, as most would, if its output were closed.
    let service = format!("while :; do echo tick; echo tick >> {}; sleep 0.01; done", beat.display());
    let done = run(&sh(&format!("({service}) & echo $! > {}", pid.display())), LONG, Afterwards::LeaveAlone).await;
    assert_eq!(done.exit, Exit::Code(0));
    let service = number_in(&pid).await;
    let written = || fs::metadata(&beat).map_or(0, |found| found.len());
    let before = written();
    eventually("the service goes on", Duration::from_secs(10), || written() > before + 100).await;
    assert!(runs(service));
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(service as i32), Signal::SIGKILL);
    eventually("the service is gone", Duration::from_secs(10), || !runs(service)).await;
}

/// A session of its own is out of reach. This is the limit that the documentation names; were it gone, it should say so.
#[tokio::test]
async fn who_calls_setsid_escapes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let command = sh(&format!("setsid sh -c 'echo $$ > {}; exec sleep 1000' & wait", file.display()));
    let child = spawn(&command).unwrap();
    let escaped = number_in(&file).await;
    let done = child.wait(Duration::from_millis(50), Afterwards::ClearGroup).await;
    assert_eq!(done.exit, Exit::TimedOut);
    assert!(runs(escaped));
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(escaped as i32), Signal::SIGKILL);
}

#[tokio::test]
async fn a_flood_costs_neither_memory_nor_the_turns_of_others() {
    use std::sync::atomic::{AtomicU64, Ordering};
    // Kibibytes of our own; what is read in of the program's file is none of it.
    let resident = || -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let turns = Arc::new(AtomicU64::new(0));
    let counter = tokio::spawn({
        let turns = turns.clone();
        async move {
            loop {
                turns.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    let before = resident();
    let done = run(&sh("yes out & yes err >&2"), Duration::from_secs(1), Afterwards::ClearGroup).await;
    counter.abort();
    assert_eq!(done.exit, Exit::TimedOut);
    let total = done.stdout.total + done.stderr.total;
    assert!(total > 10_000_000, "only {total} bytes were drained");
    assert_eq!((done.stdout.bytes.len(), done.stderr.bytes.len()), (TAIL, TAIL));
    let after = resident();
    assert!(after < before + 4 * 1024, "memory grew from {before} KiB to {after} KiB");
    let fair = total / (256 * 1024);
    assert!(turns.load(Ordering::Relaxed) > fair, "{turns:?} turns for others, should be more than {fair}");
}

#[tokio::test]
async fn a_dropped_wait_ends_the_group_in_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let child = spawn(&sh(&format!("sleep 1000 & echo $! > {}; wait", file.display()))).unwrap();
    let leader = child.pid();
    let grandchild = number_in(&file).await;
    let late = tokio::time::timeout(Duration::from_millis(50), child.wait(LONG, Afterwards::ClearGroup)).await;
    assert!(late.is_err());
    eventually("reaped and gone", GRACE, || !exists(leader) && !runs(grandchild)).await;
}

#[test]
fn the_end_of_the_runtime_ends_the_groups_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let leaders = runtime.block_on(async {
        let start = |script| spawn(&sh(script)).unwrap();
        let (obedient, stubborn) =
            (start("exec sleep 1000"), start("trap '' TERM; echo on; while :; do sleep 1000; done"));
        let leaders = [obedient.pid(), stubborn.pid()];
        tokio::spawn(obedient.wait(LONG, Afterwards::LeaveAlone));
        tokio::spawn(stubborn.wait(LONG, Afterwards::ClearGroup));
        tokio::task::yield_now().await;
        leaders
    });
    drop(runtime);
    // No patience: what is left gets KILL.
    assert_eq!(settle(Duration::from_millis(100)), 0);
    assert!(leaders.iter().all(|leader| !exists(*leader)));
}

#[tokio::test]
async fn a_killer_ends_a_group_from_outside() {
    let child = spawn(&sh("sleep 1000 & wait")).unwrap();
    let (pid, killer) = (child.pid(), child.killer());
    let waiting = tokio::spawn(child.wait(LONG, Afterwards::ClearGroup));
    killer.term();
    assert_eq!(waiting.await.unwrap().exit, Exit::Signal(Signal::SIGTERM as i32));
    assert!(!exists(pid));
    // The number may be somebody else's now.
    killer.kill();

    let child = spawn(&sh("trap '' TERM; while :; do sleep 1000; done")).unwrap();
    let killer = child.killer();
    let waiting = tokio::spawn(child.wait(LONG, Afterwards::ClearGroup));
    killer.kill();
    assert_eq!(waiting.await.unwrap().exit, Exit::Signal(Signal::SIGKILL as i32));
}

#[tokio::test]
async fn many_runs_leak_neither_descriptors_nor_zombies() {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let run_one = || async { run(&command(&["/bin/true"]), LONG, Afterwards::ClearGroup).await.exit };
    assert_eq!(run_one().await, Exit::Code(0));
    let before = descriptors();
    for _ in 0..50 {
        let ten: Vec<_> = (0..10)
            .map(|_| {
                let child = spawn(&command(&["/bin/true"])).unwrap();
                (child.pid(), tokio::spawn(child.wait(LONG, Afterwards::ClearGroup)))
            })
            .collect();
        for (pid, waiting) in ten {
            assert_eq!(waiting.await.unwrap().exit, Exit::Code(0));
            assert!(!exists(pid), "{pid} is a zombie");
        }
    }
    // Neighbours in this process (cargo test) open a few; a leak would be one or more a run.
    assert!(descriptors() < before + 100, "{} descriptors, and {before} before", descriptors());
}

/// A process that is nobody's group member and not our child, as after a crash: in a session of its own.
async fn orphan(folder: &Path, script: &str) -> (u32, u64) {
    let file = folder.join("orphan");
    let start = format!("setsid sh -c 'echo $$ > {}; {script}' & wait", file.display());
    let child = spawn(&sh(&start)).unwrap();
    let pid = number_in(&file).await;
    child.killer().kill();
    child.wait(LONG, Afterwards::ClearGroup).await;
    (pid, stat::of(pid).unwrap().start_ticks)
}

#[tokio::test]
async fn an_adopted_command_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let (pid, ticks) = orphan(folder.path(), &format!("while ! [ -e {} ]; do sleep 0.01; done", go.display())).await;
    assert!(Adopted::find(pid, ticks + 1).is_none(), "a later process with this number is not it");
    assert!(Adopted::find(pid, 0).is_none(), "an unknown start time is no proof");
    let adopted = Adopted::find(pid, ticks).unwrap();
    let waiting = tokio::spawn(async move { adopted.ended().await });
    fs::write(&go, "").unwrap();
    waiting.await.unwrap();
    assert!(Adopted::find(pid, ticks).is_none());
}

#[tokio::test]
async fn an_adopted_command_is_ended_with_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let (pid, ticks) = orphan(folder.path(), &format!("sleep 1000 & echo $! > {}; wait", file.display())).await;
    let grandchild = number_in(&file).await;
    let adopted = Adopted::find(pid, ticks).unwrap();
    adopted.term();
    adopted.ended().await;
    assert!(!runs(pid) && !runs(grandchild));
    // The number may be somebody else's now.
    adopted.kill();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // What is ignored when a program starts is ignored by it.
    let stubborn = format!("trap \"\" TERM; sleep 1000 & trap - TERM; echo $! > {}; wait", file.display());
    let (pid, ticks) = orphan(folder.path(), &stubborn).await;
    let grandchild = number_in(&file).await;
    let adopted = Adopted::find(pid, ticks).unwrap();
    adopted.term();
    adopted.ended().await;
    assert!(!runs(pid));
    eventually("the grandchild is killed", Duration::from_secs(1), || !runs(grandchild)).await;
}

/// The words after its own name with which this test binary was started again, if it was.
#[allow(clippy::disallowed_methods)] // the door has its own tests
fn words_after(name: &str) -> Vec<OsString> {
    // What stands before the name would be options of the test harness, as `cargo test NAME` gives them.
    std::env::args_os().skip_while(|word| word != "--").skip(1).skip_while(|word| word != name).skip(1).collect()
}

/// The words that start this test binary again, for one test.
fn again(name: &str) -> Vec<OsString> {
    ["/proc/self/exe", "--exact", "--nocapture", "--", name].map(OsString::from).to_vec()
}

/// The signals 1 to 31 in a line of `/proc/PID/status`. The rest belong to the C library or to nobody.
fn standard_signals(line: &str) -> u64 {
    u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap() & 0x7fff_ffff
}

const HELPER: &str = "host::process::tests::the_helper_when_started_again";

/// The helper's side of the next test; by itself it has nothing to do.
#[test]
fn the_helper_when_started_again() {
    let words = words_after(HELPER);
    if !words.is_empty() {
        let Err(message) = exec_as::run(&words, std::env::vars_os());
        panic!("{message}");
    }
}

#[tokio::test]
async fn a_command_of_another_user_has_nothing_of_ours() {
    let mut as_nobody = sh("id -u; id -g; id -G; echo \"$LD_PRELOAD\"; grep -E 'SigIgn|Uid' /proc/self/status; exit 5");
    as_nobody.user = Some(crate::host::user::user("nobody").unwrap());
    if !crate::host::user::is_root() {
        let error = spawn(&as_nobody).unwrap_err();
        assert_eq!(error.class, SpawnClass::Refused);
        assert!(error.message.contains("only root can"), "{error}");
        return;
    }
    nix::unistd::setgroups(&[4, 6, 0].map(nix::unistd::Gid::from_raw)).unwrap();
    // The loader would say on standard error that it cannot load this, had the helper's loader seen it.
    as_nobody.env.push(("LD_PRELOAD".into(), "/no/such/library".into()));
    let child = spawn_through(&as_nobody, &again(HELPER)).unwrap();
    let done = child.wait(LONG, Afterwards::ClearGroup).await;
    assert_eq!(done.exit, Exit::Code(5), "{done:?}");
    let text = done.stdout.text();
    let said: Vec<&str> = text.lines().skip_while(|line| *line != "65534").collect();
    assert_eq!(said[..3], ["65534", "65534", "65534"], "user, group and all groups: {text}");
    assert_eq!(said[3], "/no/such/library");
    assert_eq!(said[4], "Uid:\t65534\t65534\t65534\t65534");
    assert_eq!(standard_signals(said[5]), 0);

    let mut missing = as_nobody.clone();
    missing.argv = vec!["/etc/passwd".into()];
    assert_eq!(spawn_through(&missing, &again(HELPER)).unwrap_err().class, SpawnClass::NotExecutable);
}

const DEFAULTS: &str = "host::process::tests::prepared_when_started_again";

/// The other side of the next test; by itself it has nothing to do.
#[test]
fn prepared_when_started_again() {
    if words_after(DEFAULTS).is_empty() {
        return;
    }
    prepare();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let show = sh("grep -E 'Sig(Ign|Blk)' /proc/self/status; umask");
    print!("{}", runtime.block_on(run(&show, LONG, Afterwards::ClearGroup)).stdout.text());
}

#[tokio::test]
async fn commands_have_default_signals_and_a_plain_umask() {
    let mut launcher = sh("trap '' HUP INT QUIT USR1 TERM; umask 0; exec \"$0\" \"$@\"");
    launcher.argv.push(std::env::current_exe().unwrap().into());
    launcher.argv.extend(again(DEFAULTS).into_iter().skip(1).chain(["go".into()]));
    let done = run(&launcher, LONG, Afterwards::ClearGroup).await;
    let text = done.stdout.text();
    let said: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("Sig")).take(3).collect();
    assert_eq!((standard_signals(said[0]), standard_signals(said[1]), said[2]), (0, 0, "0022"), "{done:?}");
}

const EXHAUSTED: &str = "host::process::tests::exhausted_when_started_again";

/// The other side of the next test; by itself it has nothing to do.
#[tokio::test]
async fn exhausted_when_started_again() {
    if words_after(EXHAUSTED).is_empty() {
        return;
    }
    let mut open = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        open.push(file);
    }
    let error = spawn(&sh("true")).unwrap_err();
    drop(open);
    print!("{:?}: {error}", error.class);
}

#[tokio::test]
async fn no_descriptors_left_is_our_own_fault() {
    let mut launcher = sh("ulimit -n 40; exec \"$0\" \"$@\"");
    launcher.argv.push(std::env::current_exe().unwrap().into());
    launcher.argv.extend(again(EXHAUSTED).into_iter().skip(1).chain(["go".into()]));
    let done = run(&launcher, LONG, Afterwards::ClearGroup).await;
    let text = done.stdout.text();
    assert!(text.contains("Files: cannot run /bin/sh: Too many open files"), "{done:?}");
}

#[test]
fn a_result_is_one_line() {
    let tail = |text: &str| Tail { bytes: text.into(), total: text.len() as u64 };
    let line = |exit, stdout, stderr| {
        Finished { exit, stdout: tail(stdout), stderr: tail(stderr), took: Duration::ZERO }.line()
    };
    assert_eq!(line(Exit::Code(0), "fine", "warning"), "exit 0");
    assert_eq!(line(Exit::Code(1), "out", "one\ntwo\n"), "exit 1: two");
    assert_eq!(line(Exit::Code(2), "out\n", "\n"), "exit 2: out");
    assert_eq!(line(Exit::Signal(9), "", ""), "ended by SIGKILL");
    assert_eq!(line(Exit::Signal(64), "", ""), "ended by signal 64");
    assert_eq!(line(Exit::TimedOut, "", "waiting"), "timed out: waiting");
}

/// std leaves the fast path without a word; this notices it.
#[tokio::test]
async fn programs_are_started_without_fork() {
    let folder = tempfile::tempdir().unwrap();
    let calls = folder.path().join("calls");
    let test = "host::process::tests::nothing_is_inherited";
    let exe = std::env::current_exe().unwrap();
    let words = ["strace", "-f", "-q", "-o", calls.to_str().unwrap(), "-e", "trace=fork,vfork,clone,clone3"];
    let mut trace = command(&words);
    trace.argv.extend([exe.into(), "--exact".into(), test.into()]);
    let child = spawn(&trace).expect("install the package strace");
    assert_eq!(child.wait(LONG, Afterwards::ClearGroup).await.exit, Exit::Code(0));
    let calls = fs::read_to_string(&calls).unwrap();
    // The first process is ours: of the children of the shell we know nothing.
    let ours: Vec<&str> = calls.lines().filter(|line| line.contains("clone3(") && line.contains("VFORK")).collect();
    assert_eq!(ours.len(), 1, "expected one start by posix_spawn in\n{calls}");
}
