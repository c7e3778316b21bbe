//! What every injection must keep, checked without the code that makes the patch: by comparing the document before and after,
//! by taking out again what was added, and by a JSON Patch implementation of others.
#![allow(dead_code, reason = "each test program uses its own part")]

use imds_inject::{
    Context, Decision, Operation, Reason, ServerVersion, Settings, WorkloadDecision, decide_document,
};
use serde_json::Value;

pub(crate) const CONTEXT: Context<'static> = Context { namespace: "default", server: None };

/// The document after decisions of which at least one must be an injection, checked by [`keeps_promises`].
pub(crate) fn injected(settings: &Settings, document: &Value) -> Value {
    let decisions = decide_document(settings, document, CONTEXT.namespace, CONTEXT.server);
    let injects = |workload: &WorkloadDecision| matches!(workload.decision, Decision::Inject(_));
    assert!(decisions.iter().any(injects), "{decisions:?}");
    let after = applied(document, &decisions);
    keeps_promises(settings, CONTEXT.server, document, &after, &decisions);
    after
}

/// The document after all decisions.
pub(crate) fn applied(document: &Value, decisions: &[WorkloadDecision]) -> Value {
    decisions.iter().fold(document.clone(), |document, workload| match &workload.decision {
        Decision::Inject(injection) => {
            injection.apply_to(&document).expect("the patch was computed against this document")
        }
        Decision::Skip(_) | Decision::Refuse(_) => document,
    })
}

/// Everything the user wrote is still there, in its order and byte for byte; others apply the patch to the same effect; and a
/// second injection has nothing to add.
pub(crate) fn keeps_promises(
    settings: &Settings,
    server: Option<ServerVersion>,
    before: &Value,
    after: &Value,
    decisions: &[WorkloadDecision],
) {
    if let Err(place) = untouched(before, after, "") {
        panic!("{place} is not as it was\nbefore: {before}\nafter: {after}");
    }
    let operations: Vec<&Operation> = decisions
        .iter()
        .filter_map(|workload| match &workload.decision {
            Decision::Inject(injection) => Some(&injection.operations),
            Decision::Skip(_) | Decision::Refuse(_) => None,
        })
        .flatten()
        .collect();
    assert_eq!(by_others(before, &operations), *after);
    assert_eq!(taken_out(before, after, &operations).to_string(), before.to_string());
    for (first, again) in decisions.iter().zip(decide_document(settings, after, CONTEXT.namespace, server)) {
        match &first.decision {
            Decision::Inject(_) => assert_eq!(again.decision, Decision::Skip(Reason::AlreadyInjected)),
            same => assert_eq!(again.decision, *same),
        }
    }
}

/// As the crate `json-patch` has it.
fn by_others(before: &Value, operations: &[&Operation]) -> Value {
    let patch = serde_json::to_value(operations).expect("a patch is JSON");
    let patch: json_patch::Patch = serde_json::from_value(patch).expect("the patch is one by RFC 6902");
    let mut document = before.clone();
    json_patch::patch(&mut document, &patch).expect("the patch applies");
    document
}

/// The document without what the operations added, the last one first.
fn taken_out(before: &Value, after: &Value, operations: &[&Operation]) -> Value {
    let mut document = after.clone();
    for Operation { path, .. } in operations.iter().rev() {
        let (parent, key) = path.rsplit_once('/').expect("an operation has a parent");
        match document.pointer_mut(parent).expect("the parent is there") {
            Value::Array(items) if key == "-" => drop(items.pop()),
            Value::Array(items) => drop(items.remove(key.parse().expect("an index"))),
            Value::Object(fields) => {
                let key = key.replace("~1", "/").replace("~0", "~");
                match before.pointer(path) {
                    // A `null` gave way to what was added.
                    Some(Value::Null) => drop(fields.insert(key, Value::Null)),
                    _ => drop(fields.shift_remove(&key)),
                }
            }
            other => panic!("{parent} is {other}"),
        }
    }
    document
}

/// Objects keep their fields and arrays their items, in their order; `null` is as good as absent.
fn untouched(before: &Value, after: &Value, place: &str) -> Result<(), String> {
    match (before, after) {
        (Value::Null, _) => Ok(()),
        (Value::Object(fields), Value::Object(now)) => fields.iter().try_for_each(|(name, field)| {
            let place = format!("{place}/{name}");
            let now = now.get(name).ok_or_else(|| place.clone())?;
            untouched(field, now, &place)
        }),
        (Value::Array(items), Value::Array(now)) => {
            let mut now = now.iter();
            items.iter().enumerate().try_for_each(|(index, item)| {
                let place = format!("{place}/{index}");
                if now.any(|now| untouched(item, now, &place).is_ok()) { Ok(()) } else { Err(place) }
            })
        }
        _ if before == after => Ok(()),
        _ => Err(place.to_owned()),
    }
}
