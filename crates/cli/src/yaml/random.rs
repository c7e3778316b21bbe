//! Random documents, written in random styles, with random additions: what is edited reads as the patched document, in our
//! parser and in another, comments survive, and nothing is written anew that has no anchor.

use std::fmt::Write as _;

use imds_inject::{Operation, apply};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::scalar::{quoted, word};
use super::{edit, parse};

/// Words that are easily misread.
const WORDS: [&str; 24] = [
    "yes",
    "name",
    "a: b",
    "#x",
    "",
    " blank ",
    "one\ntwo",
    "é",
    "1e3",
    "-",
    "a'b\"c",
    "first\n\nsecond\n",
    "null",
    "~",
    "0o7",
    "*a",
    "&a",
    "!t",
    "{",
    "]",
    "a,b",
    "%d",
    "😀",
    "x #y",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        select(&WORDS).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let fields = prop::collection::vec((select(&WORDS), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Value>()),
        ]
    })
}

/// A map, as every manifest is.
fn document() -> impl Strategy<Value = Value> {
    prop::collection::vec((select(&WORDS), value()), 1..5)
        .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// JSON pointers to all that can be added to.
fn targets(value: &Value, path: &str, found: &mut Vec<(String, usize)>) {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Array(items) => {
            found.push((path.to_owned(), items.len()));
            for (index, item) in items.iter().enumerate() {
                targets(item, &format!("{path}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            found.push((path.to_owned(), 0));
            for (key, value) in fields {
                targets(value, &format!("{path}/{}", escape(key)), found);
            }
        }
        _ => {}
    }
}

/// Adds to random places, as the injection does: never over something that is there, but for `null`.
fn operations(document: &Value, choices: &[(Index, Index, Value)]) -> (Vec<Operation>, Value) {
    let (mut operations, mut patched) = (Vec::new(), document.clone());
    for (number, (place, index, value)) in choices.iter().enumerate() {
        let mut places = Vec::new();
        targets(&patched, "", &mut places);
        let (parent, length) = place.get(&places);
        let key = match patched.pointer(parent) {
            Some(Value::Array(_)) if index.index(3) == 0 => "-".to_owned(),
            Some(Value::Array(_)) => index.index(length + 1).to_string(),
            Some(Value::Object(fields)) => {
                let null = fields.iter().find(|(key, value)| value.is_null() && !key.contains(['/', '~']));
                null.map_or_else(|| format!("added {number}"), |(key, _)| key.clone())
            }
            _ => unreachable!("only collections are targets"),
        };
        let operation = Operation { path: format!("{parent}/{key}"), value: value.clone().into() };
        apply(&mut patched, std::slice::from_ref(&operation)).unwrap();
        operations.push(operation);
    }
    (operations, patched)
}

/// Writes a value as a person might.
struct Writer<'a> {
    choices: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    comments: usize,
    text: String,
}

impl Writer<'_> {
    fn choose(&mut self, of: u8) -> u8 {
        self.choices.next().copied().unwrap_or_default() % of
    }

    fn blanks(&mut self, below: u8) -> String {
        " ".repeat(usize::from(self.choose(below)))
    }

    fn comment(&mut self) -> String {
        self.comments += 1;
        format!("# comment {} {{[- a: b", self.comments)
    }

    fn end_line(&mut self) {
        if self.choose(4) == 0 {
            let comment = self.comment();
            let blanks = self.blanks(3);
            write!(self.text, "{blanks} {comment}").unwrap();
        }
        self.text.push('\n');
        match self.choose(6) {
            0 => self.text.push('\n'),
            1 => {
                let comment = self.comment();
                let blanks = self.blanks(9);
                writeln!(self.text, "{blanks}{comment}").unwrap();
            }
            _ => {}
        }
    }

    fn scalar(&mut self, value: &Value) -> String {
        match value {
            Value::Null => (*["null", "~", "Null"].get(usize::from(self.choose(3))).unwrap()).to_owned(),
            Value::String(text) => match self.choose(3) {
                0 if !text.contains('\n') => format!("'{}'", text.replace('\'', "''")),
                1 => word(text),
                _ => quoted(text),
            },
            other => other.to_string(),
        }
    }

    fn flow(&mut self, value: &Value) {
        let children: Vec<(Option<&String>, &Value)> = match value {
            Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
            Value::Object(fields) => fields.iter().map(|(key, value)| (Some(key), value)).collect(),
            scalar => return self.text.push_str(&quoted_scalar(scalar)),
        };
        let (open, close) = if value.is_array() { ('[', ']') } else { ('{', '}') };
        self.text.push(open);
        let last = children.len();
        for (index, (key, child)) in children.into_iter().enumerate() {
            if self.choose(5) == 0 {
                self.text.push_str(" \n                              ");
            }
            if let Some(key) = key {
                write!(self.text, "{}: ", quoted(key)).unwrap();
            }
            self.flow(child);
            if index + 1 < last {
                self.text.push_str(", ");
            } else if self.choose(4) == 0 {
                self.text.push_str(" , ");
            }
        }
        self.text.push(close);
    }

    /// The value of a key (`dash` false) or of an item, after the colon or the dash.
    fn value(&mut self, value: &Value, column: usize, dash: bool) {
        let empty = value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty);
        match value {
            Value::Array(_) | Value::Object(_) if empty || self.choose(5) == 0 => {
                self.text.push(' ');
                self.flow(value);
                self.end_line();
            }
            Value::Array(_) | Value::Object(_) if dash => {
                let blanks = 1 + usize::from(self.choose(3));
                self.text.push_str(&" ".repeat(blanks));
                self.block(value, column + 1 + blanks, true);
            }
            Value::Array(_) | Value::Object(_) => {
                let least = u8::from(value.is_object());
                let inner = column + usize::from(least + self.choose(4));
                self.end_line();
                self.block(value, inner, false);
            }
            Value::Null if self.choose(2) == 0 => self.end_line(),
            Value::String(text) if text == "first\n\nsecond\n" => {
                writeln!(self.text, " |\n{0}first\n\n{0}second", " ".repeat(column + 3)).unwrap();
            }
            scalar => {
                let scalar = self.scalar(scalar);
                write!(self.text, " {scalar}").unwrap();
                self.end_line();
            }
        }
    }

    /// `started`: the first line has its indentation already.
    fn block(&mut self, value: &Value, column: usize, started: bool) {
        let mut indent = if started { String::new() } else { " ".repeat(column) };
        let children: Vec<(Option<&String>, &Value)> = match value {
            Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
            Value::Object(fields) => fields.iter().map(|(key, value)| (Some(key), value)).collect(),
            _ => unreachable!("a collection"),
        };
        for (key, child) in children {
            self.text.push_str(&indent);
            indent = " ".repeat(column);
            let key = key.map(|key| Value::from(key.clone()));
            match &key {
                Some(key) => {
                    let key = self.scalar(key);
                    write!(self.text, "{key}:").unwrap();
                }
                None => self.text.push('-'),
            }
            self.value(child, column, key.is_none());
        }
    }
}

fn quoted_scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), quoted)
}

/// The numbers of the comments, in the text's order.
fn comments(text: &str) -> Vec<&str> {
    text.match_indices("# comment ")
        .filter_map(|(at, found)| text[at + found.len()..].split(' ').next())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_edited_reads_as_the_patched_document(
        document in document(),
        styles in prop::collection::vec(any::<u8>(), 1..60),
        choices in prop::collection::vec((any::<Index>(), any::<Index>(), value()), 1..6),
        windows in any::<bool>(),
    ) {
        let mut writer = Writer { choices: styles.iter().cycle(), comments: 0, text: String::new() };
        writer.block(&document, 0, false);
        let newline = if windows { "\r\n" } else { "\n" };
        let text = format!("# first\n---\na: 1\n---\n{}--- # last\nb: 2\n", writer.text).replace('\n', newline);

        let stream = parse(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(stream.documents.len(), 3, "{}", text);
        let found = &stream.documents[1];
        prop_assert_eq!(found.root.to_json(), document.clone(), "{}", text);

        let (operations, patched) = operations(&document, &choices);
        let edited = edit(&text, found, &operations).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        let whole = format!("{}{}{}", &text[..found.range.start], edited.text, &text[found.range.end..]);
        prop_assert!(!edited.anew, "written anew:\n{}\n{:?}", text, operations);
        let documents: Vec<Value> =
            parse(&whole).unwrap().documents.iter().map(|document| document.root.to_json()).collect();
        prop_assert_eq!(&documents, &[json!({"a": 1}), patched.clone(), json!({"b": 2})], "{}", whole);
        prop_assert_eq!(comments(&whole), comments(&text), "{}", whole);
        prop_assert_eq!(whole.contains("\r\n"), windows);

        let foreign: Vec<Value> =
            serde_yaml_ng::Deserializer::from_str(&whole).map(|document| Value::deserialize(document).unwrap()).collect();
        prop_assert_eq!(&foreign[1], &patched, "{}", whole);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-a:{}\\[\\]#&*!|>'\"%@`,? \t\r\n~0<]{0,60}") {
        if let Ok(stream) = parse(&text) {
            let operation = Operation { path: "/a".to_owned(), value: json!({"b": [1]}).into() };
            for document in &stream.documents {
                let _ = edit(&text, document, std::slice::from_ref(&operation));
            }
        }
    }
}
