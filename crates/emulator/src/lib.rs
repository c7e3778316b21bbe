//! The sidecar: serves the credential part of IMDS on loopback, with credentials from STS.
//!
//! Data flows one way: [`config`] → [`run`] → the refresh loop ([`refresh`], told when by [`schedule`], asking through
//! [`exchange`]) → a watch channel ([`refresh::View`]) → the listeners ([`http`] for IMDS, [`admin`] for health and
//! metrics). What decides is pure and takes the time as an argument: [`imds`], [`token`], [`schedule`], [`credentials`].

pub mod admin;
pub mod advice;
pub mod authorization;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod exchange;
pub mod hardening;
pub mod http;
pub mod imds;
pub mod imdsv1;
pub mod metrics;
pub mod refresh;
pub mod schedule;
pub mod token;
pub mod wait;
pub mod watchdog;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imds_contract::{HopLimit, SessionDuration, address};
use imds_daemon::server::{self, Limits, Reach};
use imds_daemon::shutdown::{Shutdown, Signals};
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use clock::{Clock, SystemClock};
use config::Config;
use exchange::StsExchange;

/// Descriptors that no client of IMDS gets: those of the admin listener's clients, and what the program itself has open, in
/// an exchange with STS above all.
const OWN_DESCRIPTORS: u64 = Limits::ADMIN.connections as u64 + 24;

/// Where descriptors are scarcer than that.
const LEAST_CONNECTIONS: u64 = 8;

/// Why the emulator could not start.
#[derive(Debug)]
pub enum Error {
    /// An address could not be listened on.
    Listen(SocketAddr, io::Error),
    /// The file with the value of `Authorization` could not be read or made.
    Authorization(PathBuf, io::Error),
    /// The system gave no random bytes for the key of the session tokens.
    Random,
    /// The signals that end the program could not be caught.
    Signals(io::Error),
    /// The thread that watches over the event loop could not be started.
    Watchdog(io::Error),
    /// A part of the program ended that never should: it is better started anew.
    Ended(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "can't listen on {address}: {error}"),
            Self::Authorization(path, error) => write!(f, "can't use {}: {error}", path.display()),
            Self::Random => f.write_str("can't get random bytes from the system"),
            Self::Signals(error) => write!(f, "can't catch signals: {error}"),
            Self::Watchdog(error) => write!(f, "can't start the watchdog's thread: {error}"),
            Self::Ended(part) => write!(f, "{part} has ended: this is a bug"),
        }
    }
}

impl std::error::Error for Error {}

/// Serves until told to stop by a signal.
pub async fn run(config: Config) -> Result<(), Error> {
    // Destructured whole, so that a new setting can't be forgotten here.
    let Config {
        role_arn,
        role_chain,
        token_file,
        listen,
        admin_listen,
        session_name,
        session_duration,
        http_tokens,
        metadata,
        facts,
        authorization_file,
        allowed_hosts,
        hop_limit,
        start,
        start_timeout,
        grace_period,
        log_level: _,
        explain,
        sts,
    } = config;
    let clock = SystemClock;
    let started = clock.now();
    let mut signals = Signals::new().map_err(Error::Signals)?;
    let listeners = bind_imds(listen, hop_limit)?;
    let authorization = authorization_file.map(|path| authorization(&path)).transpose()?;
    let served_role = role_chain.last().unwrap_or(&role_arn).clone();
    let admin_listener = bind_admin(admin_listen)?;
    log::info!(
        role:% = role_arn,
        further_roles:% = role_chain,
        session:% = session_name,
        sts = sts.endpoint().url(),
        imds:% = Addresses(&listeners),
        admin:% = Addresses(std::slice::from_ref(&admin_listener)),
        version = env!("CARGO_PKG_VERSION");
        "serving IMDS"
    );
    if session_duration < SessionDuration::DEFAULT {
        log::warn!(
            session_duration_seconds = session_duration.as_secs();
            "a session shorter than 3600 s can't keep 25 minutes left: some AWS SDKs go on with expired credentials"
        );
    }

    let metrics = Arc::new(metrics::Metrics::new(started.wall));
    let (publisher, view) = refresh::channel();
    let (stop, shutdown) = Shutdown::channel();
    let tokens = token::TokenKey::generate().map_err(|_| Error::Random)?;
    let admin = Arc::new(admin::Admin {
        view: view.clone(),
        metrics: Arc::clone(&metrics),
        clock,
        started,
        start,
        start_timeout,
    });
    let imds = Arc::new(http::Service {
        imds: imds::Imds {
            metadata: imds::Tree::new(metadata, &facts, &served_role, started.wall),
            role: served_role,
            http_tokens,
            tokens,
            authorization,
            allowed_hosts,
        },
        view,
        metrics: Arc::clone(&metrics),
        clock,
        admin: Arc::clone(&admin),
    });
    let exchange = StsExchange {
        client: sts,
        role_arn,
        role_chain,
        session_name,
        session_duration,
        token_file,
        explain,
        clock,
    };

    watchdog::start().map_err(Error::Watchdog)?;
    let mut refreshing =
        tokio::spawn(refresh::run(exchange, session_duration.into(), clock, metrics, publisher));
    let mut serving = serve(imds, listeners, admin, admin_listener, &shutdown);

    tokio::select! {
        () = signals.told(grace_period) => {}
        _ = &mut refreshing => return Err(Error::Ended("the refresh loop")),
        _ = serving.join_next() => return Err(Error::Ended("a listener")),
    }
    signals.grace(grace_period).await;
    drop(stop);
    while serving.join_next().await.is_some() {}
    refreshing.abort();
    log::info!("stopped");
    Ok(())
}

/// Starts to answer on the listeners.
fn serve<C: Clock>(
    imds: Arc<http::Service<C>>,
    listeners: Vec<TcpListener>,
    admin: Arc<admin::Admin<C>>,
    admin_listener: TcpListener,
    shutdown: &Shutdown,
) -> JoinSet<()> {
    let mut serving = JoinSet::new();
    let handle = move |request| {
        let imds = Arc::clone(&imds);
        async move { imds.respond(request).await }
    };
    serving.spawn(server::serve(listeners, imds_limits(), handle, shutdown.clone()));
    let handle = move |request| {
        let admin = Arc::clone(&admin);
        async move { admin.respond(&request) }
    };
    serving.spawn(server::serve(vec![admin_listener], Limits::ADMIN, handle, shutdown.clone()));
    serving
}

/// As many connections as the limit of open files allows, so that no client's connections keep the token file closed.
fn imds_limits() -> Limits {
    let limits = Limits::default();
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let allowed = descriptors.saturating_sub(OWN_DESCRIPTORS).max(LEAST_CONNECTIONS);
    Limits { connections: usize::try_from(allowed).unwrap_or(usize::MAX).min(limits.connections), ..limits }
}

/// The value that opens the container credentials endpoint.
fn authorization(path: &Path) -> Result<imds_sts::Secret, Error> {
    authorization::read_or_create(path).map_err(|error| Error::Authorization(path.to_owned(), error))
}

/// Binds the IMDS listeners. An IPv6 address is left out where the Pod has no IPv6, as long as one address is served. An address
/// that could be reached from outside the Pod is an error.
fn bind_imds(listen: Vec<SocketAddr>, hop_limit: Option<HopLimit>) -> Result<Vec<TcpListener>, Error> {
    let addresses = if listen.is_empty() {
        vec![
            SocketAddr::from((Ipv4Addr::LOCALHOST, address::EMULATOR_PORT)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, address::EMULATOR_PORT)),
        ]
    } else {
        listen
    };
    let mut listeners = Vec::new();
    let mut left_out = None;
    for address in addresses {
        // --allow-remote opens the addresses that it was given for, never these.
        let reach = if address::is_pod_local(address.ip()) { Reach::Namespace } else { Reach::Anyone };
        match server::bind(address, reach) {
            Ok(listener) => {
                if let Some(limit) = hop_limit {
                    server::set_hop_limit(&listener, limit.get())
                        .map_err(|error| Error::Listen(address, error))?;
                }
                listeners.push(listener);
            }
            Err(error) if address.is_ipv6() && server::is_absent(&error) => {
                log::info!(address:% = address, error:% = error; "no IPv6 here: left out");
                left_out = Some(Error::Listen(address, error));
            }
            Err(error) => return Err(Error::Listen(address, error)),
        }
    }
    match left_out {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// By default on every address of the Pod.
fn bind_admin(listen: Option<SocketAddr>) -> Result<TcpListener, Error> {
    let bound = match listen {
        Some(address) => server::bind(address, Reach::Anyone).map_err(|error| (address, error)),
        None => server::bind_everywhere(address::ADMIN_PORT),
    };
    bound.map_err(|(address, error)| Error::Listen(address, error))
}

struct Addresses<'a>(&'a [TcpListener]);

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, listener) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match listener.local_addr() {
                Ok(address) => write!(f, "{separator}{address}")?,
                Err(error) => write!(f, "{separator}{error}")?,
            }
        }
        Ok(())
    }
}
