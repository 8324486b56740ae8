//! Doors: where they are, and why they do not open.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use crate::web::listen::{Address, Listen, Listens, Mode};
use crate::web::testing::{Rig, loopback, rest, status};
use crate::web::tls::HTTP;
use crate::web::{Bounds, Doors, Options, Peer};

const ONCE: &str = "GET /heartbeat/status/ HTTP/1.0\r\n\r\n";

fn at(addresses: impl IntoIterator<Item = Listen>) -> Options {
    Options { listen: Listens(addresses.into_iter().collect()), ..Options::default() }
}

fn unix(path: &Path) -> Listen {
    Address::Unix(path.to_owned()).into()
}

fn poll(path: &Path) -> u16 {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.write_all(ONCE.as_bytes()).unwrap();
    status(&rest(stream))
}

#[test]
fn several_listeners_answer_from_one_board() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heartbeat.sock");
    // Left behind by a daemon that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let private = folder.path().join("private.sock");
    let rig = Rig::with(
        at([loopback(), unix(&path), Listen { mode: Some(Mode(0o660)), ..unix(&private) }, loopback()]),
        Bounds::default(),
    );
    let permissions = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((permissions(&path), permissions(&private)), (0o666, 0o660));
    assert_eq!((poll(&path), poll(&private), status(&rig.talk(ONCE))), (200, 200, 200));
    let names = rig.web().names();
    assert_eq!(names[1], format!("unix:{}", path.display()));
    assert_ne!(names[0], names[3]);
    let peers: Vec<_> = rig.web().polls().into_iter().map(|poller| (poller.peer, poller.polls[&200])).collect();
    assert_eq!(peers, [(Peer::Unix, 2), (Peer::Address([127, 0, 0, 1].into()), 1)]);
    drop(rig);
    assert!(!path.exists() && !private.exists(), "a socket's file goes with it");
}

#[test]
fn a_unix_socket_is_local() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heartbeat.sock");
    let rig = Rig::with(at([unix(&path)]), Bounds::default());
    rig.drain();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(ONCE.as_bytes()).unwrap();
    assert!(rest(stream).contains("Fail: maintenance"));
}

#[test]
fn localhost_is_both_loopback_addresses() {
    let rig = Rig::with(at([Address::Localhost(0).into()]), Bounds::default());
    for name in rig.web().names() {
        let address: std::net::SocketAddr = name.parse().unwrap();
        assert!(address.ip().is_loopback());
        let mut stream = crate::web::testing::connect(address);
        stream.write_all(ONCE.as_bytes()).unwrap();
        assert_eq!(status(&rest(stream)), 200);
    }
    // Whether there is a second one depends on whether this machine has IPv6.
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(rig.web().names().len(), 1 + usize::from(has_ipv6));
}

#[test]
fn all_addresses_are_those_of_ipv4_too() {
    let rig = Rig::with(at([Address::Any(0).into()]), Bounds::default());
    let port = rig.address().port();
    let mut stream = crate::web::testing::connect(([127, 0, 0, 1], port).into());
    stream.write_all(ONCE.as_bytes()).unwrap();
    assert_eq!(status(&rest(stream)), 200);
    assert_eq!(rig.web().polls()[0].peer, Peer::Address([127, 0, 0, 1].into()), "not one of IPv6");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let in_use = folder.path().join("in-use.sock");
    let _held = UnixListener::bind(&in_use).unwrap();
    let file = folder.path().join("precious.txt");
    fs::write(&file, "precious").unwrap();
    let problems = Doors::open(&at([
        Address::Tcp(([127, 0, 0, 1], port).into()).into(),
        Address::Tcp(([192, 0, 2, 1], 0).into()).into(),
        unix(&in_use),
        unix(&file),
        unix(&folder.path().join("absent/heartbeat.sock")),
        Address::Systemd(None).into(),
        Address::Systemd(Some("http".into())).into(),
    ]))
    .unwrap_err();
    let expected = [
        format!("`ss -ltnp 'sport = :{port}'`"),
        "no such address".to_owned(),
        "in-use.sock".to_owned(),
        "precious.txt` is there and is no socket".to_owned(),
        "mkdir -p".to_owned(),
        "$LISTEN_FDS".to_owned(),
        "FileDescriptorName=http".to_owned(),
    ];
    assert_eq!(problems.len(), expected.len());
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.contains(&expected), "{problem}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(fs::metadata(&in_use).unwrap().file_type().is_socket());
}

#[test]
fn sockets_of_the_service_manager_are_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("passed.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, unix) = (tcp.local_addr().unwrap(), UnixListener::bind(&path).unwrap());
    let mut passed = crate::host::activation::Activation::of([
        ("web".to_owned(), tcp.into_raw_fd()),
        ("other".to_owned(), unix.into_raw_fd()),
    ]);
    let mut problems = Vec::new();
    let wanted = [Address::Systemd(Some("web".into())).into(), Address::Systemd(None).into()];
    let http = crate::web::doors::open_all(&wanted, HTTP, &mut passed, &mut problems);
    assert_eq!(problems, Vec::<String>::new());
    let names: Vec<_> = http.iter().map(|door| door.name.clone()).collect();
    assert_eq!(names, [address.to_string(), format!("unix:{}", path.display())]);
    let rig = Rig::behind(Doors { http, agents: Vec::new(), grpc: Vec::new(), connections: 16 }, Bounds::default());
    assert_eq!((status(&rig.talk(ONCE)), poll(&path)), (200, 200));
    drop(rig);
    assert!(path.exists(), "it is the service manager's");
}

#[test]
fn what_the_service_manager_passes_must_listen() {
    /// No descriptor has this number.
    const NONE: i32 = i32::MAX;
    let mut problems = Vec::new();
    let (one, _other) = UnixStream::pair().unwrap();
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in [one.into_raw_fd(), datagrams.into_raw_fd(), NONE] {
        let mut passed = crate::host::activation::Activation::of([("web".to_owned(), number)]);
        let doors = crate::web::doors::open_all(&[Address::Systemd(None).into()], HTTP, &mut passed, &mut problems);
        assert!(doors.is_empty());
    }
    assert!(problems[0].contains("Accept=no") && problems[1].contains("ListenStream="), "{problems:?}");
    assert!(problems[2].contains(&NONE.to_string()), "{problems:?}");
}
