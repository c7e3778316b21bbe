//! Which part is wrong, as far as can be told from here. Pure.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imds_contract::pod::TOKEN_AUDIENCE;
use imds_contract::{Region, RoleArn, SessionDuration};

use super::case::Case;
use super::cause::Cause;
use super::policy::{ISSUER_OF_CLUSTER, provider, provider_arn};
use crate::shell_words;
use crate::words::{left, names, span};

/// What a trust consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Issuer,
    Audience,
    Subject,
    Thumbprint,
    Expiry,
    RoleName,
    Account,
    ExternalId,
    Region,
    SessionDuration,
}

impl Part {
    pub(super) const ALL: [Self; 10] = [
        Self::Issuer,
        Self::Audience,
        Self::Subject,
        Self::Thumbprint,
        Self::Expiry,
        Self::RoleName,
        Self::Account,
        Self::ExternalId,
        Self::Region,
        Self::SessionDuration,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Subject => "subject",
            Self::Thumbprint => "thumbprint",
            Self::Expiry => "expiry",
            Self::RoleName => "role name",
            Self::Account => "account",
            Self::ExternalId => "external id",
            Self::Region => "region",
            Self::SessionDuration => "session duration",
        }
    }
}

/// How a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Right,
    /// It may be this.
    Suspect,
    /// It is this.
    Wrong,
}

/// A part, how it stands, and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) part: Part,
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

/// The parts of which something can be said, in the order of [`Part::ALL`].
pub(super) fn suspects(case: &Case, now: SystemTime) -> Vec<Suspect> {
    let judged = |part: Part| {
        let (verdict, text) = match part {
            Part::Issuer => issuer(case),
            Part::Audience => audience(case),
            Part::Subject => subject(case),
            Part::Thumbprint => thumbprint(case),
            Part::Expiry => expiry(case, now),
            Part::RoleName => role_name(case),
            Part::Account => account(case),
            Part::ExternalId => external_id(case),
            Part::Region => region(case),
            Part::SessionDuration => session_duration(case),
        }?;
        Some(Suspect { part, verdict, text })
    };
    Part::ALL.into_iter().filter_map(judged).collect()
}

type Judged = Option<(Verdict, String)>;

/// Whether the refusal is one that STS gives once it has taken the token for genuine.
fn token_is_genuine(cause: Option<Cause>) -> bool {
    matches!(
        cause,
        Some(
            Cause::NotTrusted
                | Cause::NotTrustedByRole
                | Cause::DurationTooLong
                | Cause::ChainTooLong
                | Cause::RegionOff
        )
    )
}

/// Later roles of a chain are not asked for with the token.
fn about_token(case: &Case) -> bool {
    case.hop().is_none()
}

fn issuer(case: &Case) -> Judged {
    if !about_token(case) {
        return None;
    }
    let named = case.named_issuer();
    let Some(issuer) = case.issuer() else {
        return named.filter(|_| case.of_pod).map(|named| {
            let text = format!(
                "{named}, says the Pod's log; the cluster's own could not be read: {ISSUER_OF_CLUSTER}"
            );
            (Verdict::Suspect, text)
        });
    };
    if let Some(named) = named.filter(|named| case.of_pod && !is_same_issuer(issuer, named)) {
        let text = format!(
            "{issuer}: the cluster's own, but the Pod's log names {named}: the cluster's was changed since, or something in the Pod \
             wrote that line; a provider is made of the cluster's own alone"
        );
        return Some((Verdict::Wrong, text));
    }
    if crate::facts::issuer::is_private(issuer) {
        let text = format!(
            "{issuer}: AWS can't read it, so no provider can be made of it; publish one first (docs/install.md)"
        );
        return Some((Verdict::Wrong, text));
    }
    if !shell_words::is_issuer(issuer) {
        let text = format!("{issuer}: not an issuer that IAM takes: https://HOST/PATH and nothing else");
        return Some((Verdict::Wrong, text));
    }
    Some(match case.cause() {
        Some(Cause::NoProvider) => {
            (Verdict::Wrong, format!("{issuer}: no provider of that URL is in the role's account"))
        }
        Some(Cause::NoVerificationKey | Cause::IssuerSilent) => {
            (Verdict::Wrong, format!("{issuer}: STS can't read its documents, or they are old"))
        }
        Some(Cause::NotTrusted | Cause::Refused) => {
            (Verdict::Suspect, format!("{issuer}: has to be the provider that the trust policy names"))
        }
        _ if issuer.ends_with('/') => (Verdict::Suspect, format!("{issuer}: the slash at its end counts")),
        _ => (Verdict::Right, issuer.to_owned()),
    })
}

/// STS names it with `https://` or without.
fn is_same_issuer(one: &str, other: &str) -> bool {
    provider(one) == provider(other)
}

fn audience(case: &Case) -> Judged {
    let audiences = case.audiences().filter(|_| about_token(case))?;
    let text = names(&audiences);
    let usual = audiences.iter().any(|audience| audience == TOKEN_AUDIENCE);
    let named = case.named_audiences().filter(|named| case.of_pod && *named != audiences);
    if let Some(named) = named {
        let text = format!(
            "{text}: what the Pod's volume asks for, but the Pod's log names {}: the token is an older one, or something in the Pod \
             wrote that line",
            names(&named)
        );
        return Some((Verdict::Wrong, text));
    }
    Some(match case.cause() {
        Some(Cause::WrongAudience) => {
            (Verdict::Wrong, format!("{text}: not among the provider's client ids"))
        }
        _ if !usual => (
            Verdict::Suspect,
            format!(
                "{text}: AWS's own examples have {TOKEN_AUDIENCE}; provider and policy have to name this one"
            ),
        ),
        Some(Cause::NotTrusted) if !case.issuer_is_private() => (
            Verdict::Right,
            format!(
                "{text}: the provider takes it; where the policy has a condition on aud, it has to be this"
            ),
        ),
        _ => (Verdict::Right, text),
    })
}

fn subject(case: &Case) -> Judged {
    let subject = case.subject().filter(|_| about_token(case))?;
    let named = case.named_subject().filter(|named| case.of_pod && *named != subject);
    Some(if let Some(named) = named {
        let text = format!(
            "{subject}: the Pod's own, but its log names {named}: something in the Pod wrote that line, and no policy has to name it"
        );
        (Verdict::Wrong, text)
    } else if subject.ends_with(":default") {
        (
            Verdict::Suspect,
            format!(
                "{subject}: the namespace's default account; did you mean one of its own (spec.serviceAccountName)?"
            ),
        )
    } else if !subject.starts_with("system:serviceaccount:") {
        (Verdict::Suspect, format!("{subject}: not a service account's"))
    } else if shell_words::claim(subject, "") != subject {
        (Verdict::Wrong, format!("{subject}: no service account has such a name"))
    } else if matches!(case.cause(), Some(Cause::NotTrusted | Cause::Refused)) {
        (Verdict::Suspect, format!("{subject}: the trust policy's condition on sub has to allow it"))
    } else {
        (Verdict::Right, subject.to_owned())
    })
}

fn thumbprint(case: &Case) -> Judged {
    match case.cause() {
        Some(Cause::Thumbprint) => {
            Some((Verdict::Wrong, "not that of the CA which signed the issuer's certificate".to_owned()))
        }
        of_sts if token_is_genuine(of_sts) && about_token(case) && !case.issuer_is_private() => {
            Some((Verdict::Right, "STS has read the issuer's keys".to_owned()))
        }
        _ => None,
    }
}

fn expiry(case: &Case, now: SystemTime) -> Judged {
    let claims = case.claims.as_ref()?;
    let time = |seconds: u64| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let ahead = claims.not_before.and_then(time).filter(|start| *start > now);
    if let Some(start) = ahead {
        return Some((Verdict::Wrong, format!("not valid before {}; is a clock off?", in_words(start))));
    }
    let end = claims.expires.and_then(time)?;
    Some(if end <= now {
        (Verdict::Wrong, format!("expired at {}", in_words(end)))
    } else {
        (Verdict::Right, format!("{}, in {}", in_words(end), span(left(end, now))))
    })
}

fn in_words(time: SystemTime) -> String {
    // Beyond the year 9999 humantime prints nothing.
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(time.min(last)).to_string()
}

fn role_name(case: &Case) -> Judged {
    let role = case.role()?;
    if let Some(named) = case.foreign_role() {
        let text = format!(
            "{role}: what the Pod asks for, but its log names {named}: something in the Pod wrote that line, or the Pod was changed since"
        );
        return Some((Verdict::Wrong, text));
    }
    Some(match case.cause() {
        Some(Cause::BadArn) => (Verdict::Wrong, format!("{role}: STS does not take it for a role's ARN")),
        Some(Cause::NotTrusted | Cause::NotTrustedByRole) => {
            (Verdict::Suspect, format!("{}: has to exist, with this path: {role}", role.name()))
        }
        _ => (Verdict::Right, role.name().to_owned()),
    })
}

fn account(case: &Case) -> Judged {
    let role = case.role()?;
    let account = role.account();
    // The account of AWS's documentation, and of this project's.
    if matches!(account, "123456789012" | "111122223333" | "444455556666") {
        return Some((
            Verdict::Suspect,
            format!("{account}: an account of documentation's examples; is it yours?"),
        ));
    }
    Some(match case.cause() {
        Some(Cause::NoProvider) if !case.issuer_is_private() => {
            let arn = provider_arn(Some(role), case.provider_issuer());
            (Verdict::Suspect, format!("{account}: the provider has to be there: {arn}"))
        }
        Some(Cause::NotTrusted | Cause::NotTrustedByRole) => {
            (Verdict::Suspect, format!("{account}: the role has to be there"))
        }
        _ => (Verdict::Right, account.to_owned()),
    })
}

fn external_id(case: &Case) -> Judged {
    let (_, hop) = case.hop()?;
    (case.cause() == Some(Cause::NotTrustedByRole)).then(|| match &hop.external_id {
        Some(id) => (Verdict::Suspect, format!("{id}: has to be what the role's trust policy asks for")),
        None => (
            Verdict::Suspect,
            "none is shown: where the trust policy asks for one, add ;external-id=ID".to_owned(),
        ),
    })
}

fn region(case: &Case) -> Judged {
    let named = case.identity.region.as_deref();
    let in_words = named.unwrap_or("none: the partition's global endpoint");
    let parsed = match named.map(str::parse::<Region>).transpose() {
        Ok(parsed) => parsed,
        Err(invalid) => return Some((Verdict::Wrong, invalid.to_string())),
    };
    let other = parsed.zip(case.role()).filter(|(region, role)| region.partition() != role.partition());
    if let Some((region, role)) = other {
        return Some((
            Verdict::Wrong,
            format!(
                "{} is of partition {}, the role of {}",
                region.as_str(),
                region.partition(),
                role.partition()
            ),
        ));
    }
    match case.cause() {
        Some(Cause::RegionOff) => Some((
            Verdict::Wrong,
            format!(
                "{in_words}: STS is off there for account {}",
                case.role().map_or(super::policy::ANY_ACCOUNT, RoleArn::account)
            ),
        )),
        Some(Cause::NoName) if named.is_some() => {
            Some((Verdict::Suspect, format!("{in_words}: does it exist?")))
        }
        _ => named.map(|region| (Verdict::Right, region.to_owned())),
    }
}

fn session_duration(case: &Case) -> Judged {
    let seconds = case.identity.session_duration;
    match (case.cause(), seconds) {
        (Some(Cause::DurationTooLong), Some(seconds)) => {
            Some((Verdict::Wrong, format!("{seconds} s: more than the role's MaxSessionDuration")))
        }
        (Some(Cause::DurationTooLong), None) => {
            Some((Verdict::Wrong, "more than the role's MaxSessionDuration".to_owned()))
        }
        (Some(Cause::ChainTooLong), _) => {
            Some((Verdict::Wrong, "more than the 3600 s that a chained session may have".to_owned()))
        }
        (_, Some(seconds))
            if seconds > SessionDuration::DEFAULT.as_secs()
                && case.cause().is_some_and(|cause| cause == Cause::RequestRefused) =>
        {
            Some((Verdict::Suspect, format!("{seconds} s: above AWS's default of 3600")))
        }
        (_, Some(seconds)) => Some((Verdict::Right, format!("{seconds} s"))),
        (_, None) => None,
    }
}
