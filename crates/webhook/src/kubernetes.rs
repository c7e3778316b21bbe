//! The Kubernetes API, as far as this webhook may use it: its own Secret, its own MutatingWebhookConfiguration, and the
//! server's version. A Role and a `ClusterRole` that name those two objects are enough (`get` and `update` on the Secret,
//! `get` and `patch` on the configuration); `create` on Secrets is needed only where nobody has made an empty one.
//!
//! One connection for one request, from inside a Pod alone: address, token and CA are where every Pod has them, and are
//! read anew each time, because kubelet replaces both files. Objects stay the JSON that they are: what this program
//! does not know goes back as it came. Source: Kubernetes, "Accessing the Kubernetes API from a Pod", "API concepts".

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use imds_contract::environment::Environment;
use rustls_pki_types::ServerName;
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Where every Pod finds its service account. Source: Kubernetes, "Configure Service Accounts for Pods".
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// For a whole request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer, in bytes: etcd holds no object of more than 1.5 MiB by default, and data is in base64.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

/// A client of the API server of this Pod's cluster.
#[derive(Debug, Clone)]
pub struct Client {
    host: String,
    port: u16,
    service_account: PathBuf,
}

/// The two objects that this webhook owns.
#[derive(Debug, Clone)]
pub struct OwnObjects {
    /// Through which they are reached.
    pub client: Client,
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The `MutatingWebhookConfiguration`'s name.
    pub configuration: String,
}

/// What there is to do with the two objects. Every write names the version that it was computed from, and fails with
/// [`Failure::Conflict`] if that is no longer the current one.
pub trait Objects: Send + Sync {
    /// The Secret; none where it does not exist.
    fn secret(&self) -> impl Future<Output = Result<Option<Secret>, Failure>> + Send;

    /// Changes the Secret's data, or creates it where `secret` is none. Keys that `changes` does not name stay.
    fn write_secret(
        &self,
        secret: Option<&Secret>,
        changes: &Changes,
    ) -> impl Future<Output = Result<Secret, Failure>> + Send;

    /// The webhook configuration; none where it does not exist.
    fn configuration(&self) -> impl Future<Output = Result<Option<WebhookConfiguration>, Failure>> + Send;

    /// Sets `caBundle`, PEM, in each webhook of the configuration.
    fn write_bundle(
        &self,
        configuration: &WebhookConfiguration,
        bundle: &str,
    ) -> impl Future<Output = Result<WebhookConfiguration, Failure>> + Send;
}

/// New values of a Secret's keys; none removes the key.
pub type Changes = BTreeMap<&'static str, Option<String>>;

/// A Secret. Its `Debug` tells nothing of its data.
#[derive(Clone)]
pub struct Secret(Map<String, Value>);

/// A `MutatingWebhookConfiguration`, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfiguration {
    /// Changes with every change of the object.
    pub resource_version: String,
    /// `clientConfig.caBundle` of each webhook: PEM, empty where there is none.
    pub bundles: Vec<Vec<u8>>,
}

/// The API server's version, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// `1`.
    pub major: String,
    /// `32`; some providers write `32+`.
    pub minor: String,
}

/// Why a request to the API server came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// This environment variable is missing or wrong: this program does not run in a Pod.
    NotInPod(&'static str),
    /// A file of the service account can't be used.
    ServiceAccount(PathBuf, String),
    /// No answer: what was asked, and what went wrong.
    Unreachable(String, String),
    /// The API server refuses: what was asked, its status, its own words.
    Refused(String, StatusCode, String),
    /// Somebody else changed or created the object since it was read.
    Conflict(String),
    /// The answer is not what the API promises: what was asked, what is wrong.
    Answer(String, &'static str),
}

impl Client {
    /// The client of the Pod that this program runs in. Nothing is opened yet.
    pub fn in_pod(environment: &impl Environment) -> Result<Self, Failure> {
        const HOST: &str = "KUBERNETES_SERVICE_HOST";
        const PORT: &str = "KUBERNETES_SERVICE_PORT";
        let host = environment.get(HOST).filter(|host| !host.is_empty()).ok_or(Failure::NotInPod(HOST))?;
        let port = environment.get(PORT).and_then(|port| port.parse().ok()).ok_or(Failure::NotInPod(PORT))?;
        Ok(Self::new(host, port, SERVICE_ACCOUNT.into()))
    }

    /// A client of this API server, with the `token` and `ca.crt` in this folder.
    pub fn new(host: String, port: u16, service_account: PathBuf) -> Self {
        Self { host, port, service_account }
    }

    /// The API server's version. Every service account may ask for it.
    pub async fn version(&self) -> Result<Version, Failure> {
        let asked = Asked { what: "read the API server's version".to_owned(), path: "/version".to_owned() };
        let answer = self.ask(&asked, Method::GET, JSON, Bytes::new()).await?;
        match (answer.get("major"), answer.get("minor")) {
            (Some(Value::String(major)), Some(Value::String(minor))) => {
                Ok(Version { major: major.clone(), minor: minor.clone() })
            }
            _ => Err(Failure::Answer(asked.what, "major or minor is missing")),
        }
    }

    async fn get(&self, asked: &Asked) -> Result<Option<Map<String, Value>>, Failure> {
        match self.ask(asked, Method::GET, JSON, Bytes::new()).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Failure::Refused(_, StatusCode::NOT_FOUND, _)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn ask(
        &self,
        asked: &Asked,
        method: Method,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Map<String, Value>, Failure> {
        let request = self.request(asked, method, content_type, body)?;
        let unreachable = |why: String| Failure::Unreachable(asked.what.clone(), why);
        let (status, body) = tokio::time::timeout(TIMEOUT, self.exchange(request))
            .await
            .map_err(|_| unreachable(format!("no answer within {}", humantime::format_duration(TIMEOUT))))??
            .map_err(unreachable)?;
        let answer = serde_json::from_slice::<Map<String, Value>>(&body);
        if status.is_success() {
            // The parser's own words are left out: they may quote a Secret.
            return answer.map_err(|_| Failure::Answer(asked.what.clone(), "it is no JSON object"));
        }
        if status == StatusCode::CONFLICT {
            return Err(Failure::Conflict(asked.what.clone()));
        }
        // Every refusal is a `Status` object, unless something in between answered.
        let message = answer.ok().and_then(|answer| Some(answer.get("message")?.as_str()?.to_owned()));
        Err(Failure::Refused(asked.what.clone(), status, message.unwrap_or_default()))
    }

    fn request(
        &self,
        asked: &Asked,
        method: Method,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let path = self.service_account.join("token");
        let token = std::fs::read_to_string(&path)
            .map_err(|error| Failure::ServiceAccount(path.clone(), error.to_string()))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| Failure::ServiceAccount(path, "it holds no token".to_owned()))?;
        authorization.set_sensitive(true);
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        Request::builder()
            .method(method)
            .uri(&asked.path)
            .header(HOST, format!("{host}:{}", self.port))
            .header(USER_AGENT, concat!("imds-webhook/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, content_type)
            .header(AUTHORIZATION, authorization)
            .body(Full::new(body))
            .map_err(|error| Failure::Unreachable(asked.what.clone(), error.to_string()))
    }

    /// The inner error is what went wrong on the way.
    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Result<(StatusCode, Bytes), String>, Failure> {
        let connector = self.connector()?;
        Ok(async {
            let address = format!("{}, port {}", self.host, self.port);
            let name =
                ServerName::try_from(self.host.clone()).map_err(|error| format!("{address}: {error}"))?;
            let stream = TcpStream::connect((self.host.as_str(), self.port))
                .await
                .map_err(|error| format!("can't connect to {address}: {error}"))?;
            let stream = connector.connect(name, stream).await.map_err(|error| {
                let why = imds_tls::handshake_in_words(&error, self.authority().display());
                format!("can't set up TLS with {address}: {why}")
            })?;
            let http = |error: hyper::Error| format!("{address}: {error}");
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
            // Ends with this request, whichever way that ends.
            let mut driver = JoinSet::new();
            driver.spawn(connection);
            let (head, body) = sender.send_request(request).await.map_err(http)?.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await;
            Ok((head.status, body.map_err(|error| format!("{address}: {error}"))?.to_bytes()))
        }
        .await)
    }

    /// The file with the certificates of those who sign the API server's.
    fn authority(&self) -> PathBuf {
        self.service_account.join("ca.crt")
    }

    fn connector(&self) -> Result<TlsConnector, Failure> {
        let path = self.authority();
        let wrong = |why: String| Failure::ServiceAccount(path.clone(), why);
        let roots = imds_tls::roots_in(&path).map_err(|error| wrong(error.to_string()))?;
        let config = imds_tls::client_config(roots).map_err(|error| wrong(imds_tls::in_words(&error)))?;
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

impl Objects for OwnObjects {
    async fn secret(&self) -> Result<Option<Secret>, Failure> {
        Ok(self.client.get(&self.asked_of_secret("read")).await?.map(Secret))
    }

    async fn write_secret(&self, secret: Option<&Secret>, changes: &Changes) -> Result<Secret, Failure> {
        let (asked, method, document) = if let Some(secret) = secret {
            (self.asked_of_secret("update"), Method::PUT, secret.with(changes))
        } else {
            let mut asked = self.asked_of_secret("create");
            asked.path = format!("/api/v1/namespaces/{}/secrets", self.namespace);
            (asked, Method::POST, Secret::new(&self.namespace, &self.secret).with(changes))
        };
        let body = Bytes::from(Value::Object(document.0).to_string());
        Ok(Secret(self.client.ask(&asked, method, JSON, body).await?))
    }

    async fn configuration(&self) -> Result<Option<WebhookConfiguration>, Failure> {
        let asked = self.asked_of_configuration("read");
        let found = self.client.get(&asked).await?;
        found.map(|document| WebhookConfiguration::read(&document, &asked)).transpose()
    }

    async fn write_bundle(
        &self,
        configuration: &WebhookConfiguration,
        bundle: &str,
    ) -> Result<WebhookConfiguration, Failure> {
        let asked = self.asked_of_configuration("patch");
        let body = Bytes::from(configuration.patch(bundle).to_string());
        let document = self.client.ask(&asked, Method::PATCH, JSON_PATCH, body).await?;
        WebhookConfiguration::read(&document, &asked)
    }
}

impl OwnObjects {
    fn asked_of_secret(&self, verb: &str) -> Asked {
        let Self { namespace, secret, .. } = self;
        Asked {
            what: format!("{verb} the Secret {namespace}/{secret}"),
            path: format!("/api/v1/namespaces/{namespace}/secrets/{secret}"),
        }
    }

    fn asked_of_configuration(&self, verb: &str) -> Asked {
        let name = &self.configuration;
        Asked {
            what: format!("{verb} the MutatingWebhookConfiguration {name}"),
            path: format!("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{name}"),
        }
    }
}

impl Secret {
    /// A Secret that does not exist yet, empty.
    pub fn new(namespace: &str, name: &str) -> Self {
        let document = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "namespace": namespace, "name": name },
            "type": "Opaque",
        });
        Self(document.as_object().cloned().unwrap_or_default())
    }

    /// The value of a key; none where it is missing.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        STANDARD.decode(self.0.get("data")?.get(key)?.as_str()?).ok()
    }

    /// The same Secret, version and all, with these changes.
    #[must_use]
    pub fn with(&self, changes: &Changes) -> Self {
        let mut document = self.0.clone();
        let mut data = document.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        for (key, value) in changes {
            match value {
                Some(value) => _ = data.insert((*key).to_owned(), STANDARD.encode(value).into()),
                None => _ = data.remove(*key),
            }
        }
        document.insert("data".to_owned(), Value::Object(data));
        Self(document)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl WebhookConfiguration {
    fn read(document: &Map<String, Value>, asked: &Asked) -> Result<Self, Failure> {
        let version = document.get("metadata").and_then(|metadata| metadata.get("resourceVersion"));
        let Some(resource_version) = version.and_then(Value::as_str).map(str::to_owned) else {
            return Err(Failure::Answer(asked.what.clone(), "metadata.resourceVersion is missing"));
        };
        let webhooks =
            document.get("webhooks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let bundle =
            |webhook: &Value| STANDARD.decode(webhook.get("clientConfig")?.get("caBundle")?.as_str()?).ok();
        let bundles = webhooks.iter().map(|webhook| bundle(webhook).unwrap_or_default()).collect();
        Ok(Self { resource_version, bundles })
    }

    /// A JSON Patch that names webhooks by their place, which the version makes safe: the API server answers 409 if it is
    /// no longer the current one.
    fn patch(&self, bundle: &str) -> Value {
        let version =
            json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": self.resource_version });
        let bundle = STANDARD.encode(bundle);
        let set = |place| json!({ "op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle });
        std::iter::once(version).chain((0..self.bundles.len()).map(set)).collect()
    }
}

/// A request, in words and on the wire.
struct Asked {
    what: String,
    path: String,
}

impl Failure {
    /// Whether it helps to read again at once.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInPod(variable) => {
                write!(f, "can't find the API server: {variable} is missing or wrong; every Pod has it")
            }
            Self::ServiceAccount(path, why) => {
                write!(f, "can't use {} of the service account: {why}", path.display())
            }
            Self::Unreachable(what, why) => write!(f, "can't {what}: {why}"),
            Self::Refused(what, status, message) if message.is_empty() => {
                write!(f, "can't {what}: the API server answers {status}")
            }
            Self::Refused(what, status, message) => {
                write!(f, "can't {what}: the API server answers {status}: {message}")
            }
            Self::Conflict(what) => write!(f, "can't {what}: somebody else changed it meanwhile"),
            Self::Answer(what, why) => write!(f, "can't {what}: the API server's answer is wrong: {why}"),
        }
    }
}

impl std::error::Error for Failure {}
