//! An STS for local use: really checks tokens, issues plainly fake keys, fails on request.
//!
//! [`LocalSts::start`] serves AWS's `AssumeRoleWithWebIdentity` and `AssumeRole` over HTTPS with a certificate authority of its own, together
//! with the OIDC issuer of the tokens that it accepts; or it accepts those of a [`ForeignIssuer`], such as a cluster. What
//! is checked is what AWS checks: the token's signature, issuer, time and audience, the role's trust, every parameter;
//! what is answered is AWS's own XML and errors. Nothing of it guards anything: the keys open nothing, and whoever reaches
//! the listener may set faults.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use imds_local_sts::{Config, Fault, LocalSts, Role};
//!
//! let role = Role::new("arn:aws:iam::123456789012:role/my-example-role".parse().unwrap(), "default", "default");
//! let sts = LocalSts::start(Config { roles: vec![role], ..Config::default() })?;
//! sts.set_fault(Fault::throttle());
//! # Ok(()) }
//! ```

mod answer;
mod credentials;
mod door;
mod exchange;
mod fault;
mod issuer;
mod key;
mod projection;
mod random;
mod refusal;
mod request;
mod server;
mod signature;
mod sts;
mod tls;
mod token_file;
mod verify;

pub use exchange::{Exchange, Outcome};
pub use fault::Fault;
pub use issuer::{CONFIGURATION_PATH, Claims, ForeignIssuer, Issuer, JWKS_PATH};
pub use key::InvalidJwks;
pub use projection::Projection;
pub use tls::Certificate;
pub use token_file::{Mode, TokenFile};

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use imds_contract::pod::TOKEN_AUDIENCE;
use imds_contract::{RoleArn, SessionDuration};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::door::Door;
use crate::projection::Projected;
use crate::server::{CurrentFault, Server};
use crate::sts::Sts;
use crate::tls::Tls;

/// How to serve, and what.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// What to speak.
    pub transport: Transport,
    /// The audience that a token must have.
    pub audience: String,
    /// Whose tokens are accepted, in place of those of its own issuer.
    pub foreign_issuer: Option<ForeignIssuer>,
    /// The roles that exist.
    pub roles: Vec<Role>,
    /// A token file to write before anything is served, and to keep fresh.
    pub token: Option<Projection>,
}

/// HTTPS on a free port of 127.0.0.1, the contract's audience, its own issuer, no role and no token file.
impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            transport: Transport::Https { names: Vec::new() },
            audience: TOKEN_AUDIENCE.to_owned(),
            foreign_issuer: None,
            roles: Vec::new(),
            token: None,
        }
    }
}

/// What is spoken on the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// HTTPS, for `localhost`, the loopback addresses, the address of `listen`, and these names or addresses.
    Https {
        /// Further names.
        names: Vec<String>,
    },
    /// Plain HTTP: for relying parties that can't be told of an authority.
    Http,
}

/// A role, with the trust policy that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: RoleArn,
    /// The tokens' subjects that it trusts: `system:serviceaccount:NAMESPACE:NAME`, compared exactly.
    pub subjects: Vec<String>,
    /// The roles that it trusts, for role chaining.
    pub trusted_roles: Vec<TrustedRole>,
    /// `MaxSessionDuration`.
    pub max_session: SessionDuration,
}

/// A role that another role trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRole {
    /// Its ARN.
    pub arn: RoleArn,
    /// What has to be shown as `ExternalId`, where anything has.
    pub external_id: Option<String>,
}

impl Role {
    /// A role that trusts another role, and no service account.
    pub fn chained(arn: RoleArn, trusted: TrustedRole) -> Self {
        Self {
            arn,
            subjects: Vec::new(),
            trusted_roles: vec![trusted],
            max_session: SessionDuration::DEFAULT,
        }
    }

    /// A role that trusts one service account, for at most an hour: AWS's default.
    pub fn new(arn: RoleArn, namespace: &str, service_account: &str) -> Self {
        let subject = Claims::new(namespace, service_account, "").subject();
        Self {
            arn,
            subjects: vec![subject],
            trusted_roles: Vec::new(),
            max_session: SessionDuration::DEFAULT,
        }
    }
}

/// A running STS. Dropping it ends it, with all its connections.
pub struct LocalSts {
    server: Arc<Server>,
    url: String,
    tasks: [JoinHandle<()>; 2],
}

impl LocalSts {
    /// Starts to serve on the calling task's tokio runtime, of either flavour, which needs its I/O and time drivers.
    ///
    /// An error means: no runtime here, the address can't be had, a name is no DNS name, or the token can't be written.
    pub fn start(config: Config) -> io::Result<Self> {
        let Config { listen, transport, audience, foreign_issuer, roles, token } = config;
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let door = Door::open_at(listen, &runtime)?;
        let host = match door.address().ip() {
            // An address to listen at is no address to go to.
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        let (scheme, tls) = match transport {
            Transport::Http => ("http", None),
            Transport::Https { mut names } => {
                let own =
                    ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), host.to_string()];
                names.extend(own);
                names.sort();
                names.dedup();
                ("https", Some(Tls::new(names)?))
            }
        };
        let url = format!("{scheme}://{}", SocketAddr::new(host, door.address().port()));
        let server = Arc::new(Server {
            door,
            tls,
            sts: Sts::new(Issuer::new(&url), foreign_issuer, audience, roles),
            projected: token.map(Projected::new).transpose()?,
            exchanges: Mutex::default(),
            fault: Mutex::new(CurrentFault::default()),
        });
        if server.projected.is_some() {
            server.rotate_token()?;
        }
        let tasks =
            [runtime.spawn(Arc::clone(&server).run()), runtime.spawn(Arc::clone(&server).keep_token_fresh())];
        Ok(Self { server, url, tasks })
    }

    /// `https://ADDRESS:PORT`, without a slash at its end: both the STS endpoint and its own tokens' `iss`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificate of the authority that a client must trust; `None` where plain HTTP is spoken.
    pub fn ca_pem(&self) -> Option<String> {
        self.server.tls.as_ref().map(Tls::ca_pem)
    }

    /// Its own issuer: that of the tokens that are accepted, unless it was told of a foreign one.
    pub fn issuer(&self) -> &Issuer {
        &self.server.sts.issuer
    }

    /// The token file's path, where there is one.
    pub fn token_path(&self) -> Option<PathBuf> {
        self.server.projected.as_ref().map(Projected::path)
    }

    /// Mints a new token into the token file; an error where there is none.
    pub fn rotate_token(&self) -> io::Result<()> {
        self.server.rotate_token()
    }

    /// Fails in this way from now on. A closed listener is closed, or open again, when this returns.
    pub fn set_fault(&self, fault: Fault) {
        self.server.set_fault(fault);
    }

    /// Shows this certificate from the next connection on; an error where plain HTTP is spoken.
    pub fn set_certificate(&self, certificate: Certificate) -> io::Result<()> {
        let unsupported = || io::Error::new(io::ErrorKind::Unsupported, "plain HTTP has no certificate");
        self.server.tls.as_ref().ok_or_else(unsupported)?.set(certificate)
    }

    /// What became of each request for credentials so far, in order. A request that waits for [`Fault::Latency`] is not
    /// among them yet.
    pub fn exchanges(&self) -> Vec<Exchange> {
        server::lock(&self.server.exchanges).clone()
    }
}

impl Drop for LocalSts {
    fn drop(&mut self) {
        self.server.door.abandon();
        for task in &self.tasks {
            task.abort();
        }
    }
}
