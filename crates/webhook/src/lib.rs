//! The admission webhook: AdmissionReview in, JSON Patch out, over HTTPS.
//!
//! A review is answered from the request and the settings alone ([`review`], pure): no watch, no look-up, nothing that
//! could be late. Around it: [`config`] → [`run`] → the HTTPS listener ([`server`], [`service`], [`body`], [`answer`]), the certificate that it
//! shows ([`certificate`]: from files, or its own), health and metrics ([`admin`], [`metrics`]). The Kubernetes API
//! ([`kubernetes`]) is asked for the server's version and for the two objects that hold the webhook's own certificates.

pub mod admin;
pub mod answer;
pub mod body;
pub mod certificate;
pub mod config;
pub mod kubernetes;
pub mod log_limit;
pub mod metrics;
pub mod review;
pub mod server;
pub mod service;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use imds_contract::environment::ProcessEnvironment;
use imds_daemon::server::{Limits, Reach, bind, bind_everywhere};
use imds_daemon::shutdown::{Shutdown, Signals};
use imds_inject::{ServerVersion, Settings, Sidecar};
use tokio::net::TcpListener;
use tokio::sync::watch;

use certificate::Serving;
use certificate::own::{self, Replica};
use config::{Arguments, CertificateArguments};
use kubernetes::{Client, OwnObjects};

/// Where reviews are answered by default.
const PORT: u16 = 8443;
/// Where health and metrics are served by default.
const ADMIN_PORT: u16 = 8080;
/// Connections of kubelet and a scraper or two at once.
const ADMIN_CONNECTIONS: usize = 32;
/// The first wait after the API server's version could not be had, and the longest.
const VERSION_BACKOFF: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_secs(30);
/// From one look at the version to the next.
const VERSION_INTERVAL: Duration = Duration::from_mins(15);

/// Answers reviews until told to stop by a signal.
pub async fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("can't catch signals")?;
    let listener = listen(arguments.listen, PORT)?;
    let admin_listener = listen(arguments.admin_listen, ADMIN_PORT)?;
    let grace = arguments.grace_period();
    let log = Arc::new(log_limit::RequestLog::default());
    let metrics = Arc::new(metrics::Metrics::new(certificate::system_time(), Arc::clone(&log)));

    let serving = Arc::new(Serving::new());
    let clients = arguments.client_ca.as_deref().map(server::client_authorities).transpose()?;
    let needs_client_certificate = clients.is_some();
    let tls = server::tls(Arc::clone(&serving) as _, clients).context("can't set TLS up")?;
    let mut background = tokio::task::JoinSet::new();
    start_certificate(arguments.certificate, &serving, &mut background)?;

    let (learned, server_version) = watch::channel(None);
    // Outside a cluster there is nobody to ask: the version stays unknown, and nothing waits for it.
    let api_server = match (settings.sidecar, Client::in_pod(&ProcessEnvironment)) {
        (Sidecar::Auto, Ok(client)) => Some(client),
        (Sidecar::Auto, Err(error)) => {
            log::warn!(error:% = error; "the API server's version can't be learned: sidecar auto means native");
            None
        }
        (Sidecar::Native | Sidecar::Classic, _) => None,
    };
    let version_matters = api_server.is_some();
    if let Some(client) = api_server {
        background.spawn(learn_version(client, learned));
    }

    log::info!(
        reviews:% = address(&listener),
        admin:% = address(&admin_listener),
        image = settings.image,
        interception = settings.interception.as_str(),
        client_certificate = if needs_client_certificate { "required" } else { "not requested" },
        version = env!("CARGO_PKG_VERSION");
        "answering reviews"
    );
    let (stopping_sender, stopping) = watch::channel(false);
    let (stop, shutdown) = Shutdown::channel();
    let admin = Arc::new(admin::Admin {
        certificate: serving,
        server_version: version_matters.then(|| server_version.clone()),
        metrics: Arc::clone(&metrics),
        stopping: stopping.clone(),
    });
    let service = Arc::new(service::Service {
        settings,
        server_version,
        bodies: body::Bodies::new(),
        answers: answer::AnswerRoom::new(),
        log,
        metrics,
    });
    let mut listeners = tokio::task::JoinSet::new();
    listeners.spawn(server::serve(listener, tls, service, stopping, shutdown.clone()));
    let handle = move |request| {
        let admin = Arc::clone(&admin);
        async move { admin.respond(&request) }
    };
    // Not Limits::ADMIN: kubelet's probes come here, and are not to wait behind others.
    let limits = Limits { connections: ADMIN_CONNECTIONS, ..Limits::default() };
    listeners.spawn(imds_daemon::server::serve(vec![admin_listener], limits, handle, shutdown));

    tokio::select! {
        () = signals.told(grace) => {}
        _ = listeners.join_next() => anyhow::bail!("a listener has ended: this is a bug"),
    }
    stopping_sender.send_replace(true);
    signals.grace(grace).await;
    drop(stop);
    while listeners.join_next().await.is_some() {}
    log::info!("stopped");
    Ok(())
}

fn listen(address: Option<SocketAddr>, port: u16) -> anyhow::Result<TcpListener> {
    let bound = match address {
        Some(address) => bind(address, Reach::Anyone).map_err(|error| (address, error)),
        None => bind_everywhere(port),
    };
    bound.map_err(|(address, error)| anyhow!("can't listen on {address}: {error}"))
}

fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
}

/// Loads the certificate from its files, or starts to keep one of its own.
fn start_certificate(
    arguments: CertificateArguments,
    serving: &Arc<Serving>,
    background: &mut tokio::task::JoinSet<()>,
) -> anyhow::Result<()> {
    let CertificateArguments {
        tls_cert,
        tls_key,
        self_managed_certs: _,
        namespace,
        service,
        secret,
        webhook_configuration,
    } = arguments;
    match (tls_cert, tls_key, namespace) {
        (Some(certificate), Some(key), _) => {
            let watch = certificate::files::Watch::start(certificate, key, Arc::clone(serving))?;
            background.spawn(watch.run());
        }
        (_, _, Some(namespace)) => {
            let client = Client::in_pod(&ProcessEnvironment)
                .map_err(|error| anyhow!("--self-managed-certs needs a Kubernetes API: {error}"))?;
            let settings = own::Settings::for_service(&service, &namespace);
            let objects = OwnObjects { client, namespace, secret, configuration: webhook_configuration };
            let replica = Replica::new(objects, settings, Arc::clone(serving));
            background.spawn(replica.run(certificate::system_time));
        }
        // clap has seen to it that one of them is there.
        _ => anyhow::bail!("give --tls-cert and --tls-key, or --self-managed-certs with --namespace"),
    }
    Ok(())
}

/// Asks for the API server's version until it is known, and again from time to time: control planes are upgraded. A
/// webhook that never knew it is not ready.
async fn learn_version(client: Client, learned: watch::Sender<Option<ServerVersion>>) {
    let mut backoff = VERSION_BACKOFF.start;
    loop {
        let answer = client.version().await.map_err(|error| error.to_string()).and_then(|version| {
            ServerVersion::from_parts(&version.major, &version.minor).map_err(|error| error.to_string())
        });
        let wait = match answer {
            Ok(version) => {
                let is_new = learned.send_if_modified(|known| known.replace(version) != Some(version));
                if is_new {
                    log::info!(server:% = version; "the API server's version is known");
                }
                backoff = VERSION_BACKOFF.start;
                VERSION_INTERVAL
            }
            Err(error) => {
                backoff = (backoff * 2).min(VERSION_BACKOFF.end);
                log::warn!(retry_in_seconds = backoff.as_secs(); "can't learn the API server's version: {error}");
                backoff
            }
        };
        tokio::time::sleep(wait).await;
    }
}
