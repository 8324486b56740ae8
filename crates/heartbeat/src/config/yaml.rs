//! YAML 1.2, with the merge key `<<` of 1.1 because people write it.
//!
//! The parser's events are assembled on a stack of our own, so that depth costs memory and never the call stack, and stops
//! at [`MAX_DEPTH`]. Anchors are kept as finished nodes; an alias is a copy of one, and all copies together are bounded.
//! Absent on purpose: several documents in one file, keys that are not text, and tags (`!secret`), which here have no
//! meaning.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use heartbeat_core::id::IdHasher;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::bounds::{MAX_ALIASED, MAX_DEPTH};
use super::node::{Body, Key, Node, Scalar, Span};
use super::problem::{Problem, Problems};

/// Reads one document. `None` if it is not YAML that we take; that has been reported then. An empty one is `Null`.
pub fn read(source: u16, text: &str, problems: &mut Problems) -> Option<Node> {
    let mut reader = Reader {
        source,
        problems,
        stack: Vec::new(),
        anchors: HashMap::new(),
        keys: HashSet::default(),
        aliased: 0,
        root: None,
        documents: 0,
        sound: true,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => reader.take(event, span.start),
            Err(error) => {
                let at = reader.place(error.marker());
                let mut problem = Problem::error(at, format!("this is not YAML: {}", error.info()));
                problem.help = hint(text, at);
                Err(problem)
            }
        };
        if let Err(problem) = step {
            reader.problems.push(problem);
            return None;
        }
    }
    let root = reader.root.unwrap_or(Node::null(Span { source, line: 1, column: 1 }));
    reader.sound.then_some(root)
}

/// What to do about the commonest mistakes, which the parser's words do not explain.
fn hint(text: &str, at: Span) -> Option<String> {
    // The parser may notice only on the next line.
    let line = (at.line as usize).saturating_sub(2);
    if text.lines().skip(line).take(2).any(|line| line.trim_start_matches(' ').starts_with('\t')) {
        return Some("indent with spaces: YAML does not allow tabs there".to_owned());
    }
    None
}

struct Reader<'p> {
    source: u16,
    problems: &'p mut Problems,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchor>,
    /// The texts of keys, of which most come in every check.
    keys: HashSet<Arc<str>, BuildHasherDefault<IdHasher>>,
    aliased: usize,
    root: Option<Node>,
    documents: u32,
    /// False once a mistake was met that does not keep us from reading on.
    sound: bool,
}

/// A collection that is not finished.
struct Frame {
    at: Span,
    anchor: usize,
    /// Nodes in it, itself included.
    size: usize,
    /// The levels of nodes below it, itself included.
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    /// With the key whose value comes next, and whether it is `<<`.
    Map {
        entries: Vec<(Key, Node)>,
        merged: Vec<Node>,
        key: Option<(Key, bool)>,
    },
}

/// A finished node that an alias may repeat.
struct Anchor {
    node: Node,
    size: usize,
    height: usize,
}

impl Reader<'_> {
    fn place(&self, marker: &Marker) -> Span {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { source: self.source, line: number(marker.line()).max(1), column: number(marker.col()).saturating_add(1) }
    }

    fn take(&mut self, event: Event<'_>, start: Marker) -> Result<(), Problem> {
        let at = self.place(&start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::error(at, "a second document begins here").help(
                        "a configuration is one document: put the other one into a file of its own, see `include`",
                    ));
                }
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                let text = if self.key_is_due() { self.key(&text) } else { Arc::from(&*text) };
                let node = scalar(text, style, tag.as_deref(), at)?;
                self.finished(node, anchor, 1, 1)
            }
            Event::SequenceStart(anchor, tag) => self.open(at, anchor, tag.as_deref(), Content::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                let content = Content::Map { entries: Vec::new(), merged: Vec::new(), key: None };
                self.open(at, anchor, tag.as_deref(), content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn open(&mut self, at: Span, anchor: usize, tag: Option<&Tag>, content: Content) -> Result<(), Problem> {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            return Err(meaningless(tag, at));
        }
        if self.key_is_due() {
            return Err(Problem::error(at, "a key must be text, found a list or a map"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(Problem::error(at, format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.stack.push(Frame { at, anchor, size: 1, height: 1, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Problem> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let body = match frame.content {
            Content::List(items) => Body::List(items),
            Content::Map { entries, merged, .. } => Body::Map(self.entries(entries, merged)),
        };
        self.finished(Node { span: frame.at, body }, frame.anchor, frame.size, frame.height)
    }

    /// The entries of a finished map: each key once, its own before merged ones.
    fn entries(&mut self, mut written: Vec<(Key, Node)>, merged: Vec<Node>) -> Vec<(Key, Node)> {
        let is_second =
            |(place, (key, _)): (usize, &(Key, Node))| written[..place].iter().any(|(other, _)| other.name == key.name);
        // Most maps are small and right: they need no table.
        if merged.is_empty() && written.len() <= 8 && !written.iter().enumerate().any(is_second) {
            written.shrink_to_fit();
            return written;
        }
        let mut seen: HashMap<Arc<str>, Span> = HashMap::with_capacity(written.len());
        let mut entries = Vec::with_capacity(written.len());
        for (key, value) in written {
            match seen.get(&key.name) {
                Some(first) => {
                    self.sound = false;
                    let message = format!("the key `{}` stands here a second time", key.name);
                    self.problems.push(Problem::error(key.span, message).also(*first, "first here"));
                }
                None => {
                    seen.insert(key.name.clone(), key.span);
                    entries.push((key, value));
                }
            }
        }
        for map in merged {
            let Body::Map(inherited) = map.body else { continue };
            for (key, value) in inherited {
                if seen.insert(key.name.clone(), key.span).is_none() {
                    entries.push((key, value));
                }
            }
        }
        entries
    }

    fn alias(&mut self, anchor: usize, at: Span) -> Result<(), Problem> {
        let Some(known) = self.anchors.get(&anchor) else {
            return Err(Problem::error(at, "this alias stands inside what it repeats"));
        };
        self.aliased += known.size;
        if self.aliased > MAX_ALIASED {
            return Err(Problem::error(at, format!("aliases repeat more than {MAX_ALIASED} values in all")));
        }
        if self.stack.len() + known.height > MAX_DEPTH {
            return Err(Problem::error(at, format!("this alias nests more than {MAX_DEPTH} levels deep")));
        }
        let (node, size, height) = (known.node.clone(), known.size, known.height);
        // Positions inside stay those of the anchor: that is where a mistake can be mended.
        self.finished(node, 0, size, height)
    }

    /// Whether the next node of the innermost collection is a key.
    fn key_is_due(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { content: Content::Map { key: None, .. }, .. }))
    }

    /// The text of a key, shared with equal ones. Names are keys too, and differ: they are not remembered for ever.
    fn key(&mut self, text: &str) -> Arc<str> {
        const REMEMBERED: usize = 256;
        if let Some(known) = self.keys.get(text) {
            return known.clone();
        }
        let key: Arc<str> = text.into();
        if self.keys.len() < REMEMBERED {
            self.keys.insert(key.clone());
        }
        key
    }

    /// Puts a finished node where it belongs.
    fn finished(&mut self, node: Node, anchor: usize, size: usize, height: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { node: node.clone(), size, height });
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.size += size;
        frame.height = frame.height.max(height + 1);
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, merged, key } => match key.take() {
                None => *key = Some(as_key(&node)?),
                Some((_, true)) => merge(merged, node)?,
                Some((key, false)) => entries.push((key, node)),
            },
        }
        Ok(())
    }
}

fn as_key(node: &Node) -> Result<(Key, bool), Problem> {
    match &node.body {
        Body::Scalar(scalar) => {
            let merges = !scalar.quoted && &*scalar.text == "<<";
            Ok((Key { name: scalar.text.clone(), span: node.span }, merges))
        }
        _ => Err(Problem::error(node.span, format!("a key must be text, found {}", node.describe()))),
    }
}

/// Takes what `<<` names: a map, or a list of maps of which the first wins.
fn merge(merged: &mut Vec<Node>, node: Node) -> Result<(), Problem> {
    let refused = |node: &Node| {
        Problem::error(node.span, format!("`<<` merges a map or a list of maps, found {}", node.describe()))
    };
    match node.body {
        Body::Map(_) => merged.push(node),
        Body::List(items) => {
            for item in items {
                if item.as_map().is_none() {
                    return Err(refused(&item));
                }
                merged.push(item);
            }
        }
        _ => return Err(refused(&node)),
    }
    Ok(())
}

fn scalar(text: Arc<str>, style: ScalarStyle, tag: Option<&Tag>, at: Span) -> Result<Node, Problem> {
    let mut quoted = style != ScalarStyle::Plain;
    if let Some(tag) = tag {
        if !tag.is_yaml_core_schema() {
            return Err(meaningless(tag, at));
        }
        quoted |= tag.suffix == "str";
    }
    if !quoted && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
        return Ok(Node::null(at));
    }
    Ok(Node { span: at, body: Body::Scalar(Scalar { text, quoted }) })
}

fn meaningless(tag: &Tag, at: Span) -> Problem {
    Problem::error(at, format!("the tag `{tag}` has no meaning here"))
        .help("a secret from a file is `{ file: /path }`, one from the environment `{ env: NAME }`")
}
