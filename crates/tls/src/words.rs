//! What rustls says of a peer, in words that name what to change.

use std::fmt::Display;
use std::io;

use rustls::{CertificateError, Error};

/// The error of rustls inside one of a stream.
pub fn error_of(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Why a handshake failed; `trusted` says whose certificates are.
pub fn handshake_in_words(error: &io::Error, trusted: impl Display) -> String {
    let signer = match error_of(error) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => "nobody whom we trust",
        // What a CA that was made anew under its old name looks like, too.
        Some(Error::InvalidCertificate(CertificateError::BadSignature)) => {
            "nobody whom we trust, or with a key that is too short (RSA takes 2048 bits)"
        }
        Some(error) => return in_words(error),
        None => return error.to_string(),
    };
    format!("its certificate is signed by {signer} (trusted: {trusted})")
}

/// rustls has sentences for most errors. Of the rest it tells but the name, as `Debug` does.
pub fn in_words(error: &Error) -> String {
    let debug = match error {
        Error::InvalidCertificate(error) => format!("{error:?}"),
        Error::PeerIncompatible(why) => format!("{why:?}"),
        Error::PeerMisbehaved(why) => format!("{why:?}"),
        Error::AlertReceived(alert) => format!("{alert:?}"),
        Error::InvalidMessage(message) => format!("{message:?}"),
        _ => return error.to_string(),
    };
    if debug.contains("CaUsedAsEndEntity") {
        return "its certificate is a CA certificate: sign a server certificate with it".to_owned();
    }
    error.to_string().replace(&debug, &debug_words(&debug))
}

/// What a library tells by `Debug` alone: the innermost name, without its fields. `Other(OtherError(CaUsedAsEndEntity))` is "ca used as
/// end entity".
fn debug_words(debug: &str) -> String {
    let names = debug.split('{').next().unwrap_or_default().split('(').map(str::trim);
    let innermost = names.take_while(|name| name.starts_with(|c: char| c.is_ascii_uppercase())).last();
    let mut words = String::new();
    let mut before = ' ';
    for character in innermost.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric) {
        if character.is_ascii_uppercase() && !before.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
        before = character;
    }
    words
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, InvalidMessage, PeerIncompatible, PeerMisbehaved};

    use super::*;

    #[test]
    fn no_error_is_told_by_its_name_in_the_code() {
        for (error, words) in [
            (Error::InvalidCertificate(CertificateError::Revoked), "invalid peer certificate: revoked"),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "peer is incompatible: no cipher suites in common",
            ),
            (
                Error::PeerMisbehaved(PeerMisbehaved::IllegalTlsInnerPlaintext),
                "peer misbehaved: illegal tls inner plaintext",
            ),
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "received fatal alert: handshake failure",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "received corrupt message of type invalid content type",
            ),
        ] {
            assert_eq!(handshake_in_words(&io::Error::other(error), "x.pem"), words);
        }
        let short = io::Error::other(Error::InvalidCertificate(CertificateError::BadSignature));
        let short = handshake_in_words(&short, "x.pem");
        assert!(short.contains("2048 bits") && short.contains("x.pem"), "{short}");
    }

    #[test]
    fn the_innermost_name_in_words() {
        for (debug, words) in [
            ("Other(OtherError(CaUsedAsEndEntity))", "ca used as end entity"),
            (
                "UnsupportedSignatureAlgorithmContext { signature_algorithm_id: [6, 9], supported: [] }",
                "unsupported signature algorithm context",
            ),
            ("Other(OtherError(TrailingData(Certificate)))", "certificate"),
            ("Tls12NotOffered", "tls12 not offered"),
            ("Unknown(80)", "unknown"),
            ("BadDER", "bad der"),
            ("", ""),
            ("[1, 2]", ""),
        ] {
            assert_eq!(debug_words(debug), words, "{debug}");
        }
    }
}
