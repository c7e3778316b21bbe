//! What becomes of one request: decided here, without I/O; done by the server.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::request::Parts;

use crate::answer::{Answer, Assumed};
use crate::credentials::Credentials;
use crate::exchange::Outcome;
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::request::{Form, Proof};
use crate::server::lock;
use crate::signature::{Caller, Sessions};
use crate::verify::{self, Identity, Provider};
use crate::{ForeignIssuer, Issuer, Role};

/// The name of a role that nobody asks for: see [`Fault::WrongRole`].
const WRONG_ROLE: &str = "another-role";

/// The issuer that is trusted, the roles, and how many credentials were issued.
pub(crate) struct Sts {
    pub(crate) issuer: Issuer,
    /// Trusted in the other one's place, where there is one.
    foreign: Option<ForeignIssuer>,
    audience: String,
    roles: Vec<Role>,
    issued: AtomicU32,
    sessions: Mutex<Sessions>,
}

/// A request as it came.
pub(crate) struct Posted<'a> {
    pub(crate) form: &'a Form,
    /// For the signature, and what it covers.
    pub(crate) head: &'a Parts,
    pub(crate) body: &'a [u8],
}

/// What the server is to do.
pub(crate) enum Reply {
    Answer(Answer),
    /// Send half of it, then close.
    FirstHalf(Answer),
    Hang,
    Reset,
}

/// Good credentials may still be spoilt in two ways.
#[derive(Default)]
struct Spoilt<'a> {
    life: Option<Duration>,
    role_name: Option<&'a str>,
}

impl Sts {
    pub(crate) fn new(
        issuer: Issuer,
        foreign: Option<ForeignIssuer>,
        audience: String,
        roles: Vec<Role>,
    ) -> Self {
        Self { issuer, foreign, audience, roles, issued: AtomicU32::new(0), sessions: Mutex::default() }
    }

    /// Decides what to reply, and how that is remembered.
    pub(crate) fn exchange(&self, request: &Posted<'_>, fault: &Fault, now: SystemTime) -> (Reply, Outcome) {
        let broken = || Outcome::Broken { fault: fault.to_string() };
        let error = |status, code: &str, message: &str| {
            (Answer::error(status, code, message), Outcome::Refused { code: code.to_owned() })
        };
        let answered = match fault {
            Fault::None => self.answer(request, &Spoilt::default(), now),
            // The server has waited; what is left to decide is what comes then.
            Fault::Latency { then, .. } => return self.exchange(request, then, now),
            Fault::Hang => return (Reply::Hang, broken()),
            Fault::Refuse(_) | Fault::Reset => return (Reply::Reset, broken()),
            Fault::Truncate => {
                return (Reply::FirstHalf(self.answer(request, &Spoilt::default(), now).0), broken());
            }
            Fault::Garbage => (Answer::garbage(), broken()),
            Fault::Throttle { status, retry_after } => {
                let (answer, outcome) = error(*status, "Throttling", "Rate exceeded");
                (answer.retry_after(*retry_after), outcome)
            }
            Fault::Status(status) => match *status {
                StatusCode::INTERNAL_SERVER_ERROR => error(
                    *status,
                    "InternalFailure",
                    "The request processing has failed because of an unknown error, exception or failure.",
                ),
                StatusCode::SERVICE_UNAVAILABLE => error(
                    *status,
                    "ServiceUnavailable",
                    "The request has failed due to a temporary failure of the server.",
                ),
                _ => (Answer::load_balancer(*status), broken()),
            },
            Fault::NearExpiry(life) => {
                self.answer(request, &Spoilt { life: Some(*life), ..Spoilt::default() }, now)
            }
            Fault::WrongRole => {
                self.answer(request, &Spoilt { role_name: Some(WRONG_ROLE), ..Spoilt::default() }, now)
            }
            Fault::Error { code, status, message } => error(*status, code, message),
        };
        (Reply::Answer(answered.0), answered.1)
    }

    fn answer(&self, request: &Posted<'_>, spoilt: &Spoilt<'_>, now: SystemTime) -> (Answer, Outcome) {
        match self.issue(request, spoilt, now) {
            Ok((answer, expiration)) => (answer, Outcome::Issued { expiration }),
            Err(refusal) => (Answer::refusal(&refusal), Outcome::Refused { code: refusal.code().to_owned() }),
        }
    }

    fn issue(
        &self,
        request: &Posted<'_>,
        spoilt: &Spoilt<'_>,
        now: SystemTime,
    ) -> Result<(Answer, SystemTime), Refusal> {
        let asked = request.form.check()?;
        let (role, token) = match &asked.proof {
            Proof::Token(token) => {
                let (identity, issuer) = self.verify(token, now)?;
                (
                    verify::role(&self.roles, &asked.role_arn, &identity, asked.duration)?,
                    Some((identity, issuer)),
                )
            }
            Proof::Signature { external_id } => {
                let caller = lock(&self.sessions).caller(request.head, request.body, now)?;
                let (arn, id) = (&asked.role_arn, external_id.as_deref());
                (verify::chained_role(&self.roles, arn, &caller, id, asked.duration)?, None)
            }
        };

        let expiration = now + spoilt.life.unwrap_or(Duration::from_secs(asked.duration.into()));
        let number = self.issued.fetch_add(1, Relaxed) + 1;
        let credentials = Credentials::new(number);
        let answer = Answer::success(&Assumed {
            credentials: &credentials,
            expiration,
            role: &role.arn,
            role_name: spoilt.role_name.unwrap_or(role.arn.name()),
            session_name: &asked.session_name,
            token: token.as_ref().map(|(identity, issuer)| (identity, *issuer)),
        });
        let caller = Caller { role: role.arn.clone(), session_name: asked.session_name };
        lock(&self.sessions).add(credentials, caller, expiration, now);
        Ok((answer, expiration))
    }

    /// Whom a token names, and the issuer that says so.
    fn verify(&self, token: &str, now: SystemTime) -> Result<(Identity, &str), Refusal> {
        let (issuer, keys) = match &self.foreign {
            Some(foreign) => (foreign.url(), foreign.public_keys()),
            None => (self.issuer.url(), self.issuer.public_keys()),
        };
        let provider = Provider { issuer, keys: &keys, audience: &self.audience };
        Ok((verify::token(token, &provider, now)?, issuer))
    }
}
