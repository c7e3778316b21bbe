//! The real program on its socket, asked as the API server asks.
#![expect(clippy::disallowed_methods, reason = "a test of a process measures real time")]

#[cfg(test)]
#[path = "support/program.rs"]
mod program;

// `cfg(test)` tells clippy that helpers, too, may unwrap.
#[cfg(test)]
mod server {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use http::{Request, StatusCode, header};
    use http_body_util::Full;
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use serde_json::{Value, json};

    use rustls_pki_types::PrivateKeyDer;

    use crate::program::{Identity, Webhook, json, post, recorded};

    #[tokio::test]
    async fn eighty_reviews_over_one_connection() {
        let webhook = Webhook::start(&[]);
        let mut connection = webhook.http1().await;
        for _ in 0..80 {
            connection.ready().await.unwrap();
            let response =
                connection.send_request(post("/mutate?timeout=10s", recorded("pod-bare"))).await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            let answer = json(response).await;
            assert_eq!(answer["response"]["patchType"], "JSONPatch");
        }
        let (_, metrics) = webhook.admin("/metrics").await;
        let sample = "imds_webhook_reviews_total{webhook=\"mutate\",outcome=\"injected\",reason=\"\"} 80\n";
        assert!(metrics.contains(sample), "{metrics}");
        assert!(metrics.contains("imds_webhook_review_duration_seconds_count 80\n"), "{metrics}");
        assert!(metrics.contains("imds_webhook_certificate_expiration_timestamp_seconds "), "{metrics}");
    }

    #[tokio::test]
    async fn h2_where_the_api_server_offers_it_with_many_reviews_at_once() {
        let webhook = Webhook::start(&[]);
        let stream = webhook.tls(&[b"h2", b"http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let reviews = (0..50).map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let request = post("https://imds-webhook.imds.svc/mutate", recorded("pod-of-deployment"));
                json(sender.send_request(request).await.unwrap()).await
            })
        });
        for review in reviews.collect::<Vec<_>>() {
            assert_eq!(review.await.unwrap()["response"]["allowed"], true);
        }
    }

    #[tokio::test]
    async fn a_review_of_almost_three_megabytes_is_answered_and_a_longer_one_refused() {
        let webhook = Webhook::start(&[]);
        let mut review: Value = serde_json::from_slice(&recorded("pod-bare")).unwrap();
        let mut size = |bytes: usize| {
            review["request"]["object"]["metadata"]["annotations"]["example.com/long"] =
                json!("x".repeat(bytes));
            serde_json::to_vec(&review).unwrap()
        };
        let (legal, long) = (size(2_800_000), size(4_300_000));
        let mut connection = webhook.http1().await;
        let answer = json(connection.send_request(post("/mutate", legal)).await.unwrap()).await;
        assert_eq!(answer["response"]["patchType"], "JSONPatch");
        let mut connection = webhook.http1().await;
        let response = connection.send_request(post("/mutate", long)).await.unwrap();
        assert_eq!(response.status(), 413);
    }

    #[tokio::test]
    async fn what_is_no_review_is_a_bad_request_and_other_paths_are_not_there() {
        let webhook = Webhook::start(&[]);
        for (request, status) in [
            (post("/mutate", b"nonsense".to_vec()), 400),
            (post("/mutate", Vec::new()), 400),
            (post("/lint", b"{}".to_vec()), 400),
            (post("/", recorded("pod-bare")), 404),
            (Request::get("/mutate").body(Full::default()).unwrap(), 405),
        ] {
            let mut connection = webhook.http1().await;
            assert_eq!(connection.send_request(request).await.unwrap().status(), status);
        }
        let answer = webhook.http1().await.send_request(post("/lint", recorded("pod-annotation-only"))).await;
        assert!(json(answer.unwrap()).await["response"]["warnings"].is_array());
    }

    #[tokio::test]
    async fn health_tells_when_it_is_ready_and_when_it_is_leaving() {
        let webhook = Webhook::start(&["--grace-period", "60"]);
        assert_eq!(webhook.admin("/livez").await.0, 200);
        assert_eq!(webhook.admin("/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
        webhook.signal();
        webhook.wait_for_log("told to stop");
        assert_eq!(webhook.admin("/readyz").await.0, 503);
        assert_eq!(webhook.admin("/livez").await.0, 200);
    }

    #[tokio::test]
    async fn a_rolling_update_loses_no_review() {
        let mut webhook = Webhook::start(&["--grace-period", "1"]);
        let mut connection = webhook.http1().await;
        connection.send_request(post("/mutate", recorded("pod-bare"))).await.unwrap();
        webhook.signal();
        webhook.wait_for_log("told to stop");
        // Reviews still come, over the connection that is kept and over new ones: all are answered, and told to go elsewhere.
        connection.ready().await.unwrap();
        let kept = connection.send_request(post("/mutate", recorded("pod-bare"))).await.unwrap();
        assert_eq!(
            (kept.status().as_u16(), &kept.headers()[header::CONNECTION]),
            (200, &"close".parse().unwrap())
        );
        let new = webhook.http1().await.send_request(post("/mutate", recorded("pod-bare"))).await.unwrap();
        assert_eq!(new.status(), 200);
        let end = Instant::now() + Duration::from_secs(10);
        while webhook.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "it ends after its grace period");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(webhook.child.wait().unwrap().success());
    }

    /// An authority, and a certificate that it signed for a client.
    fn authority() -> (String, Identity) {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = parameters.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(parameters, key);
        let mut client = rcgen::CertificateParams::new(vec!["kube-apiserver".to_owned()]).unwrap();
        client.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = client.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (authority.pem(), (vec![certificate.der().clone()], key))
    }

    /// Whether a review over a connection of its own is answered.
    async fn is_answered(webhook: &Webhook, client: Option<Identity>) -> bool {
        // With TLS 1.3 the client learns with the first answer that its certificate was not accepted.
        let Ok(mut connection) = webhook.http1_as(client).await else { return false };
        let answer = connection.send_request(post("/mutate", recorded("pod-bare"))).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    #[tokio::test]
    async fn with_a_client_ca_only_its_clients_are_answered() {
        let ((trusted, api_server), (_, stranger)) = (authority(), authority());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, trusted).unwrap();
        let webhook = Webhook::start(&["--client-ca", file.to_str().unwrap()]);
        assert!(is_answered(&webhook, Some(api_server)).await, "a certificate of the CA");
        assert!(!is_answered(&webhook, None).await, "no certificate");
        assert!(!is_answered(&webhook, Some(stranger)).await, "a certificate of another CA");
        assert_eq!(webhook.admin("/readyz").await.0, 200, "probes need no certificate");
        let (_, page) = webhook.admin("/metrics").await;
        assert!(page.contains("outcome=\"injected\",reason=\"\"} 1\n"), "{page}");
    }

    #[tokio::test]
    async fn without_a_client_ca_a_certificate_is_not_requested() {
        let webhook = Webhook::start(&[]);
        assert!(is_answered(&webhook, None).await);
        assert!(is_answered(&webhook, Some(authority().1)).await);
    }

    #[test]
    fn a_client_ca_that_can_not_be_used_is_named_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["imds-webhook.imds.svc".to_owned()]).unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let (certificate, key) =
            (file("tls.crt", &made.cert.pem()), file("tls.key", &made.signing_key.serialize_pem()));
        for (client_ca, expected) in [
            (folder.path().join("absent"), "can't read the client CA"),
            (file("empty", ""), "holds no certificate in PEM"),
            (
                file("damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                "the client CA",
            ),
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_imds-webhook"))
                .env_clear()
                .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--image", "i"])
                .args(["--tls-cert".as_ref(), certificate.as_os_str(), "--tls-key".as_ref(), key.as_os_str()])
                .args(["--client-ca".as_ref(), client_ca.as_os_str()])
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && said.contains(expected), "{said}");
            assert!(said.contains(client_ca.to_str().unwrap()), "{said}");
        }
    }

    #[tokio::test]
    async fn a_flood_of_reviews_writes_a_bounded_log() {
        const REVIEWS: usize = 1500;
        let webhook = Webhook::start_through(&[], &["--log-level", "info"]);
        let mut connection = webhook.http1().await;
        let begun = Instant::now();
        for _ in 0..REVIEWS {
            connection.ready().await.unwrap();
            let answer = connection.send_request(post("/mutate", recorded("pod-bare"))).await.unwrap();
            assert_eq!(answer.status(), 200);
            json(answer).await;
        }
        let allowed = 101 + 20 * (usize::try_from(begun.elapsed().as_secs()).unwrap() + 1);
        let mut connection = webhook.http1().await;
        assert_eq!(
            connection.send_request(post("/mutate", b"nonsense".to_vec())).await.unwrap().status(),
            400
        );
        let mut written = 0;
        // What can't be read has a budget of its own: it is logged in spite of the flood.
        while let Ok(line) = webhook.log.lock().unwrap().recv_timeout(Duration::from_secs(20)) {
            written += usize::from(line.contains("injected: role"));
            if line.contains("can't read a request") {
                break;
            }
        }
        assert!((100..=allowed).contains(&written), "{written} of {REVIEWS}, {allowed} allowed");
        let (_, page) = webhook.admin("/metrics").await;
        let suppressed = REVIEWS - written;
        assert!(page.contains(&format!("imds_webhook_log_lines_suppressed_total {suppressed}\n")), "{page}");
    }

    #[tokio::test]
    async fn no_body_is_ever_logged() {
        let webhook = Webhook::start(&[]);
        let mut review: Value = serde_json::from_slice(&recorded("pod-bare")).unwrap();
        review["request"]["object"]["spec"]["containers"][0]["env"] =
            json!([{"name": "PASSWORD", "value": "hunter2"}]);
        let body = serde_json::to_vec(&review).unwrap();
        let mut connection = webhook.http1().await;
        connection.send_request(post("/mutate", body.clone())).await.unwrap();
        let mut connection = webhook.http1().await;
        connection.send_request(post("/mutate", body[..body.len() / 2].to_vec())).await.unwrap();
        webhook.signal();
        let mut lines = 0;
        while let Ok(line) = webhook.log.lock().unwrap().recv_timeout(Duration::from_secs(1)) {
            assert!(!line.contains("hunter2"), "{line}");
            lines += 1;
        }
        assert!(lines > 2);
    }

    #[test]
    fn wrong_settings_exit_64_and_are_told() {
        for (arguments, told) in [
            (&[][..], "--tls-cert"),
            (&["--self-managed-certs"], "--namespace"),
            (&["--tls-cert", "c", "--tls-key", "k"], "--image"),
            (&["--tls-cert", "c", "--tls-key", "k", "--config", "/does/not/exist"], "/does/not/exist"),
        ] {
            let output = Command::new(env!("CARGO_BIN_EXE_imds-webhook"))
                .env_clear()
                .args(arguments)
                .output()
                .unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(64), "{text}");
            assert!(text.contains(told), "{text}");
        }
    }
}
