//! What an unquoted word means, and which words have to be quoted.
//!
//! The meaning is the one that kubectl and the API server give it: `sigs.k8s.io/yaml`, that is go-yaml v2, which reads
//! YAML 1.1's `yes` and `0644` and YAML 1.2's `0o644`. What is written is quoted wherever any version would misread it.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// The value of a plain scalar. Source: `sigs.k8s.io/yaml`, `goyaml.v2/resolve.go`. A number that JSON has not (`.inf`)
/// stays text.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    let text = text.replace('_', "");
    integer(&text).or_else(|| float(&text))
}

fn integer(text: &str) -> Option<Number> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match (lower.get(..2), lower.strip_prefix('0')) {
        (Some("0x"), _) => (16, lower.get(2..)?),
        (Some("0o"), _) => (8, lower.get(2..)?),
        (Some("0b"), _) => (2, lower.get(2..)?),
        (_, Some(octal)) if !octal.is_empty() => (8, octal),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let signed = i64::from_str_radix(&format!("{sign}{digits}"), radix).map(Number::from).ok();
    signed.or_else(|| u64::from_str_radix(digits, radix).ok().filter(|_| sign.is_empty()).map(Number::from))
}

fn float(text: &str) -> Option<Number> {
    let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    // Rust would also read `inf` and `nan`, and JSON has neither.
    text.chars().all(is_part).then(|| text.parse().ok()).flatten().and_then(Number::from_f64)
}

/// The text as YAML that every version reads as text, on one line.
pub(crate) fn word(text: &str) -> String {
    if is_safe(text) { text.to_owned() } else { quoted(text) }
}

/// Letters first, and nothing but what names, paths, flags, ARNs and images consist of; or a quantity (`16Mi`).
fn is_safe(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic();
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "_-./:@+=".contains(c);
    let first = text.strip_prefix("--").unwrap_or(text);
    let name = first.starts_with(|first| is_letter(first) || first == '/')
        && text.chars().all(is_inner)
        && !text.ends_with(':')
        && !["nan", "inf"].contains(&text.to_ascii_lowercase().as_str())
        && resolve(text).is_string();
    // Letters that no notation of a number has: 0x1f, 1e3, 0o7 and 0b1 stay quoted.
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let quantity =
        unit.len() < text.len() && !unit.is_empty() && unit.chars().all(|c| "mkKMGTPi".contains(c));
    name || quantity
}

/// The text in double quotes; also JSON.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_unprintable(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(quoted, "\\u{unit:04x}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What YAML (1.1, the stricter) forbids, folds or takes for the end of a line.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_word_means_what_kubectl_takes_it_for() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("Null", json!(null)),
            ("yes", json!(true)),
            ("True", json!(true)),
            ("n", json!(false)),
            ("off", json!(false)),
            ("yEs", json!("yEs")),
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("1_000", json!(1000)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            ("09", json!(9.0)),
            (".inf", json!(".inf")),
            ("-", json!("-")),
            ("+-5", json!("+-5")),
            ("1.2.3", json!("1.2.3")),
            ("16Mi", json!("16Mi")),
            ("2001-01-01", json!("2001-01-01")),
            ("1:30", json!("1:30")),
            ("nginx", json!("nginx")),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
    }

    #[test]
    fn what_any_version_of_yaml_would_misread_is_quoted() {
        for text in [
            "",
            "yes",
            "No",
            "y",
            "TRUE",
            "off",
            "null",
            "~",
            "1e3",
            "0o7",
            "0x1f",
            "1_000",
            "12",
            "1.5",
            "1:30",
            ".5",
            "2001-01-01",
            "a: b",
            "a #b",
            "a:",
            "- a",
            "-a",
            "---",
            "--1",
            "--",
            "*a",
            "&a",
            "!a",
            "a b ",
            "a\nb",
            "nan",
            "{a",
            "[",
            "@a",
            "%a",
            "<<",
            "=",
            "|",
            "\u{7f}",
            "é",
            "1e3i",
        ] {
            assert_eq!(word(text), quoted(text), "{text}");
        }
    }

    #[test]
    fn what_is_plain_everywhere_is_not_quoted() {
        for text in [
            "nginx",
            "16Mi",
            "5m",
            "/imds-emulator",
            "registry.example/imds:1",
            "arn:aws:iam::123456789012:role/my-example-role",
            "status.podIPs",
            "--to-port",
        ] {
            assert_eq!(word(text), text);
        }
    }

    #[test]
    fn quoted_text_is_json() {
        for text in ["a\"\\\n\t\r\u{1}\u{7f}\u{85}\u{2028}\u{feff}", "é😀", "\u{1f4a9}"] {
            assert_eq!(serde_json::from_str::<String>(&quoted(text)).unwrap(), text);
        }
    }
}
