//! IMDSv2 session tokens: stateless and sealed. A token is its own expiry, encrypted and authenticated under a key of
//! this process, so there is nothing to store, to evict or to leak; a restart makes old tokens invalid, which clients
//! answer by asking for a new one (wire: 401, then PUT).
//!
//! Form: 56 characters of base64url that begin with `AQAEA` and end with `==`, as the real service's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The longest life of a token, in seconds. Source: EC2 user guide, "Use the Instance Metadata Service".
pub const LONGEST_TTL: u32 = 21_600;

/// What the real service's tokens begin with (`AQAEA…` in base64).
const PREFIX: [u8; 4] = [1, 0, 4, 0];
const SEALED: usize = 8 + 16;
const LENGTH: usize = PREFIX.len() + NONCE_LEN + SEALED;
const TEXT_LENGTH: usize = 56;

/// The life that a client asks for, in seconds: 1 to [`LONGEST_TTL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(u32);

impl Ttl {
    /// Reads the value of `X-aws-ec2-metadata-token-ttl-seconds`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_ascii();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = text.parse().ok().filter(|seconds| digits && (1..=LONGEST_TTL).contains(seconds))?;
        Some(Self(seconds))
    }

    /// In seconds.
    pub fn as_secs(self) -> u32 {
        self.0
    }
}

/// Seals and opens this process's tokens.
pub struct TokenKey {
    key: LessSafeKey,
    /// Nonces never repeat under one key: they are counted.
    sealed: AtomicU64,
}

impl TokenKey {
    /// A fresh random key.
    pub fn generate() -> Result<Self, Unspecified> {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
        SystemRandom::new().fill(bytes.as_mut())?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes.as_ref())?;
        Ok(Self { key: LessSafeKey::new(key), sealed: AtomicU64::new(0) })
    }

    /// A token that is valid for `ttl` from `now`, a moment of boot time.
    pub fn seal(&self, ttl: Ttl, now: Duration) -> Result<String, Unspecified> {
        let expiry = milliseconds(now) + u64::from(ttl.as_secs()) * 1000;
        let mut nonce = [0; NONCE_LEN];
        let (_, counter) = nonce.split_at_mut(NONCE_LEN - 8);
        counter.copy_from_slice(&self.sealed.fetch_add(1, Relaxed).to_be_bytes());
        let mut sealed = Vec::with_capacity(LENGTH);
        sealed.extend_from_slice(&expiry.to_be_bytes());
        let tag = self.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(PREFIX),
            &mut sealed,
        )?;
        let token = [&PREFIX[..], &nonce, &sealed, tag.as_ref()].concat();
        Ok(URL_SAFE.encode(token))
    }

    /// How many whole seconds, rounded up, this token is still valid at `now`; `None` when it is not one of ours or has
    /// expired.
    pub fn open(&self, token: &[u8], now: Duration) -> Option<u32> {
        if token.len() != TEXT_LENGTH {
            return None;
        }
        let mut bytes = [0; LENGTH + 2];
        let length = URL_SAFE.decode_slice(token, &mut bytes).ok()?;
        let (prefix, rest) = bytes.get_mut(..length)?.split_at_mut_checked(PREFIX.len())?;
        let (nonce, sealed) = rest.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let expiry = self.key.open_in_place(nonce, Aad::from(prefix), sealed).ok()?;
        let expiry = u64::from_be_bytes(expiry.try_into().ok()?);
        let left = expiry.checked_sub(milliseconds(now)).filter(|left| *left > 0)?;
        u32::try_from(left.div_ceil(1000)).ok()
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").finish_non_exhaustive()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn ttl(seconds: u32) -> Ttl {
        Ttl::parse(seconds.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_token_looks_like_the_real_services() {
        let token = TokenKey::generate().unwrap().seal(ttl(21_600), NOW).unwrap();
        assert_eq!(token.len(), 56);
        assert!(token.starts_with("AQAEA") && token.ends_with("=="), "{token}");
    }

    #[test]
    fn a_token_lives_exactly_as_long_as_asked() {
        let key = TokenKey::generate().unwrap();
        let token = key.seal(ttl(60), NOW).unwrap();
        let after = |time| key.open(token.as_bytes(), NOW + time);
        assert_eq!(after(Duration::ZERO), Some(60));
        assert_eq!(after(Duration::from_secs(1)), Some(59));
        assert_eq!(after(Duration::from_millis(59_999)), Some(1));
        assert_eq!(after(Duration::from_mins(1)), None);
    }

    #[test]
    fn another_process_knows_nothing_of_it() {
        let token = TokenKey::generate().unwrap().seal(ttl(60), NOW).unwrap();
        assert_eq!(TokenKey::generate().unwrap().open(token.as_bytes(), NOW), None);
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let key = TokenKey::generate().unwrap();
        assert_ne!(key.seal(ttl(60), NOW).unwrap(), key.seal(ttl(60), NOW).unwrap());
    }

    #[test]
    fn a_ttl_is_a_whole_number_of_seconds_up_to_six_hours() {
        assert_eq!(Ttl::parse(b"1").map(Ttl::as_secs), Some(1));
        assert_eq!(Ttl::parse(b" 21600 ").map(Ttl::as_secs), Some(21_600));
        for wrong in ["", "0", "21601", "-1", "+1", "1.5", "60s", "0x10", "99999999999999999999"] {
            assert_eq!(Ttl::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(Ttl::parse(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn one_changed_byte_makes_it_invalid(position in 0..54_usize, bit in 0..8_u32, seconds in 1..=LONGEST_TTL) {
            let key = TokenKey::generate().unwrap();
            let mut token = key.seal(ttl(seconds), NOW).unwrap().into_bytes();
            token[position] ^= 1 << bit;
            prop_assert_eq!(key.open(&token, NOW), None);
        }

        #[test]
        fn arbitrary_bytes_are_never_a_token(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(TokenKey::generate().unwrap().open(&bytes, NOW), None);
        }
    }
}
