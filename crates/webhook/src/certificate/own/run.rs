//! One replica's part in keeping the certificates: look at the two objects, do what `plan.rs` says until it says wait.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Settings;
use super::issue::{IssueError, issue};
use super::plan::{Change, Served, Step, Trust, View, next};
use super::stored::Stored;
use crate::certificate::Serving;
use crate::kubernetes::{Failure, Objects, WebhookConfiguration};

/// More steps than any way through the plan has.
const MOST_STEPS: u32 = 8;

/// The first wait after a failure, and the longest.
const BACKOFF: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_mins(1);

/// One of the webhook's processes.
#[derive(Debug)]
pub struct Replica<O> {
    objects: O,
    settings: Settings,
    serving: Arc<Serving>,
    served: Option<Served>,
    /// The version of the configuration seen last, and since when.
    seen: Option<(String, SystemTime)>,
    /// What was told last of the configuration, so that it is not told again.
    told: Option<String>,
}

/// Why a round broke off. The next one starts anew; what is served stays.
#[derive(Debug)]
pub enum RoundError {
    /// The API server did not do what was asked.
    Kubernetes(Failure),
    /// No certificate could be made, in words.
    Issue(String),
}

impl<O: Objects> Replica<O> {
    /// A replica that serves nothing yet.
    pub fn new(objects: O, settings: Settings, serving: Arc<Serving>) -> Self {
        Self { objects, settings, serving, served: None, seen: None, told: None }
    }

    /// Keeps the certificates, for ever. `clock` tells wall time.
    pub async fn run(mut self, clock: impl Fn() -> SystemTime + Send) {
        let mut failures = 0;
        loop {
            let wait = match self.round(clock()).await {
                Ok(wait) => {
                    failures = 0;
                    // Replicas that were started together drift apart.
                    wait.mul_f64(0.8 + 0.4 * fastrand::f64())
                }
                Err(error) => {
                    let wait = backoff(failures, fastrand::f64());
                    failures += 1;
                    if error.is_conflict() {
                        log::debug!("{error}; reading again");
                    } else {
                        let retry = wait.as_secs();
                        log::warn!(failures, retry_in_seconds = retry; "can't look after the certificates: {error}");
                    }
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Looks once and does what there is to do, at `now`. Returns how long there is nothing more to do. After an error
    /// what is served is what was served before, or better.
    pub async fn round(&mut self, now: SystemTime) -> Result<Duration, RoundError> {
        let mut secret = self.objects.secret().await?;
        let mut trust = self.trust(now).await?;
        let mut stored = Stored::read(secret.as_ref(), &self.settings.names);
        for _ in 0..MOST_STEPS {
            let view = View {
                stored: &stored,
                trust: trust.as_ref().map(|(_, trust)| trust),
                served: self.served.as_ref(),
            };
            match next(view, &self.settings, now) {
                Step::Write(change) => {
                    let changes = issue(change, &stored, &self.settings, now)?;
                    let written = self.objects.write_secret(secret.as_ref(), &changes).await?;
                    tell(change, &stored);
                    stored = Stored::read(Some(&written), &self.settings.names);
                    secret = Some(written);
                }
                Step::Trust(bundle) => {
                    if let Some((configuration, _)) = &trust {
                        let written = self.objects.write_bundle(configuration, &bundle).await?;
                        log::info!("told the API server which authorities to trust");
                        trust = Some(self.seen(written, now));
                    }
                }
                Step::Serve => self.serve(&stored),
                Step::Wait(wait) => return Ok(wait),
            }
        }
        // Somebody changes the objects as fast as we do.
        Ok(self.settings.interval)
    }

    /// The webhook configuration. It may come after the webhook, and a Role may lack it: told once, retried.
    async fn trust(&mut self, now: SystemTime) -> Result<Option<(WebhookConfiguration, Trust)>, Failure> {
        let problem = match self.objects.configuration().await {
            Ok(Some(configuration)) => {
                self.told = None;
                return Ok(Some(self.seen(configuration, now)));
            }
            Ok(None) => "the webhook configuration does not exist".to_owned(),
            Err(failure @ Failure::Refused(..)) => failure.to_string(),
            Err(failure) => return Err(failure),
        };
        self.seen = None;
        if self.told.as_ref() != Some(&problem) {
            log::warn!("{problem}; until that changes the API server is not told which authority to trust");
            self.told = Some(problem);
        }
        Ok(None)
    }

    fn seen(
        &mut self,
        configuration: WebhookConfiguration,
        now: SystemTime,
    ) -> (WebhookConfiguration, Trust) {
        let since = match &self.seen {
            Some((version, since)) if *version == configuration.resource_version => *since,
            _ => now,
        };
        self.seen = Some((configuration.resource_version.clone(), since));
        let trust = Trust { bundles: configuration.bundles.clone(), since };
        (configuration, trust)
    }

    fn serve(&mut self, stored: &Stored) {
        if let (Some(leaf), Some(authority)) = (&stored.leaf, &stored.authority) {
            self.serving.set(leaf.loaded.clone());
            log::info!(
                authority = authority.certificate.common_name(),
                expires:% = humantime::format_rfc3339_seconds(leaf.loaded.expires());
                "serving a new certificate"
            );
            self.served = Some(Served {
                certificate: leaf.certificate.clone(),
                authority: authority.certificate.clone(),
            });
        }
    }
}

fn tell(change: Change, before: &Stored) {
    let damage = before.damage.join("; ");
    if !damage.is_empty() {
        log::warn!(damage; "replaced what could not be used in the Secret");
    }
    match change {
        Change::StartOver => log::info!("made a new authority and a serving certificate"),
        Change::Renew => log::info!("made a new serving certificate"),
        Change::Stage => log::info!("made the next authority; it signs once API servers trust it"),
        Change::Promote => log::info!("the next authority signs from now on; made a new serving certificate"),
    }
}

/// Doubles up to a cap; the upper half is random. Replicas that conflicted must not do so again.
fn backoff(failures: u32, random: f64) -> Duration {
    let full = BACKOFF.start.saturating_mul(2_u32.saturating_pow(failures)).min(BACKOFF.end);
    full.mul_f64(0.5 + 0.5 * random)
}

impl RoundError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Kubernetes(failure) if failure.is_conflict())
    }
}

impl From<Failure> for RoundError {
    fn from(failure: Failure) -> Self {
        Self::Kubernetes(failure)
    }
}

impl From<IssueError> for RoundError {
    fn from(error: IssueError) -> Self {
        Self::Issue(error.to_string())
    }
}

impl fmt::Display for RoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(failure) => failure.fmt(f),
            Self::Issue(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for RoundError {}
