//! That STS could not be talked to, in the words of others: Go, Python (botocore, urllib3, ssl), Java, Node.js, Rust, and curl with
//! OpenSSL. Pure.

use imds_sts::FailureKind::{self, Connect, ProxyDenied, Resolve, Timeout, Tls};

/// Parts of what they say, in lower case, by what is wrong, each at the beginning of a word. What is more special comes first: a look-up
/// that took too long is no slow STS, a certificate that was refused late is no slow server, and a handshake that took too long is no
/// certificate.
const WORDS: [(FailureKind, &[&str]); 7] = [
    (
        ProxyDenied,
        &[
            "code for connect: ",            // Envoy and others
            "from proxy after connect",      // curl before 8
            "connect tunnel failed",         // curl
            "tunnel connection failed: ",    // Python's http.client
            "proxy authentication required", // Go tells the status's text alone
            "proxy authorization required",
            "unable to tunnel through proxy", // Java: "… Proxy returns "HTTP/1.1 407 …""
            "tunneling socket could not be established",
            "when http tunneling", // undici: "Proxy response (403) !== 200 …"
            "proxy connection ended before receiving connect response",
            "unsuccessful tunnel", // hyper-util
        ],
    ),
    (
        Resolve,
        &[
            "no such host",              // Go
            "dial tcp: lookup ",         // Go, whatever follows
            "name or service not known", // glibc: Python, Rust, Ruby
            "temporary failure in name resolution",
            "no address associated with hostname",
            "nodename nor servname", // macOS
            "name does not resolve", // musl
            "getaddrinfo",           // Node.js and Python
            "enotfound",
            "eai_again",
            "eservfail",
            "querya ",             // Node.js' resolver: "queryA ETIMEOUT"
            "nameresolutionerror", // urllib3
            "failed to resolve",
            "unknownhostexception", // Java
            "could not resolve",    // curl, SDK for JavaScript v3
            "couldn't resolve",
            "unknownendpoint", // SDK for JavaScript v2
            "inaccessible host",
            "dns error", // Rust, hyper-util
            "failed to lookup address",
            "name resolution failed", // .NET
        ],
    ),
    (
        Tls,
        &[
            "x509:",                     // Go
            "certificate verify failed", // OpenSSL: Python, Ruby, curl
            "certificate_verify_failed",
            "ssl certificate problem", // curl
            "ssl: no alternative certificate subject name",
            "ssl: certificate subject name",
            "unable to get local issuer certificate",
            "unable_to_get_issuer_cert", // Node.js
            "unable to verify the first certificate",
            "unable_to_verify_leaf_signature",
            "altnames", // Node.js: "Hostname/IP does not match certificate's altnames"
            "err_tls_",
            "hostname mismatch", // Python
            "no subject alternative",
            "self_signed_cert",
            "self signed certificate",
            "self-signed certificate",
            "cert_has_expired",
            "certificate has expired",
            "certificate expired",
            "certificate is not yet valid",
            "pkix path",                // Java
            "invalid peer certificate", // rustls
            "unknownissuer",
            "remote certificate is invalid", // .NET
            "ssl peer certificate",          // libcurl: SDK for C++
        ],
    ),
    (
        Timeout,
        &[
            "i/o timeout",
            "deadline exceeded", // Go's contexts
            "deadline has elapsed",
            "handshake timeout",
            "ssl connection timeout", // curl
            "timed out",              // Python, Java, curl, Rust
            "connecttimeout",
            "connect_timeout", // undici: UND_ERR_CONNECT_TIMEOUT
            "headers_timeout",
            "readtimeout",
            "connect timeout",
            "read timeout",
            "timeouterror",
            "aborted due to timeout",
            "sockettimeoutexception",
            "etimedout",
            "esockettimedout",
            "client.timeout",
            "httpclient.timeout",  // .NET
            "timeout was reached", // libcurl
            "timeout awaiting",
            "client execution did not complete before", // SDK for Java
            "acquire operation took longer",
        ],
    ),
    (
        Connect,
        &[
            "remote host terminated the handshake", // Java
            "remote host closed connection",
            "client network socket disconnected", // Node.js
        ],
    ),
    (
        Tls,
        &[
            "tls: ",
            "sslhandshakeexception",
            "sslpeerunverifiedexception",
            "unsupported or unrecognized ssl message", // Java
            "received fatal alert",
            "corrupt message", // rustls
            "handshake failure",
            "handshake_failure",
            "handshake failed",
            "wrong version number",
            "eof occurred in violation of protocol", // Python
            "sslerror",
            "ssl: ",
            "ssl_error",
        ],
    ),
    (
        Connect,
        &[
            "connection refused",
            "econnrefused",
            "connection reset",
            "econnreset",
            "connection aborted",
            "connection was closed",
            "connection closed",
            "connectionclosederror", // botocore
            "remote end closed connection",
            "failed to respond", // Apache HttpClient
            "nohttpresponseexception",
            "socket hang up", // Node.js
            "fetch failed",
            "epipe",
            "broken pipe",
            "unexpected eof",
            ": eof", // Go
            "close_notify",
            "empty reply from server", // curl
            "couldn't connect to server",
            "no route to host",
            "ehostunreach",
            "network is unreachable",
            "enetunreach",
            "connect: operation not permitted", // Go, with a NetworkPolicy of eBPF
            "connect: permission denied",
            "eperm",
            "could not connect to the endpoint", // botocore
            "endpointconnectionerror",
            "proxyconnectionerror",
            "cannot connect to proxy",
            "could not connect to proxy",
            "proxyconnect tcp",  // Go
            "failed to connect", // curl
            "tcp connect error", // Rust
            "dispatch failure",  // SDK for Rust
            "error sending request",
            "unable to execute http request", // SDK for Java, before its cause
            "unable to connect",
            "unable to complete request", // SDK for C++
        ],
    ),
];

/// What their words mean; `None` where none of them stands in the text.
pub(super) fn kind(text: &str) -> Option<FailureKind> {
    let text = text.to_ascii_lowercase();
    let (kind, _) = WORDS.iter().find(|(_, parts)| has_any(&text, parts))?;
    Some(if *kind == ProxyDenied && is_failed(&text) { Connect } else { *kind })
}

/// Whether the proxy answered that it failed (5xx), as far as its words have a status.
fn is_failed(text: &str) -> bool {
    let statuses = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() == 3);
    let mut statuses = statuses
        .filter(|word| word.bytes().all(|b| b.is_ascii_digit()))
        .filter_map(|word| word.bytes().next());
    statuses.find(|first| b"45".contains(first)) == Some(b'5')
}

/// Whether one of these parts stands in a text at the beginning of a word, whatever their case: `ENOTFOUND` is not in
/// `FileNotFoundError`. The text is in lower case.
pub(super) fn has_any(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| {
        let part = part.to_ascii_lowercase();
        let begins_inside = |at: usize| {
            let before = text.get(..at).and_then(|before| before.bytes().last());
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && before.is_some_and(|b| b.is_ascii_alphanumeric())
        };
        text.match_indices(&part).any(|(at, _)| !begins_inside(at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As programs print it.
    #[test]
    fn the_words_of_others_are_understood() {
        let cases: [(FailureKind, &[&str]); 5] = [
            (
                Resolve,
                &[
                    "dial tcp: lookup sts.eu-west-9.amazonaws.com on 10.0.0.2:53: no such host",
                    "dial tcp: lookup sts.amazonaws.com on 10.0.0.2:53: read udp 10.1.2.3:4->10.0.0.2:53: i/o timeout",
                    "Could not connect to the endpoint URL: \"https://sts.moon-1.amazonaws.com/\" [Errno -2] Name or service not known",
                    "java.net.UnknownHostException: sts.moon-1.amazonaws.com",
                    "Error: getaddrinfo ENOTFOUND sts.moon-1.amazonaws.com",
                    "getaddrinfo EAI_AGAIN sts.amazonaws.com",
                    "UnknownEndpoint: Inaccessible host: `sts.moon-1.amazonaws.com'",
                    "curl: (6) Could not resolve host: sts.moon-1.amazonaws.com",
                    "dns error: failed to lookup address information: Name does not resolve",
                    "socket.gaierror: [Errno -3] Temporary failure in name resolution",
                ],
            ),
            (
                Tls,
                &[
                    "x509: certificate signed by unknown authority",
                    "tls: failed to verify certificate: x509: certificate is valid for a, not b",
                    "SSL validation failed for https://sts.amazonaws.com/ [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
                    "javax.net.ssl.SSLHandshakeException: PKIX path building failed",
                    "Error: unable to get local issuer certificate (UNABLE_TO_GET_ISSUER_CERT_LOCALLY)",
                    "self-signed certificate in certificate chain",
                    "curl: (60) SSL certificate problem: unable to get local issuer certificate",
                    "invalid peer certificate: UnknownIssuer",
                ],
            ),
            (
                Timeout,
                &[
                    "dial tcp 203.0.113.7:443: i/o timeout",
                    "net/http: TLS handshake timeout",
                    "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                    "Connect timeout on endpoint URL: \"https://sts.amazonaws.com/\"",
                    "Read timed out. (read timeout=60)",
                    "connect ETIMEDOUT 203.0.113.7:443",
                    "software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request: Connect timed out",
                    "curl: (28) Operation timed out after 5001 milliseconds",
                ],
            ),
            (
                ProxyDenied,
                &[
                    "response code for CONNECT: 403",
                    "curl: (56) Received HTTP code 407 from proxy after CONNECT",
                    "Tunnel connection failed: 407 Proxy Authentication Required",
                    "java.io.IOException: Unable to tunnel through proxy. Proxy returns \"HTTP/1.1 403 Forbidden\"",
                    "client error (Connect): unsuccessful tunnel",
                ],
            ),
            (
                Connect,
                &[
                    "dial tcp 203.0.113.7:443: connect: connection refused",
                    "proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: no route to host",
                    "EndpointConnectionError: Could not connect to the endpoint URL: \"https://sts.amazonaws.com/\"",
                    "connect ECONNREFUSED 203.0.113.7:443",
                    "socket hang up",
                    "read tcp 10.1.2.3:4->203.0.113.7:443: read: connection reset by peer",
                    "unexpected EOF",
                    "Unable to execute HTTP request: sts.amazonaws.com",
                    "curl: (7) Failed to connect to sts.amazonaws.com port 443 after 3 ms: Couldn't connect to server",
                ],
            ),
        ];
        for (expected, texts) in cases {
            for text in texts {
                assert_eq!(kind(text), Some(expected), "{text}");
            }
        }
        assert_eq!(kind("got credentials from STS"), None);
    }

    #[test]
    fn every_part_can_be_found() {
        for part in WORDS.iter().flat_map(|(_, parts)| *parts) {
            assert_eq!(part.to_ascii_lowercase(), *part);
        }
    }
}
