//! What the fuzz targets share: settings to inject with, and changes of JSON that leave it JSON.
//!
//! libFuzzer changes bytes. Of a document of some kilobytes that leaves nothing but syntax errors, so the targets that take
//! JSON bring a mutator of their own: [`mutate_json`] changes one value somewhere in the tree.

use fastrand::Rng;
use imds_contract::{Interception, annotation};
use imds_inject::{Settings, Sidecar};
use serde_json::{Map, Value, json};

/// One input in so many is changed as bytes: the way to what is no JSON.
const BYTES_ONE_IN: u32 = 8;

/// Settings with this form of the sidecar and this interception, and with a Secret to pull with.
pub fn settings(sidecar: Sidecar, interception: Interception) -> Settings {
    Settings {
        sidecar,
        interception,
        image_pull_secrets: vec!["registry".to_owned()],
        ..Settings::new("registry.example/imds:1")
    }
}

/// Each form that a Pod can be injected in.
pub fn every_form() -> impl Iterator<Item = Settings> {
    [Sidecar::Native, Sidecar::Classic].into_iter().flat_map(|sidecar| {
        [Interception::Redirect, Interception::Address, Interception::Endpoint]
            .map(|interception| settings(sidecar, interception))
    })
}

/// Changes the JSON in `data[..size]` in one to four places and returns its new length. What is no JSON, or would be longer
/// than `longest`, is left to libFuzzer.
pub fn mutate_json(data: &mut [u8], size: usize, longest: usize, seed: u32) -> usize {
    let mut random = Rng::with_seed(seed.into());
    let document = data.get(..size).and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    if let Some(mut document) = document.filter(|_| random.u32(..BYTES_ONE_IN) > 0) {
        for _ in 0..random.u8(1..=4) {
            change(&mut document, &mut random);
        }
        let changed = document.to_string();
        if changed.len() <= longest
            && let Some(room) = data.get_mut(..changed.len())
        {
            room.copy_from_slice(changed.as_bytes());
            return changed.len();
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, longest)
}

/// Changes one value of the tree, chosen with equal chances.
fn change(document: &mut Value, random: &mut Rng) {
    let chosen = random.usize(..count(document));
    let whole = document.clone();
    if let Some(value) = nth(document, &mut { chosen }) {
        change_value(value, &whole, random);
    }
}

fn change_value(value: &mut Value, whole: &Value, random: &mut Rng) {
    match (random.u8(..8), &mut *value) {
        (0..3, Value::Object(fields)) => change_fields(fields, whole, random),
        (0..3, Value::Array(items)) => change_items(items, whole, random),
        (0..3, Value::String(text)) => change_text(text, random),
        (3, _) => *value = part_of(whole, random),
        _ => *value = word(random),
    }
}

fn change_fields(fields: &mut Map<String, Value>, whole: &Value, random: &mut Rng) {
    let name = random.choice(fields.keys().cloned().collect::<Vec<_>>());
    match (random.u8(..3), name) {
        (0, Some(name)) => drop(fields.shift_remove(&name)),
        // Misspelt, or in the place of another.
        (1, Some(name)) => {
            let value = fields.shift_remove(&name).unwrap_or_default();
            let mut name = name;
            change_text(&mut name, random);
            fields.insert(name, value);
        }
        _ => {
            let value = if random.bool() { word(random) } else { part_of(whole, random) };
            let name = random.choice(NAMES).unwrap_or_default();
            fields.insert(name.to_owned(), value);
        }
    }
}

fn change_items(items: &mut Vec<Value>, whole: &Value, random: &mut Rng) {
    let place = random.usize(..=items.len());
    match (random.u8(..3), items.get(place).cloned()) {
        (0, Some(_)) => drop(items.remove(place)),
        (1, Some(item)) => items.insert(place, item),
        _ => items.insert(place, if random.bool() { word(random) } else { part_of(whole, random) }),
    }
}

fn change_text(text: &mut String, random: &mut Rng) {
    let mut characters: Vec<char> = text.chars().collect();
    let place = random.usize(..=characters.len());
    match random.u8(..4) {
        0 if place < characters.len() => drop(characters.remove(place)),
        1 => characters.truncate(place),
        2 => characters.insert(
            place,
            random.choice(['~', '/', '"', '\\', '\0', 'é', '{', '-', '0', 'A', ' ']).unwrap_or('~'),
        ),
        _ => characters.extend(random.choice(WORDS).unwrap_or_default().chars()),
    }
    *text = characters.into_iter().collect();
}

/// Some value of the same document: how a Pod gets into a List and a container into the place of a volume.
fn part_of(whole: &Value, random: &mut Rng) -> Value {
    let mut whole = whole.clone();
    let chosen = random.usize(..count(&whole));
    nth(&mut whole, &mut { chosen }).map(Value::take).unwrap_or_default()
}

fn word(random: &mut Rng) -> Value {
    match random.u8(..8) {
        0 => Value::Null,
        1 => random.bool().into(),
        2 => random.choice([0, 1, -1, 80, 1338, 3600, i64::MAX, i64::MIN]).into(),
        3 => json!([]),
        4 => json!({}),
        5 => json!({"name": random.choice(WORDS)}),
        _ => random.choice(WORDS).into(),
    }
}

/// How many values a tree has, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// The value that stands at this place in the order of the document.
fn nth<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, place)),
        Value::Object(fields) => fields.values_mut().find_map(|field| nth(field, place)),
        _ => None,
    }
}

/// Names of fields that a decision looks at.
const NAMES: [&str; 24] = [
    "annotations",
    "apiVersion",
    "containers",
    "env",
    "generateName",
    "hostNetwork",
    "initContainers",
    "items",
    "jobTemplate",
    "kind",
    "labels",
    "metadata",
    "name",
    "os",
    "restartPolicy",
    "securityContext",
    "spec",
    "sysctls",
    "template",
    "terminationGracePeriodSeconds",
    "volumes",
    annotation::ENABLED_LABEL,
    annotation::ROLE_ARN,
    annotation::STATUS,
];

/// Values that a decision looks for.
const WORDS: [&str; 22] = [
    "",
    "0",
    "1.5",
    "3600",
    "64Mi",
    "CronJob",
    "Deployment",
    "List",
    "Never",
    "Pod",
    "True",
    "arn:aws:iam::123456789012:role/my-example-role",
    "arn:aws-cn:iam::123456789012:role/p/r",
    "aws-imds-emulator",
    "aws-imds-emulator-redirect",
    "aws-imds-emulator-token",
    "endpoint",
    "net.ipv4.ip_unprivileged_port_start",
    "required",
    "us-west-2",
    "windows",
    "{namespace}.{pod}",
];
