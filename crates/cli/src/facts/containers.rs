//! How a Pod's containers are, by its status. Source: Kubernetes, `core/v1`, `PodStatus`.

use std::time::SystemTime;

use serde_json::Value;

use super::object::{list, text};

/// A container's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container<'a> {
    pub(crate) name: &'a str,
    /// What it was started from, as the runtime names it.
    pub(crate) image: &'a str,
    pub(crate) restarts: u64,
    /// When it was started last.
    pub(crate) started: Option<SystemTime>,
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
    /// None where the runtime lost it.
    pub(crate) finished: Option<SystemTime>,
}

impl End<'_> {
    pub(crate) fn is_oom(&self) -> bool {
        self.reason == "OOMKilled"
    }

    /// Whether its program could not be started at all. Source: containerd and dockerd.
    pub(crate) fn was_not_started(&self) -> bool {
        matches!(self.reason, "StartError" | "ContainerCannotRun")
    }

    /// Why it ended, as far as it is known: the last line that tells of something wrong; for a signal, which may come at any moment, its
    /// name and the last error.
    pub(crate) fn said(&self) -> String {
        let signal = self.code.checked_sub(128).and_then(signal_name);
        let wrong: &[&str] = if signal.is_some() { &["error"] } else { &["error", "warn"] };
        let mut lines = self.message.lines().rev().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.find(|line| {
            super::log::level(line).map_or(signal.is_none(), |level| wrong.contains(&level.as_str()))
        });
        let how = match signal {
            Some(signal) => format!("exit code {} ({signal})", self.code),
            None => format!("{}, exit code {}", self.reason, self.code),
        };
        match (line.map(super::log::message), signal) {
            (None, _) => how,
            (Some(line), None) => line,
            (Some(line), Some(_)) => format!("{how}: {line}"),
        }
    }
}

/// Of the signals that end a program. Source: signal(7).
fn signal_name(number: i64) -> Option<&'static str> {
    let names = [
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (15, "SIGTERM"),
    ];
    names.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
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
            finished: time(end, "/finishedAt"),
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
        image: text(status, "/image").unwrap_or_default(),
        started: ["/state/running/startedAt", "/state/terminated/startedAt"]
            .into_iter()
            .find_map(|pointer| time(status, pointer)),
        restarts: status.get("restartCount").and_then(Value::as_u64).unwrap_or_default(),
        state,
        last: ended("/lastState/terminated"),
    })
}

fn time(status: &Value, pointer: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text(status, pointer)?).ok()
}

/// Whether this container was last restarted together with all others of the Pod: in a new sandbox, or by `RestartAllContainers`. Its
/// own end restarts it alone.
pub(crate) fn is_restarted_with_pod(pod: &Value, container: &Container<'_>) -> bool {
    let Some(end) = &container.last else { return false };
    let of = |pointer| -> Vec<Container<'_>> {
        let others = list(pod, pointer).iter().filter_map(self::container);
        others.filter(|other| other.name != container.name).collect()
    };
    // Times are whole seconds, and one may be lost.
    let is_later = |other: &Container<'_>| {
        other.restarts > 0 && other.started >= end.finished
            || end.finished.is_some() && other.started > end.finished
    };
    let mut inits = of("/status/initContainerStatuses");
    inits.retain(|init| matches!(init.state, State::Ended(_)));
    if !inits.is_empty() {
        return inits.iter().all(is_later);
    }
    // Without an init container: all had ended before this one was started. One that ended because of it did so later.
    let others = of("/status/containerStatuses");
    let had_ended =
        |other: &Container<'_>| other.last.as_ref().is_some_and(|last| last.finished <= container.started);
    !others.is_empty() && others.iter().all(|other| is_later(other) && had_ended(other))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(code: i64, message: &str) -> String {
        End { code, reason: "Error", message, finished: None }.said()
    }

    /// Seconds of a minute.
    fn at(second: u8) -> String {
        format!("2026-11-25T03:00:{second:02}Z")
    }

    /// The emulator ended in second 10 and was started again in second 11; the others started and had ended in these seconds.
    fn with_pod(inits: &[(u8, u8)], apps: &[(u8, Option<u8>)]) -> bool {
        let ended = |second: u8| json!({"terminated": {"exitCode": 137, "finishedAt": at(second)}});
        let emulator = json!({"name": "emulator", "restartCount": 1, "state": {"running": {"startedAt": at(11)}}, "lastState": ended(10)});
        let inits: Vec<Value> = inits
            .iter()
            .map(|(second, restarts)| {
                json!({"name": "init", "restartCount": restarts, "state": {"terminated": {"exitCode": 0, "startedAt": at(*second)}}})
            })
            .collect();
        let mut containers: Vec<Value> = apps
            .iter()
            .map(|(second, last)| {
                let last = last.map(ended);
                json!({"name": "app", "restartCount": u8::from(last.is_some()), "state": {"running": {"startedAt": at(*second)}}, "lastState": last})
            })
            .collect();
        containers.insert(0, emulator);
        let pod = json!({"status": {"initContainerStatuses": inits, "containerStatuses": containers}});
        is_restarted_with_pod(&pod, &find(&pod, "emulator").unwrap())
    }

    #[test]
    fn a_restart_of_the_whole_pod_is_told_from_one_of_the_container() {
        assert!(!with_pod(&[(1, 0)], &[(2, None)]), "by itself");
        assert!(!with_pod(&[(10, 0)], &[(10, None)]), "by itself, in the Pod's first second");
        assert!(with_pod(&[(10, 1)], &[(12, Some(10))]), "with the Pod");
        assert!(with_pod(&[(11, 0)], &[(12, Some(10))]), "with the Pod, and the runtime lost count");
        assert!(with_pod(&[(11, 1)], &[(30, Some(29))]), "with the Pod, and then the app by itself");
        assert!(!with_pod(&[], &[(2, None)]), "by itself, without an init container");
        assert!(!with_pod(&[], &[(12, None)]), "by itself, before the app was started at all");
        assert!(!with_pod(&[], &[(15, Some(14))]), "by itself, and then the app for lack of it");
        assert!(!with_pod(&[], &[(12, Some(10)), (2, None)]), "by itself, and one app of two");
        assert!(with_pod(&[], &[(12, Some(10)), (12, Some(9))]), "with the Pod, without an init container");
    }

    #[test]
    fn a_container_ended_by_what_was_wrong_not_by_the_last_thing_it_said() {
        let line =
            |level: &str, message: &str| format!("{{\"level\":\"{level}\",\"message\":\"{message}\"}}\n");
        let usual = line("info", "got credentials from STS");
        let warning = line("warn", "a client reads credentials by IMDSv1");
        let error = line("error", "the event loop no longer runs");
        for (code, message, expected) in [
            (137, usual.clone(), "exit code 137 (SIGKILL)"),
            (137, format!("{warning}{usual}"), "exit code 137 (SIGKILL)"),
            (134, format!("{error}{usual}"), "exit code 134 (SIGABRT): the event loop no longer runs"),
            (1, usual.clone(), "Error, exit code 1"),
            (1, format!("{error}{usual}"), "the event loop no longer runs"),
            (64, "imds-emulator: wrong settings\n\n".to_owned(), "imds-emulator: wrong settings"),
            (200, String::new(), "Error, exit code 200"),
        ] {
            assert_eq!(said(code, &message), expected, "{code} {message}");
        }
    }
}
