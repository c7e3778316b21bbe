//! Changes inside of `[…]` and `{…}`, JSON files among them.

use std::ops::Range;

use super::edit::{Editor, line_start};
use super::scalar::quoted;
use super::tree::{Content, Entry, Node, Origin, Place};
use super::write::{Line, json};

/// A child of a collection.
struct Child<'a> {
    /// In front of the value: a key, or nothing.
    key: Option<&'a str>,
    value: &'a Node,
    /// The byte after its colon, or where it ends, where it is in the text.
    here: Option<usize>,
}

/// Adds to a flow collection what is new in it.
pub(crate) fn visit(editor: &mut Editor<'_>, node: &Node, range: &Range<usize>) {
    let children: Vec<Child<'_>> = match &node.content {
        Content::Scalar { .. } => return,
        Content::Sequence(items) => items.iter().map(item).collect(),
        Content::Mapping(entries) => entries.iter().filter_map(entry).collect(),
    };
    let lines = Lines::of(editor, range, &children);
    let opened = range.start + 1;
    let mut last = None;
    let is_first = |index: usize| children.get(..index).is_none_or(<[_]>::is_empty);
    for (index, child) in children.iter().enumerate() {
        let Some(colon) = child.here else {
            let text = lines.child(child);
            let follows =
                children.get(index..).is_some_and(|rest| rest.iter().any(|child| child.here.is_some()));
            match last {
                Some((end, blank)) => editor.insert(end, format!("{blank}{}", lines.after_another(&text))),
                None if follows => editor.insert(opened, lines.before_another(&text)),
                None => editor.insert(opened, lines.alone(&text, is_first(index))),
            }
            continue;
        };
        let place = child.value.place.range().cloned().unwrap_or(colon..colon);
        let over = if place.is_empty() { colon..colon } else { place };
        // `c:,` is no key without a value for every parser.
        last = Some((over.end, if over.is_empty() { " " } else { "" }));
        match &child.value.place {
            Place::New { .. } | Place::Alias { .. } if child.value.touched => {
                let blank = if over.is_empty() { " " } else { "" };
                let new = format!("{blank}{}", lines.value(child.value));
                editor.changes.push((over, new));
            }
            _ => editor.visit(child.value),
        }
    }
    let none_was_here = children.iter().all(|child| child.here.is_none());
    if none_was_here && !children.is_empty() {
        editor.insert(opened, lines.end());
    }
}

fn item(value: &Node) -> Child<'_> {
    let here = match &value.place {
        Place::New { .. } => None,
        Place::Block { range, .. } | Place::Flow { range } | Place::Alias { range } => Some(range.end),
    };
    Child { key: None, value, here }
}

/// What a merge key brought in and nothing was added to is not written.
fn entry(entry: &Entry) -> Option<Child<'_>> {
    let here = match entry.origin {
        Origin::Here { colon } => Some(colon),
        Origin::Merged if !entry.value.touched => return None,
        Origin::Merged | Origin::New => None,
    };
    Some(Child { key: Some(&entry.key), value: &entry.value, here })
}

/// Where the children of a collection stand: each on a line of its own, or all on one.
struct Lines {
    newline: &'static str,
    /// Of the children's lines and of the closing bracket's; `None` where all is on one line.
    indent: Option<(String, String)>,
    unit: String,
}

impl Lines {
    fn of(editor: &Editor<'_>, range: &Range<usize>, children: &[Child<'_>]) -> Self {
        let text = editor.text;
        let several_lines =
            |range: &Range<usize>| text.get(range.clone()).is_some_and(|text| text.contains('\n'));
        let whole = match &editor.root.place {
            Place::Flow { range } => Some(range),
            _ => None,
        };
        let unit = whole.and_then(|whole| first_indent(text, whole.start + 1));
        let unit = unit.filter(|unit| !unit.is_empty()).unwrap_or_else(|| "  ".to_owned());
        let outer = indent(text, range.start);
        let has_children = children.iter().any(|child| child.here.is_some());
        let first = first_indent(text, range.start + 1).filter(|_| has_children);
        let inner = match first {
            Some(first) => Some(first),
            None if !has_children && whole.is_some_and(several_lines) => Some(format!("{outer}{unit}")),
            None => None,
        };
        Self { newline: editor.newline, indent: inner.map(|inner| (inner, outer)), unit }
    }

    fn line(&self) -> Option<Line<'_>> {
        let (indent, _) = self.indent.as_ref()?;
        Some(Line { newline: self.newline, indent, unit: &self.unit, depth: 0 })
    }

    fn value(&self, value: &Node) -> String {
        json(value, self.line())
    }

    fn child(&self, child: &Child<'_>) -> String {
        let value = self.value(child.value);
        child.key.map_or_else(|| value.clone(), |key| format!("{}: {value}", quoted(key)))
    }

    fn start(&self) -> String {
        self.line().map_or_else(String::new, Line::start)
    }

    fn before_another(&self, child: &str) -> String {
        let blank = if self.indent.is_some() { "" } else { " " };
        format!("{}{child},{blank}", self.start())
    }

    fn after_another(&self, child: &str) -> String {
        let blank = if self.indent.is_some() { "" } else { " " };
        format!(",{blank}{}{child}", self.start())
    }

    /// In a collection that was empty.
    fn alone(&self, child: &str, is_first: bool) -> String {
        if is_first { format!("{}{child}", self.start()) } else { self.after_another(child) }
    }

    /// Before the closing bracket of a collection that was empty.
    fn end(&self) -> String {
        self.indent.as_ref().map_or_else(String::new, |(_, outer)| format!("{}{outer}", self.newline))
    }
}

/// The blanks that the line begins with.
fn indent(text: &str, at: usize) -> String {
    let line = text.get(line_start(text, at)..).unwrap_or_default();
    line.chars().take_while(|c| *c == ' ' || *c == '\t').collect()
}

/// The indentation of what comes first after an opening bracket, if that stands on a line of its own.
fn first_indent(text: &str, after: usize) -> Option<String> {
    let rest = text.get(after..)?;
    let blank = rest.len() - rest.trim_start().len();
    rest.get(..blank)?.contains('\n').then(|| indent(text, after + blank))
}
