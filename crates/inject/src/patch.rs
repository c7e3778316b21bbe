//! Add-only JSON Patch (RFC 6902), computed against the raw document.
//!
//! [`Operation`] has no kind: it is an `add`, so a patch cannot remove or replace. [`Patch`] looks at the document to know
//! which parents exist and adds the missing ones first; `null` counts as absent, as it does for the API server.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::container::Container;

/// One `add` operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "op", rename = "add")]
pub struct Operation {
    /// A JSON pointer (RFC 6901); `-` at its end appends to an array.
    pub path: String,
    /// What is added there.
    pub value: Added,
}

/// What an operation adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Added {
    /// A container of ours.
    Container(Box<Container>),
    /// Anything else.
    Json(Value),
}

impl Added {
    /// As a tree of JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Container(container) => to_json(container),
            Self::Json(value) => value.clone(),
        }
    }
}

impl From<Container> for Added {
    fn from(container: Container) -> Self {
        Self::Container(Box::new(container))
    }
}

impl From<Value> for Added {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

/// Something of ours as a tree of JSON. It is text, numbers and lists of them: there is nothing in it that JSON has not.
pub(crate) fn to_json(ours: &impl Serialize) -> Value {
    serde_json::to_value(ours).unwrap_or_default()
}

/// An operation that does not fit the document: it was computed against another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misplaced {
    /// The operation's path.
    pub path: String,
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing can be added at {}", self.path)
    }
}

impl std::error::Error for Misplaced {}

/// Applies the operations in their order.
pub fn apply(document: &mut Value, operations: &[Operation]) -> Result<(), Misplaced> {
    for Operation { path, value } in operations {
        add(document, path, value.to_json()).ok_or_else(|| Misplaced { path: path.clone() })?;
    }
    Ok(())
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, key) = path.rsplit_once('/')?;
    match document.pointer_mut(parent)? {
        Value::Object(fields) => {
            fields.insert(unescape(key), value);
        }
        Value::Array(items) => {
            let index = if key == "-" { items.len() } else { key.parse().ok()? };
            if index > items.len() {
                return None;
            }
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

/// Something of the document that is neither absent nor what a Pod has there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misshapen {
    pub(crate) path: String,
}

/// Collects operations against `document`.
#[derive(Debug)]
pub(crate) struct Patch<'a> {
    document: &'a Value,
    /// Parents that an operation so far adds.
    made: BTreeSet<String>,
    operations: Vec<Operation>,
}

#[derive(Clone, Copy)]
enum Shape {
    Array,
    Object,
}

impl<'a> Patch<'a> {
    pub(crate) fn new(document: &'a Value) -> Self {
        Self { document, made: BTreeSet::new(), operations: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    pub(crate) fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// Adds `value` at the end of the array.
    pub(crate) fn append(&mut self, array: &str, value: impl Into<Added>) -> Result<(), Misshapen> {
        self.ensure(array, Shape::Array)?;
        self.add(format!("{array}/-"), value);
        Ok(())
    }

    /// Adds `values` before the array's first item. Whatever is to be added inside an item of this array by its index in
    /// the document has to be added before.
    pub(crate) fn prepend(&mut self, array: &str, values: Vec<Added>) -> Result<(), Misshapen> {
        self.ensure(array, Shape::Array)?;
        for (index, value) in values.into_iter().enumerate() {
            self.add(format!("{array}/{index}"), value);
        }
        Ok(())
    }

    /// Sets a field of the object, unless it is there.
    pub(crate) fn set_absent(
        &mut self,
        object: &str,
        key: &str,
        value: impl Into<Added>,
    ) -> Result<(), Misshapen> {
        self.ensure(object, Shape::Object)?;
        let present = at(self.document, object).and_then(|object| object.get(key));
        if present.is_none_or(Value::is_null) {
            self.add(format!("{object}/{}", escape(key)), value);
        }
        Ok(())
    }

    fn ensure(&mut self, path: &str, shape: Shape) -> Result<(), Misshapen> {
        if self.made.contains(path) {
            return Ok(());
        }
        match (at(self.document, path), shape) {
            (Some(Value::Array(_)), Shape::Array) | (Some(Value::Object(_)), Shape::Object) => Ok(()),
            (None | Some(Value::Null), _) => {
                let Some((parent, _)) = path.rsplit_once('/') else { return Err(misshapen(path)) };
                self.ensure(parent, Shape::Object)?;
                self.made.insert(path.to_owned());
                let empty = match shape {
                    Shape::Array => json!([]),
                    Shape::Object => json!({}),
                };
                self.add(path.to_owned(), empty);
                Ok(())
            }
            (Some(_), _) => Err(misshapen(path)),
        }
    }

    fn add(&mut self, path: String, value: impl Into<Added>) {
        self.operations.push(Operation { path, value: value.into() });
    }
}

fn misshapen(path: &str) -> Misshapen {
    Misshapen { path: path.to_owned() }
}

/// A key as it stands in a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// What stands at a JSON pointer. Like [`Value::pointer`], which copies each step to unescape what is never escaped here.
pub(crate) fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    if path.contains('~') {
        return document.pointer(path);
    }
    path.split('/').skip(1).try_fold(document, |value, key| match value {
        Value::Object(fields) => fields.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(document: &Value, patch: Patch<'_>) -> Value {
        let mut document = document.clone();
        apply(&mut document, &patch.into_operations()).unwrap();
        document
    }

    #[test]
    fn missing_and_null_parents_are_added_once() {
        for document in [json!({}), json!({"spec": null}), json!({"spec": {"volumes": null}})] {
            let mut patch = Patch::new(&document);
            patch.append("/spec/volumes", json!("a")).unwrap();
            patch.append("/spec/volumes", json!("b")).unwrap();
            assert_eq!(patched(&document, patch), json!({"spec": {"volumes": ["a", "b"]}}), "{document}");
        }
    }

    #[test]
    fn prepended_values_keep_their_order_before_what_is_there() {
        let document = json!({"list": ["theirs"]});
        let mut patch = Patch::new(&document);
        patch.prepend("/list", vec![json!("first").into(), json!("second").into()]).unwrap();
        assert_eq!(patched(&document, patch), json!({"list": ["first", "second", "theirs"]}));
    }

    #[test]
    fn a_field_that_is_there_stays() {
        let document = json!({"map": {"a/b~c": 1, "nothing": null}});
        let mut patch = Patch::new(&document);
        patch.set_absent("/map", "a/b~c", json!(2)).unwrap();
        patch.set_absent("/map", "nothing", json!(3)).unwrap();
        patch.set_absent("/map", "x/y", json!(4)).unwrap();
        assert_eq!(patched(&document, patch), json!({"map": {"a/b~c": 1, "nothing": 3, "x/y": 4}}));
    }

    #[test]
    fn what_is_neither_absent_nor_of_the_right_shape_is_no_parent() {
        let document = json!({"spec": {"volumes": "three"}});
        let mut patch = Patch::new(&document);
        assert_eq!(patch.append("/spec/volumes", json!(1)), Err(misshapen("/spec/volumes")));
        assert_eq!(patch.set_absent("/spec/volumes/x", "y", json!(1)), Err(misshapen("/spec/volumes")));
        assert_eq!(Patch::new(&json!(7)).append("/list", json!(1)), Err(misshapen("")));
    }

    #[test]
    fn an_operation_of_another_document_is_an_error() {
        for path in ["/absent/x", "/list/2", "/list/x", "/word/x", "nowhere"] {
            let mut document = json!({"list": [0], "word": "w"});
            let operation = Operation { path: path.to_owned(), value: json!(1).into() };
            assert!(apply(&mut document, &[operation]).is_err(), "{path}");
        }
    }

    #[test]
    fn an_operation_is_written_as_rfc_6902_has_it() {
        let operation = Operation { path: "/a/-".to_owned(), value: json!(1).into() };
        assert_eq!(
            serde_json::to_value(operation).unwrap(),
            json!({"op": "add", "path": "/a/-", "value": 1})
        );
    }
}
