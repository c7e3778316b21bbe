//! JSON Patch's `add`, done to a tree.

use imds_inject::Operation;

use super::tree::{Content, Entry, Node, Origin};

/// Adds the value; nothing where the operation does not fit the tree.
pub(crate) fn add(root: &mut Node, operation: &Operation) -> Option<()> {
    let Operation { path, value } = operation;
    let value = &value.to_json();
    let mut names: Vec<String> = path.split('/').skip(1).map(unescape).collect();
    let last = names.pop()?;
    let mut node = root;
    for name in &names {
        node.touched = true;
        node = match &mut node.content {
            Content::Scalar { .. } => return None,
            Content::Sequence(items) => items.get_mut(name.parse::<usize>().ok()?)?,
            Content::Mapping(entries) => &mut entries.iter_mut().find(|entry| entry.key == *name)?.value,
        };
    }
    node.touched = true;
    match &mut node.content {
        Content::Scalar { .. } => return None,
        Content::Sequence(items) => {
            let index = if last == "-" { items.len() } else { last.parse().ok()? };
            if index > items.len() {
                return None;
            }
            items.insert(index, Node::new(value, None));
        }
        Content::Mapping(entries) => match entries.iter_mut().find(|entry| entry.key == last) {
            Some(entry) => entry.value = Node::new(value, entry.value.place.range().cloned()),
            None => {
                entries.push(Entry { key: last, origin: Origin::New, value: Node::new(value, None) });
            }
        },
    }
    Some(())
}

/// A name of a JSON pointer (RFC 6901).
fn unescape(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}
