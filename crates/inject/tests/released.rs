//! Pods that releases before this code injected, a folder for each under `tests/released`: people keep such manifests in Git, and
//! apply them to clusters of later releases. They are admitted as they are. `tests/cluster/previous_release.py` runs them, too.
//!
//! `RELEASE=1.2.3 cargo test -p imds-inject --test released -- --ignored` writes the folder of a release. A folder is never changed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{CONTEXT, injected};
use imds_contract::annotation;
use imds_inject::{Decision, Reason, ServerVersion, Settings, Sidecar, Warning, decide, injection_warnings};
use serde_json::{Value, json};

/// What stands in the manifests, for tests to replace.
const IMAGE: &str = "localhost/imds-emulator:dev";
const CLIENT: &str = "localhost/imds-client:test";
const STS: &str = "http://sts.example";

const INTERCEPTIONS: [&str; 3] = ["redirect", "address", "endpoint"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/released")
}

fn settings(image: &str, sidecar: Sidecar) -> Settings {
    let emulator_env = serde_json::from_value(json!({"AWS_ENDPOINT_URL_STS": STS})).unwrap();
    Settings { sidecar, emulator_env, ..Settings::new(image) }
}

/// The Pods of every release, each with its file's path.
fn pods() -> Vec<(PathBuf, Value)> {
    let files =
        |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let releases = files(&folder());
    let pods = releases.iter().flat_map(|release| {
        let files = files(release);
        assert_eq!(
            files.len(),
            2 * INTERCEPTIONS.len() + 1,
            "each form and interception, and every annotation: {files:?}"
        );
        files
    });
    pods.map(|file| {
        let pod = serde_yaml_ng::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        (file, pod)
    })
    .collect()
}

#[test]
fn pods_that_earlier_releases_injected_are_admitted_as_they_are() {
    let pods = pods();
    assert!(!pods.is_empty());
    for (file, pod) in pods {
        for sidecar in [Sidecar::Auto, Sidecar::Native, Sidecar::Classic] {
            for server in [None, Some(ServerVersion::FIRST_WITH_NATIVE_SIDECARS)] {
                let context = imds_inject::Context { server, ..CONTEXT };
                let decision = decide(&settings(IMAGE, sidecar), &pod, &context);
                assert_eq!(decision, Decision::Skip(Reason::AlreadyInjected), "{}", file.display());
            }
        }
        let warnings = injection_warnings(&settings(IMAGE, Sidecar::Auto), &pod, CONTEXT.namespace);
        assert_eq!(warnings, [], "{}", file.display());
    }
}

#[test]
fn the_image_of_an_earlier_release_is_warned_of_and_nothing_else_is() {
    for (file, pod) in pods() {
        let warnings =
            injection_warnings(&settings("registry.example/imds:2", Sidecar::Auto), &pod, CONTEXT.namespace);
        let of_image =
            |warning: &Warning| matches!(warning, Warning::OtherImage { image, .. } if image == IMAGE);
        assert!(!warnings.is_empty() && warnings.iter().all(of_image), "{}: {warnings:?}", file.display());
    }
}

#[test]
#[ignore = "writes a folder, once for each release"]
#[expect(clippy::disallowed_methods, reason = "the person who runs it names the release")]
fn keep_what_this_release_injects() {
    let folder = folder().join(std::env::var("RELEASE").expect("RELEASE is the version"));
    fs::create_dir(&folder).unwrap();
    let keep = |name: &str, sidecar, annotations: &Value| {
        let pod = injected(&settings(IMAGE, sidecar), &pod(name, annotations));
        fs::write(folder.join(format!("{name}.yaml")), serde_yaml_ng::to_string(&pod).unwrap()).unwrap();
    };
    for (form, sidecar) in [("native", Sidecar::Native), ("classic", Sidecar::Classic)] {
        for interception in INTERCEPTIONS {
            keep(
                &format!("{form}-{interception}"),
                sidecar,
                &json!({annotation::INTERCEPTION: interception}),
            );
        }
    }
    let every = json!({
        annotation::ASSUME_ROLE_ARNS:
            "arn:aws:iam::210987654321:role/first;external-id=Acme-42,arn:aws:iam::210987654321:role/second",
        annotation::CPU_LIMIT: "none",
        annotation::CPU_REQUEST: "20m",
        annotation::HTTP_TOKENS: "optional",
        annotation::INTERCEPTION: "endpoint",
        annotation::MEMORY_REQUEST: "48Mi",
        annotation::METADATA: "extended",
        annotation::REGION: "eu-central-1",
        annotation::SESSION_DURATION: "3600",
        annotation::SESSION_NAME: "{serviceaccount}@{namespace}",
        annotation::START: "with-credentials",
    });
    keep("every-annotation", Sidecar::Native, &every);
}

fn pod(name: &str, annotations: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {annotation::ENABLED_LABEL: annotation::ENABLED_VALUE},
            "annotations": annotations,
        },
        "spec": {
            "serviceAccountName": "my-sa",
            "containers": [{"name": "app", "image": CLIENT, "imagePullPolicy": "IfNotPresent"}],
        },
    });
    pod["metadata"]["annotations"][annotation::ROLE_ARN] =
        "arn:aws:iam::123456789012:role/my-example-role".into();
    pod
}
