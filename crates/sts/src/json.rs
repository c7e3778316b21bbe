//! As much of a JSON reader as the claims of a token need: the fields of one object, whatever else stands in it. No
//! recursion without a bound, no allocation but for what is asked for.

use std::iter::Peekable;
use std::str::CharIndices;

/// Deeper than any token's claims are nested.
const DEEPEST: u32 = 32;

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Object,
    Array,
    Text,
    Other,
}

/// A JSON text, read from its beginning to its end. Every method is `None` where the text is no JSON.
pub(crate) struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, chars: text.char_indices().peekable(), depth: 0 }
    }

    /// What the next value is.
    pub(crate) fn peek(&mut self) -> Option<Token> {
        self.blanks();
        Some(match self.chars.peek()?.1 {
            '{' => Token::Object,
            '[' => Token::Array,
            '"' => Token::Text,
            _ => Token::Other,
        })
    }

    /// The object that is the next value, or the whole text: `field` reads the value of each of its fields.
    pub(crate) fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.items('{', '}', |reader| {
            let name = reader.string()?;
            reader.expect(':')?;
            field(reader, &name)
        })
    }

    /// The array that is the next value: `item` reads each of its items.
    pub(crate) fn array(&mut self, item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.items('[', ']', item)
    }

    /// The next value where it is a text; the inner `None` for any other.
    #[expect(clippy::option_option, reason = "no JSON, and no text")]
    pub(crate) fn text(&mut self) -> Option<Option<String>> {
        match self.peek()? {
            Token::Text => self.string().map(Some),
            _ => self.skip().map(|()| None),
        }
    }

    /// The next value where it is a whole number; the inner `None` for any other.
    #[expect(clippy::option_option, reason = "no JSON, and no number")]
    pub(crate) fn whole(&mut self) -> Option<Option<u64>> {
        match self.peek()? {
            Token::Other => Some(self.word()?.parse().ok()),
            _ => self.skip().map(|()| None),
        }
    }

    /// Passes over the next value.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            Token::Object => self.object(|reader, _| reader.skip()),
            Token::Array => self.array(Self::skip),
            Token::Text => self.string().map(drop),
            Token::Other => self.word().map(drop),
        }
    }

    fn items(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.expect(open)?;
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.blanks();
        if self.chars.peek()?.1 == close {
            self.chars.next();
        } else {
            loop {
                item(self)?;
                self.blanks();
                match self.chars.next()?.1 {
                    ',' => {}
                    end if end == close => break,
                    _ => return None,
                }
            }
        }
        self.depth -= 1;
        self.blanks();
        // Nothing stands behind the outermost value.
        (self.depth > 0 || self.chars.peek().is_none()).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        self.expect('"')?;
        rest_of_string(self.chars.by_ref().map(|(_, c)| c), |_| None)
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<&'a str> {
        self.blanks();
        let start = self.chars.peek()?.0;
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        while self.chars.next_if(|(_, c)| is_part(*c)).is_some() {}
        let end = self.chars.peek().map_or(self.text.len(), |(at, _)| *at);
        self.text.get(start..end).filter(|word| !word.is_empty())
    }

    fn expect(&mut self, expected: char) -> Option<()> {
        self.blanks();
        self.chars.next_if(|(_, c)| *c == expected).map(drop)
    }

    fn blanks(&mut self) {
        while self.chars.next_if(|(_, c)| c.is_ascii_whitespace()).is_some() {}
    }
}

/// What follows a string's first quote, up to its last. `other` says what an escape stands for that JSON does not have.
pub(crate) fn rest_of_string(
    mut chars: impl Iterator<Item = char>,
    other: impl Fn(char) -> Option<char>,
) -> Option<String> {
    let mut text = String::new();
    loop {
        text.push(match chars.next()? {
            '"' => return Some(text),
            '\\' => match chars.next()? {
                'u' => {
                    let mut code = 0;
                    for _ in 0..4 {
                        code = code * 16 + chars.next()?.to_digit(16)?;
                    }
                    // A half of a surrogate pair stands for nothing by itself: it is for a person's eyes alone.
                    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                }
                'n' | 'r' | 't' | 'b' | 'f' => ' ',
                c @ ('"' | '\\' | '/') => c,
                c => other(c)?,
            },
            c => c,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Option<Vec<String>> {
        let mut names = Vec::new();
        Reader::new(text).object(|reader, name| {
            names.push(name.to_owned());
            reader.skip()
        })?;
        Some(names)
    }

    #[test]
    fn the_fields_of_the_outermost_object_are_read_whatever_they_hold() {
        let text = r#" {"a": {"b": [1, -2.5e3, "]}", {}]}, "c\u0041\"": [], "d":null ,"e":"\\"} "#;
        assert_eq!(fields(text).unwrap(), ["a", "cA\"", "d", "e"]);
        assert_eq!(fields("{}").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_no_json_object_is_none() {
        for wrong in [
            "",
            "[]",
            "{",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1}}",
            "{'a':1}",
            "{\"a\":\"\\x\"}",
            "{a:1}",
        ] {
            assert_eq!(fields(wrong), None, "{wrong}");
        }
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(fields(&nested(31)).is_some());
        assert_eq!(fields(&nested(32)), None);
    }
}
