//! The chart's schema takes what the webhook takes: each enum and each type of the `settings` in `deploy/chart/values.schema.json`
//! against [`Settings`], in both directions. Only the content of a text may be left to the code.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use imds_contract::{HttpTokens, Interception, Metadata, Start};
use imds_inject::{PullPolicy, Settings, Sidecar};
use serde_json::{Value, json};

/// The settings whose text the code checks further than the schema: no type and no enum.
const TEXTS: [&str; 5] = ["image", "region", "sessionName", "tokenAudience", "sessionDuration"];

fn schema() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/chart/values.schema.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn settings_of(schema: &Value) -> &Value {
    &schema["properties"]["settings"]
}

/// Whether the webhook reads it: the settings file is YAML, and JSON is that.
fn code_takes(key: &str, value: &Value) -> bool {
    let mut settings = json!({"image": "registry.example/imds:1"});
    settings[key] = value.clone();
    serde_yaml_ng::from_str::<Settings>(&settings.to_string()).is_ok()
}

/// Whether the schema takes it: as much of JSON Schema as this one uses. What is not known here is an error, not a pass.
fn takes(root: &Value, schema: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(keyword, rule)| match keyword.as_str() {
        "$ref" => {
            let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
            takes(root, root.pointer(pointer).unwrap(), value)
        }
        "enum" => rule.as_array().unwrap().contains(value),
        "anyOf" => rule.as_array().unwrap().iter().any(|one| takes(root, one, value)),
        "type" => match rule {
            Value::Array(types) => types.iter().any(|one| is_of_type(one, value)),
            one => is_of_type(one, value),
        },
        "minLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap())
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| takes(root, rule, item))),
        "propertyNames" => {
            value.as_object().is_none_or(|fields| fields.keys().all(|name| takes(root, rule, &json!(name))))
        }
        "properties" => value.as_object().is_none_or(|fields| {
            fields.iter().all(|(name, field)| rule.get(name).is_none_or(|rule| takes(root, rule, field)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|fields| {
            let known = |name: &str| schema.get("properties").is_some_and(|known| known.get(name).is_some());
            let mut further = fields.iter().filter(|(name, _)| !known(name));
            further.all(|(_, field)| rule != &json!(false) && takes(root, rule, field))
        }),
        other => panic!("this test does not know the keyword {other}"),
    })
}

fn is_of_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("this test does not know the type {other}"),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    match pattern {
        "^[0-9]{3,5}$" => (3..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
        "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" => {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
            is_end(text.chars().next()) && is_end(text.chars().last()) && text.chars().all(legal)
        }
        other => panic!("this test does not know the pattern {other}"),
    }
}

fn words<T: serde::Serialize>(all: &[T]) -> Vec<Value> {
    all.iter().map(|one| serde_json::to_value(one).unwrap()).collect()
}

#[test]
fn each_enum_has_the_words_of_the_code_and_no_other() {
    let schema = schema();
    let settings = &settings_of(&schema)["properties"];
    let texts = |all: Vec<&str>| all.into_iter().map(Value::from).collect::<Vec<_>>();
    for (key, words) in [
        ("interception", texts(Interception::ALL.iter().map(|word| word.as_str()).collect())),
        ("httpTokens", texts(HttpTokens::ALL.iter().map(|word| word.as_str()).collect())),
        ("metadata", texts(Metadata::ALL.iter().map(|word| word.as_str()).collect())),
        ("start", texts(Start::ALL.iter().map(|word| word.as_str()).collect())),
        ("sidecar", words(&Sidecar::ALL)),
        ("imagePullPolicy", words(&PullPolicy::ALL)),
    ] {
        let rule = &settings[key];
        let rule = rule
            .get("$ref")
            .map_or(rule, |name| schema.pointer(name.as_str().unwrap().strip_prefix('#').unwrap()).unwrap());
        assert_eq!(rule["enum"], Value::from(words.clone()), "{key}");
        for word in words {
            assert!(code_takes(key, &word), "{key}: {word}");
        }
    }
    // Who adds a word to the code adds it to its ALL.
    for sidecar in Sidecar::ALL {
        match sidecar {
            Sidecar::Auto | Sidecar::Native | Sidecar::Classic => {}
        }
    }
    for policy in PullPolicy::ALL {
        match policy {
            PullPolicy::Always | PullPolicy::IfNotPresent | PullPolicy::Never => {}
        }
    }
    let enums = settings.as_object().unwrap().values().filter(|rule| rule.get("enum").is_some());
    assert_eq!(enums.count(), 5, "an enum is not compared above (the sixth is a definition)");
}

/// Values of every type, and of every shape that a setting has. Not null: Helm takes a null out before it looks at the schema.
fn probes() -> Vec<Value> {
    let scalars = [
        json!("x"),
        json!(""),
        json!("3600"),
        json!(5),
        json!(3600),
        json!(899),
        json!(43201),
        json!(1.5),
        json!(true),
    ];
    let words = [
        "auto",
        "native",
        "classic",
        "redirect",
        "address",
        "endpoint",
        "optional",
        "required",
        "credentials",
        "extended",
    ];
    let words = words
        .into_iter()
        .chain(["Always", "IfNotPresent", "Never", "eu-central-1", "Redirect", "none"])
        .map(Value::from);
    let mut probes: Vec<Value> = scalars.iter().cloned().chain(words).collect();
    probes.extend([
        json!([]),
        json!({}),
        json!(["a", "b.c"]),
        json!(["A"]),
        json!([["a"]]),
        json!({"other": {}}),
    ]);
    for scalar in scalars.iter().filter(|scalar| !scalar.is_string()) {
        probes.push(json!([scalar]));
        probes.push(json!({"MY_VARIABLE": scalar}));
    }
    probes.push(json!({"MY_VARIABLE": "http://proxy.example:3128"}));
    probes.push(json!({"MY_VARIABLE": {}}));
    for list in ["requests", "limits"] {
        for name in ["cpu", "memory", "ephemeral-storage", "nvidia.com/gpu"] {
            for quantity in [json!("16Mi"), json!(33_554_432), json!(true), json!({}), json!([])] {
                probes.push(json!({list: {name: quantity}}));
            }
        }
        probes.extend([json!({list: {}}), json!({list: []}), json!({list: "16Mi"}), json!({list: 5})]);
    }
    probes
}

#[test]
fn each_type_is_that_of_the_code() {
    let schema = schema();
    let settings = settings_of(&schema);
    let (mut taken, mut refused) = (0, 0);
    for key in settings["properties"].as_object().unwrap().keys() {
        for probe in probes() {
            let by_schema = takes(&schema, settings, &json!({key: probe}));
            let by_code = code_takes(key, &probe);
            let content = probe.is_string() && TEXTS.contains(&key.as_str());
            assert!(
                by_schema == by_code || content && by_schema,
                "{key}: {probe}: schema {by_schema}, code {by_code}"
            );
            *(if by_schema { &mut taken } else { &mut refused }) += 1;
        }
    }
    assert!(taken > 60 && refused > 500, "{taken} {refused}: the probes see both");
}

#[test]
fn an_unknown_setting_is_unknown_to_both() {
    let schema = schema();
    assert!(!takes(&schema, settings_of(&schema), &json!({"regoin": "eu-central-1"})));
    assert!(!code_takes("regoin", &json!("eu-central-1")));
}
