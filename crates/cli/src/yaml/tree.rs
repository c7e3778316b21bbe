//! A document as a tree whose nodes know their place in the text.

use std::ops::Range;

use serde_json::Value;

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) place: Place,
    /// Something was added to it or below it.
    pub(crate) touched: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar {
        value: Value,
        /// How it stands in the text, if it does so in one line and without quotes: `0644` stays `0644`.
        plain: Option<String>,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) value: Node,
}

/// Where an entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It stands here; its colon ends at this byte.
    Here {
        /// The byte after the colon, or after the key where there is none.
        colon: usize,
    },
    /// It came with a merge key (`<<`).
    Merged,
    New,
}

/// Where a node's text is, in bytes of the whole stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// `- item` or `key: value` lines. From the first dash or key to the end of the last value.
    Block {
        range: Range<usize>,
        /// Of the dashes or keys, in characters from 0.
        column: usize,
    },
    /// `[…]`, `{…}` or a scalar.
    Flow { range: Range<usize> },
    /// `*name`. The content, and the places below, are the anchor's.
    Alias { range: Range<usize> },
    /// Not in the text yet; `over` is what it replaces there.
    New { over: Option<Range<usize>> },
}

impl Place {
    /// What the node takes in the text.
    pub(crate) fn range(&self) -> Option<&Range<usize>> {
        match self {
            Self::Block { range, .. } | Self::Flow { range } | Self::Alias { range } => Some(range),
            Self::New { over } => over.as_ref(),
        }
    }
}

impl Node {
    /// A node that is not in the text yet.
    pub(crate) fn new(value: &Value, over: Option<Range<usize>>) -> Self {
        let content = match value {
            Value::Array(items) => {
                Content::Sequence(items.iter().map(|item| Self::new(item, None)).collect())
            }
            Value::Object(fields) => {
                let entry = |(key, value): (&String, &Value)| Entry {
                    key: key.clone(),
                    origin: Origin::New,
                    value: Self::new(value, None),
                };
                Content::Mapping(fields.iter().map(entry).collect())
            }
            scalar => Content::Scalar { value: scalar.clone(), plain: None },
        };
        Self { content, place: Place::New { over }, touched: true }
    }

    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar { value, .. } => value.clone(),
            Content::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Content::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
            }
        }
    }

    /// How many nodes it consists of.
    pub(crate) fn size(&self) -> usize {
        1 + self.children().map(Self::size).sum::<usize>()
    }

    /// How deep it is: 1 for a scalar.
    pub(crate) fn depth(&self) -> usize {
        1 + self.children().map(Self::depth).max().unwrap_or_default()
    }

    /// Whether it is a list or a map with nothing in it.
    pub(crate) fn is_empty_collection(&self) -> bool {
        !matches!(self.content, Content::Scalar { .. }) && self.children().next().is_none()
    }

    /// The items of the list at this key of a map.
    pub(crate) fn items_of(&self, key: &str) -> &[Self] {
        let Content::Mapping(entries) = &self.content else { return &[] };
        match entries.iter().rfind(|entry| entry.key == key).map(|entry| &entry.value.content) {
            Some(Content::Sequence(items)) => items,
            _ => &[],
        }
    }

    /// The values of a collection.
    pub(crate) fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match &self.content {
            Content::Scalar { .. } => Box::new(std::iter::empty()),
            Content::Sequence(items) => Box::new(items.iter()),
            Content::Mapping(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
        }
    }
}
