//! What every object of Kubernetes has.

use std::time::SystemTime;

use serde_json::Value;

/// The text at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// The list at a JSON pointer; empty where there is none.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Namespace and name.
pub(crate) fn names(object: &Value) -> (String, String) {
    let part = |pointer| text(object, pointer).unwrap_or_default().to_owned();
    (part("/metadata/namespace"), part("/metadata/name"))
}

/// When it was made.
pub(crate) fn created(object: &Value) -> Option<SystemTime> {
    humantime::parse_rfc3339(text(object, "/metadata/creationTimestamp")?).ok()
}
