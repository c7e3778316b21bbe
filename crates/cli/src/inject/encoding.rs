//! A file's bytes as text, decoded as kubectl decodes them.

/// The byte order mark.
pub(super) const MARK: char = '\u{feff}';

/// UTF-8, or UTF-16 with its mark. With a sentence about the first byte that the encoding does not allow; kubectl reads U+FFFD there,
/// and so does the text. Source: `FileVisitor` in k8s.io/cli-runtime.
pub(super) fn decode(bytes: &[u8]) -> (String, Option<String>) {
    let ((text, fault), encoding) = match bytes {
        [0xff, 0xfe, units @ ..] => (utf16(units, u16::from_le_bytes), "UTF-16"),
        [0xfe, 0xff, units @ ..] => (utf16(units, u16::from_be_bytes), "UTF-16"),
        utf8 => {
            let fault = str::from_utf8(utf8).err().map(|error| error.valid_up_to());
            ((String::from_utf8_lossy(utf8).into_owned(), fault), "UTF-8")
        }
    };
    let line = |at| 1 + text.get(..at).unwrap_or_default().matches('\n').count();
    let fault = fault.map(|at| format!("line {}: this is not {encoding}", line(at)));
    (text, fault)
}

/// With the place in the text of the first replacement.
fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> (String, Option<usize>) {
    let (units, odd) = bytes.as_chunks::<2>();
    let (mut text, mut fault) = (String::with_capacity(bytes.len()), None);
    let characters = char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).map(Result::ok);
    for character in characters.chain(odd.iter().map(|_| None)) {
        if character.is_none() {
            fault.get_or_insert(text.len());
        }
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    (text, fault)
}

/// Without the byte order marks in front of documents after the first. kubectl skips them; they are there when files of editors on
/// Windows are concatenated. `None` if there are none.
pub(super) fn without_inner_marks(text: &str) -> Option<String> {
    if !text.chars().skip(1).any(|character| character == MARK) {
        return None;
    }
    let mut clean = String::with_capacity(text.len());
    // After a `---`, before the first line that is neither blank nor a comment.
    let mut begins = false;
    for line in text.split_inclusive('\n') {
        let line = if begins { line.trim_start_matches(MARK) } else { line };
        clean.push_str(line);
        let is_empty = |rest: &str| rest.trim().is_empty() || rest.trim_start().starts_with('#');
        begins = line.strip_prefix("---").is_some_and(is_empty) || begins && is_empty(line);
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_with_its_mark_is_decoded() {
        let text = "a: 1\r\nb: é😀\r\n";
        let bytes = |unit: fn(u16) -> [u8; 2]| {
            format!("{MARK}{text}").encode_utf16().flat_map(unit).collect::<Vec<u8>>()
        };
        for bytes in [bytes(u16::to_le_bytes), bytes(u16::to_be_bytes)] {
            assert_eq!(decode(&bytes), (text.to_owned(), None));
            let (cut, fault) = decode(&[&bytes[..], b"x"].concat());
            assert_eq!(
                (cut, fault.as_deref()),
                (format!("{text}\u{fffd}"), Some("line 3: this is not UTF-16"))
            );
        }
    }

    #[test]
    fn a_byte_that_is_not_utf_8_is_replaced_and_its_line_reported() {
        assert_eq!(decode("é".as_bytes()), ("é".to_owned(), None));
        let (text, fault) = decode(b"a: 1\nb: \xe9\nc: \xe9\n");
        assert_eq!(text, "a: 1\nb: \u{fffd}\nc: \u{fffd}\n");
        assert_eq!(fault.as_deref(), Some("line 2: this is not UTF-8"));
    }

    #[test]
    fn marks_in_front_of_documents_are_removed() {
        for (text, clean) in [
            ("a: 1\n---\n\u{feff}b: 2\n", "a: 1\n---\nb: 2\n"),
            ("\u{feff}a: 1\r\n---\r\n\u{feff}b: 2\r\n", "\u{feff}a: 1\r\n---\r\nb: 2\r\n"),
            ("a: 1\n--- # c\n\n# d\n\u{feff}\u{feff}b: 2\n", "a: 1\n--- # c\n\n# d\nb: 2\n"),
            ("a: 1\n---\n\u{feff}# d\n\u{feff}b: 2\n", "a: 1\n---\n# d\nb: 2\n"),
            ("a: 1\n---\n\u{feff}---\n\u{feff}b: 2", "a: 1\n---\n---\nb: 2"),
        ] {
            assert_eq!(without_inner_marks(text).as_deref(), Some(clean));
        }
        for text in ["\u{feff}a: 1\n", "a: 1\nb: \u{feff}2\n", "a: |\n  ---x\n\u{feff}b: 2\n"] {
            assert_eq!(without_inner_marks(text).unwrap_or_else(|| text.to_owned()), text);
        }
    }
}
