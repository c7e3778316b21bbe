//! The part of an API server that the webhook talks to, over HTTPS: bearer tokens, one Secret, one
//! MutatingWebhookConfiguration, resource versions with their conflicts, JSON Patch. Everything else is forbidden, as the
//! webhook's Role would have it. Faults on request.

#![allow(dead_code, reason = "each test uses its part")]

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use imds_webhook::kubernetes::{Client, OwnObjects};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const SECRET: &str = "/api/v1/namespaces/imds/secrets/certificates";
const SECRETS: &str = "/api/v1/namespaces/imds/secrets";
const CONFIGURATION: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/imds-webhook";

/// Ends with the test's runtime.
pub(crate) struct ApiServer {
    port: u16,
    service_account: tempfile::TempDir,
    store: Arc<Mutex<Store>>,
    tls: Arc<Mutex<TlsAcceptor>>,
}

pub(crate) struct Store {
    pub(crate) secret: Option<Value>,
    pub(crate) configuration: Option<Value>,
    /// The one that is let in.
    pub(crate) token: String,
    pub(crate) fault: Option<Fault>,
    /// Method and path of each request that was let in.
    pub(crate) requests: Vec<String>,
    version: u64,
}

#[derive(Clone)]
pub(crate) enum Fault {
    /// This status and body, whatever is asked.
    Answer(u16, &'static str),
    /// The connection is closed in the middle of the answer.
    CutOff,
    /// No answer.
    Silence,
}

impl ApiServer {
    /// No Secret; a configuration of two webhooks, with no bundle.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let webhooks = ["mutate", "lint"].map(|name| {
            json!({
                "name": name,
                "clientConfig": { "service": { "name": "imds-webhook", "namespace": "imds", "path": name } },
                "aFieldOfTheFuture": { "kept": [1, 2] },
            })
        });
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": "imds-webhook", "resourceVersion": "1" },
            "webhooks": webhooks,
        });
        let store = Arc::new(Mutex::new(Store {
            secret: None,
            configuration: Some(configuration),
            token: "the token".to_owned(),
            fault: None,
            requests: Vec::new(),
            version: 1,
        }));
        let service_account = tempfile::tempdir().unwrap();
        std::fs::write(service_account.path().join("token"), "the token\n").unwrap();
        let tls = Arc::new(Mutex::new(acceptor(service_account.path())));
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(accept(listener, Arc::clone(&store), Arc::clone(&tls)));
        Self { port, service_account, store, tls }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new("127.0.0.1".to_owned(), self.port, self.service_account.path().to_owned())
    }

    pub(crate) fn objects(&self) -> OwnObjects {
        OwnObjects {
            client: self.client(),
            namespace: "imds".to_owned(),
            secret: "certificates".to_owned(),
            configuration: "imds-webhook".to_owned(),
        }
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub(crate) fn service_account(&self) -> &Path {
        self.service_account.path()
    }

    /// A new authority and certificate of the API server itself, as kubelet would bring them.
    pub(crate) fn replace_authority(&self) {
        *self.tls.lock().unwrap() = acceptor(self.service_account.path());
    }

    /// The PEM bundle of each webhook.
    pub(crate) fn bundles(&self) -> Vec<String> {
        let store = self.store();
        let webhooks = store.configuration.as_ref().unwrap()["webhooks"].as_array().unwrap();
        let bundle = |webhook: &Value| {
            let bundle = STANDARD.decode(webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default());
            String::from_utf8(bundle.unwrap()).unwrap()
        };
        webhooks.iter().map(bundle).collect()
    }
}

impl Store {
    fn answer(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> (StatusCode, Value) {
        self.requests.push(format!("{method} {path}"));
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, path) {
            ("GET", "/version") => {
                (StatusCode::OK, json!({ "major": "1", "minor": "32+", "gitVersion": "v1.32.4" }))
            }
            ("GET", SECRET) => found(self.secret.as_ref()),
            ("GET", CONFIGURATION) => found(self.configuration.as_ref()),
            ("POST", SECRETS) if self.secret.is_some() => refused(StatusCode::CONFLICT, "already exists"),
            ("POST", SECRETS) => {
                assert_eq!(sent["metadata"]["name"], "certificates");
                let stored = self.versioned(sent);
                self.secret = Some(stored.clone());
                (StatusCode::CREATED, stored)
            }
            ("PUT", SECRET) => match &self.secret {
                None => refused(StatusCode::NOT_FOUND, "not found"),
                Some(present) if version(present) != version(&sent) => conflict(),
                Some(_) => {
                    let stored = self.versioned(sent);
                    self.secret = Some(stored.clone());
                    (StatusCode::OK, stored)
                }
            },
            ("PATCH", CONFIGURATION) => {
                assert_eq!(content_type, "application/json-patch+json");
                let Some(present) = &self.configuration else {
                    return refused(StatusCode::NOT_FOUND, "not found");
                };
                match patched(present, &sent) {
                    None => refused(StatusCode::UNPROCESSABLE_ENTITY, "the patch does not apply"),
                    Some(wanted) if version(&wanted) != version(present) => conflict(),
                    Some(wanted) => {
                        let stored = self.versioned(wanted);
                        self.configuration = Some(stored.clone());
                        (StatusCode::OK, stored)
                    }
                }
            }
            _ => refused(StatusCode::FORBIDDEN, "the webhook may not do this"),
        }
    }

    fn versioned(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object
    }
}

fn version(object: &Value) -> Option<&str> {
    object["metadata"]["resourceVersion"].as_str()
}

fn found(object: Option<&Value>) -> (StatusCode, Value) {
    match object {
        Some(object) => (StatusCode::OK, object.clone()),
        None => refused(StatusCode::NOT_FOUND, "not found"),
    }
}

fn conflict() -> (StatusCode, Value) {
    refused(StatusCode::CONFLICT, "the object has been modified")
}

fn refused(status: StatusCode, message: &str) -> (StatusCode, Value) {
    (status, json!({ "kind": "Status", "status": "Failure", "message": message, "code": status.as_u16() }))
}

/// RFC 6902, `add` and `replace` of members.
fn patched(object: &Value, operations: &Value) -> Option<Value> {
    let mut object = object.clone();
    for operation in operations.as_array()? {
        let (parent, name) = operation["path"].as_str()?.rsplit_once('/')?;
        let parent = object.pointer_mut(parent)?.as_object_mut()?;
        match operation["op"].as_str()? {
            "add" => {}
            "replace" if parent.contains_key(name) => {}
            _ => return None,
        }
        parent.insert(name.to_owned(), operation["value"].clone());
    }
    Some(object)
}

async fn accept(listener: TcpListener, store: Arc<Mutex<Store>>, tls: Arc<Mutex<TlsAcceptor>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = tls.lock().unwrap().clone();
        tokio::spawn(connection(stream, acceptor, Arc::clone(&store)));
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, store: Arc<Mutex<Store>>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| respond(request, Arc::clone(&store)));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    request: Request<Incoming>,
    store: Arc<Mutex<Store>>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fault = store.lock().unwrap().fault.clone();
    let (status, body) = match fault {
        Some(Fault::Answer(status, body)) => (StatusCode::from_u16(status).unwrap(), body.to_owned()),
        Some(Fault::CutOff) => return Err(std::io::Error::other("cut off")),
        Some(Fault::Silence) => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            return Err(std::io::Error::other("silence"));
        }
        None => {
            let mut store = store.lock().unwrap();
            let (status, body) = if header("authorization") == format!("Bearer {}", store.token) {
                store.answer(head.method.as_str(), head.uri.path(), header("content-type"), &body)
            } else {
                refused(StatusCode::UNAUTHORIZED, "Unauthorized")
            };
            (status, body.to_string())
        }
    };
    Ok(Response::builder().status(status).body(Full::new(body.into())).unwrap())
}

/// A certificate for 127.0.0.1 of a new authority, which is written where the service account has it.
fn acceptor(service_account: &Path) -> TlsAcceptor {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(service_account.join("ca.crt"), authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
