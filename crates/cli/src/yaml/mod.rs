//! YAML files that are edited in place: what is not touched stays as it was, byte for byte, comments and layout included.
//!
//! [`parse()`] reads a stream into trees that know where in the text each node stands. [`mod@edit`] puts what is new into a
//! tree, makes changes of the text of it, and checks them: the edited text, read again, has to be what was meant. Where it
//! is not (an anchor would change together with its aliases), the document is written anew.

mod add;
mod edit;
mod flow;
mod parse;
#[cfg(test)]
mod random;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;
mod write;

pub(crate) use edit::edit;
pub(crate) use parse::parse;
pub(crate) use scalar::{is_unprintable, quoted};
pub(crate) use write::to_yaml;
