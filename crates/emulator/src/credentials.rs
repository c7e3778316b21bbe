//! The credentials that are served: the document, rendered once when it comes from STS, and its true end.
//!
//! The end is kept on both clocks, and the earlier one counts. Boot time does not step, so a wall clock set back cannot
//! stretch a credential's life; wall time notices what boot time cannot, a machine that was frozen and thawed. The life
//! is measured on the server's own clock (its `Date` header) where there is one, so a wrong local clock does no harm; and
//! it is never longer than the life that was asked for, so a wrong server's clock does none either.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use imds_sts::Answer;
use zeroize::Zeroizing;

use crate::clock::Now;

/// The `Date` header is cut to whole seconds, so a life measured by it may come out up to this much too long.
const DATE_RESOLUTION: Duration = Duration::from_secs(1);

/// A life that is longer than the one asked for by more than this is no life: the `Date` it was measured by is wrong.
const IMPLAUSIBLE: Duration = Duration::from_mins(1);

/// Credentials as served. Immutable; replaced whole.
pub struct Credentials {
    document: Bytes,
    last_modified: HeaderValue,
    expiration: SystemTime,
    life: Duration,
    end: Now,
}

impl Credentials {
    /// Renders STS's answer that arrived at `now`, to a request for a life of `asked`. `None` when nothing of its life is
    /// left.
    pub fn new(answer: &Answer, asked: Duration, now: Now) -> Option<Self> {
        let expiration = answer.credentials.expiration;
        let by_date = answer.date.map(|date| expiration.duration_since(date).unwrap_or_default());
        let life = match by_date.filter(|life| *life <= asked + IMPLAUSIBLE) {
            Some(life) => life.saturating_sub(DATE_RESOLUTION),
            None => expiration.duration_since(now.wall).unwrap_or_default(),
        };
        let life = life.min(asked);
        if life.is_zero() {
            return None;
        }
        let last_modified = HeaderValue::from_str(&httpdate::fmt_http_date(now.wall)).ok()?;
        let document = document(answer, now.wall);
        let end = Now { wall: now.wall + life, boot: now.boot + life };
        Some(Self { document: Bytes::from_owner(document), last_modified, expiration, life, end })
    }

    /// The document that IMDS serves. Holds secrets: for the body of an answer to this Pod alone.
    pub fn document(&self) -> Bytes {
        self.document.clone()
    }

    /// The document's `LastUpdated` in the form of HTTP.
    pub fn last_modified(&self) -> HeaderValue {
        self.last_modified.clone()
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

#[cfg(test)]
mod tests {
    use super::*;
    use imds_sts::Secret;

    const HOUR: Duration = Duration::from_hours(1);
    const MINUTE: Duration = Duration::from_mins(1);
    const SECOND: Duration = Duration::from_secs(1);
    /// An hour less the second that a `Date` may be wrong by.
    const HOUR_BY_DATE: Duration = Duration::from_secs(3599);

    fn now() -> Now {
        Now { wall: SystemTime::UNIX_EPOCH + 500_000 * HOUR, boot: 2 * HOUR }
    }

    /// Credentials of an hour that end at `expiration`, by an answer of this `Date`.
    fn obtained(expiration: SystemTime, date: Option<SystemTime>) -> Option<Credentials> {
        let credentials = imds_sts::Credentials {
            access_key_id: "ASIAEXAMPLE000000001".to_owned(),
            secret_access_key: Secret::from("EXAMPLE"),
            session_token: Secret::from("EXAMPLE"),
            expiration,
        };
        Credentials::new(&imds_sts::Answer { credentials, assumed_role_arn: None, date }, HOUR, now())
    }

    fn left(expiration: SystemTime, date: Option<SystemTime>) -> Duration {
        obtained(expiration, date).map_or(Duration::ZERO, |credentials| credentials.remaining(now()))
    }

    #[test]
    fn the_life_is_measured_on_the_servers_clock() {
        let wall = now().wall;
        assert_eq!(left(wall + HOUR, Some(wall)), HOUR_BY_DATE);
        assert_eq!(left(wall + 3 * HOUR, Some(wall + 2 * HOUR)), HOUR_BY_DATE, "our clock is two hours late");
        assert_eq!(left(wall - HOUR, Some(wall - 2 * HOUR)), HOUR_BY_DATE, "our clock is two hours early");
        assert_eq!(left(wall + HOUR, None), HOUR, "no Date: our clock");
    }

    #[test]
    fn a_wrong_date_stretches_no_life() {
        let wall = now().wall;
        assert_eq!(left(wall + 3 * SECOND, Some(wall - 720 * HOUR)), 3 * SECOND, "a Date of a month ago");
        assert_eq!(left(wall + 720 * HOUR, Some(wall)), HOUR, "an Expiration in a month");
        assert_eq!(left(wall - SECOND, Some(wall - 720 * HOUR)), Duration::ZERO);
        assert!(obtained(wall, Some(wall + MINUTE)).is_none(), "expired already");
    }

    #[test]
    fn the_earlier_end_counts_whatever_a_clock_does() {
        let held = obtained(now().wall + HOUR, None).unwrap();
        let at = |wall, boot| held.remaining(Now { wall, boot });
        assert_eq!(at(now().wall + 10 * MINUTE, now().boot + 10 * MINUTE), 50 * MINUTE);
        assert_eq!(at(now().wall - 24 * HOUR, now().boot + 59 * MINUTE), MINUTE, "wall clock set back a day");
        assert_eq!(at(now().wall + 2 * HOUR, now().boot + MINUTE), Duration::ZERO, "frozen for two hours");
    }
}
