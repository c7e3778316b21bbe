//! The Pod that `run` is about, and the operator's settings.

use std::path::Path;

use anyhow::{Context as _, bail};
use imds_inject::Settings;
use serde_json::Value;
use serde_yaml_ng::Mapping;

use crate::inject::source::{Source, read_file};
use crate::yaml::parse;

/// The manifest of GKE on AWS's page "Enable the IMDS emulator", unchanged.
const EXAMPLE: &str = include_str!("../../../examples/pod.yaml");

/// The image that stands in the injected spec where no settings name one: what `deploy/image/build` makes.
pub(crate) const LOCAL_IMAGE: &str = "localhost/imds-emulator:dev";

/// Reads the one Pod of a file, as `inject` reads files; the example without one.
pub(crate) fn read_pod(file: Option<&Path>) -> anyhow::Result<Value> {
    let source = match file {
        None => Source::new("examples/pod.yaml".to_owned(), EXAMPLE.into()),
        Some(file) => read_file(file)?,
    };
    parse_pod(&source).with_context(|| format!("cannot use {}", source.name))
}

/// Reads the webhook's settings; its defaults without a file. The image, where one is given, takes the place of theirs.
pub(crate) fn read_settings(file: Option<&Path>, image: Option<&str>) -> anyhow::Result<Settings> {
    let Some(file) = file else { return Ok(Settings::new(image.unwrap_or(LOCAL_IMAGE))) };
    let Source { text, fault, .. } = read_file(file)?;
    if let Some(fault) = fault {
        bail!("cannot use {}: {fault}", file.display());
    }
    let settings = match image {
        None => serde_yaml_ng::from_str(&text),
        Some(image) => serde_yaml_ng::from_str(&text).and_then(|mut settings: Mapping| {
            settings.insert("image".into(), image.into());
            serde_yaml_ng::from_value(settings.into())
        }),
    };
    settings.with_context(|| format!("cannot use {}", file.display()))
}

fn parse_pod(source: &Source) -> anyhow::Result<Value> {
    if let Some(fault) = &source.fault {
        bail!("{fault}");
    }
    let stream = parse(&source.text)?;
    let documents = stream.documents.iter().map(|document| (document.root.to_json(), &document.twice));
    let mut documents = documents.filter(|(document, _)| !document.is_null());
    let (Some((pod, twice)), None) = (documents.next(), documents.next()) else {
        bail!("it has to hold one Pod and nothing else");
    };
    if let Some((_, twice)) = twice.first() {
        bail!("{twice}");
    }
    match pod.get("kind").and_then(Value::as_str) {
        Some("Pod") => Ok(pod),
        Some(kind) => bail!("it holds a {kind}; `run` takes a Pod"),
        None => bail!("it holds no Kubernetes object: `kind` is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(yaml: &str) -> Source {
        Source::new("x".to_owned(), yaml.into())
    }

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
            let error = parse_pod(&source(yaml)).unwrap_err().to_string();
            assert!(error.contains(expected), "{yaml:?}: {error}");
        }
        assert!(parse_pod(&source("---\nkind: Pod\n---\n")).is_ok(), "empty documents are none");
    }

    #[test]
    fn a_file_is_read_as_inject_reads_it() {
        let utf16 =
            format!("\u{feff}{EXAMPLE}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let json = r#"{"kind": "Pod", "metadata": {"name": "\ud83d\ude00\/"}}"#;
        let read = |bytes: &[u8]| parse_pod(&Source::new("x".to_owned(), bytes.to_owned()));
        assert_eq!(read(&utf16).unwrap(), read(EXAMPLE.as_bytes()).unwrap());
        assert_eq!(read(json.as_bytes()).unwrap()["metadata"]["name"], "😀/");
        for (bytes, expected) in [
            (b"kind: Pod\nspec: \xe9\n".as_slice(), "line 2: this is not UTF-8"),
            (b"kind: Pod\nkind: Pod\n", "line 2: the key \"kind\" is here twice"),
            (b"kind: Pod\nspec:\n  a: 1\n  a: 2\n", "line 4: the key \"a\" is here twice"),
        ] {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        // The webhook's settings, too, from whatever editor.
        let file = tempfile::NamedTempFile::new().unwrap();
        let settings =
            "\u{feff}image: theirs\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        std::fs::write(file.path(), settings).unwrap();
        assert_eq!(read_settings(Some(file.path()), None).unwrap().image, "theirs");
        std::fs::write(file.path(), b"image: \xe9\n").unwrap();
        let error = read_settings(Some(file.path()), None).unwrap_err().to_string();
        assert!(error.ends_with("line 1: this is not UTF-8"), "{error}");
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
