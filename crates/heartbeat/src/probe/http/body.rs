//! A body on its way through the conditions.
//!
//! Texts are looked for while the body passes by, however long it is. Only patterns and JSON need it whole: so much is kept
//! as `body_limit` and the memory shared by all probes allow, and a condition that fails for that says so.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use heartbeat_core::outcome::Fault;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::clip;
use super::rules::{BodyRules, Needle};
use crate::probe::Failure;
use crate::probe::budget::{Budget, Share};

/// Memory is taken in pieces of this size.
const PIECE: usize = 16 << 10;

/// So much compressed input is decoded at once: at worst it becomes a thousand times as much (RFC 1951).
pub(super) const MOUTHFUL: usize = 512;

/// What looks at a body.
pub(super) struct Watcher<'r> {
    rules: &'r BodyRules,
    /// For every text whether it was found.
    found: Vec<bool>,
    /// The end of what passed by, where a text may have begun.
    tail: Vec<u8>,
    overlap: usize,
    kept: Vec<u8>,
    limit: usize,
    share: Share,
    cut: Option<&'static str>,
}

impl<'r> Watcher<'r> {
    /// A watcher that keeps at most `limit` bytes, and those from `budget`.
    pub(super) fn new(rules: &'r BodyRules, limit: usize, budget: &Budget) -> Self {
        let longest = rules.contains.iter().map(|needle| needle.text.len()).max().unwrap_or(0);
        Self {
            rules,
            found: rules.contains.iter().map(|needle| needle.text.is_empty()).collect(),
            tail: Vec::new(),
            overlap: longest.saturating_sub(1),
            kept: Vec::new(),
            limit,
            share: budget.share(),
            cut: None,
        }
    }

    /// The next bytes of the body.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.look(bytes);
        if self.rules.keeps() {
            self.keep(bytes);
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        if self.found.iter().all(|found| *found) {
            return;
        }
        // A text may lie across the border: of the new bytes only so many belong to that as it can reach.
        let border = self.tail.len();
        self.tail.extend_from_slice(&bytes[..bytes.len().min(self.overlap)]);
        for (needle, found) in self.rules.contains.iter().zip(&mut self.found) {
            *found = *found || (border > 0 && needle.is_in(&self.tail)) || needle.is_in(bytes);
        }
        self.tail.truncate(border);
        let fresh = &bytes[bytes.len().saturating_sub(self.overlap)..];
        self.tail.extend_from_slice(fresh);
        let surplus = self.tail.len().saturating_sub(self.overlap);
        self.tail.drain(..surplus);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.cut.is_some() {
            return;
        }
        let mut wanted = bytes.len();
        if self.kept.len() + wanted > self.limit {
            wanted = self.limit - self.kept.len();
            self.cut = Some("of `body_limit`");
        }
        while self.kept.len() + wanted > self.kept.capacity() {
            let more =
                (self.kept.len() + wanted - self.kept.capacity()).next_multiple_of(PIECE).max(self.kept.capacity());
            let more = more.min(self.limit.next_multiple_of(PIECE).saturating_sub(self.kept.capacity()));
            if !self.share.take(more) {
                wanted = self.kept.capacity() - self.kept.len();
                self.cut = Some("because other probes held the memory for bodies");
                break;
            }
            self.kept.reserve_exact(self.kept.capacity() + more - self.kept.len());
        }
        self.kept.extend_from_slice(&bytes[..wanted]);
    }

    /// Judges what passed by.
    pub(super) fn judge(self) -> Result<(), Failure> {
        let fail = |what: String| {
            let more = match self.cut {
                Some(why) => format!(" (only its first {} bytes were judged {why})", self.kept.len()),
                None => String::new(),
            };
            Err(Failure::new(Fault::Body, format!("the body {what}{more}")))
        };
        if let Some((Needle { text, .. }, _)) = self.rules.contains.iter().zip(&self.found).find(|(_, found)| !**found)
        {
            return Err(Failure::new(Fault::Body, format!("the body does not contain `{}`", clip(text))));
        }
        if !self.rules.matches.is_empty() {
            let text = String::from_utf8_lossy(&self.kept);
            if let Some(pattern) = self.rules.matches.iter().find(|pattern| !pattern.0.is_match(&text)) {
                return fail(format!("does not match `{}`", clip(pattern.0.as_str())));
            }
        }
        if self.rules.json.is_empty() {
            return Ok(());
        }
        let document: serde_json::Value = match serde_json::from_slice(&self.kept) {
            Ok(document) => document,
            Err(error) => return fail(format!("is not JSON: {error}")),
        };
        for (path, wanted) in &self.rules.json {
            let nodes = path.query(&document);
            if nodes.is_empty() {
                return fail(format!("has nothing at {path}, expected `{wanted}`"));
            }
            if let Some(other) = nodes.iter().find(|value| !wanted.is(value)) {
                return fail(format!("has {} at {path}, expected `{wanted}`", clip(&other.to_string())));
            }
        }
        Ok(())
    }
}

impl Write for Watcher<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Undoes the content coding (RFC 9110, section 8.4) in front of a watcher.
pub(super) enum Decoder<'r> {
    /// As it comes. Also what nobody looks at.
    Plain(Watcher<'r>),
    /// `deflate`, before its first byte: some servers send it without the envelope that the RFC asks for.
    Undecided(Option<Watcher<'r>>),
    /// `gzip`.
    Gzip(MultiGzDecoder<Watcher<'r>>),
    /// `deflate` as the RFC has it.
    Zlib(ZlibDecoder<Watcher<'r>>),
    /// `deflate` without its envelope.
    Raw(DeflateDecoder<Watcher<'r>>),
}

impl<'r> Decoder<'r> {
    /// The decoder for an answer with these headers.
    ///
    /// # Errors
    /// [`Fault::Protocol`] if the body matters and its coding is none that we asked for.
    pub(super) fn new(headers: &HeaderMap, watcher: Watcher<'r>) -> Result<Self, Failure> {
        if watcher.rules.is_empty() {
            return Ok(Self::Plain(watcher));
        }
        let codings: Vec<String> = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .flat_map(|value| {
                String::from_utf8_lossy(value.as_bytes()).split(',').map(str::to_owned).collect::<Vec<_>>()
            })
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && coding != "identity")
            .collect();
        match codings.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => Ok(Self::Plain(watcher)),
            ["gzip" | "x-gzip"] => Ok(Self::Gzip(MultiGzDecoder::new(watcher))),
            ["deflate"] => Ok(Self::Undecided(Some(watcher))),
            _ => {
                let reason =
                    format!("the body is encoded as {}, expected gzip or deflate at most", clip(&codings.join(", ")));
                Err(Failure::new(Fault::Protocol, reason))
            }
        }
    }

    /// The next bytes as they came; of a coded body at most [`MOUTHFUL`], so that nobody waits long for us.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Self::Undecided(watcher) = self {
            let (Some(first), Some(watcher)) = (bytes.first(), watcher.take()) else { return Ok(()) };
            // The envelope begins with the method 8 in its lower half (RFC 1950, section 2.2).
            let enveloped = first & 0x0f == 8;
            *self =
                if enveloped { Self::Zlib(ZlibDecoder::new(watcher)) } else { Self::Raw(DeflateDecoder::new(watcher)) };
        }
        match self {
            Self::Plain(watcher) => {
                watcher.feed(bytes);
                Ok(())
            }
            Self::Undecided(_) => Ok(()),
            Self::Gzip(decoder) => decoder.write_all(bytes).map_err(|error| corrupt(&error)),
            Self::Zlib(decoder) => decoder.write_all(bytes).map_err(|error| corrupt(&error)),
            Self::Raw(decoder) => decoder.write_all(bytes).map_err(|error| corrupt(&error)),
        }
    }

    /// Whether bytes grow on their way.
    pub(super) fn is_coded(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// The body has come to its end.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let watcher = match self {
            Self::Plain(watcher) => watcher,
            Self::Undecided(watcher) => match watcher {
                Some(watcher) => watcher,
                None => return Ok(()),
            },
            Self::Gzip(decoder) => decoder.finish().map_err(|error| corrupt(&error))?,
            Self::Zlib(decoder) => decoder.finish().map_err(|error| corrupt(&error))?,
            Self::Raw(decoder) => decoder.finish().map_err(|error| corrupt(&error))?,
        };
        watcher.judge()
    }
}

fn corrupt(error: &io::Error) -> Failure {
    Failure::new(Fault::Protocol, format!("the body is not encoded as its header says: {error}"))
}
