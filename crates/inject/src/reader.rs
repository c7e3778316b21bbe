//! Reads a Pod as an API server sends it: the fields that a decision looks at, and no more than so much memory of them.
//!
//! A byte of JSON can become fifty of a tree (`{"name":"a"},` is an object with a map of its own), and whoever may create Pods
//! chooses the bytes. So most of a Pod is skipped, and the rest is counted while it is read.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The most memory that a Pod's tree may take, in bytes, as [`cost`] counts it: 15,000 environment variables, where a Pod that
/// etcd takes is 1.5 MiB of JSON at most.
const MOST_MEMORY: usize = 16 * 1024 * 1024;

/// What a tree costs, in bytes, a little more rather than less. Source: measured with glibc's allocator on 64 bits.
mod cost {
    /// A list's room for an item, which grows by doubling.
    pub(super) const ITEM: usize = 64;
    /// The first node of a map, which has room for eleven entries.
    pub(super) const MAP: usize = 640;
    /// An entry of a map, its key's own allocation left aside.
    pub(super) const ENTRY: usize = 110;
    /// An allocation for a text beyond its bytes.
    pub(super) const TEXT: usize = 32;
}

/// What is read of an object.
#[derive(Clone, Copy)]
enum Read {
    /// All of it.
    Whole,
    /// These fields of it; the others are skipped.
    Fields(&'static [(&'static str, Read)]),
}

/// What [`decide`](crate::decide()) and [`warnings`](crate::warnings) look at.
const POD: Read = Read::Fields(&[
    (
        "metadata",
        Read::Fields(&[
            ("name", Read::Whole),
            ("generateName", Read::Whole),
            ("labels", Read::Whole),
            ("annotations", Read::Whole),
        ]),
    ),
    (
        "spec",
        Read::Fields(&[
            ("affinity", Read::Whole),
            ("containers", Read::Whole),
            ("hostNetwork", Read::Whole),
            ("imagePullSecrets", Read::Whole),
            ("initContainers", Read::Whole),
            ("nodeSelector", Read::Whole),
            ("os", Read::Whole),
            ("resources", Read::Whole),
            ("restartPolicy", Read::Whole),
            ("securityContext", Read::Whole),
            ("serviceAccountName", Read::Whole),
            ("terminationGracePeriodSeconds", Read::Whole),
            ("volumes", Read::Whole),
        ]),
    ),
]);

/// Why a Pod can't be read.
#[derive(Debug)]
pub enum PodError {
    /// Not JSON.
    Json(serde_json::Error),
    /// Its lists and maps would take too much memory.
    TooLarge,
}

/// Reads what a decision looks at of a Pod's JSON. What decides on the result decides as it would on all of the Pod.
pub fn read_pod(json: &str) -> Result<Value, PodError> {
    read_within(json, MOST_MEMORY)
}

fn read_within(json: &str, memory: usize) -> Result<Value, PodError> {
    let left = Cell::new(Some(memory));
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = Reader { read: POD, left: &left }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    match (left.get(), value) {
        (None, _) => Err(PodError::TooLarge),
        (Some(_), Ok(Value::Object(fields))) => Ok(fields.into()),
        (Some(_), Ok(_)) => Err(PodError::Json(Error::custom("a Pod is a JSON object"))),
        (Some(_), Err(error)) => Err(PodError::Json(error)),
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    read: Read,
    /// In bytes; `None` once it was not enough.
    left: &'a Cell<Option<usize>>,
}

impl Reader<'_> {
    fn spend<E: Error>(self, bytes: usize) -> Result<(), E> {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(bytes)));
        if self.left.get().is_some() { Ok(()) } else { Err(E::custom("too large")) }
    }

    fn text<E: Error>(self, text: &str) -> Result<(), E> {
        self.spend(cost::TEXT + text.len())
    }

    /// What is read of a field; `None` where nothing is.
    fn field(self, key: &str) -> Option<Self> {
        let read = match self.read {
            Read::Whole => Some(Read::Whole),
            Read::Fields(fields) => fields.iter().find(|(name, _)| *name == key).map(|(_, read)| *read),
        };
        read.map(|read| Self { read, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.text(value)?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            self.spend(cost::ITEM)?;
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        // Also where it stays empty: what is made of the items of a list is no smaller than they are.
        self.spend(cost::MAP)?;
        while let Some(key) = fields.next_key::<String>()? {
            let Some(reader) = self.field(&key) else {
                fields.next_value::<IgnoredAny>()?;
                continue;
            };
            self.spend(cost::ENTRY)?;
            self.text(&key)?;
            map.insert(key, fields.next_value_seed(reader)?);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_is_looked_at_as_it_stands() {
        let pod = json!({
            "metadata": {"name": "n", "labels": {"a": "b"}, "annotations": null},
            "spec": {
                "containers": [{"name": "c", "args": ["1", 2, -3, 1.5, true, null, [], {}], "new": {"x": [1]}}],
                "hostNetwork": true,
            },
        });
        let mut sent = pod.clone();
        sent["status"] = json!({"phase": "Pending"});
        sent["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
        sent["spec"]["tolerations"] = json!([{"key": "k"}]);
        assert_eq!(read_pod(&sent.to_string()).unwrap(), pod);
        for odd in ["{}", "{\"spec\": 7}", "{\"metadata\": null}"] {
            assert_eq!(read_pod(odd).unwrap(), serde_json::from_str::<Value>(odd).unwrap(), "{odd}");
        }
    }

    #[test]
    fn what_is_not_json_is_an_error() {
        for wrong in ["", "{", "{} x", "7", "[]", "{\"spec\": 1e999}", "{\"status\": [}"] {
            assert!(matches!(read_pod(wrong), Err(PodError::Json(_))), "{wrong}");
        }
        let deep = format!("{{\"spec\": {{\"volumes\": {}{}}}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(read_pod(&deep), Err(PodError::Json(_))));
    }

    /// Each is under the API server's limit of 3 MiB and once took more memory than the webhook has.
    #[test]
    fn what_is_not_looked_at_costs_nothing_and_the_rest_is_bounded() {
        let pod = |place: &str, items: String| match place.split_once('/') {
            Some((list, field)) => format!("{{\"spec\": {{\"{list}\": [{{\"{field}\": {items}}}]}}}}"),
            None => format!("{{\"spec\": {{\"{place}\": {items}}}}}"),
        };
        let list = |item: &str, times: usize| format!("[{}{item}]", format!("{item},").repeat(times));
        let entries: Map<String, Value> = (0..200_000).map(|n| (n.to_string(), "".into())).collect();
        let annotations = json!({"metadata": {"annotations": entries}}).to_string();
        assert!(read_pod(&pod("tolerations", list("{}", 1_000_000))).is_ok());
        for too_large in [
            pod("containers/args", list("\"\"", 1_000_000)),
            pod("containers/env", list("{\"name\":\"A\"}", 200_000)),
            pod("volumes", list("{}", 1_000_000)),
            annotations,
            format!("{{\"metadata\": {{\"name\": \"{}\"}}}}", "x".repeat(MOST_MEMORY)),
        ] {
            assert!(matches!(read_pod(&too_large), Err(PodError::TooLarge)), "{}", &too_large[..80]);
        }
        let many = pod("containers/env", list("{\"name\":\"NAME\",\"value\":\"value\"}", 10_000));
        assert!(read_pod(&many).is_ok(), "a Pod that an API server takes");
    }

    #[test]
    fn memory_is_counted_to_the_byte() {
        let json = "{\"spec\": {\"os\": {\"name\": \"linux\"}}}";
        let exact = 3 * (cost::MAP + cost::ENTRY)
            + ["spec", "os", "name", "linux"].map(|text| cost::TEXT + text.len()).iter().sum::<usize>();
        assert!(read_within(json, exact).is_ok());
        assert!(matches!(read_within(json, exact - 1), Err(PodError::TooLarge)));
    }
}
