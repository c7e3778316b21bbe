//! The credentials that are served: the document, rendered once when it comes from STS, and its true end.
//!
//! The end is kept on both clocks, and the earlier one counts. Boot time does not step, so a wall clock set back cannot
//! stretch a credential's life; wall time notices what boot time cannot, a machine that was frozen and thawed. The life
//! is measured on the server's own clock (its `Date` header) where there is one, so a wrong local clock does no harm; and
//! it is never longer than the life that was asked for, so a wrong server's clock does none either. It is counted from
//! the moment when STS was asked: nobody here knows how long the answer was on its way.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use imds_sts::Answer;
use zeroize::Zeroizing;

use crate::clock::Now;

/// `Date` and `Expiration` are cut to whole seconds, so a life measured by them, or taken to be what was asked for, may come
/// out up to this much too long.
const RESOLUTION: Duration = Duration::from_secs(1);

/// A life that is longer than the one asked for by more than this is no life: the `Date` it was measured by is wrong.
const IMPLAUSIBLE: Duration = Duration::from_mins(1);

/// Credentials as served. Immutable; replaced whole.
pub struct Credentials {
    document: Bytes,
    last_modified: HeaderValue,
    obtained: SystemTime,
    expiration: SystemTime,
    life: Duration,
    end: Now,
}

impl Credentials {
    /// Renders STS's answer that arrived at `now`, to a request of `begun` for a life of `asked`. `None` when nothing of its
    /// life is left.
    pub fn new(answer: &Answer, asked: Duration, begun: Now, now: Now) -> Option<Self> {
        let expiration = answer.credentials.expiration;
        // On whichever clock it was longer: the machine may have been frozen meanwhile.
        let by_wall = now.wall.duration_since(begun.wall).unwrap_or_default();
        let on_the_way = by_wall.max(now.boot.saturating_sub(begun.boot));
        let by_date = answer.date.map(|date| expiration.duration_since(date).unwrap_or_default());
        let life = match by_date.filter(|life| *life <= asked + IMPLAUSIBLE) {
            Some(life) => life.saturating_sub(RESOLUTION),
            None => expiration.duration_since(now.wall).unwrap_or_default() + on_the_way,
        };
        let life = life.min(asked.saturating_sub(RESOLUTION));
        let left = life.saturating_sub(on_the_way);
        if left.is_zero() {
            return None;
        }
        let last_modified = HeaderValue::from_str(&httpdate::fmt_http_date(now.wall)).ok()?;
        let document = document(answer, now.wall);
        let end = Now { wall: now.wall + left, boot: now.boot + left };
        Some(Self {
            document: Bytes::from_owner(document),
            last_modified,
            obtained: now.wall,
            expiration,
            life,
            end,
        })
    }

    /// The document that IMDS serves. Holds secrets: for the body of an answer to this Pod alone.
    pub fn document(&self) -> Bytes {
        self.document.clone()
    }

    /// The document's `LastUpdated` in the form of HTTP.
    pub fn last_modified(&self) -> HeaderValue {
        self.last_modified.clone()
    }

    /// When they came.
    pub fn obtained(&self) -> SystemTime {
        self.obtained
    }

    /// `Expiration` as STS gave it.
    pub fn expiration(&self) -> SystemTime {
        self.expiration
    }

    /// How long they were valid when STS gave them: some of it was gone when they arrived.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// How long they are still valid; zero after their end.
    pub fn remaining(&self, now: Now) -> Duration {
        let by_wall = self.end.wall.duration_since(now.wall).unwrap_or_default();
        by_wall.min(self.end.boot.saturating_sub(now.boot))
    }

    /// Whether they may be served: neither end has come.
    pub fn are_valid(&self, now: Now) -> bool {
        now.wall < self.end.wall && now.boot < self.end.boot
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
    /// An hour less the second that it may be shorter by.
    const LESS: Duration = Duration::from_secs(3599);

    fn now() -> Now {
        Now { wall: SystemTime::UNIX_EPOCH + 500_000 * HOUR, boot: 2 * HOUR }
    }

    /// Credentials of an hour that end at `expiration`, by an answer of this `Date`.
    fn obtained(expiration: SystemTime, date: Option<SystemTime>) -> Option<Credentials> {
        obtained_since(now(), expiration, date, now())
    }

    /// The same by an answer that came at `now` to a request of `begun`.
    fn obtained_since(
        begun: Now,
        expiration: SystemTime,
        date: Option<SystemTime>,
        now: Now,
    ) -> Option<Credentials> {
        let credentials = imds_sts::Credentials {
            access_key_id: "ASIAEXAMPLE000000001".to_owned(),
            secret_access_key: Secret::from("EXAMPLE"),
            session_token: Secret::from("EXAMPLE"),
            expiration,
        };
        let answer = imds_sts::Answer { credentials, assumed_role_arn: None, date };
        Credentials::new(&answer, HOUR, begun, now)
    }

    fn left(expiration: SystemTime, date: Option<SystemTime>) -> Duration {
        obtained(expiration, date).map_or(Duration::ZERO, |credentials| credentials.remaining(now()))
    }

    #[test]
    fn the_life_is_measured_on_the_servers_clock() {
        let wall = now().wall;
        assert_eq!(left(wall + HOUR, Some(wall)), LESS);
        assert_eq!(left(wall + 3 * HOUR, Some(wall + 2 * HOUR)), LESS, "our clock is two hours late");
        assert_eq!(left(wall - HOUR, Some(wall - 2 * HOUR)), LESS, "our clock is two hours early");
        assert_eq!(left(wall + HOUR, None), LESS, "no Date: our clock");
    }

    #[test]
    fn a_wrong_date_stretches_no_life() {
        let wall = now().wall;
        assert_eq!(left(wall + 3 * SECOND, Some(wall - 720 * HOUR)), 3 * SECOND, "a Date of a month ago");
        assert_eq!(left(wall + 720 * HOUR, Some(wall)), LESS, "an Expiration in a month");
        assert_eq!(left(wall - SECOND, Some(wall - 720 * HOUR)), Duration::ZERO);
        assert!(obtained(wall, Some(wall + MINUTE)).is_none(), "expired already");
    }

    #[test]
    fn an_answer_that_was_long_on_its_way_is_not_younger_for_it() {
        let asked = now();
        let now = Now { wall: asked.wall + 12 * SECOND, boot: asked.boot + 12 * SECOND };
        let left = |begun, date| {
            let held = obtained_since(begun, asked.wall + HOUR, date, now);
            held.map_or(Duration::ZERO, |credentials| credentials.remaining(now))
        };
        let issued = Some(asked.wall);
        assert_eq!(left(asked, issued), Duration::from_secs(3599 - 12));
        assert_eq!(left(asked, None), Duration::from_secs(3599 - 12));
        let frozen = Now { wall: asked.wall - 2 * HOUR, ..asked };
        assert_eq!(left(frozen, issued), Duration::ZERO, "frozen while the answer was on its way");
        let set_back = Now { wall: asked.wall + 2 * HOUR, ..asked };
        assert_eq!(left(set_back, issued), Duration::from_secs(3599 - 12), "set back meanwhile");
    }

    #[test]
    fn the_earlier_end_counts_whatever_a_clock_does() {
        let held = obtained(now().wall + HOUR, None).unwrap();
        let at = |wall, boot| {
            let now = Now { wall, boot };
            assert_eq!(held.are_valid(now), !held.remaining(now).is_zero());
            held.remaining(now)
        };
        assert_eq!(at(now().wall + 10 * MINUTE, now().boot + 10 * MINUTE), Duration::from_secs(2999));
        assert_eq!(
            at(now().wall - 24 * HOUR, now().boot + 59 * MINUTE),
            Duration::from_secs(59),
            "set back a day"
        );
        assert_eq!(at(now().wall + 2 * HOUR, now().boot + MINUTE), Duration::ZERO, "frozen for two hours");
        let end = Duration::from_secs(3599);
        assert_eq!(at(now().wall + end, now().boot + end), Duration::ZERO, "at the end");
    }
}
