//! What became of each request for credentials: never the token, never a key.

use std::fmt;
use std::time::SystemTime;

use serde_json::{Value, json};

/// One request for credentials, and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// When it was decided.
    pub time: SystemTime,
    /// Its end.
    pub outcome: Outcome,
    /// `Action`, as it came.
    pub action: Option<String>,
    /// The role that was asked for, as it came.
    pub role: Option<String>,
    /// The session's name, as it came.
    pub session_name: Option<String>,
    /// `DurationSeconds`, as it came.
    pub duration: Option<String>,
}

/// What the client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Credentials that end at this time.
    Issued {
        /// When.
        expiration: SystemTime,
    },
    /// An AWS error with this code, whether earned or asked for.
    Refused {
        /// AWS's error code.
        code: String,
    },
    /// Nothing that is an STS answer.
    Broken {
        /// The fault in the words of [`Fault`](crate::Fault).
        fault: String,
    },
}

impl Exchange {
    /// For `GET /_local/exchanges`.
    pub(crate) fn to_json(&self) -> Value {
        let expiration = match self.outcome {
            Outcome::Issued { expiration } => Some(rfc3339(expiration)),
            Outcome::Refused { .. } | Outcome::Broken { .. } => None,
        };
        let duration = self
            .duration
            .as_deref()
            .map(|text| text.parse().map_or(json!(text), |seconds: u32| json!(seconds)));
        json!({
            "time": rfc3339(self.time),
            "outcome": self.outcome.to_string(),
            "action": self.action,
            "role": self.role,
            "session_name": self.session_name,
            "duration_seconds": duration,
            "expiration": expiration,
        })
    }
}

/// `issued`, AWS's error code, or `broken:` and the fault.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issued { .. } => f.write_str("issued"),
            Self::Refused { code } => f.write_str(code),
            Self::Broken { fault } => write!(f, "broken:{fault}"),
        }
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
