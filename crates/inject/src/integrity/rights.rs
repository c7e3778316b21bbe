//! What a container of ours may do.

use serde_json::{Value, json};

use super::{Examiner, Place, keys, present, shown};
use crate::patch::Misshapen;

impl Examiner<'_> {
    /// Every field but `drop`, where more is less, and `seLinuxOptions`, which a platform assigns.
    pub(super) fn security_context(&mut self, place: &Place<'_>, expected: &Value) -> Result<(), Misshapen> {
        const KEY: &str = "securityContext";
        let Place { name, path, actual: container, .. } = place;
        let expected = expected.get(KEY).unwrap_or(&Value::Null);
        let Some(actual) = container.get(KEY).filter(|value| !value.is_null()) else {
            return self.same(name, path, KEY, expected, container);
        };
        let path = format!("{path}/{KEY}");
        for (field, expected) in expected.as_object().into_iter().flatten() {
            match (field.as_str(), actual.get(field)) {
                ("capabilities", Some(capabilities)) if capabilities.is_object() => {
                    self.capabilities(name, &path, expected, capabilities)?;
                }
                _ if expected.is_object() => self.object(name, &path, field, expected, actual, &[])?,
                _ => self.same(name, &path, field, expected, actual)?,
            }
        }
        for field in keys(actual).filter(|field| expected.get(field).is_none()) {
            let value = actual.get(field).unwrap_or(&Value::Null);
            match field {
                "procMount" if value == "Default" => {}
                "appArmorProfile" if *value == json!({"type": "RuntimeDefault"}) => {}
                "seLinuxOptions" if keys(value).all(|option| option == "level") => {
                    self.added(name, "securityContext.", &[field.to_owned()]);
                }
                _ => self.changed.push(format!(
                    "{KEY}.{field} of {name} is {}, which is not written by the injection",
                    shown(value)
                )),
            }
        }
        Ok(())
    }

    fn capabilities(
        &mut self,
        name: &str,
        path: &str,
        expected: &Value,
        actual: &Value,
    ) -> Result<(), Misshapen> {
        let path = format!("{path}/capabilities");
        let dropped = actual.get("drop").and_then(Value::as_array);
        if !dropped.is_some_and(|dropped| dropped.iter().any(|capability| capability == "ALL")) {
            self.same(name, &path, "drop", &expected["drop"], actual)?;
        }
        match (expected.get("add"), present(actual, "add")) {
            (Some(expected), _) => self.same(name, &path, "add", expected, actual)?,
            (None, Some(added)) => self.changed.push(format!(
                "securityContext.capabilities.add of {name} is {}, which is not written by the injection",
                shown(added)
            )),
            (None, None) => {}
        }
        Ok(())
    }
}
