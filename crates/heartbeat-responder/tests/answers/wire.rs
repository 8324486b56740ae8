//! A client that sends what it is told, byte for byte, and takes answers apart without kindness.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::world::{PATIENCE, wait_for};
use super::{STATUS, Subject};

/// A connection.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
}

/// An answer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order in which they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The only header of that name.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let value = values.next().unwrap_or_else(|| panic!("no header {name} in {self:?}"));
        assert!(values.next().is_none(), "{name} comes twice in {self:?}");
        value
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own == name)
    }
}

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).expect("it reads");
    }

    /// The next answer, with its body.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length = answer.header("content-length").parse().expect("a length");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("as much as was promised");
        answer.body = String::from_utf8(body).expect("text");
        answer
    }

    /// The next answer, which has no body.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Answer {
        let status_line = self.line();
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        assert!(matches!(version, "HTTP/1.0" | "HTTP/1.1"), "{status_line:?}");
        let status = words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{status_line:?}"));
        assert!(words.next().is_some_and(|reason| !reason.is_empty()), "{status_line:?}");
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return Answer { status, headers, body: String::new() };
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    /// A line that ends as it must.
    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line of text");
        let stripped = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("a line without its CRLF: {line:?}"));
        stripped.to_owned()
    }

    /// Nothing more comes: the other side has hung up.
    #[track_caller]
    pub(crate) fn end(mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("an end");
        assert!(rest.is_empty(), "after the answer came {:?}", String::from_utf8_lossy(&rest));
    }
}

/// What is asked for with a GET, on a connection of its own. `lines` are further lines of the header, each with its end.
#[track_caller]
pub(crate) fn ask(subject: &impl Subject, path: &str, lines: &str) -> Answer {
    let mut wire = Wire::to(subject.address());
    wire.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n"));
    let answer = wire.answer();
    wire.end();
    answer
}

#[track_caller]
pub(crate) fn get(subject: &impl Subject, path: &str) -> Answer {
    ask(subject, path, "")
}

/// As somebody asks through a proxy, from who knows where.
#[track_caller]
pub(crate) fn get_as_stranger(subject: &impl Subject, path: &str) -> Answer {
    ask(subject, path, "X-Forwarded-For: 192.0.2.1\r\n")
}

/// Waits until the default view has this status and body.
#[track_caller]
pub(crate) fn wait_for_body(subject: &impl Subject, status: u16, body: &str) {
    let mut last = get(subject, STATUS);
    let start = std::time::Instant::now();
    while (last.status, last.body.as_str()) != (status, body) && start.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(10));
        last = get(subject, STATUS);
    }
    assert_eq!((last.status, last.body.as_str()), (status, body));
}

#[track_caller]
pub(crate) fn wait_for_status(subject: &impl Subject, path: &str, status: u16) {
    wait_for(&format!("{path} answers {status}"), || get(subject, path).status == status);
}
