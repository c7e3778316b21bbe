//! The object of a review as JSON, without its `managedFields`: a third of what an API server sends of a new Pod is its own
//! book-keeping. Nothing here looks at it, and a patch leaves it as it is.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The object; `null` counts as absent.
#[derive(Debug, Default)]
pub(super) struct Object(pub(super) Option<Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level::Object.deserialize(deserializer).map(Self)
    }
}

/// Where the reader stands.
#[derive(Clone, Copy)]
enum Level {
    Object,
    Metadata,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            match (self, &*key) {
                (Self::Metadata, "managedFields") => {
                    map.next_value::<IgnoredAny>()?;
                }
                (Self::Object, "metadata") => {
                    let metadata = map.next_value_seed(Self::Metadata)?;
                    fields.insert(key, metadata.unwrap_or_default());
                }
                _ => {
                    fields.insert(key, map.next_value()?);
                }
            }
        }
        Ok(Some(fields.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn managed_fields_alone_are_left_out() {
        let fields = json!([{"manager": "kubectl"}]);
        let object = json!({
            "metadata": {"name": "n", "managedFields": fields, "annotations": {"managedFields": "1"}},
            "spec": {"metadata": {"managedFields": [1]}, "managedFields": null},
        });
        let mut expected = object.clone();
        expected["metadata"].as_object_mut().unwrap().remove("managedFields");
        assert_eq!(serde_json::from_value::<Object>(object).unwrap().0, Some(expected));
        for same in [json!({}), json!({"metadata": null, "a": 1.5}), json!({"metadata": {}})] {
            assert_eq!(serde_json::from_value::<Object>(same.clone()).unwrap().0, Some(same));
        }
        assert_eq!(serde_json::from_str::<Object>("null").unwrap().0, None);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for wrong in ["7", "[]", "\"x\"", "true", "{\"metadata\": 7}", "{\"a\": 1e999}", "{"] {
            assert!(serde_json::from_str::<Object>(wrong).is_err(), "{wrong}");
        }
    }
}
