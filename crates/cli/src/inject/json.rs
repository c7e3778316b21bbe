//! JSON as YAML that kubectl reads: its YAML parser does not take all JSON.

use serde::de::IgnoredAny;

use super::encoding::MARK;
use crate::yaml::{is_unprintable, quoted};

/// JSON objects, which kubectl reads one after the other, as YAML documents. YAML may follow after a `---`. `None` if the text does not
/// begin with JSON, or stays the same.
pub(super) fn json_as_yaml(text: &str) -> Option<String> {
    let (blank, mut rest) = split_blank(text);
    let mut stream = blank;
    while rest.starts_with('{') {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let (value, after) = rest.split_at_checked(values.byte_offset())?;
        push_value(&mut stream, value);
        let (blank, next) = split_blank(after);
        stream.push_str(if next.starts_with('{') { "\n---\n" } else { &blank });
        rest = next;
    }
    let is_yaml = rest.is_empty() || rest.starts_with("---") || rest.starts_with('#');
    stream.push_str(rest);
    (is_yaml && stream != text).then_some(stream)
}

/// The blanks in front of it, without byte order marks; and the rest.
fn split_blank(text: &str) -> (String, &str) {
    let rest =
        text.trim_start_matches(|character: char| character == MARK || character.is_ascii_whitespace());
    let blank = text.strip_suffix(rest).unwrap_or_default();
    (blank.replace(MARK, ""), rest)
}

/// A JSON value whose strings YAML reads, with no line break between a key and its colon.
fn push_value(yaml: &mut String, value: &str) {
    let mut rest = value;
    while let Some((between, string)) = rest.find('"').and_then(|at| rest.split_at_checked(at)) {
        push_between(yaml, between);
        let (string, after) = string.split_at_checked(string_end(string)).unwrap_or((string, ""));
        yaml.push_str(&yaml_string(string).unwrap_or_else(|| string.to_owned()));
        rest = after;
    }
    push_between(yaml, rest);
}

fn push_between(yaml: &mut String, between: &str) {
    let word = between.trim_start();
    let is_broken = word.starts_with(':')
        && between.strip_suffix(word).is_some_and(|blank| !blank.trim_matches([' ', '\t']).is_empty());
    yaml.push_str(if is_broken { word } else { between });
}

/// The byte after the closing quote.
fn string_end(string: &str) -> usize {
    let mut bytes = string.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at + 1,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    string.len()
}

/// The string without `\/`, surrogates and unprintable characters. `None` if it has none, or half of a surrogate pair.
fn yaml_string(string: &str) -> Option<String> {
    let is_json_alone = ["\\/", "\\ud", "\\uD"].iter().any(|escape| string.contains(escape));
    let text: String =
        (is_json_alone || string.contains(is_unprintable)).then(|| serde_json::from_str(string).ok())??;
    Some(quoted(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_objects_in_a_row_become_documents() {
        for (json, yaml) in [
            ("{\"a\": 1}\n\n{\"b\": [2]}{}\n", "{\"a\": 1}\n---\n{\"b\": [2]}\n---\n{}\n"),
            ("\u{feff}{}\n\u{feff}{}\n\u{feff}", "{}\n---\n{}\n"),
            ("{}{}\n---\na: 1\n", "{}\n---\n{}\n---\na: 1\n"),
        ] {
            assert_eq!(json_as_yaml(json).as_deref(), Some(yaml));
        }
        for same in
            ["{\"a\": 1}\n", "{a: 1}\n", "a: {}\n", "{} # c\n", "", "{}\n{a: 1}\n", "{} {", "# c\n{}\n{}\n"]
        {
            assert_eq!(json_as_yaml(same), None, "{same:?}");
        }
    }

    #[test]
    fn what_yaml_does_not_read_in_json_is_written_otherwise() {
        for (json, yaml) in [
            (r#"{"a\/\"": "\ud83d\uDE00\n"}"#, "{\"a/\\\"\": \"😀\\n\"}"),
            ("{\"a\": \"\u{7f}\u{9b}\u{ffff}\\\\/\"}", r#"{"a": "\u007f\u009b\uffff\\/"}"#),
            ("{\"a\"\n:\r\n1, \"b\" : [\":\"\n]}", "{\"a\":\r\n1, \"b\" : [\":\"\n]}"),
        ] {
            assert_eq!(json_as_yaml(json).as_deref(), Some(yaml));
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::from_str::<serde_json::Value>(yaml).unwrap(), value);
        }
        assert_eq!(
            json_as_yaml(r#"{"a": "\\/ \\ud83d \u0041"}"#).as_deref(),
            Some(r#"{"a": "\\/ \\ud83d A"}"#)
        );
        assert_eq!(json_as_yaml(r#"{"a": "\ud83d"}"#), None, "half of a pair is no character");
    }
}
