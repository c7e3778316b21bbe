//! The programs' log lines: JSON, a line each (`imds-daemon`'s `log`).

use serde_json::Value;

/// What a line says: its message, where it is one of ours; else the line.
pub(crate) fn message(line: &str) -> String {
    let message = parse(line).and_then(|line| Some(line.get("message")?.as_str()?.to_owned()));
    message.unwrap_or_else(|| line.to_owned())
}

/// How grave a line is, where it is one of ours.
pub(crate) fn level(line: &str) -> Option<String> {
    Some(parse(line)?.get("level")?.as_str()?.to_owned())
}

/// The fields of a line.
pub(crate) fn parse(line: &str) -> Option<Value> {
    serde_json::from_str(line.trim()).ok().filter(Value::is_object)
}
