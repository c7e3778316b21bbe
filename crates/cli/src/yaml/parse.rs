//! A YAML stream read into trees.
//!
//! Read as kubectl reads it, merge keys (`<<`) included. Of a key that is there twice kubectl takes the last one, which nobody means:
//! the document tells of it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};
use serde_json::Value;

use super::scalar::resolve;
use super::tree::{Content, Entry, Node, Origin, Place};

/// Aliases may nest what they stand for without end.
const MAX_DEPTH: usize = 256;
const MAX_NODES: usize = 1_000_000;

/// The documents of a stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) documents: Vec<Document>,
}

#[derive(Debug)]
pub(crate) struct Document {
    /// From the end of the document before, so with its directives, comments and `---`, to its own end. In bytes.
    pub(crate) range: Range<usize>,
    /// The byte after its `---`, where it has one.
    pub(crate) marker: Option<usize>,
    pub(crate) root: Node,
    /// Its keys that are there twice in a map, each with its first byte.
    pub(crate) twice: Vec<(usize, ParseError)>,
}

impl Document {
    /// The first key that is there twice in what a change at one of these JSON pointers concerns: of a List, the item that it is in.
    pub(crate) fn twice_at<'a>(&self, pointers: impl IntoIterator<Item = &'a str>) -> Option<&ParseError> {
        let items = self.root.items_of("items");
        let changed: Vec<Option<&Node>> = pointers
            .into_iter()
            .map(|pointer| pointer.strip_prefix("/items/")?.split('/').next()?.parse().ok())
            .map(|index: Option<usize>| items.get(index?))
            .collect();
        let is_in = |at: usize, node: &Node| node.place.range().is_some_and(|range| range.contains(&at));
        let concerns = |at| {
            let is_in_item = items.iter().any(|item| is_in(at, item));
            !is_in_item || changed.iter().any(|item| item.is_none_or(|item| is_in(at, item)))
        };
        self.twice.iter().find(|(at, _)| concerns(*at)).map(|(_, error)| error)
    }
}

/// Why a text is no YAML that kubectl would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParseError {
    /// From 1.
    line: usize,
    message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

impl From<ScanError> for ParseError {
    fn from(error: ScanError) -> Self {
        // The parser's own text ends with the place in characters, lines and columns.
        let text = error.to_string();
        let message = text.rsplit_once(" at char ").map_or(text.as_str(), |(message, _)| message);
        Self { line: error.marker().line(), message: message.to_owned() }
    }
}

/// Reads a whole stream.
pub(crate) fn parse(text: &str) -> Result<Stream, ParseError> {
    let options = granit_parser::options! { emit_comments: false };
    let events = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { text, events, anchors: HashMap::new(), nodes: 0, twice: Vec::new() };
    let mut documents = Vec::new();
    let mut start = 0;
    loop {
        match reader.next()? {
            (Event::DocumentStart(explicit, _), span) => {
                let marker = if explicit { Some(bytes(&span)?.end) } else { None };
                let from = marker.unwrap_or(start);
                let root = reader.node(from, 0)?;
                let (_, span) = reader.next()?;
                let end = bytes(&span)?.end;
                documents.push(Document {
                    range: start..end,
                    marker,
                    root,
                    twice: mem::take(&mut reader.twice),
                });
                start = end;
            }
            (Event::StreamEnd, _) => return Ok(Stream { documents }),
            _ => {}
        }
    }
}

/// The key that brings in the entries of other maps.
const MERGE_KEY: &str = "<<";

struct Reader<'a, Events> {
    text: &'a str,
    events: Events,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    twice: Vec<(usize, ParseError)>,
}

impl<'a, Events: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Reader<'a, Events> {
    fn next(&mut self) -> Result<(Event<'a>, Span), ParseError> {
        match self.events.next() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, from: usize, depth: usize) -> Result<Node, ParseError> {
        let (event, span) = self.next()?;
        self.node_of(event, &span, from, depth)
    }

    /// The node that begins with this event; its text, dashes included, begins somewhere after `from`.
    fn node_of(
        &mut self,
        event: Event<'a>,
        span: &Span,
        from: usize,
        depth: usize,
    ) -> Result<Node, ParseError> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err(error(span, "this is nested too deep, or aliases make it too large"));
        }
        let (anchor, node) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), span)?)
            }
            Event::SequenceStart(style, anchor, _) => (anchor, self.sequence(style, span, from, depth)?),
            Event::MappingStart(style, anchor, _) => (anchor, self.mapping(style, span, depth)?),
            _ => return Err(error(span, "a value is missing")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: &Span, depth: usize) -> Result<Node, ParseError> {
        let anchor = self.anchors.get(&id);
        let anchor = anchor.ok_or_else(|| error(span, "this alias stands inside of what it stands for"))?;
        self.nodes += anchor.size();
        if self.nodes > MAX_NODES || depth + anchor.depth() > MAX_DEPTH {
            return Err(error(span, "aliases make this too large"));
        }
        Ok(Node {
            content: anchor.content.clone(),
            place: Place::Alias { range: bytes(span)? },
            touched: false,
        })
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: &Span,
    ) -> Result<Node, ParseError> {
        let mut range = bytes(span)?;
        // The parser tells of a value that is not there by `~`.
        let text = if range.is_empty() && style == ScalarStyle::Plain { "" } else { text };
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) && !text.ends_with("\n\n") {
            // Its span reaches to the next word; blank lines are its own only where it keeps them (`|+`).
            let own = self.text.get(..range.end).unwrap_or_default().trim_end().len();
            range = range.start.min(own)..own;
        }
        let value = match tag {
            None if style == ScalarStyle::Plain => resolve(text),
            Some(tag)
                if tag.is_yaml_core_schema() && ["null", "bool", "int", "float"].contains(&tag.suffix()) =>
            {
                resolve(text)
            }
            _ => text.into(),
        };
        let plain =
            tag.is_none() && style == ScalarStyle::Plain && self.text.get(range.clone()) == Some(text);
        let plain = plain.then(|| text.to_owned());
        Ok(Node { content: Content::Scalar { value, plain }, place: Place::Flow { range }, touched: false })
    }

    fn sequence(
        &mut self,
        style: StructureStyle,
        start: &Span,
        from: usize,
        depth: usize,
    ) -> Result<Node, ParseError> {
        let start = bytes(start)?.start;
        let mut items = Vec::new();
        let mut end = start;
        let last = loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break bytes(&span)?.end;
            }
            // Where an item of a block is not there, its dash is all that there is.
            let from = bytes(&span)?.start;
            let item = self.node_of(event, &span, from, depth + 1)?;
            end = item.place.range().map_or(end, |range| range.end);
            items.push(item);
        };
        let place = match style {
            StructureStyle::Flow => Place::Flow { range: start..last },
            StructureStyle::Block => {
                let start = first_dash(self.text, from).unwrap_or(start);
                Place::Block { range: start..end, column: column(self.text, start) }
            }
        };
        Ok(Node { content: Content::Sequence(items), place, touched: false })
    }

    fn mapping(&mut self, style: StructureStyle, start: &Span, depth: usize) -> Result<Node, ParseError> {
        let start = bytes(start)?.start;
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        let mut merged = Vec::new();
        let mut end = start;
        let last = loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break bytes(&span)?.end;
            }
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == MERGE_KEY);
            let key = self.node_of(event, &span, start, depth + 1)?;
            let colon = colon(self.text, bytes(&span)?.end);
            let value = self.node(colon, depth + 1)?;
            end = value.place.range().map_or(colon, |range| if range.is_empty() { colon } else { range.end });
            if is_merge {
                merged.push((span, value));
                continue;
            }
            let key =
                key_text(key).ok_or_else(|| error(&span, "a key has to be one word, not a list or a map"))?;
            if !seen.insert(key.clone()) {
                self.twice
                    .push((bytes(&span)?.start, error(&span, &format!("the key {key:?} is here twice"))));
            }
            entries.push(Entry { key, origin: Origin::Here { colon }, value });
        };
        for (span, source) in merged {
            merge(&mut entries, &mut seen, source)
                .ok_or_else(|| error(&span, "<< takes a map, or a list of maps"))?;
        }
        let place = match style {
            StructureStyle::Flow => Place::Flow { range: start..last },
            StructureStyle::Block => Place::Block { range: start..end, column: column(self.text, start) },
        };
        Ok(Node { content: Content::Mapping(entries), place, touched: false })
    }
}

/// The entries of the other map, or list of maps, that are not there yet. Source: yaml.org/type/merge.html.
fn merge(entries: &mut Vec<Entry>, seen: &mut HashSet<String>, source: Node) -> Option<()> {
    match source.content {
        Content::Mapping(others) => {
            let absent = others.into_iter().filter(|entry| seen.insert(entry.key.clone()));
            entries.extend(absent.map(|entry| Entry { origin: Origin::Merged, ..entry }));
            Some(())
        }
        Content::Sequence(sources) => sources.into_iter().try_for_each(|source| {
            matches!(source.content, Content::Mapping(_)).then(|| merge(entries, seen, source))?
        }),
        Content::Scalar { .. } => None,
    }
}

/// JSON's keys are text.
fn key_text(key: Node) -> Option<String> {
    match key.content {
        Content::Scalar { value: Value::String(text), .. } => Some(text),
        Content::Scalar { value, .. } => Some(value.to_string()),
        Content::Sequence(_) | Content::Mapping(_) => None,
    }
}

fn bytes(span: &Span) -> Result<Range<usize>, ParseError> {
    match (span.start.byte_offset(), span.end.byte_offset()) {
        (Some(start), Some(end)) => Ok(start..end.max(start)),
        _ => Err(error(span, "the parser lost its place")),
    }
}

fn error(span: &Span, message: &str) -> ParseError {
    ParseError { line: span.start.line(), message: message.to_owned() }
}

/// The byte after the colon that follows a key; that after the key where none does (`{a}`).
fn colon(text: &str, key_end: usize) -> usize {
    let rest = text.get(key_end..).unwrap_or_default();
    let blank = rest.len() - rest.trim_start().len();
    if rest.trim_start().starts_with(':') { key_end + blank + 1 } else { key_end }
}

/// Where the first dash of a block sequence is. Before it may stand its anchor, its tag and comments.
fn first_dash(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        let word = rest.trim_start();
        at += rest.len() - word.len();
        at += match word.chars().next()? {
            '-' => return Some(at),
            '#' => word.find('\n')?,
            '&' | '!' => word.find(char::is_whitespace)?,
            _ => return None,
        };
    }
}

/// How many characters stand before it on its line.
fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    line.trim_start_matches('\u{feff}').chars().count()
}
