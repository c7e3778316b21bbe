//! What a Pod's owner should know though the Pod is admitted.

use std::fmt;

use imds_contract::{annotation, excerpt, visible};

use crate::reason::some;
use crate::server_version::ServerVersion;

/// A near miss, or a consequence that the owner may not expect; one sentence each, which says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The label's value neither enables nor plainly disables.
    LabelValue {
        /// The value, as JSON: `"true"`, or `true` where it is no text.
        value: String,
    },
    /// The role is named, but nothing enables the emulator.
    RoleWithoutLabel {
        /// The label's value, where it is there.
        label: Option<String>,
    },
    /// A label or an annotation that looks like ours and is none.
    Unknown {
        /// Which of the two.
        what: MetadataKind,
        /// Its name.
        name: String,
        /// The one that was probably meant.
        meant: Option<&'static str>,
    },
    /// The label stands among the annotations, or an annotation among the labels.
    WrongKind {
        /// What it should be.
        what: MetadataKind,
        /// Its name.
        name: &'static str,
    },
    /// The label or annotation is on what makes the Pods, not on its Pod template.
    NotOnTemplate {
        /// Which of the two.
        what: MetadataKind,
        /// Its name.
        name: &'static str,
        /// The kind of what makes the Pods.
        kind: String,
        /// A JSON pointer to the template in it.
        template: &'static str,
    },
    /// A Pod that is to end gets a sidecar that does not.
    NeverCompletes {
        /// The Pod's `restartPolicy`.
        restart_policy: String,
    },
    /// A container of an injected Pod has another image than the one that is injected now.
    OtherImage {
        /// The container's name.
        container: &'static str,
        /// Its image.
        image: String,
        /// The image that is injected now.
        expected: String,
    },
    /// A container or volume of an injected Pod has more than the injection writes.
    InjectionExtended {
        /// The container's name, or `the volume` with its name.
        place: String,
        /// What was added.
        what: Vec<String>,
    },
    /// A container says that it listens on a port of the emulator.
    PortTaken {
        /// The container's name.
        container: String,
        /// The TCP port.
        port: u16,
    },
}

/// Where a name of ours belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataKind {
    /// `metadata.labels`.
    Label,
    /// `metadata.annotations`.
    Annotation,
}

impl MetadataKind {
    /// The field of `metadata`.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Label => "labels",
            Self::Annotation => "annotations",
        }
    }
}

impl fmt::Display for MetadataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Label => "label",
            Self::Annotation => "annotation",
        })
    }
}

impl Warning {
    /// One word, for a metric's label.
    pub fn word(&self) -> &'static str {
        match self {
            Self::LabelValue { .. } => "label_value",
            Self::RoleWithoutLabel { .. } => "role_without_label",
            Self::Unknown { what: MetadataKind::Label, .. } => "unknown_label",
            Self::Unknown { what: MetadataKind::Annotation, .. } => "unknown_annotation",
            Self::WrongKind { what: MetadataKind::Label, .. } => "label_as_annotation",
            Self::WrongKind { what: MetadataKind::Annotation, .. } => "annotation_as_label",
            Self::NotOnTemplate { .. } => "not_on_template",
            Self::NeverCompletes { .. } => "never_completes",
            Self::OtherImage { .. } => "other_image",
            Self::InjectionExtended { .. } => "injection_extended",
            Self::PortTaken { .. } => "port_taken",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, enabled) = (annotation::ENABLED_LABEL, annotation::ENABLED_VALUE);
        match self {
            Self::LabelValue { value } => write!(
                f,
                "the label {label} is {}, which leaves the emulator disabled: set it to {enabled:?}, in quotes, or to \"False\"",
                visible(&excerpt(value))
            ),
            Self::RoleWithoutLabel { label: None } => write!(
                f,
                "the annotation {} has no effect without the label {label}: set the label to {enabled:?}, or remove the annotation",
                annotation::ROLE_ARN
            ),
            Self::RoleWithoutLabel { label: Some(value) } => write!(
                f,
                "the annotation {} has no effect while the label {label} is {:?}: set the label to {enabled:?}, or remove \
                 the annotation",
                annotation::ROLE_ARN,
                excerpt(value)
            ),
            Self::Unknown { what, name, meant } => {
                write!(f, "the {what} {:?} is unknown and has no effect: ", excerpt(name))?;
                match meant {
                    Some(meant) if *meant == label => write!(f, "did you mean the label {meant}?"),
                    Some(meant) => write!(f, "did you mean the annotation {meant}?"),
                    None => f.write_str("remove it"),
                }
            }
            Self::WrongKind { what, name } => {
                let (is, wrong) = match what {
                    MetadataKind::Label => ("a label", "an annotation"),
                    MetadataKind::Annotation => ("an annotation", "a label"),
                };
                write!(
                    f,
                    "{name} is {is}, and has no effect as {wrong}: move it to metadata.{}",
                    what.field()
                )
            }
            Self::NotOnTemplate { what, name, kind, template } => {
                let template = template.trim_start_matches('/').replace('/', ".");
                write!(
                    f,
                    "the {what} {name} is on the {kind}, whose Pods do not get it: move it to {template}.metadata.{}",
                    what.field()
                )
            }
            Self::NeverCompletes { restart_policy } => write!(
                f,
                "this Pod has restartPolicy {}, but will not complete: a classic sidecar keeps running when the \
                 other containers have ended. Where every node runs Kubernetes {} or later, the setting `sidecar: native` mends it",
                visible(&excerpt(restart_policy)),
                ServerVersion::FIRST_WITH_NATIVE_SIDECARS
            ),
            Self::OtherImage { container, image, expected } => write!(
                f,
                "the injected container {container} has the image {:?}, not {:?}: make sure that a registry mirror or another \
                 release put it there",
                excerpt(image),
                excerpt(expected)
            ),
            Self::InjectionExtended { place, what } => write!(
                f,
                "{place}, which is part of the injection, has what the injection does not write: {}. Make sure that it belongs \
                 there",
                some(what, ", ")
            ),
            Self::PortTaken { container, port } => write!(
                f,
                "the container {:?} has the port {port}, which the emulator listens on in the same Pod: only one of the two will \
                 start. Let the container listen on another port",
                excerpt(container)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;

    /// kubectl prints a denial and a warning as they are.
    #[test]
    fn a_sentence_repeats_nothing_that_a_terminal_obeys() {
        let hostile = "x\u{1b}[2J\u{9b}31m\u{202e}\n✔ all is well";
        let text = || hostile.to_owned();
        for sentence in [
            Warning::LabelValue { value: format!("\"{hostile}\"") }.to_string(),
            Warning::RoleWithoutLabel { label: Some(text()) }.to_string(),
            Warning::Unknown { what: MetadataKind::Label, name: text(), meant: None }.to_string(),
            Warning::NeverCompletes { restart_policy: text() }.to_string(),
            Warning::PortTaken { container: text(), port: 80 }.to_string(),
            Warning::OtherImage { container: "c", image: text(), expected: text() }.to_string(),
            Warning::InjectionExtended { place: "c".to_owned(), what: vec![text()] }.to_string(),
            Reason::InjectionChanged { what: vec![text()] }.to_string(),
            Reason::Disabled { value: text() }.to_string(),
            Reason::InjectedOtherwise { annotation: annotation::ROLE_ARN, injected: text(), asked: text() }
                .to_string(),
            Reason::Malformed { path: text() }.to_string(),
            Reason::PrivilegedPort { value: text() }.to_string(),
        ] {
            assert_eq!(visible(&sentence), sentence);
            assert!(sentence.contains("all is well"), "{sentence}");
        }
    }
}
