//! What the Secret holds, parsed once and checked: the parts that can be used, and what is wrong with the others.

use std::fmt;

use rcgen::KeyPair;

use crate::certificate::{Certificate, Loaded};
use crate::kubernetes::Secret;

/// With what the common name of every authority of ours begins.
pub(super) const AUTHORITY: &str = "imds-webhook authority";

/// The keys of the Secret.
pub(super) mod key {
    pub(in super::super) const AUTHORITY: [&str; 2] = ["ca.crt", "ca.key"];
    pub(in super::super) const LEAF: [&str; 2] = ["tls.crt", "tls.key"];
    pub(in super::super) const NEXT: [&str; 2] = ["next-ca.crt", "next-ca.key"];
}

/// What can be used of the Secret's data. Whether it has ended is asked at each use.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// The authority that signs.
    pub(super) authority: Option<Authority>,
    /// The serving certificate: signed by `authority`, with its key, for all the names.
    pub(super) leaf: Option<Leaf>,
    /// The authority that signs next.
    pub(super) next: Option<Authority>,
    /// What is there and can't be used, in words.
    pub(super) damage: Vec<String>,
}

/// An authority of ours with its key.
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    pub(super) certificate_pem: String,
    pub(super) key_pem: String,
}

/// A serving certificate with its key.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) certificate: Certificate,
    pub(super) loaded: Loaded,
}

impl Stored {
    /// Reads a Secret; none is as good as an empty one.
    pub(super) fn read(secret: Option<&Secret>, names: &[String]) -> Self {
        let Some(secret) = secret else { return Self::default() };
        let mut damage = Vec::new();
        let mut part = |keys: [&str; 2]| {
            let mut value = |name| {
                let text = String::from_utf8(secret.get(name)?);
                text.inspect_err(|_| damage.push(format!("{name} is no text"))).ok()
            };
            let [first, second] = keys.map(&mut value);
            // An empty value is what a template without a value leaves.
            match (first.filter(|text| !text.is_empty()), second.filter(|text| !text.is_empty())) {
                (None, None) => None,
                (Some(certificate), Some(key)) => Some((certificate, key)),
                _ => {
                    damage.push(format!("{} and {} are not there together", keys[0], keys[1]));
                    None
                }
            }
        };
        let (authority, leaf, next) = (part(key::AUTHORITY), part(key::LEAF), part(key::NEXT));
        let mut usable = |what: &str, wrong: String| damage.push(format!("{what}: {wrong}"));
        let authority = authority
            .and_then(|pair| Authority::from_pem(pair).map_err(|wrong| usable("ca.crt", wrong)).ok());
        let next = next
            .and_then(|pair| Authority::from_pem(pair).map_err(|wrong| usable("next-ca.crt", wrong)).ok());
        let leaf = leaf.zip(authority.as_ref()).and_then(|(pair, authority)| {
            Leaf::from_pem(&pair, authority, names).map_err(|wrong| usable("tls.crt", wrong)).ok()
        });
        Self { authority, leaf, next, damage }
    }
}

impl Authority {
    /// From certificate and key in PEM; the error says what is wrong with them.
    pub(super) fn from_pem((certificate_pem, key_pem): (String, String)) -> Result<Self, String> {
        let certificate = Certificate::all_from_pem(certificate_pem.as_bytes())
            .into_iter()
            .next()
            .ok_or("it holds no certificate that can be read")?;
        if !is_ours(&certificate) {
            return Err(format!(
                "the authority {:?} is not of this webhook's making",
                certificate.common_name()
            ));
        }
        let key = KeyPair::from_pem(&key_pem).map_err(|_| "its key can't be read")?;
        if key.public_key_raw() != certificate.public_key() {
            return Err("its key belongs to another certificate".to_owned());
        }
        Ok(Self { certificate, certificate_pem, key_pem })
    }
}

impl Leaf {
    /// From chain and key in PEM; the error says why no API server that trusts the authority would take it for all of
    /// these names up to its end.
    pub(super) fn from_pem(
        (chain, key): &(String, String),
        authority: &Authority,
        names: &[String],
    ) -> Result<Self, String> {
        let loaded = Loaded::from_pem(chain.as_bytes(), key.as_bytes()).map_err(|error| error.to_string())?;
        let certificate = loaded.certificate().cloned().and_then(Certificate::from_der);
        let certificate = certificate.ok_or("it holds no certificate that can be read")?;
        if !authority.certificate.vouches_for(&certificate, names, certificate.not_after()) {
            return Err(format!("it is not the authority's, or not for {}", names.join(" and ")));
        }
        Ok(Self { certificate, loaded })
    }
}

/// Whether a certificate is an authority of this webhook's making, by its name.
pub(super) fn is_ours(certificate: &Certificate) -> bool {
    certificate.common_name().starts_with(AUTHORITY)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authority").field(&self.certificate).finish()
    }
}
