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

    use crate::program::{Webhook, json, post, recorded};

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
