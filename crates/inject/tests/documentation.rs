//! `docs/annotations.md` says what the code does: its tables are read and compared.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use imds_contract::{HttpTokens, Interception, Metadata, SessionDuration, Start, annotation};
use imds_inject::{
    Context, Decision, MetadataKind, Reason, Resources, ServerVersion, SessionNameTemplate, Settings,
    Warning, decide,
};
use serde_json::{Value, json};

const ANNOTATIONS: &str = "## The annotations";

/// The cells of the first table under this heading.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/annotations.md");
    let page = fs::read_to_string(page).unwrap();
    let section =
        page.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    let rows =
        section.skip_while(|line| !line.starts_with('|')).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "no table under {heading:?}");
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn first_column(heading: &str) -> Vec<String> {
    let mut names: Vec<_> = table(heading).iter().map(|row| quoted(&row[0])[0].to_owned()).collect();
    names.sort();
    names
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<_> = names.into_iter().map(ToOwned::to_owned).collect();
    names.sort();
    names
}

fn row(annotation: &str) -> Vec<String> {
    let suffix = format!("`{}`", annotation.strip_prefix(annotation::PREFIX).unwrap());
    table(ANNOTATIONS).into_iter().find(|row| row[0] == suffix).unwrap_or_else(|| panic!("{suffix}"))
}

fn pod(annotation: &str, value: &str) -> Value {
    let mut pod = json!({
        "metadata": {
            "labels": {annotation::ENABLED_LABEL: annotation::ENABLED_VALUE},
            "annotations": {annotation::ROLE_ARN: "arn:aws:iam::123456789012:role/r"},
        },
        "spec": {"containers": [{"name": "app"}]},
    });
    pod["metadata"]["annotations"][annotation] = value.into();
    pod
}

fn accepts(annotation: &str, value: &str) -> bool {
    let decision = decide(&Settings::new("image"), &pod(annotation, value), &Context::new("default"));
    matches!(decision, Decision::Inject(_))
}

#[test]
fn every_name_is_documented_and_no_other() {
    assert_eq!(first_column("## The label"), [annotation::ENABLED_LABEL]);
    assert_eq!(quoted(&table("## The label")[0][1]), [format!("{:?}", annotation::ENABLED_VALUE)]);
    let suffixes = annotation::ALL.map(|name| name.strip_prefix(annotation::PREFIX).unwrap());
    assert_eq!(first_column(ANNOTATIONS), sorted(suffixes));
}

#[test]
fn every_example_is_accepted() {
    for name in annotation::ALL {
        let examples = row(name)[3].clone();
        assert_eq!(quoted(&examples).is_empty(), name == annotation::STATUS, "{name}");
        for example in quoted(&examples) {
            assert!(accepts(name, example), "{name}: {example}");
        }
    }
}

#[test]
fn the_words_of_each_choice_are_all_there() {
    let words =
        |name: &str| -> Vec<String> { quoted(&row(name)[1]).into_iter().map(ToOwned::to_owned).collect() };
    assert_eq!(words(annotation::HTTP_TOKENS), ["optional", "required"]);
    assert_eq!(HttpTokens::ALL.len(), 2);
    let interceptions = Interception::ALL.iter().map(|word| word.as_str());
    assert_eq!(words(annotation::INTERCEPTION), interceptions.clone().collect::<Vec<_>>());
    assert_eq!(first_column("### interception"), sorted(interceptions));
    assert_eq!(words(annotation::START), Start::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
    assert_eq!(first_column("### start"), sorted(Start::ALL.iter().map(|word| word.as_str())));
    assert_eq!(
        words(annotation::METADATA),
        Metadata::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>()
    );
}

#[test]
fn the_defaults_are_those_of_the_code() {
    let Resources { requests, limits } = Resources::default();
    for (name, default) in [
        (annotation::HTTP_TOKENS, HttpTokens::default().to_string()),
        (annotation::SESSION_DURATION, SessionDuration::default().to_string()),
        (annotation::SESSION_NAME, SessionNameTemplate::default().to_string()),
        (annotation::INTERCEPTION, Interception::default().to_string()),
        (annotation::METADATA, Metadata::default().to_string()),
        (annotation::CPU_REQUEST, requests["cpu"].to_string()),
        (annotation::START, Start::default().to_string()),
        (annotation::MEMORY_REQUEST, requests["memory"].to_string()),
        (annotation::MEMORY_LIMIT, limits["memory"].to_string()),
    ] {
        assert_eq!(quoted(&row(name)[2]), [default], "{name}");
    }
}

#[test]
fn every_reason_is_documented_and_no_other() {
    let reasons = [
        Reason::NotLabelled,
        Reason::Disabled { value: String::new() },
        Reason::MirrorPod,
        Reason::AlreadyInjected,
        Reason::InjectedOtherwise { annotation: "", injected: String::new(), asked: String::new() },
        Reason::InjectionChanged { what: Vec::new() },
        Reason::NativeUnsupported { server: ServerVersion::FIRST_WITH_NATIVE_SIDECARS },
        Reason::Malformed { path: String::new() },
        Reason::NameTaken { what: "volume", name: "" },
        Reason::HostNetwork,
        Reason::Windows,
        Reason::PrivilegedPort { value: String::new() },
        Reason::NoRole,
        Reason::InvalidAnnotations(Vec::new()),
        Reason::TooLarge,
    ];
    for reason in &reasons {
        // Who adds a variant here adds it above.
        match reason {
            Reason::NotLabelled
            | Reason::Disabled { .. }
            | Reason::MirrorPod
            | Reason::AlreadyInjected
            | Reason::InjectedOtherwise { .. }
            | Reason::InjectionChanged { .. }
            | Reason::NativeUnsupported { .. }
            | Reason::Malformed { .. }
            | Reason::NameTaken { .. }
            | Reason::HostNetwork
            | Reason::Windows
            | Reason::PrivilegedPort { .. }
            | Reason::NoRole
            | Reason::InvalidAnnotations(_)
            | Reason::TooLarge => {}
        }
    }
    let words =
        |refusal| sorted(reasons.iter().filter(|reason| reason.is_refusal() == refusal).map(Reason::word));
    assert_eq!(first_column("## What is refused"), words(true));
    assert_eq!(first_column("## What is left as it is"), words(false));
}

#[test]
fn every_warning_is_documented_and_no_other() {
    let name = annotation::ROLE_ARN;
    let both = [MetadataKind::Label, MetadataKind::Annotation];
    let mut warnings = vec![
        Warning::LabelValue { value: String::new() },
        Warning::RoleWithoutLabel { label: None },
        Warning::NotOnTemplate { what: MetadataKind::Label, name, kind: String::new(), template: "" },
        Warning::NeverCompletes { restart_policy: String::new() },
        Warning::PortTaken { container: String::new(), port: 0 },
        Warning::OtherImage { container: "", image: String::new(), expected: String::new() },
        Warning::InjectionExtended { place: String::new(), what: Vec::new() },
    ];
    warnings.extend(both.map(|what| Warning::Unknown { what, name: String::new(), meant: None }));
    warnings.extend(both.map(|what| Warning::WrongKind { what, name }));
    for warning in &warnings {
        // Who adds a variant here adds it above.
        match warning {
            Warning::LabelValue { .. }
            | Warning::RoleWithoutLabel { .. }
            | Warning::Unknown { .. }
            | Warning::WrongKind { .. }
            | Warning::NotOnTemplate { .. }
            | Warning::NeverCompletes { .. }
            | Warning::OtherImage { .. }
            | Warning::InjectionExtended { .. }
            | Warning::PortTaken { .. } => {}
        }
    }
    assert_eq!(first_column("## Warnings"), sorted(warnings.iter().map(Warning::word)));
}
