//! A review: the bytes of an AdmissionReview in, those of its answer out. Pure.
//!
//! What is not a Pod being created passes untouched. What can't be read as an AdmissionReview of an object is nothing that an
//! API server sends: the caller answers 400. Source: Kubernetes, "Dynamic Admission Control", `admission.k8s.io/v1`.

use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imds_inject::{
    Context, Decision, Extent, Operation, PodError, Reason, ServerVersion, Settings, Warning, read_pod,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The only version there is; its predecessor is gone since Kubernetes 1.22.
const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// The API server drops what goes beyond 4096 characters of warnings; ours are of a few hundred each.
const MOST_WARNINGS: usize = 8;

/// An API server's are of 36 characters. It is sent back and logged.
const LONGEST_UID: usize = 128;

/// The longest name of an object. Source: Kubernetes, "Object Names and IDs".
const LONGEST_NAME: usize = 253;

/// Which webhook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Webhook {
    /// `/mutate`: injects, refuses and warns.
    Mutate,
    /// `/lint`: only ever warns. It is registered for the Pods that the other one is not asked about.
    Lint,
}

impl Webhook {
    /// Every webhook.
    pub const ALL: [Self; 2] = [Self::Mutate, Self::Lint];

    /// The path that it is registered with.
    pub fn path(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::Lint => "/lint",
        }
    }

    /// Its name in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Lint => "lint",
        }
    }
}

/// A finished review.
#[derive(Debug)]
pub struct Reviewed {
    /// The AdmissionReview to answer with, as JSON.
    pub body: Vec<u8>,
    /// What became of the object.
    pub outcome: Outcome,
    /// Whom it was about, for the log.
    pub subject: Subject,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The emulator was added.
    Injected {
        /// A sentence.
        what: String,
    },
    /// An injected Pod got again what it had lost.
    Completed {
        /// A sentence.
        what: String,
    },
    /// Left as it is, for this reason.
    Skipped {
        /// One word.
        reason: &'static str,
    },
    /// Not admitted.
    Refused {
        /// One word.
        reason: &'static str,
        /// A sentence that says what to do.
        message: String,
    },
    /// Admitted with a warning.
    Warned {
        /// One word.
        reason: &'static str,
        /// Sentences that say what to do.
        message: String,
    },
}

impl Outcome {
    /// One word for each, and one for why, as the labels of a metric.
    pub fn labels(&self) -> [&'static str; 2] {
        match self {
            Self::Injected { .. } => ["injected", ""],
            Self::Completed { .. } => ["completed", ""],
            Self::Skipped { reason } => ["skipped", reason],
            Self::Refused { reason, .. } => ["refused", reason],
            Self::Warned { reason, .. } => ["warned", reason],
        }
    }
}

/// Whom a review was about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The review's uid.
    pub uid: String,
    /// The namespace.
    pub namespace: String,
    /// The Pod's name, or the prefix that it is generated from.
    pub name: String,
}

/// Why bytes are no AdmissionReview that could be answered.
#[derive(Debug)]
pub enum Unreadable {
    /// Not UTF-8, which JSON is.
    Utf8(Utf8Error),
    /// Not JSON, or not of this form.
    Json(serde_json::Error),
    /// Another kind or version.
    Kind {
        /// What was sent.
        sent: String,
    },
    /// There is no `request`, or it has no `uid`.
    NoRequest,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utf8(error) => write!(f, "not an AdmissionReview: {error}"),
            Self::Json(error) => write!(f, "not an AdmissionReview: {error}"),
            Self::Kind { sent } => write!(f, "{sent} is not accepted; accepted: {API_VERSION} {KIND}"),
            Self::NoRequest => {
                f.write_str("the AdmissionReview has no request with a uid of up to 128 characters")
            }
        }
    }
}

impl std::error::Error for Unreadable {}

/// Reviews what the API server sent.
pub fn review(
    body: &[u8],
    webhook: Webhook,
    settings: &Settings,
    server: Option<ServerVersion>,
) -> Result<Reviewed, Unreadable> {
    let body = str::from_utf8(body).map_err(Unreadable::Utf8)?;
    let review: AdmissionReview<'_> = serde_json::from_str(body).map_err(Unreadable::Json)?;
    if (&*review.api_version, &*review.kind) != (API_VERSION, KIND) {
        return Err(Unreadable::Kind { sent: format!("{} {}", &*review.api_version, &*review.kind) });
    }
    let request = review
        .request
        .filter(|request| (1..=LONGEST_UID).contains(&request.uid.len()))
        .ok_or(Unreadable::NoRequest)?;
    let mut answer = Answer::allow(&request.uid);
    let mut pod = None;
    let outcome = match request.pod_to_create() {
        Err(reason) => Outcome::Skipped { reason },
        Ok(json) => match (read_pod(json), webhook) {
            (Ok(read), Webhook::Mutate) => {
                answer.mutate(pod.insert(read), settings, &request.namespace, server)
            }
            (Ok(read), Webhook::Lint) => answer.lint(pod.insert(read)),
            (Err(PodError::TooLarge), Webhook::Mutate) => answer.refuse(&Reason::TooLarge),
            (Err(PodError::TooLarge), Webhook::Lint) => Outcome::Skipped { reason: Reason::TooLarge.word() },
            (Err(PodError::Json(error)), _) => return Err(Unreadable::Json(error)),
        },
    };
    let answer = AnsweredReview { api_version: API_VERSION, kind: KIND, response: answer };
    let body = serde_json::to_vec(&answer).map_err(Unreadable::Json)?;
    Ok(Reviewed { body, outcome, subject: request.subject(pod.as_ref()) })
}

/// The part of an AdmissionReview that is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionReview<'a> {
    #[serde(borrow, default)]
    api_version: Text<'a>,
    #[serde(borrow, default)]
    kind: Text<'a>,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    uid: Text<'a>,
    #[serde(borrow, default)]
    resource: Option<Resource<'a>>,
    #[serde(borrow, default)]
    sub_resource: Text<'a>,
    #[serde(borrow, default)]
    operation: Text<'a>,
    #[serde(borrow, default)]
    namespace: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Resource<'a> {
    #[serde(borrow, default)]
    group: Text<'a>,
    #[serde(borrow, default)]
    resource: Text<'a>,
}

/// A string; null and absent count as empty, as Go reads them.
#[derive(Deserialize, Default)]
struct Text<'a>(#[serde(borrow)] Option<Cow<'a, str>>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Request<'_> {
    /// The Pod, where the request is to create one; else why it is of no concern, in a word.
    fn pod_to_create(&self) -> Result<&str, &'static str> {
        let is_pod = |resource: &Resource<'_>| (&*resource.group, &*resource.resource) == ("", "pods");
        if !self.resource.as_ref().is_some_and(is_pod) || !self.sub_resource.is_empty() {
            return Err("not_a_pod");
        }
        if &*self.operation != "CREATE" {
            return Err("not_created");
        }
        self.object.map(RawValue::get).ok_or("not_a_pod")
    }

    /// Whom this is about. A Pod of a Deployment, a Job and so on has no name yet, but a prefix that its name is made from.
    fn subject(&self, pod: Option<&Value>) -> Subject {
        let metadata = |key| pod?.get("metadata")?.get(key)?.as_str();
        let own = Some(&*self.name).filter(|name| !name.is_empty());
        let name = own.or_else(|| metadata("name")).or_else(|| metadata("generateName"));
        Subject {
            uid: self.uid.to_string(),
            namespace: cut(&self.namespace),
            name: cut(name.unwrap_or_default()),
        }
    }
}

/// What is sent may be no name at all: no line of the log is to grow with it.
fn cut(name: &str) -> String {
    name.get(..name.floor_char_boundary(LONGEST_NAME)).unwrap_or_default().to_owned()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnsweredReview<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Answer<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// `metav1.Status`: what `kubectl` shows of a refusal.
#[derive(Serialize)]
struct Status {
    code: u16,
    reason: &'static str,
    message: String,
}

impl<'a> Answer<'a> {
    fn allow(uid: &'a str) -> Self {
        Self { uid, allowed: true, status: None, patch_type: None, patch: None, warnings: Vec::new() }
    }

    fn mutate(
        &mut self,
        pod: &Value,
        settings: &Settings,
        namespace: &str,
        server: Option<ServerVersion>,
    ) -> Outcome {
        let decision = imds_inject::decide(settings, pod, &Context { namespace, server });
        let mut warnings = imds_inject::warnings(pod);
        if decision == Decision::Skip(Reason::AlreadyInjected) {
            warnings.extend(imds_inject::injection_warnings(settings, pod, namespace));
        }
        let warned = self.warned(&warnings);
        match decision {
            Decision::Inject(injection) => match encoded(&injection.operations) {
                Ok(patch) => {
                    self.patch_type = Some("JSONPatch");
                    self.patch = Some(patch);
                    self.warn(&injection.warnings);
                    let is_whole = injection.extent == Extent::Whole;
                    let what = Decision::Inject(injection).to_string();
                    if is_whole { Outcome::Injected { what } } else { Outcome::Completed { what } }
                }
                // It can't fail: an operation is a path and JSON. Admitting the Pod without its identity would be worse.
                Err(error) => self.deny("internal", error.to_string()),
            },
            Decision::Refuse(reason) => self.refuse(&reason),
            Decision::Skip(reason) => {
                // kubelet writes it into its log: nobody else sees the response.
                if reason == Reason::MirrorPod {
                    self.warn(&[&reason]);
                }
                warned.unwrap_or_else(|| Outcome::Skipped { reason: reason.word() })
            }
        }
    }

    fn lint(&mut self, pod: &Value) -> Outcome {
        self.warned(&imds_inject::warnings(pod)).unwrap_or(Outcome::Skipped { reason: "nothing_to_say" })
    }

    fn warned(&mut self, warnings: &[Warning]) -> Option<Outcome> {
        let first = warnings.first()?;
        self.warn(warnings);
        Some(Outcome::Warned { reason: first.word(), message: self.warnings.join("; ") })
    }

    fn warn(&mut self, warnings: &[impl fmt::Display]) {
        let room = MOST_WARNINGS.saturating_sub(self.warnings.len());
        self.warnings
            .extend(warnings.iter().take(room).map(|warning| format!("aws-imds-emulator: {warning}")));
    }

    fn refuse(&mut self, reason: &Reason) -> Outcome {
        self.deny(reason.word(), reason.to_string())
    }

    fn deny(&mut self, reason: &'static str, message: String) -> Outcome {
        self.allowed = false;
        self.status =
            Some(Status { code: 422, reason: "Invalid", message: format!("aws-imds-emulator: {message}") });
        Outcome::Refused { reason, message }
    }
}

/// The patch as it stands in an answer: base64, in which JSON escapes nothing.
fn encoded(operations: &[Operation]) -> serde_json::Result<Box<RawValue>> {
    let patch = serde_json::to_vec(operations)?;
    let mut text = String::with_capacity(patch.len() * 4 / 3 + 6);
    text.push('"');
    STANDARD.encode_string(patch, &mut text);
    text.push('"');
    RawValue::from_string(text)
}

#[cfg(test)]
mod tests;
