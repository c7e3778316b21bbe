//! The exchange over real sockets: what STS, a proxy, and a network on a bad day may do.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use imds_sts::{FailureKind, Remedy, Trust};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::join;
use tokio::net::TcpStream;
use tokio::time::Instant;

use support::{Ca, GOOD, Server, TOKEN, Then, ask, client, good, hasty_client, read_request};

/// Asks a plain server that answers so; gives back the failure.
async fn failure_after(answer: impl AsRef<[u8]>, then: Then) -> imds_sts::Failure {
    let server = Server::plain().await;
    let client = client(&server.url(), None, Trust::Mozilla);
    let (result, _) = join!(ask(&client), server.answer(answer, then));
    result.unwrap_err()
}

#[tokio::test]
async fn asks_over_tls_and_reads_the_answer() {
    let ca = Ca::new();
    let server = Server::tls(&ca, "127.0.0.1").await;
    let client = client(&server.url(), None, ca.trust());
    let (result, request) = join!(ask(&client), server.answer(good(), Then::Hang));

    let answer = result.unwrap();
    assert_eq!(answer.credentials.access_key_id, "ASIAEXAMPLE");
    assert_eq!(answer.date, Some(answer.credentials.expiration));

    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    for line in [
        &format!("host: {}", server.address()),
        "connection: close",
        "content-type: application/x-www-form-urlencoded",
        concat!("user-agent: imds-emulator/", env!("CARGO_PKG_VERSION")),
        &format!("content-length: {}", body.len()),
    ] {
        assert!(head.lines().any(|found| found == line), "no {line} in {head}");
    }
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
    assert!(body.starts_with("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn="), "{body}");
    assert!(body.ends_with(&format!("WebIdentityToken={TOKEN}")), "{body}");
}

#[tokio::test]
async fn a_name_is_resolved_and_a_path_kept() {
    let ca = Ca::new();
    let server = Server::tls(&ca, "localhost").await;
    let client = client(&format!("https://localhost:{}/sts/v1", server.address().port()), None, ca.trust());
    let (result, request) = join!(ask(&client), server.answer(good(), Then::Hang));
    result.unwrap();
    assert!(request.starts_with("POST /sts/v1 HTTP/1.1\r\n"), "{request}");
}

#[tokio::test]
async fn can_run_in_a_task_of_its_own() {
    let server = Server::plain().await;
    let client = client(&server.url(), None, Trust::Mozilla);
    let task = tokio::spawn(async move { ask(&client).await.map(|_| ()) });
    server.answer(good(), Then::Hang).await;
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn every_framing_of_http_is_understood() {
    let (one, two) = GOOD.split_at(100);
    let chunked = format!(
        "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:X};ext=1\r\n{two}\r\n0\r\nTrailer: x\r\n\r\n",
        one.len(),
        two.len()
    );
    for answer in [
        format!("HTTP/1.1 200 OK\r\n{chunked}"),
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{chunked}"),
        format!("HTTP/1.1 200 OK\r\n\r\n{GOOD}"),
        format!("HTTP/1.0 200 OK\r\n\r\n{GOOD}"),
    ] {
        let server = Server::plain().await;
        let client = client(&server.url(), None, Trust::Mozilla);
        let (result, _) = join!(ask(&client), server.answer(&answer, Then::Close));
        assert_eq!(result.unwrap().credentials.session_token.expose(), "IQoJEXAMPLE==", "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_we_do_not_trust_gets_nothing() {
    let (ca, other) = (Ca::new(), Ca::new());
    for (trust, server, why) in [
        (other.trust(), Server::tls(&ca, "127.0.0.1").await, "signed by nobody whom we trust"),
        (Trust::Mozilla, Server::tls(&ca, "127.0.0.1").await, "the compiled-in Mozilla roots"),
        (ca.trust(), Server::tls(&ca, "sts.example.com").await, "not valid for name"),
        (ca.trust(), Server::tls_of_authority(&ca).await, "sign a server certificate with it"),
    ] {
        let client = client(&server.url(), None, trust);
        let (result, request) = join!(ask(&client), server.answer(good(), Then::Close));
        let failure = result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
        assert!(failure.message.contains(why), "{failure}");
        assert_eq!(request, "");
    }
}

#[tokio::test]
async fn a_bundle_that_is_replaced_counts_at_once() {
    let (ca, next) = (Ca::new(), Ca::new());
    let server = Server::tls(&next, "127.0.0.1").await;
    let client = client(&server.url(), None, ca.trust());
    let (result, _) = join!(ask(&client), server.answer(good(), Then::Close));
    assert_eq!(result.unwrap_err().kind, FailureKind::Tls);

    std::fs::copy(next.bundle(), ca.bundle()).unwrap();
    let (result, _) = join!(ask(&client), server.answer(good(), Then::Close));
    result.unwrap();

    std::fs::remove_file(ca.bundle()).unwrap();
    let (result, _) = join!(ask(&client), server.accept());
    let failure = result.unwrap_err();
    assert_eq!((failure.kind, failure.remedy), (FailureKind::Trust, Remedy::Retry));
    assert!(failure.message.starts_with("can't read the CA bundle"), "{failure}");
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_a_tls_failure() {
    let server = Server::plain().await;
    let client = client(&format!("https://{}", server.address()), None, Trust::Mozilla);
    let answer = async {
        let mut stream = server.accept().await;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let (result, _stream) = join!(ask(&client), answer);
    assert_eq!(result.unwrap_err().kind, FailureKind::Tls);
}

#[tokio::test]
async fn nobody_listening_is_a_connect_failure() {
    let server = Server::plain().await;
    let (url, address) = (server.url(), server.address());
    drop(server);
    let failure = ask(&client(&url, None, Trust::Mozilla)).await.unwrap_err();
    assert_eq!((failure.kind, failure.remedy), (FailureKind::Connect, Remedy::Retry));
    assert_eq!(
        failure.to_string(),
        format!("could not connect to {address}: {address}: Connection refused (os error 111)")
    );
}

#[tokio::test]
async fn silence_ends_at_the_deadline_and_says_where() {
    let ca = Ca::new();
    let truncated = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", GOOD.len(), &GOOD[..50]);
    let (mute, slow) = (Server::tls(&ca, "127.0.0.1").await, Server::plain().await);
    for (server, answer, says) in [
        (&mute, "", "ask https://127.0.0.1:"),
        (&slow, "", "ask http://127.0.0.1:"),
        (&slow, "HTTP/1.1 200 OK\r\n", "ask http://127.0.0.1:"),
        (&slow, &truncated, "ask http://127.0.0.1:"),
    ] {
        let client = hasty_client(&server.url(), None, ca.trust());
        let start = Instant::now();
        let failure = tokio::select! {
            result = ask(&client) => result.unwrap_err(),
            request = server.answer(answer, Then::Hang) => panic!("it should have waited: {request}"),
        };
        assert_eq!((failure.kind, failure.remedy), (FailureKind::Timeout, Remedy::Retry));
        assert!(failure.message.contains(says) && failure.message.ends_with("within 1s"), "{failure}");
        assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&start.elapsed()));
    }
    // Accepted, but never a TLS handshake.
    let client = hasty_client(&mute.url(), None, ca.trust());
    let (result, _stream) = join!(ask(&client), mute.accept());
    assert!(result.unwrap_err().message.starts_with("could not set up TLS with 127.0.0.1:"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_to_retry() {
    for answer in [
        String::new(),
        "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", GOOD.len(), &GOOD[..300]),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len() + 1),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{GOOD}\r\n", GOOD.len()),
    ] {
        let failure = failure_after(&answer, Then::Close).await;
        assert_eq!((failure.kind, failure.remedy), (FailureKind::Connect, Remedy::Retry), "{answer}");
        assert!(!format!("{failure:?} {failure}").contains("EXAMPLE"), "{failure:?}");
    }
}

#[tokio::test]
async fn garbage_is_an_unusable_answer() {
    for answer in [
        "\u{0}\u{1}garbage\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let failure = failure_after(answer, Then::Close).await;
        assert_eq!((failure.kind, failure.remedy), (FailureKind::UnusableAnswer, Remedy::Retry), "{failure}");
    }
}

#[tokio::test]
async fn an_endless_body_is_not_read_to_its_end() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(50_000_000, b'<');
    let failure = failure_after(answer, Then::Hang).await;
    assert_eq!(failure.to_string(), "STS answered 200: but its body is over 64 KiB");
}

#[tokio::test]
async fn a_page_of_a_proxy_on_the_way_is_a_server_error() {
    let page = "<html><head><title>503 Maintenance</title></head></html>";
    // Its body breaks off, and yet the status says enough.
    let answer = format!(
        "HTTP/1.1 503 Unavailable\r\nRetry-After: 7\r\nX-Amzn-RequestId: r-1\r\nContent-Length: 999\r\n\r\n{page}"
    );
    let failure = failure_after(answer, Then::Close).await;
    assert_eq!((failure.kind, failure.remedy), (FailureKind::ServerError, Remedy::Retry));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(
        failure.to_string(),
        "STS answered 503: a page that is not STS's, titled \"503 Maintenance\" (request r-1)"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let failure =
        failure_after("HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\n\r\n", Then::Close).await;
    assert_eq!((failure.kind, failure.status), (FailureKind::UnusableAnswer, Some(307)));
}

#[tokio::test]
async fn tls_goes_through_a_proxy_in_a_tunnel() {
    let ca = Ca::new();
    let (server, proxy) = (Server::tls(&ca, "127.0.0.1").await, Server::plain().await);
    let url = format!("http://user:hunter2@{}", proxy.address());
    let client = client(&server.url(), Some(url.parse().unwrap()), ca.trust());
    assert!(!format!("{client:?}").contains("Basic"), "{client:?}");

    let forward = async {
        let mut inner = proxy.accept().await;
        let request = read_request(&mut inner).await;
        let mut outer = TcpStream::connect(server.address()).await.unwrap();
        inner.write_all(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut inner, &mut outer).await;
        request
    };
    let (result, request, connect) = join!(ask(&client), server.answer(good(), Then::Close), forward);
    result.unwrap();

    let target = server.address();
    assert!(connect.starts_with(&format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n")), "{connect}");
    assert!(connect.contains("\r\nproxy-authorization: Basic dXNlcjpodW50ZXIy\r\n"), "{connect}");
    assert!(!connect.contains("content-length") && !connect.contains(TOKEN), "{connect}");
    assert!(request.starts_with("POST / HTTP/1.1\r\n") && !request.contains("proxy-"), "{request}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_from_one_that_fails() {
    for (answer, then, kind, says) in [
        ("HTTP/1.1 407 Who are you\r\n\r\n", Then::Close, FailureKind::ProxyDenied, "it answered 407"),
        (
            "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
            Then::Hang,
            FailureKind::ProxyDenied,
            "it answered 403",
        ),
        ("HTTP/1.1 502 No way\r\n\r\n", Then::Close, FailureKind::Connect, "it answered 502"),
        ("garbage\r\n\r\n", Then::Close, FailureKind::UnusableAnswer, ""),
        ("", Then::Close, FailureKind::Connect, ""),
        ("", Then::Hang, FailureKind::Timeout, "within 1s"),
    ] {
        let proxy = Server::plain().await;
        let through = Some(format!("http://user:hunter2@{}", proxy.address()).parse().unwrap());
        let client = hasty_client("https://sts.example.com", through, Trust::Mozilla);
        let (result, _) = join!(ask(&client), proxy.answer(answer, then));
        let failure = result.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        let begins =
            format!("could not get through the proxy http://{} to sts.example.com:443", proxy.address());
        assert!(failure.message.starts_with(&begins) && failure.message.contains(says), "{failure}");
    }
}

#[tokio::test]
async fn plain_http_goes_through_a_proxy_with_the_whole_url() {
    let proxy = Server::plain().await;
    let through = Some(format!("http://user:hunter2@{}", proxy.address()).parse().unwrap());
    let client = client("http://sts.example.com:5000/x", through, Trust::Mozilla);
    let (result, request) = join!(ask(&client), proxy.answer(good(), Then::Hang));
    result.unwrap();
    assert!(request.starts_with("POST http://sts.example.com:5000/x HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nhost: sts.example.com:5000\r\n"), "{request}");
    assert!(request.contains("\r\nproxy-authorization: Basic dXNlcjpodW50ZXIy\r\n"), "{request}");
}
