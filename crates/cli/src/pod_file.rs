//! The Pod that `run` is about, and the operator's settings.

use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use imds_inject::Settings;
use serde_json::Value;
use serde_yaml_ng::Mapping;

use crate::yaml::parse;

/// The manifest of GKE on AWS's page "Enable the IMDS emulator", unchanged.
const EXAMPLE: &str = include_str!("../../../examples/pod.yaml");

/// The image that stands in the injected spec where no settings name one: what `deploy/image/build` makes.
pub(crate) const LOCAL_IMAGE: &str = "localhost/imds-emulator:dev";

/// Reads the one Pod of a file; the example without one.
pub(crate) fn read_pod(file: Option<&Path>) -> anyhow::Result<Value> {
    match file {
        None => parse_pod(EXAMPLE),
        Some(file) => {
            let text = read(file)?;
            parse_pod(&text).with_context(|| format!("cannot use {}", file.display()))
        }
    }
}

/// Reads the webhook's settings; its defaults without a file. The image, where one is given, takes the place of theirs.
pub(crate) fn read_settings(file: Option<&Path>, image: Option<&str>) -> anyhow::Result<Settings> {
    let Some(file) = file else { return Ok(Settings::new(image.unwrap_or(LOCAL_IMAGE))) };
    let text = read(file)?;
    let settings = match image {
        None => serde_yaml_ng::from_str(&text),
        Some(image) => serde_yaml_ng::from_str(&text).and_then(|mut settings: Mapping| {
            settings.insert("image".into(), image.into());
            serde_yaml_ng::from_value(settings.into())
        }),
    };
    settings.with_context(|| format!("cannot use {}", file.display()))
}

fn read(file: &Path) -> anyhow::Result<String> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.with_context(|| format!("cannot read {}", file.display()))
}

fn parse_pod(yaml: &str) -> anyhow::Result<Value> {
    let stream = parse(yaml)?;
    let documents = stream.documents.iter().map(|document| document.root.to_json());
    let mut documents = documents.filter(|document| !document.is_null());
    let (Some(pod), None) = (documents.next(), documents.next()) else {
        bail!("it has to hold one Pod and nothing else");
    };
    match pod.get("kind").and_then(Value::as_str) {
        Some("Pod") => Ok(pod),
        Some(kind) => bail!("it holds a {kind}; `run` takes a Pod"),
        None => bail!("it holds no Kubernetes object: `kind` is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_the_manifest_of_the_page() {
        let pod = read_pod(None).unwrap();
        let label = "gkemulticloud.googleapis.com/aws-imds-emulator-enabled";
        let annotation = "gkemulticloud.googleapis.com/aws-imds-emulator-role-arn";
        assert_eq!(pod["metadata"]["labels"][label], "True");
        assert_eq!(
            pod["metadata"]["annotations"][annotation],
            "arn:aws:iam::123456789012:role/my-example-role"
        );
        assert_eq!(pod["spec"]["containers"][0]["image"], "nginx");
    }

    #[test]
    fn what_is_not_one_pod_is_refused_in_words() {
        for (yaml, expected) in [
            ("", "one Pod"),
            ("kind: Pod\n---\nkind: Pod\n", "one Pod"),
            ("kind: Deployment", "holds a Deployment"),
            ("[1, 2]", "`kind` is missing"),
        ] {
            let error = parse_pod(yaml).unwrap_err().to_string();
            assert!(error.contains(expected), "{yaml:?}: {error}");
        }
        assert!(parse_pod("---\nkind: Pod\n---\n").is_ok(), "empty documents are none");
    }

    #[test]
    fn an_image_takes_the_place_of_the_settings_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "image: theirs\nregion: eu-central-1\n").unwrap();
        let settings = |image| read_settings(Some(file.path()), image).unwrap();
        assert_eq!(settings(None).image, "theirs");
        assert_eq!(settings(Some("mine")).image, "mine");
        assert!(settings(Some("mine")).region.is_some(), "the rest stays");
        assert_eq!(read_settings(None, Some("mine")).unwrap().image, "mine");
        std::fs::write(file.path(), "region: eu-central-1\n").unwrap();
        assert_eq!(settings(Some("mine")).image, "mine");
        assert!(read_settings(Some(file.path()), None).is_err());
    }
}
