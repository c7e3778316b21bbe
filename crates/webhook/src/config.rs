//! The command line and the settings file, read once.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser};
use imds_contract::environment;
use imds_inject::{Settings, image_reference};
use log::LevelFilter;

/// The admission webhook of the IMDS emulator: AdmissionReview in, JSON Patch out
#[derive(Debug, Parser)]
#[command(name = "imds-webhook", version, max_term_width = 100)]
pub struct Arguments {
    /// Where reviews are answered, over HTTPS [default: 0.0.0.0:8443, and IPv6 where it exists]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where health and metrics are served [default: 0.0.0.0:8080, and IPv6 where it exists]
    #[arg(long, value_name = "IP:PORT")]
    pub admin_listen: Option<SocketAddr>,
    /// The settings of injection, in YAML; unknown keys are errors
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The image with the programs, before the settings' own
    #[arg(long, value_parser = image_reference)]
    image: Option<String>,
    /// Serve reviews only to clients with a certificate of a CA in this file, in PEM; read at the start
    #[arg(long, value_name = "FILE")]
    pub(crate) client_ca: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) certificate: CertificateArguments,
    /// How many seconds to go on serving after SIGTERM, while others learn that this replica is leaving
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    grace_period: u16,
    /// error, warn, info, debug or trace
    #[arg(long, default_value = "info", value_name = "LEVEL", env = environment::LOG_LEVEL)]
    pub log_level: LevelFilter,
}

/// Where the serving certificate comes from.
#[derive(Debug, Args)]
pub(crate) struct CertificateArguments {
    /// The serving certificate with its chain, in PEM; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", required_unless_present = "self_managed_certs")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The serving certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Make, keep and rotate certificates of its own: CA and leaf in the Secret, the CA in the webhook configuration
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"], requires = "namespace")]
    pub(crate) self_managed_certs: bool,
    /// The namespace of this webhook
    #[arg(long, env = environment::POD_NAMESPACE)]
    pub(crate) namespace: Option<String>,
    /// The Service that the API server reaches this webhook by
    #[arg(long, value_name = "NAME", default_value = "imds-webhook")]
    pub(crate) service: String,
    /// The Secret that holds the certificates, in the same namespace
    #[arg(long, value_name = "NAME", default_value = "imds-webhook-certificates")]
    pub(crate) secret: String,
    /// The MutatingWebhookConfiguration that gets the CA
    #[arg(long, value_name = "NAME", default_value = "imds-webhook")]
    pub(crate) webhook_configuration: String,
}

impl Arguments {
    /// How long to go on serving after the first signal.
    pub fn grace_period(&self) -> Duration {
        Duration::from_secs(self.grace_period.into())
    }

    /// The settings of injection: the file's, with the flags' before them.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = match (&self.config, &self.image) {
            (Some(path), _) => read(path)?,
            (None, Some(image)) => Settings::new(image.clone()),
            (None, None) => anyhow::bail!(
                "which image to inject? Give --image, or --config with a file that has `image:`"
            ),
        };
        if let Some(image) = &self.image {
            settings.image.clone_from(image);
        }
        Ok(settings)
    }
}

fn read(path: &Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
    serde_yaml_ng::from_str(&text).with_context(|| format!("wrong settings in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("imds-webhook").chain(arguments.iter().copied()))
    }

    #[test]
    fn a_certificate_comes_from_files_or_is_its_own() {
        assert!(parse(&["--tls-cert", "c", "--tls-key", "k", "--image", "i"]).is_ok());
        assert!(parse(&["--self-managed-certs", "--namespace", "n", "--image", "i"]).is_ok());
        for wrong in [
            &["--image", "i"][..],
            &["--tls-cert", "c"],
            &["--tls-key", "k"],
            &["--self-managed-certs"],
            &["--self-managed-certs", "--namespace", "n", "--tls-cert", "c", "--tls-key", "k"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_image_that_no_kubelet_pulls_is_refused_with_the_accepted_form() {
        for wrong in ["", "UPPER CASE", "registry.example/Upper", "imds:"] {
            let error =
                parse(&["--tls-cert", "c", "--tls-key", "k", "--image", wrong]).unwrap_err().to_string();
            assert!(error.contains("accepted: a reference to an image"), "{wrong}: {error}");
        }
    }

    #[test]
    fn settings_come_from_the_file_and_unknown_keys_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        let path = file.to_str().unwrap();
        let settings = |text: &str, image: &[&str]| {
            std::fs::write(&file, text).unwrap();
            parse(&[&["--tls-cert", "c", "--tls-key", "k", "--config", path], image].concat())
                .unwrap()
                .settings()
        };
        assert_eq!(settings("image: a\nregion: eu-central-1\n", &[]).unwrap().image, "a");
        assert_eq!(settings("image: a\n", &["--image", "b"]).unwrap().image, "b");
        let error = format!("{:#}", settings("image: a\nregoin: eu-central-1\n", &[]).unwrap_err());
        assert!(error.contains(path) && error.contains("regoin"), "{error}");
        let error = format!("{:#}", settings("region: eu-central-1\n", &[]).unwrap_err());
        assert!(error.contains("image"), "{error}");
        assert!(parse(&["--tls-cert", "c", "--tls-key", "k"]).unwrap().settings().is_err());
    }
}
