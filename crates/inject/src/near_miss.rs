//! Recognises what was probably meant: a label or annotation that is almost ours, or in the wrong place.

use std::iter;

use imds_contract::annotation::{self, ENABLED_LABEL, ENABLED_VALUE, PREFIX, ROLE_ARN, STATUS};
use serde_json::{Map, Value};

use crate::patch::at;
use crate::pod::PodView;
use crate::warning::{MetadataKind, Warning};
use crate::workload::Workload;

/// Label values that plainly say no. What else is not `True` was probably meant to say yes.
const DISABLING: [&str; 8] = ["", "disabled", "f", "false", "n", "no", "off", "0"];

/// More wrong letters than this make another word.
const FARTHEST: usize = 3;

/// How many names are looked at closely. A Pod has a handful; mutating webhooks see it before the API server has counted.
const MOST_NAMES: usize = 100;

/// The near misses of a Pod or a Pod template. What is no Pod has none.
pub fn warnings(pod: &Value) -> Vec<Warning> {
    let view = PodView::new(pod);
    let mut warnings: Vec<Warning> = label_value(view).into_iter().collect();
    for what in [MetadataKind::Label, MetadataKind::Annotation] {
        let names = entries(pod, what).into_iter().flat_map(Map::keys).filter(|name| resembles_ours(name));
        warnings.extend(names.take(MOST_NAMES).filter_map(|name| misplaced_or_misspelt(what, name)));
    }
    // When something else explains why the label is not there, one warning is enough.
    let explained = warnings.iter().any(|warning| match warning {
        Warning::LabelValue { .. } => true,
        Warning::WrongKind { name, .. } => *name == ENABLED_LABEL,
        Warning::Unknown { meant, .. } => *meant == Some(ENABLED_LABEL),
        _ => false,
    });
    if !explained {
        warnings.extend(role_without_label(view));
    }
    warnings
}

/// The near misses of its Pod or template, and what stands on the object that makes the Pods instead.
pub(crate) fn of_workload(document: &Value, workload: &Workload) -> Vec<Warning> {
    let template = at(document, &workload.path()).unwrap_or(&Value::Null);
    let mut warnings = warnings(template);
    let around: Vec<&Value> = workload.around_template().filter_map(|object| at(document, &object)).collect();
    for (what, name) in names() {
        let entry = |object| entries(object, what)?.get(name).filter(|value| !value.is_null());
        let asks = |value: &Value| name != ENABLED_LABEL || !is_disabling(value);
        if entry(template).is_none() && around.iter().any(|object| entry(object).is_some_and(asks)) {
            if name == ENABLED_LABEL {
                warnings.retain(|warning| !matches!(warning, Warning::RoleWithoutLabel { .. }));
            }
            let kind = workload.kind.clone();
            warnings.push(Warning::NotOnTemplate { what, name, kind, template: workload.template });
        }
    }
    warnings
}

/// Every name that a user writes, and where.
fn names() -> impl Iterator<Item = (MetadataKind, &'static str)> {
    let annotations = annotation::ALL.into_iter().filter(|name| *name != STATUS);
    iter::once((MetadataKind::Label, ENABLED_LABEL))
        .chain(annotations.map(|name| (MetadataKind::Annotation, name)))
}

fn entries(object: &Value, what: MetadataKind) -> Option<&Map<String, Value>> {
    object.get("metadata")?.get(what.field())?.as_object()
}

fn label_value(pod: PodView<'_>) -> Option<Warning> {
    let value = pod.enabled_label()?;
    let plain = value.is_null() || value == ENABLED_VALUE || is_disabling(value);
    (!plain).then(|| Warning::LabelValue { value: value.to_string() })
}

pub(crate) fn is_disabling(label: &Value) -> bool {
    let word = text(label);
    DISABLING.iter().any(|disabling| word.trim().eq_ignore_ascii_case(disabling))
}

fn role_without_label(pod: PodView<'_>) -> Option<Warning> {
    pod.annotation(ROLE_ARN)?;
    let label = pod.enabled_label().filter(|value| !value.is_null());
    let enabled = label.is_some_and(|value| value == ENABLED_VALUE);
    (!enabled).then(|| Warning::RoleWithoutLabel { label: label.map(text) })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// What is worth a closer look.
fn resembles_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("imds") || name.contains("emulator")
}

fn misplaced_or_misspelt(what: MetadataKind, name: &str) -> Option<Warning> {
    match names().find(|(_, known)| *known == name) {
        Some((meant, _)) if meant == what => None,
        Some((what, name)) => Some(Warning::WrongKind { what, name }),
        None if name == STATUS => None,
        None => {
            let meant = nearest(name);
            let ours = meant.is_some() || name.starts_with(PREFIX);
            ours.then(|| Warning::Unknown { what, name: name.to_owned(), meant })
        }
    }
}

/// The name of ours that this one was probably meant to be.
fn nearest(name: &str) -> Option<&'static str> {
    let known = || names().map(|(_, known)| known);
    let given = letters(name);
    // Part of ours, or ours and more, with another domain, or with none: `…-role`, `aws-imds-emulator-region`.
    let words = letters(PREFIX.rsplit('/').next().unwrap_or(PREFIX));
    let suffix = given.split_once(&words).map(|(_, suffix)| suffix).filter(|suffix| suffix.len() > 2);
    let shares = |known: &&str| {
        let (known, Some(suffix)) = (letters(known.strip_prefix(PREFIX).unwrap_or(known)), suffix) else {
            return false;
        };
        known.contains(suffix) || suffix.contains(&known)
    };
    let close = |known: &str| {
        let known = letters(known);
        let distance = || strsim::osa_distance(&given, &known);
        // First by length: the distance costs the product of both.
        (known.len().abs_diff(given.len()) <= FARTHEST)
            .then(distance)
            .filter(|distance| *distance <= FARTHEST)
    };
    let closest = known().filter_map(|known| Some((close(known)?, known))).min().map(|(_, known)| known);
    closest.or_else(|| known().filter(shares).min_by_key(|known| known.len()))
}

/// Case and punctuation are easily mistaken: `roleArn`, `role_arn`.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(warnings: &[Warning]) -> Vec<&'static str> {
        warnings.iter().map(Warning::word).collect()
    }

    fn of(labels: &[(&str, Value)], annotations: &[(&str, Value)]) -> Vec<Warning> {
        let object = |entries: &[(&str, Value)]| -> Map<String, Value> {
            entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        warnings(&json!({"metadata": {"labels": object(labels), "annotations": object(annotations)}}))
    }

    #[test]
    fn a_label_that_was_meant_is_named_and_one_that_says_no_is_not() {
        for meant in
            [json!("true"), json!("TRUE"), json!("yes"), json!("1"), json!(" True"), json!(true), json!(1)]
        {
            let warnings = of(&[(ENABLED_LABEL, meant.clone())], &[(ROLE_ARN, json!("r"))]);
            assert_eq!(words(&warnings), ["label_value"], "{meant}");
            assert!(warnings[0].to_string().contains(&format!("is {meant},")), "{}", warnings[0]);
        }
        for plain in [
            json!("True"),
            json!("False"),
            json!("false"),
            json!(""),
            json!("no"),
            json!("0"),
            json!(false),
            json!(null),
        ] {
            assert_eq!(of(&[(ENABLED_LABEL, plain.clone())], &[]), [], "{plain}");
        }
    }

    #[test]
    fn a_role_that_nothing_enables_is_told_once() {
        let role = (ROLE_ARN, json!("r"));
        let disabled = (ENABLED_LABEL, json!("False"));
        assert_eq!(of(&[], std::slice::from_ref(&role)), [Warning::RoleWithoutLabel { label: None }]);
        assert_eq!(
            of(&[disabled], std::slice::from_ref(&role)),
            [Warning::RoleWithoutLabel { label: Some("False".to_owned()) }]
        );
        let misspelt = "gkemulticloud.googleapis.com/aws-imds-emulator-enable";
        assert_eq!(words(&of(&[(misspelt, json!("True"))], std::slice::from_ref(&role))), ["unknown_label"]);
        assert_eq!(words(&of(&[], &[role, (ENABLED_LABEL, json!("True"))])), ["label_as_annotation"]);
        assert_eq!(words(&of(&[(ROLE_ARN, json!("r"))], &[])), ["annotation_as_label"]);
    }

    #[test]
    fn a_misspelt_annotation_is_told_what_was_meant() {
        for (misspelt, meant) in [
            ("gkemulticloud.googleapis.com/aws-imds-emulator-role-arm", Some(ROLE_ARN)),
            ("gkemulticloud.googleapis.com/aws-imds-emulator-role", Some(ROLE_ARN)),
            ("gkemulticloud.googleapis.com/aws-imds-emulator-roleArn", Some(ROLE_ARN)),
            ("gkemulticloud.googleapis.com/aws-idms-emulator-role-arn", Some(ROLE_ARN)),
            ("gkemulticloud.googleapi.com/aws-imds-emulator-role-arn", Some(ROLE_ARN)),
            ("aws-imds-emulator-role-arn", Some(ROLE_ARN)),
            ("example.com/aws-imds-emulator-region", Some(annotation::REGION)),
            ("gkemulticloud.googleapis.com/aws-imds-emulator-duration", Some(annotation::SESSION_DURATION)),
            (
                "gkemulticloud.googleapis.com/aws-imds-emulator-session-duration-seconds",
                Some(annotation::SESSION_DURATION),
            ),
            ("gkemulticloud.googleapis.com/aws-imds-emulator-http-token", Some(annotation::HTTP_TOKENS)),
            ("gkemulticloud.googleapis.com/aws-imds-emulator-memory-limits", Some(annotation::MEMORY_LIMIT)),
            ("gkemulticloud.googleapis.com/aws-imds-emulator-enable", Some(ENABLED_LABEL)),
            ("gkemulticloud.googleapis.com/aws-imds-emulator-external-id", None),
            ("gkemulticloud.googleapis.com/aws-imds-emulator-", None),
        ] {
            let expected =
                Warning::Unknown { what: MetadataKind::Annotation, name: misspelt.to_owned(), meant };
            assert_eq!(of(&[], &[(misspelt, json!("x"))]), [expected]);
        }
    }

    #[test]
    fn names_of_others_and_our_own_are_no_near_misses() {
        for name in [
            STATUS,
            "example.com/imds",
            "gkemulticloud.googleapis.com/other",
            "example.com/emulator-region",
            "role-arn",
        ] {
            assert_eq!(of(&[], &[(name, json!("x"))]), [], "{name}");
        }
    }

    #[test]
    fn what_is_no_pod_has_none_and_a_hostile_one_has_few() {
        for none in [json!(null), json!([]), json!({"metadata": 7}), json!({"metadata": {"labels": []}})] {
            assert_eq!(warnings(&none), []);
        }
        let many: Map<String, Value> =
            (0..10_000).map(|n| (format!("{PREFIX}role-{n}"), json!("x"))).collect();
        assert_eq!(warnings(&json!({"metadata": {"annotations": many}})).len(), MOST_NAMES);
    }
}
