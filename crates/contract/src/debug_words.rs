//! Names of a library's errors, as words.

/// What a library tells by `Debug` alone: the innermost name, without its fields. `Other(OtherError(CaUsedAsEndEntity))` is "ca used as
/// end entity".
pub fn debug_words(debug: &str) -> String {
    let names = debug.split('{').next().unwrap_or_default().split('(').map(str::trim);
    let innermost = names.take_while(|name| name.starts_with(|c: char| c.is_ascii_uppercase())).last();
    let mut words = String::new();
    let mut before = ' ';
    for character in innermost.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric) {
        if character.is_ascii_uppercase() && !before.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
        before = character;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_name_in_words() {
        for (debug, words) in [
            ("Other(OtherError(CaUsedAsEndEntity))", "ca used as end entity"),
            (
                "UnsupportedSignatureAlgorithmContext { signature_algorithm_id: [6, 9], supported: [] }",
                "unsupported signature algorithm context",
            ),
            ("Other(OtherError(TrailingData(Certificate)))", "certificate"),
            ("Tls12NotOffered", "tls12 not offered"),
            ("Unknown(80)", "unknown"),
            ("BadDER", "bad der"),
            ("", ""),
            ("[1, 2]", ""),
        ] {
            assert_eq!(debug_words(debug), words, "{debug}");
        }
    }
}
