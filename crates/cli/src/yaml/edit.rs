//! A touched tree turned into changes of the text.

use std::fmt;
use std::ops::Range;

use imds_inject::{Operation, apply};

use super::add::add;
use super::flow;
use super::parse::{Document, parse};
use super::tree::{Content, Entry, Node, Origin, Place};
use super::write::{Layout, entry_lines, indented, inline, item_lines, lines};

/// An edited document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edited {
    /// In place of the document's range.
    pub(crate) text: String,
    /// The document could not be edited in place: its comments and layout are lost.
    pub(crate) anew: bool,
}

/// The operations do not fit the document, or nothing that was tried reads as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CannotEdit;

impl fmt::Display for CannotEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this document cannot be edited: write it without anchors, aliases and tags")
    }
}

impl std::error::Error for CannotEdit {}

/// Applies the operations to a document of the stream `text`. What is returned, read again, is what the same operations
/// make of the document as JSON.
pub(crate) fn edit(text: &str, document: &Document, operations: &[Operation]) -> Result<Edited, CannotEdit> {
    let mut meant = document.root.to_json();
    apply(&mut meant, operations).map_err(|_| CannotEdit)?;
    let mut root = document.root.clone();
    for operation in operations {
        add(&mut root, operation).ok_or(CannotEdit)?;
    }
    let is_meant = |text: &String| {
        parse(text).is_ok_and(|stream| match stream.documents.as_slice() {
            [document] => document.root.to_json() == meant,
            _ => false,
        })
    };
    if let Some(text) = in_place(text, document, &root).filter(is_meant) {
        return Ok(Edited { text, anew: false });
    }
    anew(text, document, &root).filter(is_meant).map(|text| Edited { text, anew: true }).ok_or(CannotEdit)
}

fn in_place(text: &str, document: &Document, root: &Node) -> Option<String> {
    let mut editor = Editor { text, newline: newline(text, document), root, changes: Vec::new() };
    editor.visit(root);
    editor.changes.sort_by_key(|(range, _)| range.start);
    let mut edited = String::new();
    let mut at = document.range.start;
    for (range, new) in editor.changes {
        edited.push_str(text.get(at..range.start)?);
        edited.push_str(&new);
        at = range.end;
    }
    edited.push_str(text.get(at..document.range.end)?);
    Some(edited)
}

/// The whole document, written from the tree. What stands before it stays: its directives, its `---`, or the comments of
/// a first document without one.
fn anew(text: &str, document: &Document, root: &Node) -> Option<String> {
    let newline = newline(text, document);
    let begin =
        document.marker.or_else(|| document.root.place.range().map(|range| line_start(text, range.start)));
    let mut written = text.get(document.range.start..begin?)?.to_owned();
    if document.marker.is_some() {
        written.push_str(newline);
    }
    for line in lines(root, Layout { literals: true, ..Layout::at(root, root) }) {
        written.push_str(&line);
        written.push_str(newline);
    }
    Some(written)
}

fn newline(text: &str, document: &Document) -> &'static str {
    if text.get(document.range.clone()).is_some_and(|text| text.contains("\r\n")) { "\r\n" } else { "\n" }
}

/// Where the line begins that holds the byte; the first line begins after the byte order mark.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(first, |newline| newline + 1)
}

/// Collects changes of the text; those at the same place are made in their order.
pub(crate) struct Editor<'a> {
    pub(crate) text: &'a str,
    pub(crate) newline: &'static str,
    pub(crate) root: &'a Node,
    pub(crate) changes: Vec<(Range<usize>, String)>,
}

impl Editor<'_> {
    pub(crate) fn insert(&mut self, at: usize, text: String) {
        self.changes.push((at..at, text));
    }

    pub(crate) fn visit(&mut self, node: &Node) {
        if !node.touched {
            return;
        }
        match (&node.place, &node.content) {
            (Place::Block { range, column }, Content::Mapping(entries)) => {
                self.block_mapping(node, range, *column, entries);
            }
            (Place::Block { range, column }, Content::Sequence(items)) => {
                self.block_sequence(node, range, *column, items);
            }
            (Place::Flow { range }, _) => flow::visit(self, node, range),
            // Whoever holds them writes them whole.
            (Place::Alias { .. } | Place::New { .. } | Place::Block { .. }, _) => {}
        }
    }

    fn block_mapping(&mut self, node: &Node, range: &Range<usize>, column: usize, entries: &[Entry]) {
        let layout = Layout::at(node, self.root);
        for entry in entries.iter().filter(|entry| entry.value.touched) {
            match entry.origin {
                Origin::Here { colon } => self.value(colon, entry, column, layout),
                Origin::Merged | Origin::New => {
                    self.insert_lines_after(range.end, column, &entry_lines(entry, layout));
                }
            }
        }
    }

    /// The value of a key of a block mapping.
    fn value(&mut self, colon: usize, entry: &Entry, column: usize, layout: Layout) {
        let node = &entry.value;
        let over = match &node.place {
            Place::New { over } => over.clone().unwrap_or(colon..colon),
            Place::Alias { range } => range.clone(),
            // `[]` or `{}` that is none any more: better written below the key.
            Place::Flow { range } if self.is_bare(range) => range.clone(),
            Place::Block { .. } | Place::Flow { .. } => return self.visit(node),
        };
        let over = if over.is_empty() { colon..colon } else { over };
        let indent = match node.content {
            _ if node.is_empty_collection() => None,
            Content::Scalar { .. } => None,
            Content::Sequence(_) => Some(layout.dash),
            Content::Mapping(_) => Some(layout.step),
        };
        match indent {
            None if over.is_empty() => self.insert(colon, format!(" {}", inline(node))),
            None => self.changes.push((over, inline(node))),
            Some(indent) => {
                let between = self.text.get(colon..over.start).unwrap_or_default();
                // A comment stays, a blank goes with what it stood before.
                let start = if between.trim().is_empty() { colon } else { over.start };
                self.changes.push((start..over.end, String::new()));
                self.insert_lines_after(over.end, column + indent, &lines(node, layout));
            }
        }
    }

    /// `[]` or `{}`, blanks inside or not.
    fn is_bare(&self, range: &Range<usize>) -> bool {
        let text = self.text.get(range.clone()).unwrap_or_default();
        let inner = text.trim_matches(['[', ']', '{', '}']);
        inner.trim().is_empty()
    }

    fn block_sequence(&mut self, node: &Node, range: &Range<usize>, column: usize, items: &[Node]) {
        let layout = Layout::at(node, self.root);
        let mut last = None;
        for item in items {
            match (&item.place, last) {
                (Place::New { .. }, None) => {
                    self.insert_lines_before(range.start, column, &item_lines(item, layout));
                }
                (Place::New { .. }, Some(end)) => {
                    self.insert_lines_after(end, column, &item_lines(item, layout));
                }
                (Place::Alias { range }, _) if item.touched => {
                    let column = self.column(range.start);
                    let text = self.joined(&lines(item, layout), column);
                    self.changes.push((range.clone(), text.trim_start().to_owned()));
                    last = Some(range.end);
                }
                (place, _) => {
                    self.visit(item);
                    last = place.range().map(|range| range.end);
                }
            }
        }
    }

    /// Lines in front of a list: before the comments on its first item.
    fn insert_lines_before(&mut self, dash: usize, column: usize, lines: &[String]) {
        let start = line_start(self.text, dash);
        if !self.text.get(start..dash).unwrap_or_default().trim().is_empty() {
            // `- - item`: the dash shares its line.
            let text =
                format!("{}{}{}", self.joined(lines, column).trim_start(), self.newline, " ".repeat(column));
            return self.insert(dash, text);
        }
        let mut at = start;
        while let Some(above) =
            at.checked_sub(1).map(|end| line_start(self.text, end)).filter(|above| *above < at)
        {
            let line = self.text.get(above..at).unwrap_or_default().trim();
            if !line.is_empty() && !line.starts_with('#') {
                break;
            }
            at = above;
        }
        let text = format!("{}{}", self.joined(lines, column), self.newline);
        self.insert(at, text);
    }

    /// Lines below what ends there, and below the comment beside it.
    fn insert_lines_after(&mut self, end: usize, column: usize, lines: &[String]) {
        let joined = self.joined(lines, column);
        let start = line_start(self.text, end);
        let blank = self.text.get(start..end).is_some_and(|before| before.trim().is_empty());
        if blank && start > 0 {
            return self.insert(start, format!("{joined}{}", self.newline));
        }
        match self.text.get(end..).and_then(|rest| rest.find('\n')) {
            Some(newline) => self.insert(end + newline + 1, format!("{joined}{}", self.newline)),
            // The file's last line has no end, and gets none.
            None => self.insert(self.text.len(), format!("{}{joined}", self.newline)),
        }
    }

    fn joined(&self, lines: &[String], column: usize) -> String {
        let indent = " ".repeat(column);
        let lines: Vec<String> = lines.iter().map(|line| indented(line, &indent)).collect();
        lines.join(self.newline)
    }

    /// How many characters stand before it on its line.
    fn column(&self, at: usize) -> usize {
        self.text.get(line_start(self.text, at)..at).unwrap_or_default().chars().count()
    }
}
