//! Randomness and the identifiers made of it.

use ring::digest;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Random bytes. Without the kernel's random numbers nothing here can work, TLS neither, so this doesn't fail.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives random numbers");
    bytes
}

/// A random UUID (version 4), as AWS's request ids and Kubernetes' token ids are.
pub(crate) fn uuid() -> String {
    format_uuid(bytes())
}

/// A UUID that always belongs to this name: what a Pod and a service account keep for their life.
pub(crate) fn uuid_of(name: &str) -> String {
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(digest.as_ref()) {
        *byte = *hashed;
    }
    format_uuid(bytes)
}

fn format_uuid(bytes: [u8; 16]) -> String {
    // RFC 9562: the version stands in the first four bits of byte 6, the variant in the first two of byte 8.
    let value = (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut uuid = String::with_capacity(36);
    for (index, digit) in format!("{value:032x}").chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_form_its_version_and_its_variant() {
        assert_eq!(format_uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(format_uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_ne!(uuid(), uuid());
        assert_eq!(uuid_of("pod/a"), uuid_of("pod/a"));
        assert_ne!(uuid_of("pod/a"), uuid_of("pod/b"));
    }
}
