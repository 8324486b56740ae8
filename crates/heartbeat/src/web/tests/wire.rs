//! HTTP, byte by byte.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use heartbeat_core::answer::Standing;
use heartbeat_responder::view::Known;

use crate::host::clock;
use crate::web::testing::{Rig, answer, comes_true, header, layout, rest, status};
use crate::web::{Bounds, Options, Peer, Transport};

const OK: &str = "{\n    \"services\": {\n        \"flag\": \"Ok\",\n        \"database\": \"Ok\"\n    },\n    \"header\": \"200\"\n}";
const POLL: &str = "GET /heartbeat/status/ HTTP/1.1\r\n\r\n";
const LAST: &str = "GET /heartbeat/status/ HTTP/1.1\r\nConnection: close\r\n\r\n";

#[test]
fn a_machine_that_knows_nothing_but_the_path_is_answered() {
    let rig = Rig::start();
    for request in [
        "GET /heartbeat/status/ HTTP/1.0\r\n\r\n",
        "GET /heartbeat/status HTTP/1.0\r\n\r\n",
        "GET /heartbeat/status/ HTTP/1.0\n\n",
        "\r\n\r\nGET /heartbeat/status/ HTTP/1.0\r\n\r\n",
        "OPTIONS /heartbeat/status/ HTTP/1.0\r\n\r\n",
        "POST /heartbeat/status/ HTTP/1.0\r\nContent-Length: 3\r\n\r\na=b",
        "GET /heartbeat/status/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /heartbeat/status/ HTTP/1.1\nHost:\nConnection: close\n\n",
        "GET http://anybody:80/heartbeat/status/ HTTP/1.1\r\nHost: x\r\nConnection: TE, Close\r\n\r\n",
        "GET /heartbeat/status/ HTTP/1.1\r\nHost: a\r\nHost: b c\r\nConnection: close\r\n\r\n",
    ] {
        let said = rig.talk(request);
        assert_eq!(status(&said), 200, "{request}");
        assert!(said.ends_with(&format!("\r\n\r\n{OK}")), "{said}");
        assert_eq!(header(&said, "content-length"), Some(OK.len().to_string().as_str()));
        assert_eq!(header(&said, "content-type"), Some("application/json"));
        assert_eq!(header(&said, "cache-control"), Some("no-store"));
        assert_eq!(header(&said, "connection"), Some("close"));
        assert_eq!(header(&said, "transfer-encoding"), None);
    }
}

#[test]
fn the_date_is_the_one_of_now() {
    let rig = Rig::start();
    let said = rig.talk(LAST);
    let date = header(&said, "date").expect("a date");
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).expect("RFC 9110, section 5.6.7");
    let now = clock::wall().unix_millis() / 1000;
    assert!((now - 30..=now).contains(&date.as_second()), "{said}");
}

#[test]
fn head_is_get_without_the_body() {
    let rig = Rig::start();
    let whole = rig.talk(LAST);
    let head = rig.talk(LAST.replacen("GET", "HEAD", 1));
    let without_date =
        |text: &str| text.lines().filter(|line| !line.starts_with("Date")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_date(&head), without_date(whole.strip_suffix(OK).expect("the body")));
}

#[test]
fn a_status_that_has_no_body_is_sent_without_one() {
    let rig = Rig::start();
    let mut layout = layout();
    layout.views[0].statuses.drain = 204;
    rig.board.replace(layout);
    rig.drain();
    let mut stream = rig.connect();
    stream.write_all(format!("{POLL}{LAST}").as_bytes()).unwrap();
    let said = rest(stream);
    assert_eq!(said.matches("\r\n\r\nHTTP/1.1 204 No Content\r\n").count(), 1, "{said}");
    assert!(said.ends_with("\r\n\r\n"), "{said}");
}

#[test]
fn a_connection_stays_as_long_as_the_peer_wants() {
    let rig = Rig::start();
    let mut stream = rig.connect();
    for _ in 0..3 {
        stream.write_all(POLL.as_bytes()).unwrap();
        let (head, body) = answer(&mut stream);
        assert_eq!((status(&head), body.as_str(), header(&head, "connection")), (200, OK, None));
    }
    rig.drain();
    stream.write_all(LAST.as_bytes()).unwrap();
    assert_eq!(status(&rest(stream)), 503);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let rig = Rig::start();
    let mut stream = rig.connect();
    for byte in "POST /heartbeat/status/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                 3;x=\"y\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
        .bytes()
    {
        stream.write_all(&[byte]).unwrap();
    }
    let said = rest(stream);
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with(OK), "{said}");
}

#[test]
fn ten_thousand_requests_may_come_at_once() {
    let rig = Rig::start();
    let mut stream = rig.connect();
    let mut sending = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        sending.write_all(POLL.repeat(9_999).as_bytes()).unwrap();
        sending.write_all(LAST.as_bytes()).unwrap();
    });
    let mut read = String::new();
    stream.read_to_string(&mut read).unwrap();
    sender.join().unwrap();
    assert_eq!(read.matches("HTTP/1.1 200 OK\r\n").count(), 10_000);
    assert_eq!(read.matches(OK).count(), 10_000);
    let pollers = rig.web().polls();
    assert_eq!(pollers.len(), 1);
    assert_eq!(pollers[0].polls.clone().into_iter().collect::<Vec<_>>(), [(200, 10_000)]);
    assert_eq!((pollers[0].peer, pollers[0].transport), (Peer::Address([127, 0, 0, 1].into()), Transport::Http));
    assert_eq!(pollers[0].view.as_deref(), Some("status"));
}

#[test]
fn bodies_are_read_past() {
    let rig = Rig::start();
    let mut stream = rig.connect();
    for body in [
        "Content-Length: 3\r\n\r\nabc",
        "Content-Length: 3\r\nContent-Length: 3, 3\r\n\r\nabc",
        "Content-Length: 0\r\n\r\n",
        "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\n\n3\nabc\n00;last\nA: b\nC: d\n\n",
    ] {
        let request = format!("POST /heartbeat/status/ HTTP/1.1\r\n{body}{POLL}");
        stream.write_all(request.as_bytes()).unwrap();
        for _ in 0..2 {
            let (head, text) = answer(&mut stream);
            assert_eq!((status(&head), text.as_str()), (200, OK), "{body}");
        }
    }
}

#[test]
fn a_body_that_nobody_reads_costs_the_connection_but_not_the_answer() {
    let rig = Rig::start();
    let long = "x".repeat(100_000);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(2);
    for body in [
        format!("Content-Length: 100000\r\n\r\n{long}"),
        format!("Content-Length: 99999999999999999999999\r\n\r\n{long}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"),
    ] {
        let said = rig.talk(format!("POST /heartbeat/status/ HTTP/1.1\r\n{body}"));
        assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with(OK), "{said}");
        assert_eq!(header(&said, "connection"), Some("close"));
    }
    let said = rig.talk("POST /heartbeat/status/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(said.matches("HTTP/1.1").count(), 1, "nothing after a framing that cannot be relied on is a request");
}

#[test]
fn a_peer_that_asks_whether_to_go_on_is_told_so() {
    let rig = Rig::start();
    let mut stream = rig.connect();
    let head =
        "POST /heartbeat/status/ HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").unwrap();
    assert_eq!(status(&rest(stream)), 200);
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_ends() {
    let rig = Rig::start();
    let header_of = |length: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(length - 23));
    for (request, expected) in [
        ("\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GET / FTP/1.1\r\n\r\n".to_owned(), 400),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nContent-Length: \r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), 501),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n".to_owned(), 501),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000)), 414),
        (header_of(8193), 431),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101)), 431),
    ] {
        let said = rig.talk(&request);
        assert_eq!(status(&said), expected, "{request:?}");
        assert_eq!(header(&said, "connection"), Some("close"));
        assert_eq!(said.matches("Content-Length").count(), 1, "{said}");
    }
    let mut stream = rig.connect();
    stream.write_all(header_of(8192).as_bytes()).unwrap();
    assert_eq!(status(&answer(&mut stream).0), 404);
}

#[test]
fn what_the_board_does_not_know_is_said_and_the_connection_stays() {
    let rig = Rig::start();
    let mut stream = rig.connect();
    for (line, expected) in [
        ("GET /nothing HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
        ("GET http://example.org HTTP/1.1", 404),
        ("DELETE /livez HTTP/1.1", 405),
        ("CONNECT example.org:443 HTTP/1.1", 404),
        ("GET /livez?format=nothing HTTP/1.1", 400),
        ("GET /livez?format=text HTTP/1.1", 200),
        ("GET https://example.org/livez?format=text HTTP/1.1", 200),
        ("GET /livez?back=http://example.org/ HTTP/1.1", 200),
    ] {
        stream.write_all(format!("{line}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(status(&answer(&mut stream).0), expected, "{line}");
    }
    stream.write_all(b"GET /livez HTTP/1.1\r\nAccept: text/plain\r\n\r\n").unwrap();
    assert_eq!(answer(&mut stream).1.trim_end(), "OK");
}

#[test]
fn only_who_asks_from_here_for_himself_is_told_why() {
    let rig = Rig::start();
    rig.board.know("database", Known { standing: Standing::Down, reason: "refused".into(), since: None });
    let body = |line: &str| rig.talk(format!("GET /heartbeat/status/ HTTP/1.0\r\n{line}\r\n"));
    assert!(body("").contains("Fail: refused"));
    for line in ["X-Forwarded-For: 127.0.0.1", "forwarded: for=127.0.0.1", "VIA: 1.1 proxy", "X-Real-IP: ::1"] {
        let said = body(&format!("{line}\r\n"));
        assert!(said.contains("\"database\": \"Fail\""), "{line}: {said}");
    }
}

#[test]
fn who_does_not_finish_a_request_in_time_is_sent_away() {
    let bounds = Bounds { request: Duration::from_millis(400), ..Bounds::default() };
    let rig = Rig::with(Options::default(), bounds);
    let began = clock::mono();
    let mut silent = rig.connect();
    let mut drip = rig.connect();
    let mut sending = drip.try_clone().unwrap();
    let mut second = rig.connect();
    second.write_all(format!("{POLL}GET /again HTTP").as_bytes()).unwrap();
    let mut body = rig.connect();
    body.write_all(b"POST /livez HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc").unwrap();
    let mut late_body = rig.connect();
    late_body.write_all(format!("{POLL}POST /livez HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc").as_bytes()).unwrap();
    let dripping = std::thread::spawn(move || {
        // A byte now and then is no progress: the limit is on the whole.
        let (_keep, never) = std::sync::mpsc::channel::<()>();
        while sending.write_all(b"x").is_ok() {
            let _ = never.recv_timeout(Duration::from_millis(20));
        }
    });
    assert_eq!(answer(&mut second).1, OK);
    assert_eq!(answer(&mut late_body).1, OK);
    for stream in [&mut silent, &mut drip, &mut second, &mut body, &mut late_body] {
        let mut byte = [0];
        assert!(matches!(stream.read(&mut byte), Ok(0) | Err(_)), "nothing is said to them");
    }
    dripping.join().unwrap();
    let took = clock::mono().since(began);
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

#[test]
fn who_rests_too_long_is_sent_away() {
    let bounds = Bounds { idle: Duration::from_millis(400), ..Bounds::default() };
    let rig = Rig::with(Options::default(), bounds);
    let mut stream = rig.connect();
    stream.write_all(POLL.as_bytes()).unwrap();
    let began = clock::mono();
    assert_eq!(answer(&mut stream).1, OK);
    assert_eq!(rest(stream), "");
    let took = clock::mono().since(began);
    assert!((Duration::from_millis(400)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[test]
fn who_asks_without_listening_is_sent_away() {
    let bounds = Bounds { answer: Duration::from_millis(300), ..Bounds::default() };
    let rig = Rig::with(Options::default(), bounds);
    let mut stream = rig.connect();
    // Answers fill the buffers of both sides; then nobody reads our requests any more, and we are cut off.
    let many = POLL.repeat(1000);
    while stream.write_all(many.as_bytes()).is_ok() {}
    assert_eq!(status(&rig.talk(LAST)), 200);
}

#[test]
fn a_reset_concerns_nobody_else() {
    let rig = Rig::start();
    for begun in ["", "GET /heart", POLL, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"] {
        let mut stream = rig.connect();
        stream.write_all(begun.as_bytes()).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(stream);
        assert_eq!(status(&rig.talk(LAST)), 200);
    }
    // Half-closed: the request is whole, and the answer is still wanted.
    let mut stream = rig.connect();
    stream.write_all(POLL.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(status(&rest(stream)), 200);
}

#[test]
fn the_end_finds_whoever_has_asked_answered() {
    let mut rig = Rig::start();
    let mut resting = rig.connect();
    resting.write_all(POLL.as_bytes()).unwrap();
    assert_eq!(answer(&mut resting).1, OK);
    let half = {
        let mut half = rig.connect();
        half.write_all(b"GET /heart").unwrap();
        half
    };
    let address = rig.address();
    // These have connected, and perhaps asked, before anybody could look.
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = rig.connect();
            stream.write_all(POLL.as_bytes()).unwrap();
            stream
        })
        .collect();
    let began = clock::mono();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(rig.web.take().unwrap().close());
    assert!(clock::mono().since(began) < Duration::from_secs(3));
    for stream in waiting {
        assert!(rest(stream).ends_with(OK));
    }
    assert_eq!(rest(resting), "");
    let mut half = half;
    assert!(matches!(half.read(&mut [0]), Ok(0) | Err(_)));
    assert!(comes_true(|| std::net::TcpStream::connect(address).is_err()), "nobody listens any more");
}
