//! The injected Pod, drawn: what was added, and that the rest is as it was.

use imds_contract::{Interception, address, environment, pod};
use imds_inject::{Injection, SidecarForm};
use serde_json::Value;

/// A line of the picture.
struct Line {
    added: bool,
    kind: &'static str,
    name: String,
    remark: String,
}

/// Draws the Pod as it is after the injection.
pub(crate) fn draw(before: &Value, after: &Value, injection: &Injection) -> Vec<String> {
    let mut lines = Vec::new();
    for (list, kind) in
        [("initContainers", "init container"), ("containers", "container"), ("volumes", "volume")]
    {
        for name in names(after, list) {
            let added = !names(before, list).contains(&name);
            let remark = if added { remark_on(name, injection) } else { remark_on_theirs(list, injection) };
            let kind = if added && name == pod::EMULATOR_CONTAINER { "sidecar" } else { kind };
            lines.push(Line { added, kind, name: name.to_owned(), remark });
        }
    }
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or_default();
    let draw = |Line { added, kind, name, remark }: &Line| {
        let line = format!("{} {kind:<14}  {name:<width$}  {remark}", if *added { "+" } else { " " });
        line.trim_end().to_owned()
    };
    lines.iter().map(draw).collect()
}

fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    let items = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.get("name")?.as_str()).collect()
}

fn remark_on(ours: &str, injection: &Injection) -> String {
    match (ours, injection.interception) {
        (pod::REDIRECT_CONTAINER, Interception::Address) => {
            format!("puts {} on lo, then ends", address::IMDS_IPV4)
        }
        (pod::REDIRECT_CONTAINER, _) => format!(
            "{}:{} -> 127.0.0.1:{}, then ends",
            address::IMDS_IPV4,
            address::IMDS_PORT,
            address::EMULATOR_PORT
        ),
        (pod::EMULATOR_CONTAINER, _) => match injection.sidecar {
            SidecarForm::Native => "serves IMDS; starts before and ends after the others".to_owned(),
            SidecarForm::Classic => "serves IMDS; starts before the others".to_owned(),
        },
        (pod::TOKEN_VOLUME, _) => "the service account's token, for the sidecar alone".to_owned(),
        (pod::AUTHORIZATION_VOLUME, _) => "what opens the container credentials endpoint".to_owned(),
        _ => String::new(),
    }
}

fn remark_on_theirs(list: &str, injection: &Injection) -> String {
    match (list, injection.interception) {
        ("volumes", _) => String::new(),
        (_, Interception::Endpoint) => format!("+ {}", environment::EC2_METADATA_SERVICE_ENDPOINT),
        _ => "as it was".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use imds_inject::{Context, Decision, Settings, decide};

    use super::*;

    #[test]
    fn what_was_added_is_marked() {
        let before = crate::pod_file::read_pod(None).unwrap();
        let decision = decide(&Settings::new("image"), &before, &Context::new("default"));
        let Decision::Inject(injection) = decision else { panic!("{decision}") };
        let after = injection.apply_to(&before).unwrap();
        let picture = draw(&before, &after, &injection);
        let marked: Vec<_> = picture.iter().map(|line| line.starts_with('+')).collect();
        assert_eq!(marked, [true, true, false, true], "{picture:?}");
        assert_eq!(picture[2], "  container       nginx                       as it was");
    }
}
