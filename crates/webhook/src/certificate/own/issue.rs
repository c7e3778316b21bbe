//! Makes what the plan asks for: keys (ECDSA on P-256) and certificates, as changes of the Secret.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::Settings;
use super::plan::Change;
use super::stored::{AUTHORITY, Authority, Stored, key};
use crate::kubernetes::Changes;

/// How far before their making certificates begin, for an API server whose clock is behind.
const BACKDATED: Duration = Duration::from_mins(5);

/// Why nothing could be made.
#[derive(Debug)]
pub(super) enum IssueError {
    /// The library's own words.
    Make(rcgen::Error),
    /// What was made or is stored can't be read back.
    Read(String),
    /// There is no authority to sign with.
    NoAuthority,
}

/// The changes of the Secret that `change` means.
pub(super) fn issue(
    change: Change,
    stored: &Stored,
    settings: &Settings,
    now: SystemTime,
) -> Result<Changes, IssueError> {
    let mut changes = Changes::new();
    match change {
        Change::StartOver => {
            let authority = new_authority(settings, now)?;
            put(&mut changes, key::LEAF, new_leaf(&authority, settings, now)?);
            put(&mut changes, key::AUTHORITY, (authority.certificate_pem, authority.key_pem));
            changes.extend(key::NEXT.map(|key| (key, None)));
        }
        Change::Stage => {
            let authority = new_authority(settings, now)?;
            put(&mut changes, key::NEXT, (authority.certificate_pem, authority.key_pem));
        }
        Change::Promote => {
            let next = stored.next.as_ref().ok_or(IssueError::NoAuthority)?;
            put(&mut changes, key::LEAF, new_leaf(next, settings, now)?);
            put(&mut changes, key::AUTHORITY, (next.certificate_pem.clone(), next.key_pem.clone()));
            changes.extend(key::NEXT.map(|key| (key, None)));
        }
        Change::Renew => {
            let authority = stored.authority.as_ref().ok_or(IssueError::NoAuthority)?;
            put(&mut changes, key::LEAF, new_leaf(authority, settings, now)?);
        }
    }
    Ok(changes)
}

fn put(changes: &mut Changes, [certificate, key]: [&'static str; 2], pair: (String, String)) {
    changes.insert(certificate, Some(pair.0));
    changes.insert(key, Some(pair.1));
}

/// The name of each authority is its own: a client's message then says which one it means.
fn new_authority(settings: &Settings, now: SystemTime) -> Result<Authority, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    let made = humantime::format_rfc3339_seconds(now);
    params.distinguished_name.push(DnType::CommonName, format!("{AUTHORITY} of {made}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    set_life(&mut params, now - BACKDATED, now + settings.authority_life);
    let certificate = params.self_signed(&key)?;
    Authority::from_pem((certificate.pem(), key.serialize_pem())).map_err(IssueError::Read)
}

/// A serving certificate never outlives its authority.
fn new_leaf(
    authority: &Authority,
    settings: &Settings,
    now: SystemTime,
) -> Result<(String, String), IssueError> {
    let signer =
        Issuer::from_ca_cert_der(authority.certificate.der(), KeyPair::from_pem(&authority.key_pem)?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(settings.names.clone())?;
    params.distinguished_name.push(DnType::CommonName, "imds-webhook");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (earliest, latest) = (authority.certificate.not_before(), authority.certificate.not_after());
    set_life(&mut params, (now - BACKDATED).max(earliest), (now + settings.leaf_life).min(latest));
    Ok((params.signed_by(&key, &signer)?.pem(), key.serialize_pem()))
}

/// Sets the life, within the years that a certificate can name.
fn set_life(params: &mut CertificateParams, from: SystemTime, to: SystemTime) {
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let date = |time: SystemTime| {
        date_time_ymd(1970, 1, 1) + time.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST)
    };
    params.not_before = date(from);
    params.not_after = date(to);
}

impl From<rcgen::Error> for IssueError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error)
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(error) => write!(f, "can't make a certificate: {error}"),
            Self::Read(wrong) => write!(f, "can't make a certificate: {wrong}"),
            Self::NoAuthority => f.write_str("can't make a certificate: there is no authority to sign it"),
        }
    }
}

impl std::error::Error for IssueError {}
