//! Text of others, made fit for a terminal and for a line. A Pod's log, its environment, an annotation, STS's answer or a file may
//! hold control characters, which a terminal obeys; characters that reorder or hide text; and line breaks, with which a text
//! forges lines that look like ours. All of them are shown as JSON writes them: `\u001b`, `\n`.
//!
//! The command line's output calls this for all that it prints; the injection, for what its sentences repeat.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text as a part of one line.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// A text whose line breaks are ours. JSON stays the same JSON: what is escaped can only be inside its strings.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character == '\n')
}

fn escaped(text: &str, is_layout: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_hidden = |character: char| is_invisible(character) && !is_layout(character);
    if !text.contains(is_hidden) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' if !is_layout(character) => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if is_hidden(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
            _ => shown.push(character),
        }
    }
    shown.into()
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and what Unicode calls default-ignorable: marks of the
/// writing direction, zero-width and filler characters, variation selectors, tags. Source: Unicode Character Database,
/// `Default_Ignorable_Code_Point` and general category `Cf`.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_is_shown() {
        for (text, shown) in [
            ("\u{1b}[2J\u{1b}]0;T\u{7}", "\\u001b[2J\\u001b]0;T\\u0007"),
            ("a\nb\r\tc\0", "a\\nb\\r\\tc\\u0000"),
            ("\u{7f}\u{9b}31m\u{85}", "\\u007f\\u009b31m\\u0085"),
            ("a\u{202e}b\u{2066}c\u{2069}\u{200e}\u{61c}", "a\\u202eb\\u2066c\\u2069\\u200e\\u061c"),
            (
                "a\u{200b}\u{200d}\u{feff}\u{2060}\u{ad}\u{3164}b",
                "a\\u200b\\u200d\\ufeff\\u2060\\u00ad\\u3164b",
            ),
            ("a\u{2028}b\u{2029}", "a\\u2028b\\u2029"),
            ("\u{e0041}\u{fe0f}", "\\udb40\\udc41\\ufe0f"),
            ("Grüße, 日本 ✔ …", "Grüße, 日本 ✔ …"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(visible_lines("a\n\u{1b}b\r\n"), "a\n\\u001bb\\r\n");
    }
}
