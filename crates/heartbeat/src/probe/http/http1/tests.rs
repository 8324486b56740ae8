//! Answers in pieces of any size, right and wrong ones: what is read never depends on how it was cut.

use std::collections::VecDeque;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// A server that says just this, piece by piece, and hangs up; what it is told is kept.
struct Script {
    pieces: VecDeque<Vec<u8>>,
    told: Vec<u8>,
    /// It takes so many bytes at a time; `None`: it hears nothing.
    takes: Option<usize>,
}

impl Script {
    fn new(bytes: &[u8], cuts: &[usize]) -> Self {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let pieces = cuts.windows(2).map(|cut| bytes[cut[0]..cut[1]].to_vec()).collect();
        Self { pieces, told: Vec::new(), takes: Some(7) }
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(takes) = self.takes else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        let taken = bytes.len().min(takes);
        self.told.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Status, looked-at headers and body of an answer.
#[derive(Debug, PartialEq)]
struct Read {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn read_as(method: &Method, mut script: Script) -> Result<Read, Failure> {
    let looks_at = |name: &str| !name.starts_with('q');
    let question = Question { method, looks_at: &looks_at };
    let trace = Trace::default();
    let reading = async {
        let (status, headers, mut exchange) =
            ask(&mut script, b"GET / HTTP/1.1\r\n\r\n".to_vec(), &question, &trace).await?;
        let mut body = Vec::new();
        while let Some(piece) = exchange.next().await? {
            assert!(!piece.is_empty());
            body.extend_from_slice(piece);
        }
        Ok(Read { status: status.as_u16(), headers, body })
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let read = runtime.block_on(reading);
    if script.takes.is_some() {
        assert_eq!(script.told, b"GET / HTTP/1.1\r\n\r\n");
    }
    read
}

fn read(answer: &str) -> Result<Read, Failure> {
    read_as(&Method::GET, Script::new(answer.as_bytes(), &[]))
}

/// The body of an answer that is right.
fn body(answer: &str) -> String {
    let read = read(answer).unwrap_or_else(|failure| panic!("{answer:?}: {failure:?}"));
    String::from_utf8(read.body).expect("text")
}

/// Why an answer is wrong.
fn wrong(answer: &str) -> String {
    let failure = read(answer).expect_err(answer);
    assert_eq!(failure.fault, Fault::Protocol, "{answer:?}: {}", failure.reason);
    let reason = failure.reason.strip_prefix("what the server sent is not HTTP as it should be: ");
    reason.unwrap_or_else(|| panic!("{}", failure.reason)).to_owned()
}

#[test]
fn the_end_of_a_body_is_where_the_standard_has_it() {
    assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nfine"), "fi");
    assert_eq!(body("HTTP/1.1 200\nContent-Length: 2\n\nfi"), "fi", "bare line feeds, no reason");
    assert_eq!(body("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\ncontent-length: 2\r\n\r\nfi"), "fi");
    assert_eq!(body("HTTP/1.0 200 OK\r\n\r\nuntil the end"), "until the end");
    assert_eq!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nall"), "all");
    for status in [101, 204, 304] {
        assert_eq!(body(&format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nnobody's")), "");
    }
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let read = read_as(&Method::HEAD, Script::new(head.as_bytes(), &[])).expect("right");
    assert_eq!((read.status, read.body.as_slice()), (200, b"".as_slice()));
}

#[test]
fn chunks_are_put_together() {
    let chunked =
        |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: x, Chunked\r\nContent-Length: 1\r\n\r\n{rest}");
    assert_eq!(body(&chunked("3\r\nabc\r\n0A \t;x=\"y\"\r\n0123456789\r\n0\r\n\r\nmore")), "abc0123456789");
    assert_eq!(body(&chunked("1;\r\na\r\n000\r\nChecksum: x:y\r\nB:\r\n\r\n")), "a");
    for (rest, said) in [
        ("\r\n", "the size of a chunk is missing"),
        (" 1\r\na", "the size of a chunk is missing"),
        ("1x\r\na", "the size of a chunk is not a number"),
        ("1 1\r\na", "the size of a chunk is not a number"),
        ("1\na", "the size of a chunk is not a number"),
        ("10000000000000000\r\na", "the size of a chunk is beyond all measure"),
        ("1;x\na", "the extension of a chunk holds a line feed"),
        ("1\rxa", "a chunk does not end where it should"),
        ("1\r\nab", "a chunk does not end where it should"),
        ("1\r\na\rb", "a chunk does not end where it should"),
        ("0\r\nx\r\n", "what follows its chunks is no trailer"),
        ("0\r\n: x\r\n", "what follows its chunks is no trailer"),
        ("0\r\na: x\n", "what follows its chunks is no trailer"),
        ("0\r\n\rx", "what follows its chunks is no trailer"),
    ] {
        assert_eq!(wrong(&chunked(rest)), said, "{rest:?}");
    }
    let early = read(&chunked("0\r\n")).expect_err("no end");
    assert_eq!(early, Failure::new(Fault::Reset, "the connection ended early while receiving the body"));
    assert_eq!(wrong(&chunked(&format!("1;{}", "x".repeat(20_000)))), "the extensions of its chunks have no end");
    assert_eq!(wrong(&chunked(&format!("0\r\na: {}", "x".repeat(70_000)))), "its trailers have no end");
    assert_eq!(wrong(&chunked(&format!("0\r\n{}", "a: b\r\n".repeat(300)))), "its trailers have no end");
}

#[test]
fn heads_that_are_none() {
    for (answer, said) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "it does not begin with HTTP/1.0 or HTTP/1.1"),
        ("HTTP/1.1 099 Low\r\n\r\n", "its status is not a number of three digits from 100 on"),
        ("HTTP/1.1 20 OK\r\n\r\n", "its status is not a number of three digits from 100 on"),
        ("HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "the name of a header holds what none may"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "the name of a header holds what none may"),
        ("HTTP/1.1 200 OK\r\nA: \u{1b}\r\n\r\n", "the value of a header holds what none may"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx", "its content-length is not one number"),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nx", "its content-length is not one number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nx", "its content-length is not one number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "its content-length is not one number"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0 with a transfer coding"),
    ] {
        assert_eq!(wrong(answer), said, "{answer:?}");
    }
    let many = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(read(&many(256)).expect("right").headers.len(), 256);
    assert_eq!(wrong(&many(257)), "it has more than 256 headers");
    let large = |size: usize| format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(size));
    assert_eq!(read(&large(65_500)).expect("right").headers["a"].len(), 65_500);
    assert_eq!(wrong(&large(65_600)), "its head is larger than 64 KiB");
}

#[test]
fn interim_answers_are_passed_over() {
    let answer =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\nfine";
    let read = read(answer).expect("right");
    assert_eq!((read.status, read.headers.len(), read.body.as_slice()), (200, 0, b"fine".as_slice()));
}

#[test]
fn only_what_is_looked_at_is_kept() {
    let read = read("HTTP/1.1 200 OK\r\nA: b\r\nqueer: c\r\na: d\r\n\r\n").expect("right");
    assert_eq!(read.headers.get_all("a").iter().collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!(read.headers.len(), 2);
}

#[test]
fn a_server_that_hears_nothing_may_still_answer() {
    let refuse = |answer: &str| Script { takes: None, ..Script::new(answer.as_bytes(), &[]) };
    let answer = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(read_as(&Method::POST, refuse(answer)).expect("an answer").status, 413);
    let failure = read_as(&Method::POST, refuse("")).expect_err("no answer");
    assert_eq!(failure.fault, Fault::Reset);
    assert!(failure.reason.starts_with("the connection broke while sending the request: "), "{}", failure.reason);
}

/// Answers, most of them right.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let interim = prop_oneof![3 => Just(""), 1 => Just("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")];
    let lines = prop_oneof!["HTTP/1\\.[01] (200|204|302|404|101)( [A-Z]{2})?\r?\n", "HTTP/1.1 200 \r\n"];
    let fields = prop::collection::vec(
        prop_oneof![
            "[a-zA-Z-]{1,8}: [ -~]{0,12}\r\n",
            "(Content-Length: [0-9]{1,2}|Transfer-Encoding: (x, )?chunked)\r\n"
        ],
        0..4,
    );
    let chunks = prop::collection::vec("[a-z]{1,20}", 0..5).prop_map(|chunks| {
        let mut text = String::new();
        for chunk in chunks {
            write!(text, "{:x};e\r\n{chunk}\r\n", chunk.len()).expect("a string takes everything");
        }
        text + "0\r\nT: x\r\n\r\n"
    });
    let bodies = prop_oneof![chunks, "[ -~]{0,99}"];
    let dirt = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (interim, lines, fields, bodies, dirt).prop_map(|(interim, line, fields, body, dirt)| {
        let mut answer = format!("{interim}{line}{}\r\n{body}", fields.concat()).into_bytes();
        for (at, byte) in dirt.into_iter().skip(1) {
            let at = at.index(answer.len());
            answer[at] = byte;
        }
        answer
    })
}

proptest! {
    #[test]
    fn cuts_change_nothing(answer in answers(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        let whole = read_as(&Method::GET, Script::new(&answer, &[]));
        prop_assert_eq!(&read_as(&Method::GET, Script::new(&answer, &cuts)), &whole);
        let every: Vec<usize> = (0..answer.len()).collect();
        prop_assert_eq!(&read_as(&Method::GET, Script::new(&answer, &every)), &whole);
    }

    #[test]
    fn garbage_is_a_fault_and_no_more(answer in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        let _ = read_as(&Method::GET, Script::new(&answer, &cuts));
        let chunked = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), &answer].concat();
        let _ = read_as(&Method::GET, Script::new(&chunked, &cuts));
    }

    #[test]
    fn chunks_are_their_body(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..6), cuts in prop::collection::vec(any::<usize>(), 0..9)) {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in &chunks {
            answer.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        let read = read_as(&Method::GET, Script::new(&answer, &cuts)).expect("right");
        prop_assert_eq!(read.body, chunks.concat());
    }
}
