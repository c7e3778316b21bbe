//! The credentials that are served: the document, rendered once when it comes from STS, and its true end.
//!
//! The end is kept on both clocks, and the earlier one counts. Boot time does not step, so a wall clock set back cannot
//! stretch a credential's life; wall time notices what boot time cannot, a machine that was frozen and thawed. The life
//! is measured on the server's own clock (its `Date` header) where there is one, so a wrong local clock does no harm.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use imds_sts::Answer;
use zeroize::Zeroizing;

use crate::clock::Now;

/// The `Date` header is cut to whole seconds, so a life measured by it may come out up to this much too long.
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// Credentials as served. Immutable; replaced whole.
pub struct Credentials {
    document: Bytes,
    expiration: SystemTime,
    life: Duration,
    end: Now,
}

impl Credentials {
    /// Renders STS's answer that arrived at `now`. `None` when nothing of its life is left.
    pub fn new(answer: &Answer, now: Now) -> Option<Self> {
        let expiration = answer.credentials.expiration;
        let life = match answer.date {
            Some(date) => expiration.duration_since(date).ok()?.checked_sub(DATE_RESOLUTION)?,
            None => expiration.duration_since(now.wall).ok()?,
        };
        if life.is_zero() {
            return None;
        }
        let document = document(answer, now.wall);
        let end = Now { wall: now.wall + life, boot: now.boot + life };
        Some(Self { document: Bytes::from_owner(document), expiration, life, end })
    }

    /// The document that IMDS serves. Holds secrets: for the body of an answer to this Pod alone.
    pub fn document(&self) -> Bytes {
        self.document.clone()
    }

    /// `Expiration` as STS gave it.
    pub fn expiration(&self) -> SystemTime {
        self.expiration
    }

    /// How long they were valid when they arrived.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// How long they are still valid; zero after their end.
    pub fn remaining(&self, now: Now) -> Duration {
        let by_wall = self.end.wall.duration_since(now.wall).unwrap_or_default();
        by_wall.min(self.end.boot.saturating_sub(now.boot))
    }

    /// Whether they may be served.
    pub fn are_valid(&self, now: Now) -> bool {
        !self.remaining(now).is_zero()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

/// The document, byte for byte in the form of the real service: two spaces, a space before the colon, this order of
/// keys, whole seconds, no newline at the end. `imds_sts` has checked that no value needs escaping in JSON.
fn document(answer: &Answer, last_updated: SystemTime) -> Zeroizing<Vec<u8>> {
    let credentials = &answer.credentials;
    let mut text = Zeroizing::new(String::with_capacity(2048));
    let _ = write!(
        text,
        "{{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"{}\",\n  \"Type\" : \"AWS-HMAC\",\n  \
         \"AccessKeyId\" : \"{}\",\n  \"SecretAccessKey\" : \"{}\",\n  \"Token\" : \"{}\",\n  \
         \"Expiration\" : \"{}\"\n}}",
        humantime::format_rfc3339_seconds(last_updated),
        credentials.access_key_id,
        credentials.secret_access_key.expose(),
        credentials.session_token.expose(),
        humantime::format_rfc3339_seconds(credentials.expiration),
    );
    Zeroizing::new(text.as_bytes().to_vec())
}
