//! Why an exchange was refused, in AWS's codes, HTTP statuses and words.
//!
//! Sources: the STS API reference (`AssumeRoleWithWebIdentity` and `AssumeRole`, "Errors"), and messages that users report from the real
//! service. Where no real message is known, the words are ours: those variants say so.

use std::fmt;

use http::StatusCode;
use imds_contract::RoleArn;

/// One reason; `Display` is the message of the answer. Never holds the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No `Action` parameter. Words ours.
    MissingAction,
    /// An action, or a version of it, that STS doesn't have.
    UnknownAction { action: String, version: String },
    /// Parameters outside the limits of the API model, in its own phrases.
    Constraints(Vec<String>),
    /// `RoleArn` is no role's ARN.
    InvalidArn,
    /// `DurationSeconds` is no whole number. Words ours.
    InvalidDuration,
    /// More than the role's `MaxSessionDuration`.
    DurationOverMaximum,
    /// `ProviderId` belongs to OAuth 2.0 tokens, never to OIDC ones. Words ours.
    ProviderId,
    /// The token is no JWT signed with ES256 or RS256.
    NotAJwt,
    /// The token's issuer isn't the one that this STS knows.
    UnknownIssuer { issuer: String },
    /// The issuer has no key of the token's `kid`.
    UnknownKey,
    /// The signature doesn't match. Words ours.
    BadSignature,
    /// A claim that STS needs is absent or of the wrong type. Words ours.
    MissingClaim(&'static str),
    /// `nbf` lies ahead. Words ours.
    NotYetValid,
    /// `exp` has come; both in seconds since 1970.
    Expired { now: u64, expiry: u64 },
    /// Another audience.
    WrongAudience,
    /// The role doesn't exist, or its trust policy doesn't name the subject: AWS doesn't tell which.
    NotTrusted,
    /// A signed request without a signature.
    NotSigned,
    /// Keys that this STS did not issue, or not with this session token.
    UnknownKeys,
    /// Keys that have ended.
    KeysExpired,
    /// The signature's time is more than 15 minutes off. Words ours.
    SignatureExpired,
    /// The signature is not that of these keys for this request.
    WrongSignature,
    /// The role doesn't exist, or doesn't trust the caller's role, or wants another external id.
    NotTrustedByRole {
        /// The caller's ARN.
        caller: String,
        /// The role's.
        role: RoleArn,
    },
    /// More than an hour for a role that is assumed by a role's session.
    ChainedTooLong,
}

impl Refusal {
    /// The `Code` of the answer.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::MissingAction => "MissingAction",
            Self::UnknownAction { .. } => "InvalidAction",
            Self::Constraints(_)
            | Self::InvalidArn
            | Self::InvalidDuration
            | Self::DurationOverMaximum
            | Self::ChainedTooLong
            | Self::ProviderId => "ValidationError",
            Self::NotAJwt
            | Self::UnknownIssuer { .. }
            | Self::UnknownKey
            | Self::BadSignature
            | Self::MissingClaim(_)
            | Self::NotYetValid
            | Self::WrongAudience => "InvalidIdentityToken",
            Self::Expired { .. } => "ExpiredTokenException",
            Self::NotTrusted | Self::NotTrustedByRole { .. } => "AccessDenied",
            Self::NotSigned => "MissingAuthenticationToken",
            Self::UnknownKeys => "InvalidClientTokenId",
            Self::KeysExpired => "ExpiredToken",
            Self::SignatureExpired | Self::WrongSignature => "SignatureDoesNotMatch",
        }
    }

    /// The HTTP status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotTrusted
            | Self::NotTrustedByRole { .. }
            | Self::NotSigned
            | Self::UnknownKeys
            | Self::KeysExpired
            | Self::SignatureExpired
            | Self::WrongSignature => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingAction => f.write_str("The request is missing an action"),
            Self::UnknownAction { action, version } => {
                write!(f, "Could not find operation {action} for version {version}")
            }
            Self::Constraints(broken) => {
                let plural = if broken.len() == 1 { "" } else { "s" };
                write!(f, "{} validation error{plural} detected: {}", broken.len(), broken.join("; "))
            }
            Self::InvalidArn => f.write_str("Request ARN is invalid"),
            Self::InvalidDuration => f.write_str("DurationSeconds must be a whole number of seconds"),
            Self::DurationOverMaximum => {
                f.write_str("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
            }
            Self::ProviderId => f.write_str("ProviderId must be absent for an OpenID Connect ID token"),
            Self::NotAJwt => f.write_str(
                "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
            ),
            Self::UnknownIssuer { issuer } => {
                write!(f, "No OpenIDConnect provider found in your account for {issuer}")
            }
            Self::UnknownKey => f.write_str(
                "Couldn't retrieve verification key from your identity provider, please reference \
                 AssumeRoleWithWebIdentity documentation for requirements",
            ),
            Self::BadSignature => f.write_str("The signature of the ID Token is not valid"),
            Self::MissingClaim(name) => write!(f, "Missing a required claim: {name}"),
            Self::NotYetValid => f.write_str("The ID Token is not valid yet"),
            // No blank before the second number: so AWS writes it.
            Self::Expired { now, expiry } => write!(
                f,
                "Token expired: current date/time {now} must be before the expiration date/time{expiry}"
            ),
            Self::WrongAudience => f.write_str("Incorrect token audience"),
            Self::NotTrusted => f.write_str("Not authorized to perform sts:AssumeRoleWithWebIdentity"),
            Self::NotSigned => f.write_str("Request is missing Authentication Token"),
            Self::UnknownKeys => f.write_str("The security token included in the request is invalid."),
            Self::KeysExpired => f.write_str("The security token included in the request is expired"),
            Self::SignatureExpired => f.write_str("Signature expired: its time is more than 15 minutes off"),
            Self::WrongSignature => f.write_str(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                 Access Key and signing method. Consult the service documentation for details.",
            ),
            Self::NotTrustedByRole { caller, role } => {
                write!(f, "User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role}")
            }
            Self::ChainedTooLong => f.write_str(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            ),
        }
    }
}

impl std::error::Error for Refusal {}
