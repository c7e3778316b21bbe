//! What every injection must keep, checked without the patch: by comparing the Pod before and after.
#![allow(dead_code, reason = "each test program uses its own part")]

use imds_inject::{Context, Decision, Reason, Settings, decide};
use serde_json::Value;

pub(crate) const CONTEXT: Context<'static> = Context { namespace: "default" };

/// The Pod after a decision that must be an injection, checked by [`keeps_promises`].
pub(crate) fn injected(settings: &Settings, pod: &Value) -> Value {
    match decide(settings, pod, &CONTEXT) {
        Decision::Inject(injection) => {
            let after = injection.apply_to(pod).expect("the patch was computed against this Pod");
            keeps_promises(settings, pod, &after);
            after
        }
        other => panic!("{other}"),
    }
}

/// Everything the user wrote is still there, in its order; and a second injection has nothing to add.
pub(crate) fn keeps_promises(settings: &Settings, before: &Value, after: &Value) {
    if let Err(place) = untouched(before, after, "") {
        panic!("{place} is not as it was\nbefore: {before}\nafter: {after}");
    }
    assert_eq!(decide(settings, after, &CONTEXT), Decision::Skip(Reason::AlreadyInjected));
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
