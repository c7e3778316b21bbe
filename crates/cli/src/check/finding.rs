//! What a check found: a value with a word, a level, a sentence, and what mends it. The one place that knows any of the four:
//! text, JSON and documentation come from here.

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
    pub(super) sentence: String,
    /// A command, or YAML.
    pub(super) remedy: Option<String>,
}

/// Defines an enum of findings, each in a line: its fields, its level, its word, its sentence, and what mends it.
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
                    $name::$variant { $($field),* } => Self {
                        word: $word,
                        level: $crate::check::finding::Level::$level,
                        sentence: format!($sentence),
                        remedy: $crate::check::finding::findings!(@remedy $($remedy)?),
                    },
                )+ }
            }
        }
    };
    (@remedy) => { None };
    (@remedy $remedy:literal) => { Some(format!($remedy)).filter(|remedy| !remedy.is_empty()) };
}

pub(super) use findings;
