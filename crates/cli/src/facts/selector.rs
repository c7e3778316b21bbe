//! Whether a label selector selects. Source: Kubernetes, `metav1.LabelSelector`.

use serde_json::{Map, Value};

/// An absent or empty selector selects everything; an operator that is not known, nothing.
pub(crate) fn selects(selector: Option<&Value>, labels: &Map<String, Value>) -> bool {
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let equal = |(key, value): (&String, &Value)| label(key) == value.as_str();
    let holds = |expression: &Value| {
        let key = expression.get("key").and_then(Value::as_str).unwrap_or_default();
        let values = expression.get("values").and_then(Value::as_array);
        let is_in =
            || label(key).is_some_and(|value| values.is_some_and(|values| values.iter().any(|v| v == value)));
        match expression.get("operator").and_then(Value::as_str) {
            Some("In") => is_in(),
            Some("NotIn") => !is_in(),
            Some("Exists") => label(key).is_some(),
            Some("DoesNotExist") => label(key).is_none(),
            _ => false,
        }
    };
    let Some(selector) = selector else { return true };
    let labels_match = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    labels_match.is_none_or(|all| all.iter().all(equal))
        && expressions.is_none_or(|all| all.iter().all(holds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects_as_the_api_server_does() {
        let labels = json!({"app": "web", "tier": "front"});
        for (selector, expected) in [
            (json!(null), true),
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "tier": "back"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "web"]}]}), true),
            (json!({"matchExpressions": [{"key": "none", "operator": "In", "values": ["a"]}]}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}), false),
            (json!({"matchExpressions": [{"key": "none", "operator": "NotIn", "values": ["web"]}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "Like", "values": ["w*"]}]}), false),
            (
                json!({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["front"]}]}),
                false,
            ),
        ] {
            assert_eq!(selects(Some(&selector), labels.as_object().unwrap()), expected, "{selector}");
        }
        assert!(selects(None, &Map::new()));
    }
}
