//! What may go wrong at an STS, on request; and the words for it, which the command line and `POST /_local/fault` take.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;
use imds_contract::Invalid;

const ACCEPTED: &str = "none, hang, throttle[-429|-503][=RETRY_AFTER], status=5xx, refuse[=TIME], reset, garbage, truncate, \
     near-expiry=TIME, wrong-role or error=CODE:STATUS:MESSAGE, each with latency=TIME+ before it if wished, \
     or latency=TIME alone; a TIME is for example 200ms or 10s";

/// One way to fail. Faults concern `AssumeRoleWithWebIdentity` alone: the issuer's documents and the controls go on
/// being answered, except where the listener is closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fault {
    /// Answers as it should.
    #[default]
    None,
    /// Waits before everything else.
    Latency {
        /// How long.
        wait: Duration,
        /// What then happens.
        then: Box<Fault>,
    },
    /// Takes the request and never answers.
    Hang,
    /// AWS's `Throttling` error.
    Throttle {
        /// 400 as STS itself sends; 429 and 503 occur on the way.
        status: StatusCode,
        /// A `Retry-After` header, in whole seconds.
        retry_after: Option<Duration>,
    },
    /// A server error: AWS's own XML for 500 (`InternalFailure`) and 503 (`ServiceUnavailable`), and for any other status
    /// a load balancer's HTML page.
    Status(StatusCode),
    /// The listener is really closed, so that connecting is refused; its port is kept from others. Opened again when
    /// another fault is set, or after this time. A request on a connection that is already open is reset.
    Refuse(Option<Duration>),
    /// Takes the request, then resets the connection.
    Reset,
    /// 200 with bytes that are no XML.
    Garbage,
    /// The true answer, broken off in its middle: shorter than its `Content-Length`.
    Truncate,
    /// Credentials that end after this time, whatever was asked for. Zero gives credentials that have ended.
    NearExpiry(Duration),
    /// Credentials of a role that nobody asked for.
    WrongRole,
    /// Any AWS error.
    Error {
        /// AWS's error code.
        code: String,
        /// The HTTP status.
        status: StatusCode,
        /// The message.
        message: String,
    },
}

impl Fault {
    /// `Throttling`, as STS itself sends it: status 400, no `Retry-After`.
    pub fn throttle() -> Self {
        Self::Throttle { status: StatusCode::BAD_REQUEST, retry_after: None }
    }

    /// A late answer that is good.
    pub fn latency(wait: Duration) -> Self {
        Self::None.after(wait)
    }

    /// This fault, but late.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self::Latency { wait, then: Box::new(self) }
    }
}

impl FromStr for Fault {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or_else(|| Invalid::new(text, ACCEPTED))
    }
}

fn parse(text: &str) -> Option<Fault> {
    let (word, value) = match text.split_once('=') {
        Some((word, value)) => (word, Some(value)),
        None => (text, None),
    };
    Some(match (word, value) {
        ("none", None) => Fault::None,
        ("latency", Some(value)) => match value.split_once('+') {
            // A refusal can't be late: nothing has been accepted that could wait.
            Some((wait, then)) => match parse(then)? {
                Fault::Refuse(_) => return None,
                then => then.after(time(wait)?),
            },
            None => Fault::latency(time(value)?),
        },
        ("hang", None) => Fault::Hang,
        ("throttle" | "throttle-429" | "throttle-503", value) => Fault::Throttle {
            status: match word {
                "throttle-429" => StatusCode::TOO_MANY_REQUESTS,
                "throttle-503" => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            },
            retry_after: value.map(time).map_or(Some(None), |time| time.map(Some))?,
        },
        ("status", Some(value)) => Fault::Status(status(value).filter(StatusCode::is_server_error)?),
        ("refuse", None) => Fault::Refuse(None),
        ("refuse", Some(value)) => Fault::Refuse(Some(time(value)?)),
        ("reset", None) => Fault::Reset,
        ("garbage", None) => Fault::Garbage,
        ("truncate", None) => Fault::Truncate,
        ("near-expiry", Some(value)) => Fault::NearExpiry(time(value)?),
        ("wrong-role", None) => Fault::WrongRole,
        ("error", Some(value)) => {
            let mut parts = value.splitn(3, ':');
            let code = parts.next().filter(|code| !code.is_empty())?.to_owned();
            let status = status(parts.next()?)?;
            Fault::Error { code, status, message: parts.next()?.to_owned() }
        }
        _ => return None,
    })
}

fn time(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

fn status(text: &str) -> Option<StatusCode> {
    text.parse().ok().filter(|status: &StatusCode| status.is_client_error() || status.is_server_error())
}

/// The form that reads back.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: &Duration| humantime::format_duration(*time).to_string().replace(' ', "");
        match self {
            Self::None => f.write_str("none"),
            Self::Latency { wait, then } if **then == Self::None => write!(f, "latency={}", time(wait)),
            Self::Latency { wait, then } => write!(f, "latency={}+{then}", time(wait)),
            Self::Hang => f.write_str("hang"),
            Self::Throttle { status, retry_after } => {
                f.write_str("throttle")?;
                if *status != StatusCode::BAD_REQUEST {
                    write!(f, "-{}", status.as_u16())?;
                }
                retry_after.as_ref().map_or(Ok(()), |after| write!(f, "={}", time(after)))
            }
            Self::Status(status) => write!(f, "status={}", status.as_u16()),
            Self::Refuse(None) => f.write_str("refuse"),
            Self::Refuse(Some(lasts)) => write!(f, "refuse={}", time(lasts)),
            Self::Reset => f.write_str("reset"),
            Self::Garbage => f.write_str("garbage"),
            Self::Truncate => f.write_str("truncate"),
            Self::NearExpiry(life) => write!(f, "near-expiry={}", time(life)),
            Self::WrongRole => f.write_str("wrong-role"),
            Self::Error { code, status, message } => write!(f, "error={code}:{}:{message}", status.as_u16()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_and_prints_back() {
        for text in [
            "none",
            "latency=200ms",
            "latency=200ms+throttle",
            "hang",
            "throttle",
            "throttle=5s",
            "throttle-429",
            "throttle-503=1m30s",
            "status=503",
            "refuse",
            "refuse=10s",
            "reset",
            "garbage",
            "truncate",
            "near-expiry=1m",
            "near-expiry=0s",
            "wrong-role",
            "error=IDPCommunicationError:400:Not all is well: a+b=c",
            "latency=1s+error=AccessDenied:403:",
        ] {
            assert_eq!(text.parse::<Fault>().expect(text).to_string(), text);
        }
        assert_eq!("latency=200ms+hang".parse(), Ok(Fault::Hang.after(Duration::from_millis(200))));
        assert_eq!("throttle".parse(), Ok(Fault::throttle()));
    }

    #[test]
    fn anything_else_is_refused_and_the_forms_are_named() {
        for wrong in [
            "",
            "None",
            "hang=1s",
            "latency",
            "latency=soon",
            "latency=1s+",
            "latency=1s+refuse=1s",
            "throttle-404",
            "throttle=often",
            "status=200",
            "status=404",
            "status",
            "near-expiry",
            "error=:400:x",
            "error=X:200:x",
            "error=X:400",
            "hang\n",
        ] {
            let error = wrong.parse::<Fault>().expect_err(wrong);
            assert!(error.to_string().contains("near-expiry=TIME"), "{error}");
        }
    }
}
