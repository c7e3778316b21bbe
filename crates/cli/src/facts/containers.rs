//! How a Pod's containers are, by its status. Source: Kubernetes, `core/v1`, `PodStatus`.

use serde_json::Value;

use super::object::{list, text};

/// A container's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    pub(crate) restarts: u64,
    pub(crate) state: State<'a>,
    /// How it ended before.
    pub(crate) last: Option<End<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State<'a> {
    /// kubelet has said nothing yet.
    Unknown,
    Running,
    Waiting {
        reason: &'a str,
        message: &'a str,
    },
    Ended(End<'a>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End<'a> {
    pub(crate) code: i64,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl End<'_> {
    pub(crate) fn is_oom(&self) -> bool {
        self.reason == "OOMKilled"
    }

    /// The last line that it said, or how it ended.
    pub(crate) fn said(&self) -> String {
        let line = self.message.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let Some(line) = line else { return format!("{}, exit code {}", self.reason, self.code) };
        super::log::message(line)
    }
}

/// All containers of which kubelet says something, init containers first.
pub(crate) fn all(pod: &Value) -> Vec<Container<'_>> {
    let inits = list(pod, "/status/initContainerStatuses");
    inits.iter().chain(list(pod, "/status/containerStatuses")).filter_map(container).collect()
}

pub(crate) fn find<'a>(pod: &'a Value, name: &str) -> Option<Container<'a>> {
    all(pod).into_iter().find(|container| container.name == name)
}

fn container(status: &Value) -> Option<Container<'_>> {
    let ended = |pointer: &str| {
        let end = status.pointer(pointer)?;
        Some(End {
            code: end.get("exitCode").and_then(Value::as_i64).unwrap_or_default(),
            reason: text(end, "/reason").unwrap_or_default(),
            message: text(end, "/message").unwrap_or_default(),
        })
    };
    let state = if status.pointer("/state/running").is_some() {
        State::Running
    } else if let Some(end) = ended("/state/terminated") {
        State::Ended(end)
    } else if let Some(waiting) = status.pointer("/state/waiting") {
        State::Waiting {
            reason: text(waiting, "/reason").unwrap_or_default(),
            message: text(waiting, "/message").unwrap_or_default(),
        }
    } else {
        State::Unknown
    };
    Some(Container {
        name: text(status, "/name")?,
        restarts: status.get("restartCount").and_then(Value::as_u64).unwrap_or_default(),
        state,
        last: ended("/lastState/terminated"),
    })
}

/// Whether a waiting container only waits its turn.
pub(crate) fn is_its_turn(reason: &str) -> bool {
    matches!(reason, "" | "ContainerCreating" | "PodInitializing")
}

/// Whether the Pod has run to its end.
pub(crate) fn has_ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), Some("Succeeded" | "Failed"))
}

/// Why a Pod does not run, where its status says it.
pub(crate) fn trouble(pod: &Value) -> Option<String> {
    let unscheduled = list(pod, "/status/conditions").iter().find(|condition| {
        text(condition, "/type") == Some("PodScheduled") && text(condition, "/status") == Some("False")
    });
    if let Some(condition) = unscheduled {
        return Some(format!(
            "not scheduled: {}",
            text(condition, "/message").unwrap_or("no reason is given")
        ));
    }
    all(pod).iter().find_map(|container| match &container.state {
        State::Waiting { reason, message } if !is_its_turn(reason) => {
            let said = container.last.as_ref().map(End::said);
            let message = said.unwrap_or_else(|| (*message).to_owned());
            Some(format!("{reason}{}{message}", if message.is_empty() { "" } else { ": " }))
        }
        State::Ended(end) if end.code != 0 => Some(end.said()),
        _ => None,
    })
}
