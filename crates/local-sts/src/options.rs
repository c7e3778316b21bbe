//! The command line of `local-sts`.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use imds_contract::pod::TOKEN_AUDIENCE;
use imds_contract::{Hop, RoleArn, RoleChain, SessionDuration};
use imds_local_sts::{Claims, Config, Fault, ForeignIssuer, Mode, Projection, Role, Transport, TrustedRole};

/// An STS for local use: really checks web identity tokens, issues plainly fake keys, fails on request.
///
/// Writes DIR/ca.pem, DIR/url and DIR/token/token (rotated as kubelet does, at 80 % of its life), prints one line when
/// ready, and ends on SIGTERM or SIGINT. While it runs: POST /_local/fault with a SPEC as the body, POST
/// /_local/token/rotate, GET /_local/exchanges.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// A role, and the service account that it trusts; repeatable. The token file's is the first one's.
    #[arg(long = "role", required = true, value_name = "ARN=NAMESPACE:SERVICEACCOUNT")]
    roles: Vec<Trust>,

    /// A role for role chaining, and the role that it trusts; repeatable.
    #[arg(long = "chained-role", value_name = "ARN=TRUSTED_ARN[;external-id=ID]")]
    chained_roles: Vec<Chained>,

    /// The folder for everything that others need to know.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,

    /// Whom the token names, where not the first role's service account.
    #[arg(long, value_name = "NAMESPACE:SERVICEACCOUNT")]
    subject: Option<ServiceAccount>,

    /// The Pod that the token names.
    #[arg(long, default_value = "local-pod")]
    pod: String,

    /// The life of a token, for example 1h.
    #[arg(long, default_value = "24h", value_parser = humantime::parse_duration, value_name = "TIME")]
    token_lifetime: Duration,

    /// Who may read the token file.
    #[arg(long, default_value = "0600")]
    token_mode: TokenMode,

    /// Accept the tokens of this issuer (their `iss`), a cluster's for example, and mint none.
    #[arg(
        long,
        value_name = "URL",
        requires = "jwks",
        conflicts_with_all = ["subject", "pod", "token_lifetime", "token_mode"]
    )]
    issuer: Option<String>,

    /// That issuer's keys; a cluster's are what `kubectl get --raw /openid/v1/jwks` prints. Read once.
    #[arg(long, value_name = "FILE", requires = "issuer")]
    jwks: Option<PathBuf>,

    /// The audience of the tokens that are minted and accepted.
    #[arg(long, default_value = TOKEN_AUDIENCE)]
    audience: String,

    /// The longest session of every role, in seconds.
    #[arg(long, default_value_t)]
    max_session_duration: SessionDuration,

    /// A further name or address of the certificate; repeatable.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,

    /// Speak plain HTTP; there is no ca.pem then.
    #[arg(long, conflicts_with = "names")]
    plain_http: bool,

    /// How to fail from the start.
    #[arg(long, default_value_t, value_name = "SPEC")]
    pub(crate) fault: Fault,
}

impl Options {
    /// What the library is to do; an error where the issuer's keys can't be read.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let foreign_issuer = self.foreign_issuer()?;
        // There is at least one role, else clap has refused. Where others mint, a token of ours would open nothing.
        let first = self.roles.first().map(|trust| &trust.trusted).filter(|_| foreign_issuer.is_none());
        let token = self.subject.as_ref().or(first).map(|account| Projection {
            directory: self.state.join("token"),
            mode: self.token_mode.into(),
            claims: Claims {
                audience: self.audience.clone(),
                lifetime: self.token_lifetime,
                ..Claims::new(&account.namespace, &account.name, &self.pod)
            },
        });
        let role = |Trust { arn, trusted }: &Trust| Role {
            max_session: self.max_session_duration,
            ..Role::new(arn.clone(), &trusted.namespace, &trusted.name)
        };
        let chained =
            self.chained_roles.iter().map(|role| Role::chained(role.arn.clone(), role.trusted.clone()));
        Ok(Config {
            listen: self.listen,
            transport: if self.plain_http {
                Transport::Http
            } else {
                Transport::Https { names: self.names.clone() }
            },
            audience: self.audience.clone(),
            foreign_issuer,
            roles: self.roles.iter().map(role).chain(chained).collect(),
            token,
        })
    }

    fn foreign_issuer(&self) -> anyhow::Result<Option<ForeignIssuer>> {
        let (Some(url), Some(file)) = (&self.issuer, &self.jwks) else { return Ok(None) };
        let issuer = fs::read_to_string(file)
            .map_err(anyhow::Error::from)
            .and_then(|jwks| Ok(ForeignIssuer::new(url, &jwks)?))
            .with_context(|| format!("--jwks {}", file.display()))?;
        Ok(Some(issuer))
    }
}

/// A role, and the role that it trusts.
#[derive(Debug, Clone)]
struct Chained {
    arn: RoleArn,
    trusted: TrustedRole,
}

impl FromStr for Chained {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let accepted = || "accepted: ARN=TRUSTED_ARN[;external-id=ID]".to_owned();
        // A role's name may hold `=`, but hardly `=arn:`.
        let (arn, trusted) = text.split_once("=arn:").ok_or_else(accepted)?;
        let chain: RoleChain = format!("arn:{trusted}").parse().map_err(|_| accepted())?;
        let [Hop { role_arn, external_id }] = chain.hops() else { return Err(accepted()) };
        let trusted = TrustedRole { arn: role_arn.clone(), external_id: external_id.clone() };
        Ok(Self { arn: arn.parse().map_err(|error| format!("{error}"))?, trusted })
    }
}

/// A role and whom it trusts.
#[derive(Debug, Clone)]
struct Trust {
    arn: RoleArn,
    trusted: ServiceAccount,
}

#[derive(Debug, Clone)]
struct ServiceAccount {
    namespace: String,
    name: String,
}

impl FromStr for Trust {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A role's name may hold `=`, a service account's can't.
        let (arn, trusted) =
            text.rsplit_once('=').ok_or("accepted: ARN=NAMESPACE:SERVICEACCOUNT".to_owned())?;
        Ok(Self { arn: arn.parse().map_err(|error| format!("{error}"))?, trusted: trusted.parse()? })
    }
}

impl FromStr for ServiceAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("accepted: NAMESPACE:SERVICEACCOUNT".to_owned()),
        }
    }
}

/// [`Mode`] in `chmod`'s words.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum TokenMode {
    #[value(name = "0600")]
    Owner,
    #[value(name = "0640")]
    OwnerAndGroup,
    #[value(name = "0644")]
    Everyone,
}

impl From<TokenMode> for Mode {
    fn from(mode: TokenMode) -> Self {
        match mode {
            TokenMode::Owner => Self::Owner,
            TokenMode::OwnerAndGroup => Self::OwnerAndGroup,
            TokenMode::Everyone => Self::Everyone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, clap::Error> {
        Options::try_parse_from(["local-sts", "--state", "/state"].iter().chain(arguments))
    }

    #[test]
    fn a_role_name_may_hold_an_equals_sign() {
        let options = parse(&["--role", "arn:aws:iam::123456789012:role/a=b=default:web"]).unwrap();
        let config = options.config().unwrap();
        assert_eq!(config.roles[0].arn.name(), "a=b");
        assert_eq!(config.roles[0].subjects, ["system:serviceaccount:default:web"]);
        assert_eq!(config.token.unwrap().claims.subject(), "system:serviceaccount:default:web");
    }

    #[test]
    fn a_chained_role_trusts_a_role() {
        let (first, reader) = ("arn:aws:iam::123456789012:role/first", "arn:aws:iam::444455556666:role/a=b");
        let arguments = ["--role", &format!("{first}=default:web"), "--chained-role"];
        let chained = |text: &str| parse(&[&arguments[..], &[text]].concat());
        let config = chained(&format!("{reader}={first};external-id=Acme-42")).unwrap().config().unwrap();
        let trusted = TrustedRole { arn: first.parse().unwrap(), external_id: Some("Acme-42".to_owned()) };
        assert_eq!(config.roles[1], Role::chained(reader.parse().unwrap(), trusted));
        for wrong in [reader, "x=y", &format!("{reader}={first},{first}"), &format!("x={first}")] {
            chained(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn the_token_may_name_somebody_whom_no_role_trusts() {
        let arguments =
            ["--role", "arn:aws:iam::123456789012:role/r=default:web", "--subject", "default:evil"];
        let token = parse(&arguments).unwrap().config().unwrap().token.unwrap();
        assert_eq!(token.claims.subject(), "system:serviceaccount:default:evil");
    }

    #[test]
    fn what_is_wrong_is_refused_with_the_accepted_form() {
        let role = "arn:aws:iam::123456789012:role/r=default:web";
        for (arguments, form) in [
            (&[][..], "--role"),
            (&["--role", "arn:aws:iam::123456789012:role/r"], "ARN=NAMESPACE:SERVICEACCOUNT"),
            (&["--role", "arn:aws:iam::123456789012:role/r=web"], "NAMESPACE:SERVICEACCOUNT"),
            (&["--role", "nonsense=default:web"], "arn:aws:iam::123456789012:role/my-example-role"),
            (&["--role", role, "--fault", "sulk"], "near-expiry=TIME"),
            (&["--role", role, "--max-session-duration", "60"], "900 to 43200"),
            (&["--role", role, "--issuer", "https://i"], "--jwks <FILE>"),
            (&["--role", role, "--jwks", "j"], "--issuer <URL>"),
            (&["--role", role, "--issuer", "https://i", "--jwks", "j", "--subject", "a:b"], "--subject"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.contains(form), "{error}");
        }
    }
}
