//! Nodes written as YAML in block style.
//!
//! What stood in the text unquoted keeps its spelling; everything else is written so that every version of YAML reads it
//! the same.

use serde_json::Value;

use super::scalar::{is_unprintable, quoted, word};
use super::tree::{Content, Entry, Node, Place};

/// How a document is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// By how many characters a map inside a map is indented.
    pub(crate) step: usize,
    /// By how many characters the dashes of a list are indented inside a map: 0 or more.
    pub(crate) dash: usize,
    /// Text of several lines becomes a literal block. Not where a comment may follow, which would become part of it.
    pub(crate) literals: bool,
}

impl Default for Layout {
    /// kubectl's own.
    fn default() -> Self {
        Self { step: 2, dash: 0, literals: true }
    }
}

impl Layout {
    /// The layout at a node: as its own children have it, else as the document does it first, else kubectl's.
    pub(crate) fn at(node: &Node, root: &Node) -> Self {
        let find = |indent: fn(&Node) -> Option<usize>| {
            indent(node).or_else(|| first(root, &indent)).filter(|width| *width < 20)
        };
        let default = Self::default();
        Self {
            step: find(|node| child_indent(node, |content| matches!(content, Content::Mapping(_))))
                .filter(|step| *step > 0)
                .unwrap_or(default.step),
            dash: find(|node| child_indent(node, |content| matches!(content, Content::Sequence(_))))
                .unwrap_or(default.dash),
            literals: false,
        }
    }
}

/// By how much the first child of a kind is indented in a map.
fn child_indent(node: &Node, is_kind: impl Fn(&Content) -> bool) -> Option<usize> {
    let (Place::Block { column, .. }, Content::Mapping(entries)) = (&node.place, &node.content) else {
        return None;
    };
    entries.iter().find_map(|entry| match &entry.value.place {
        Place::Block { column: inner, .. } if is_kind(&entry.value.content) => inner.checked_sub(*column),
        _ => None,
    })
}

fn first(node: &Node, probe: &impl Fn(&Node) -> Option<usize>) -> Option<usize> {
    // What an alias stands for is laid out elsewhere.
    let here = !matches!(node.place, Place::Alias { .. });
    probe(node).or_else(|| node.children().filter(|_| here).find_map(|child| first(child, probe)))
}

/// A value as a YAML document.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    for line in lines(&Node::new(value, None), Layout::default()) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The node's lines, from column 0 on.
pub(crate) fn lines(node: &Node, layout: Layout) -> Vec<String> {
    match &node.content {
        _ if node.is_empty_collection() => vec![on_one_line(node).to_owned()],
        Content::Scalar { value, plain } => scalar(value, plain.as_deref(), layout),
        Content::Sequence(items) => items.iter().flat_map(|item| item_lines(item, layout)).collect(),
        Content::Mapping(entries) => entries.iter().flat_map(|entry| entry_lines(entry, layout)).collect(),
    }
}

/// `- item`, and the lines below it.
pub(crate) fn item_lines(item: &Node, layout: Layout) -> Vec<String> {
    let lines = lines(item, layout).into_iter().enumerate();
    lines.map(|(index, line)| indented(&line, if index == 0 { "- " } else { "  " })).collect()
}

/// `key: value`, and the lines below it.
pub(crate) fn entry_lines(entry: &Entry, layout: Layout) -> Vec<String> {
    let key = word(&entry.key);
    let below = lines(&entry.value, layout);
    let indent = match &entry.value.content {
        Content::Sequence(items) if !items.is_empty() => layout.dash,
        Content::Mapping(entries) if !entries.is_empty() => layout.step,
        _ => {
            // Below a scalar's first line stands what a block scalar has indented already.
            let mut below = below.into_iter();
            let first = format!("{key}: {}", below.next().unwrap_or_default());
            return std::iter::once(first).chain(below).collect();
        }
    };
    let below = below.into_iter().map(|line| indented(&line, &" ".repeat(indent)));
    std::iter::once(format!("{key}:")).chain(below).collect()
}

/// A line further right; an empty one stays empty.
pub(crate) fn indented(line: &str, indent: &str) -> String {
    if line.is_empty() { String::new() } else { format!("{indent}{line}") }
}

fn on_one_line(empty: &Node) -> &'static str {
    if matches!(empty.content, Content::Sequence(_)) { "[]" } else { "{}" }
}

fn scalar(value: &Value, plain: Option<&str>, layout: Layout) -> Vec<String> {
    match (value, plain) {
        (Value::Null, _) => vec!["null".to_owned()],
        (_, Some(plain)) => vec![plain.to_owned()],
        (Value::String(text), None) => literal(text, layout).unwrap_or_else(|| vec![word(text)]),
        (other, None) => vec![other.to_string()],
    }
}

/// Text of several lines as a literal block, where that can hold it.
fn literal(text: &str, layout: Layout) -> Option<Vec<String>> {
    let (body, header) = match text.strip_suffix('\n') {
        Some(body) => (body, "|"),
        None => (text, "|-"),
    };
    let fits = layout.literals
        && body.contains('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with('\n')
        && body.lines().all(|line| line.is_empty() || !line.trim().is_empty())
        && !body.chars().any(|c| is_unprintable(c) && c != '\n' && c != '\t');
    let indent = " ".repeat(layout.step);
    fits.then(|| {
        std::iter::once(header.to_owned())
            .chain(body.split('\n').map(|line| indented(line, &indent)))
            .collect()
    })
}

/// The node as a value in a line: `[…]`, `{…}` or a word.
pub(crate) fn inline(node: &Node) -> String {
    match &node.content {
        Content::Scalar { value: Value::Null, .. } => "null".to_owned(),
        Content::Scalar { plain: Some(plain), .. } => plain.clone(),
        Content::Scalar { value: Value::String(text), .. } => word(text),
        Content::Scalar { value, .. } => value.to_string(),
        Content::Sequence(_) | Content::Mapping(_) => json(node, None),
    }
}

/// The node as JSON: in one line, or with a line for each child, indented by `line` and further by its unit.
pub(crate) fn json(node: &Node, line: Option<Line<'_>>) -> String {
    let children: Vec<String> = match &node.content {
        Content::Scalar { value: Value::String(text), .. } => return quoted(text),
        Content::Scalar { value, .. } => return value.to_string(),
        Content::Sequence(items) => items.iter().map(|item| json(item, line.map(Line::deeper))).collect(),
        Content::Mapping(entries) => {
            let entry = |entry: &Entry| {
                format!("{}: {}", quoted(&entry.key), json(&entry.value, line.map(Line::deeper)))
            };
            entries.iter().map(entry).collect()
        }
    };
    let (open, close) = if matches!(node.content, Content::Sequence(_)) { ('[', ']') } else { ('{', '}') };
    match line {
        Some(line) if !children.is_empty() => {
            let (inner, outer) = (line.deeper().start(), line.start());
            format!("{open}{inner}{}{outer}{close}", children.join(&format!(",{inner}")))
        }
        _ => format!("{open}{}{close}", children.join(", ")),
    }
}

/// Where a line of JSON begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) newline: &'a str,
    pub(crate) indent: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) depth: usize,
}

impl Line<'_> {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    /// The break before it, and its indentation.
    pub(crate) fn start(self) -> String {
        format!("{}{}{}", self.newline, self.indent, self.unit.repeat(self.depth))
    }
}
