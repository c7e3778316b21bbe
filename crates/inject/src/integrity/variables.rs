//! The environment of our containers.

use std::collections::BTreeSet;

use imds_contract::{Interception, environment, pod};
use serde_json::Value;

use super::{Examiner, Place, keys, present, shown};
use crate::containers;
use crate::injected::{How, Injected};
use crate::patch::Misshapen;
use crate::session_name::Variable;

/// Variables that the injection writes; their values are the Pod's options, or are compared below.
const OPTIONS: [&str; 9] = [
    environment::ROLE_ARN,
    environment::REGION,
    environment::SESSION_NAME,
    environment::SESSION_DURATION,
    environment::HTTP_TOKENS,
    environment::ASSUME_ROLE_ARNS,
    environment::METADATA,
    environment::GRACE_PERIOD,
    environment::START,
];

impl Examiner<'_> {
    /// Variables without which the programs do not work, or work otherwise.
    pub(super) fn variables(&mut self, place: &Place<'_>, expected: &Value) -> Result<(), Misshapen> {
        const NEEDED: [&str; 5] = [
            environment::TOKEN_FILE,
            environment::LISTEN,
            environment::AUTHORIZATION_FILE,
            environment::POD_IPS,
            environment::HOST_IP,
        ];
        let expected = expected.get("env").and_then(Value::as_array).into_iter().flatten();
        for expected in expected {
            let Some(name) =
                expected.get("name").and_then(Value::as_str).filter(|name| NEEDED.contains(name))
            else {
                continue;
            };
            match place.variable(name) {
                None => {
                    self.patch.append(&format!("{}/env", place.path), expected.clone())?;
                    self.restored.push(format!("the variable {name} of {}", place.name));
                }
                Some(actual) if says_the_same(actual, expected) => {}
                Some(actual) => {
                    self.changed.push(format!(
                        "the variable {name} of {} is {}, not {}",
                        place.name,
                        value_of(actual),
                        value_of(expected)
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn emulator_env(
        &mut self,
        place: &Place<'_>,
        how: How,
        authorized: bool,
        injected: &Injected<'_>,
    ) {
        let name = place.name;
        // The annotation is compared with a value, which no other source may stand for.
        if injected.variable(environment::ROLE_ARN).is_none() {
            self.changed.push(format!("the variable {} of {name} has no value", environment::ROLE_ARN));
        }
        let session_name = injected.variable(environment::SESSION_NAME).unwrap_or_default();
        let of_pod = Variable::ALL.map(|variable| (variable.environment(), variable.field_path()));
        let further = [(environment::POD_UID, "metadata.uid"), (environment::POD_IPS, "status.podIPs")];
        for (variable, field_path) in of_pod.into_iter().chain(further) {
            match place.variable(variable) {
                Some(actual) if field_of(actual) != Some(field_path) => {
                    self.changed.push(format!(
                        "the variable {variable} of {name} is {}, not the Pod's {field_path}",
                        value_of(actual)
                    ));
                }
                // It would have to stand before what refers to it: it can't be appended.
                None if session_name.contains(&format!("$({variable})")) => {
                    self.changed.push(format!("the variable {variable} of {name} is not there"));
                }
                _ => {}
            }
        }
        let mut known = OPTIONS.to_vec();
        known.extend([
            environment::TOKEN_FILE,
            environment::POD_UID,
            environment::POD_IPS,
            environment::ZONE,
        ]);
        known.extend(of_pod.map(|(variable, _)| variable));
        known.extend(Some(environment::LISTEN).filter(|_| how.interception == Interception::Address));
        known.extend(Some(environment::AUTHORIZATION_FILE).filter(|_| authorized));
        self.additional_env(place, &known);
    }

    pub(super) fn additional_env(&mut self, place: &Place<'_>, known: &[&str]) {
        let by_operator = |variable: &Value, name: &str| {
            place.name == pod::EMULATOR_CONTAINER
                && self.settings.emulator_env.iter().any(|(own, value)| {
                    own == name
                        && variable.get("value").and_then(Value::as_str).unwrap_or_default()
                            == containers::literal(value)
                })
        };
        let mut added = Vec::new();
        let mut seen = BTreeSet::new();
        for variable in place.items("env") {
            let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
            if !known.contains(&name) && !by_operator(variable, name) && seen.insert(name) {
                added.push(name.to_owned());
            }
        }
        self.added(place.name, "the variable ", &added);
    }
}

/// What a variable is set to, in a sentence.
fn value_of(variable: &Value) -> String {
    match variable.get("valueFrom") {
        Some(from) => shown(from),
        None => shown(variable.get("value").unwrap_or(&Value::Null)),
    }
}

/// The path of the field that a variable has its value from, where it has no other.
fn field_of(variable: &Value) -> Option<&str> {
    let from = variable.get("valueFrom").filter(|from| keys(from).eq(["fieldRef"]))?;
    from.pointer("/fieldRef/fieldPath")?.as_str().filter(|_| present(variable, "value").is_none())
}

/// The API server fills in `apiVersion` of a `fieldRef`.
fn says_the_same(actual: &Value, expected: &Value) -> bool {
    match expected.get("value") {
        Some(value) => actual.get("value") == Some(value) && present(actual, "valueFrom").is_none(),
        None => field_of(actual).is_some_and(|path| Some(path) == field_of(expected)),
    }
}
