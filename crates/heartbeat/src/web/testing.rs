//! What the tests of this module share: a board with something on it, a responder on loopback, and clients that send bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use heartbeat_core::answer::{Question, Standing, Statuses};
use heartbeat_responder::Board;
use heartbeat_responder::flag::{Drain, State};
use heartbeat_responder::format::Format;
use heartbeat_responder::view::{Details, FlagRule, Known, Layout, Member, Scope, Service, View};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::{oneshot, watch};

use super::crowd::Crowd;
use super::listen::{Listen, Listens};
use super::polls::{Peer, Polls};
use super::reception::{Protocol, Visit};
use super::{Bounds, Doors, Options, Web};

/// Nothing here takes so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A responder with a service `database` that is up.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) web: Option<Web>,
    pub(crate) board: Arc<Board>,
    beating: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Rig {
    /// At a free port of loopback.
    pub(crate) fn start() -> Self {
        Self::with(Options::default(), Bounds::default())
    }

    pub(crate) fn with(mut options: Options, bounds: Bounds) -> Self {
        if options.listen == Options::default().listen {
            options.listen = Listens(vec![loopback()]);
        }
        Self::behind(Doors::open(&options).expect("free addresses"), bounds)
    }

    pub(crate) fn behind(doors: Doors, bounds: Bounds) -> Self {
        let board = board();
        let web = Web::start_with(doors, board.clone(), bounds).expect("a thread");
        let (stop, stopped) = channel();
        let watched = board.clone();
        let beating = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(500)) == Err(RecvTimeoutError::Timeout) {
                watched.beat();
                watched.looked();
            }
        });
        Self { web: Some(web), board, beating: Some((stop, beating)) }
    }

    pub(crate) fn web(&self) -> &Web {
        self.web.as_ref().expect("not closed")
    }

    /// The first TCP address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.web().names().iter().find_map(|name| name.parse().ok()).expect("a TCP address")
    }

    pub(crate) fn drain(&self) {
        drain(&self.board);
    }

    /// Sends these bytes and reads until the other side hangs up.
    pub(crate) fn talk(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes.as_ref()).expect("sent");
        rest(stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some((stop, beating)) = self.beating.take() {
            drop(stop);
            let _ = beating.join();
        }
    }
}

/// Any free port of loopback.
pub(crate) fn loopback() -> Listen {
    super::listen::Address::Tcp(([127, 0, 0, 1], 0).into()).into()
}

/// A board on which a service `database` is up. Somebody watches it, for the next seconds.
pub(crate) fn board() -> Arc<Board> {
    let board = Board::new(layout());
    know(&board, Standing::Up);
    board.beat();
    board.looked();
    Arc::new(board)
}

/// How the service stands now.
pub(crate) fn know(board: &Board, standing: Standing) {
    board.know("database", Known { standing, ..Known::default() });
}

pub(crate) fn drain(board: &Board) {
    board.flag(None, State::Down(Drain::because("maintenance")));
}

pub(crate) fn undrain(board: &Board) {
    board.flag(None, State::Up);
}

/// Views over the service `database`: `public` and `token` are so with their details, `eager` welcomes requests before it
/// knows.
pub(crate) fn layout() -> Layout {
    let view = |name: &str, path: &str, question| View {
        name: name.into(),
        path: path.into(),
        scope: 0,
        question,
        statuses: Statuses::default(),
        format: Format::named("services").expect("in the table"),
        details: Details::Local,
    };
    Layout {
        services: vec![Service { id: "database".into(), target: "".into(), known: Known::default() }],
        scopes: vec![Scope { members: vec![Member { service: 0, takedown: true }] }],
        views: vec![
            view("status", "/heartbeat/status/", Question::Ready),
            view("live", "/livez", Question::Live),
            view("ready", "/readyz", Question::Ready),
            View { details: Details::Public, ..view("public", "/public", Question::Ready) },
            View { details: Details::Token, ..view("token", "/token", Question::Ready) },
            View {
                statuses: Statuses { unknown: 200, ..Statuses::default() },
                ..view("eager", "/eager", Question::Ready)
            },
        ],
        flag: Some(FlagRule { takedown: true }),
        token: None,
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// All that is still to come.
pub(crate) fn rest(mut stream: impl Read) -> String {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).expect("an orderly end");
    String::from_utf8(read).expect("text")
}

/// One answer of a connection that stays: its head and its body.
pub(crate) fn answer(stream: &mut impl Read) -> (String, String) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("more of the head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let length = header(&head, "content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the body");
    (head, String::from_utf8(body).expect("text"))
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok()).expect(answer)
}

/// The value of a header.
pub(crate) fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|it| it.1)
}

/// Whether `condition` comes true in time.
pub(crate) fn comes_true(mut condition: impl FnMut() -> bool) -> bool {
    let (_keep, never) = channel::<()>();
    let mut looks = PATIENCE.as_millis() / 10;
    while !condition() {
        looks -= 1;
        if looks == 0 {
            return false;
        }
        let _ = never.recv_timeout(Duration::from_millis(10));
    }
    true
}

/// A connection in memory, of so many bytes, at which that is spoken. The other end of it, and its end.
pub(super) fn conversation<P: Protocol>(
    protocol: P,
    room: usize,
    bounds: Bounds,
) -> (DuplexStream, impl Future<Output = ()>) {
    let (ours, theirs) = duplex(room);
    let (end, ended) = oneshot::channel::<()>();
    let (open, closing) = watch::channel(false);
    let crowd = Crowd::new(1, bounds);
    let watching = crowd.clone();
    tokio::spawn(async move { watching.watch(closing).await });
    crowd.admit(move |seat| async move {
        let counters = Arc::<Polls>::default().of(Peer::Unix, P::TRANSPORT);
        // How it ends is no matter; that it does, is.
        let _ = protocol.converse(theirs, Visit { seat, counters, first: Default::default(), tls: false }).await;
        drop(end);
    });
    let ended = async move {
        let _ = ended.await;
        drop(open);
    };
    (ours, ended)
}
