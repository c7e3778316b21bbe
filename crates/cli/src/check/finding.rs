//! What a check found: a value with a word, a level, a sentence, and what mends it. The one place that knows any of the four:
//! text, JSON and documentation come from here.

use crate::facts::owner::Commands;
use crate::shell_words;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Well,
    /// It works, or may work, and somebody should know.
    Warning,
    /// It does not work.
    Wrong,
    /// It could not be looked at.
    Unseen,
}

impl Level {
    /// The word, in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
            Self::Unseen => "unseen",
        }
    }
}

/// A finding, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Which one it is: few words, for programs.
    pub(super) word: &'static str,
    pub(super) level: Level,
    /// One line. Text of others is in it as it is: what prints it makes it visible.
    pub(super) sentence: String,
    /// Commands, or YAML: lines of ours, with nothing of others in them that was not checked.
    pub(super) remedy: Option<String>,
    /// What follows from it, and is mended with it.
    pub(super) consequences: Vec<Finding>,
}

/// A field of a finding, as its remedy has it.
pub(in crate::check) trait InRemedy {
    /// What goes into the command; `field` is the field's name, in capitals the placeholder.
    fn in_remedy(&self, field: &'static str) -> String;
}

/// A text of others: an object's name, or nothing that goes into a command.
impl InRemedy for String {
    fn in_remedy(&self, field: &'static str) -> String {
        shell_words::name(self, &field.to_ascii_uppercase()).to_owned()
    }
}

/// Commands that were made of checked words.
impl InRemedy for Commands {
    fn in_remedy(&self, _: &'static str) -> String {
        self.to_string()
    }
}

macro_rules! ours_in_remedy {
    ($($type:ty),+) => {
        $(impl InRemedy for $type {
            fn in_remedy(&self, _: &'static str) -> String {
                self.to_string()
            }
        })+
    };
}

ours_in_remedy!(&'static str, u16, u64, i64, usize);

/// Defines an enum of findings, each in a line: its fields, its level, its word, its sentence, and what mends it. A field that is a
/// `String` is of others, and comes into the remedy only where it is an object's name.
macro_rules! findings {
    ($(#[$meta:meta])* $name:ident $(
        $variant:ident { $($field:ident: $type:ty),* $(,)? } = $level:ident $word:literal $sentence:literal $(mend $remedy:literal)?;
    )+) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub(in crate::check) enum $name { $($variant { $($field: $type),* },)+ }

        impl $name {
            /// The word and the level of each.
            #[cfg(test)]
            pub(in crate::check) const ALL: &'static [(&'static str, $crate::check::finding::Level)] =
                &[$(($word, $crate::check::finding::Level::$level)),+];
        }

        impl From<$name> for $crate::check::finding::Finding {
            #[allow(unused_variables, reason = "not every field is in both texts")]
            fn from(found: $name) -> Self {
                match found { $(
                    $name::$variant { $($field),* } => {
                        let sentence = format!($sentence);
                        $(let $field = $crate::check::finding::InRemedy::in_remedy(&$field, stringify!($field));)*
                        Self {
                            word: $word,
                            level: $crate::check::finding::Level::$level,
                            sentence,
                            remedy: $crate::check::finding::findings!(@remedy $($remedy)?),
                            consequences: Vec::new(),
                        }
                    }
                )+ }
            }
        }
    };
    (@remedy) => { None };
    (@remedy $remedy:literal) => { Some(format!($remedy)).filter(|remedy| !remedy.is_empty()) };
}

pub(super) use findings;
