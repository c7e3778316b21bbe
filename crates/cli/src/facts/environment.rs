//! A container's environment, by its spec. Of a name that stands there twice the last counts, as for kubelet.

use serde_json::Value;

use super::object::{list, text};

/// The variable of this name.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    list(container, "/env").iter().rev().find(|variable| text(variable, "/name") == Some(name))
}

/// Its value, where it is in the spec.
pub(crate) fn value<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    text(variable(container, name)?, "/value")
}
