//! Whoever reaches the webhook, and whoever may create Pods, does the worst that is permitted, within the limits that the chart
//! sets: every other review is answered in the API server's time, and memory is enough. `./test hostile`.
#![expect(clippy::disallowed_methods, reason = "a test of a process measures real time")]

#[cfg(test)]
#[path = "support/program.rs"]
mod program;

// `cfg(test)` tells clippy that helpers, too, may unwrap.
#[cfg(test)]
mod hostile {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};
    use std::thread;
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use http::Request;
    use http_body_util::BodyExt as _;
    use hyper::body::{Body, Frame};
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use imds_testkit::cgroup::Limits;
    use serde_json::Value;
    use tokio::net::TcpStream;
    use tokio::task::JoinSet;

    use crate::program::{Webhook, json, post, recorded};

    /// The limits of deploy/chart/values.yaml.
    const MEMORY: u64 = 64 * 1024 * 1024;
    const MILLICORES: u64 = 500;

    /// What the API server waits for a review (`webhook.timeoutSeconds`).
    const API_SERVER_PATIENCE: Duration = Duration::from_secs(5);

    const MEASURED: Duration = Duration::from_secs(6);

    /// Runs the attack, in threads of the lowest priority, beside a client that reviews Pods as the API server does.
    fn withstands<F: Future<Output = ()> + Send>(attack: impl Fn(Arc<Webhook>) -> F + Send + Sync) {
        let limits = Limits::new(MEMORY, Some(MILLICORES));
        let words = limits.as_ref().map(Limits::command).unwrap_or_default();
        let webhook = Arc::new(Webhook::start_through(&words, &["--log-level", "info"]));
        let stop = AtomicBool::new(false);
        let longest = thread::scope(|threads| {
            threads.spawn(|| {
                rustix::process::nice(19).unwrap();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let attack = attack(Arc::clone(&webhook));
                    let _ = tokio::time::timeout(MEASURED + Duration::from_secs(1), attack).await;
                    while !stop.load(Relaxed) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                });
            });
            let longest = honest_reviews(&webhook);
            stop.store(true, Relaxed);
            longest
        });
        let peak = limits.as_ref().map_or(0, Limits::peak);
        let name = thread::current().name().unwrap_or_default().to_owned();
        println!("{name}: longest review {longest:?}, memory {} KiB", peak / 1024);
        assert_eq!(limits.as_ref().map_or(0, Limits::kills), 0, "killed for lack of memory");
        assert!(longest < API_SERVER_PATIENCE, "{longest:?}");
    }

    /// One review after the other, on a new connection each; how long the longest took.
    fn honest_reviews(webhook: &Webhook) -> Duration {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (end, mut longest) = (Instant::now() + MEASURED, Duration::ZERO);
            while Instant::now() < end {
                let begun = Instant::now();
                let review = async {
                    // A client of Go tries again on a connection that was closed before its request was read.
                    loop {
                        let Ok(mut connection) = webhook.try_http1().await else { continue };
                        let sent = connection.send_request(post("/mutate", recorded("pod-bare"))).await;
                        if let Ok(response) = sent {
                            return json(response).await;
                        }
                    }
                };
                let answer =
                    tokio::time::timeout(API_SERVER_PATIENCE, review).await.expect("an answer in time");
                assert_eq!(answer["response"]["patchType"], "JSONPatch", "{answer}");
                longest = longest.max(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            longest
        })
    }

    /// Reviews of Pods under the API server's limit of 3 MiB, each with as many entries as fit, where a Pod may have lists.
    fn largest_reviews() -> Vec<Vec<u8>> {
        let review: Value = serde_json::from_slice(&recorded("pod-bare")).unwrap();
        let times = |item: &str| {
            serde_json::from_str::<Value>(&format!(
                "[{}]",
                vec![item; 3_000_000 / (item.len() + 1)].join(",")
            ))
            .unwrap()
        };
        let annotations: Value = (0..200_000)
            .map(|n| (format!("imds{n}"), Value::from("")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        [
            ("/spec/containers/0/args", times("\"\"")),
            ("/spec/containers/0/env", times("{\"name\":\"A\"}")),
            ("/spec/tolerations", times("{}")),
            ("/spec/volumes", times("{}")),
            ("/metadata/annotations", annotations),
            ("/spec/containers/0/command", Value::from(vec!["x".repeat(3_000_000)])),
        ]
        .into_iter()
        .map(|(pointer, value)| {
            let mut review = review.clone();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            review["request"]["object"].pointer_mut(parent).unwrap()[field] = value;
            serde_json::to_vec(&review).unwrap()
        })
        .collect()
    }

    #[test]
    #[ignore = "measures time: ./test hostile"]
    fn the_largest_reviews_that_an_api_server_sends_many_at_once() {
        let bodies = largest_reviews();
        withstands(|webhook| {
            let bodies = bodies.clone();
            async move {
                let senders = (0..24).map(|number| {
                    let (webhook, bodies) = (Arc::clone(&webhook), bodies.clone());
                    async move {
                        for body in bodies.iter().cycle().skip(number) {
                            let Ok(mut connection) = webhook.try_http1().await else { continue };
                            if let Ok(response) = connection.send_request(post("/mutate", body.clone())).await
                            {
                                let _ = response.into_body().collect().await;
                            }
                        }
                    }
                });
                together(senders).await;
            }
        });
    }

    #[test]
    #[ignore = "measures time: ./test hostile"]
    fn bodies_begun_and_never_ended_on_every_stream() {
        withstands(|webhook| async move {
            let connections = (0..300).map(|_| {
                let webhook = Arc::clone(&webhook);
                async move {
                    let Ok(stream) = webhook.try_tls(&[b"h2"]).await else { return };
                    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
                    let Ok((sender, connection)) = handshake else { return };
                    tokio::spawn(connection);
                    let streams = (0..200).map(move |_| {
                        let mut sender: http2::SendRequest<Begun> = sender.clone();
                        async move {
                            let body = Begun(Some(vec![b' '; 65_535].into()));
                            let request = Request::post("https://imds-webhook.imds.svc/mutate").body(body);
                            let _ = sender.send_request(request.unwrap()).await;
                        }
                    });
                    together(streams).await;
                }
            });
            together(connections).await;
        });
    }

    #[test]
    #[ignore = "measures time: ./test hostile"]
    fn connections_opened_and_held_before_and_after_the_handshake() {
        withstands(|webhook| async move {
            let mut silent = Vec::new();
            let mut idle = Vec::new();
            for _ in 0..1500 {
                silent.push(TcpStream::connect(webhook.reviews).await);
                idle.push(tokio::time::timeout(Duration::from_secs(1), webhook.try_http1()).await);
            }
            std::future::pending::<()>().await;
        });
    }

    /// Of a Pod for which much is added, by clients who hardly read.
    #[test]
    #[ignore = "measures time: ./test hostile"]
    fn answers_that_are_not_read() {
        let mut review: Value = serde_json::from_slice(&recorded("pod-bare")).unwrap();
        let pod = &mut review["request"]["object"];
        pod["metadata"]["annotations"]["gkemulticloud.googleapis.com/aws-imds-emulator-interception"] =
            "endpoint".into();
        pod["spec"]["containers"] = vec![serde_json::json!({}); 250].into();
        let body = serde_json::to_vec(&review).unwrap();
        withstands(move |webhook| {
            let body = body.clone();
            async move {
                let connections = (0..300).map(|_| {
                    let (webhook, body) = (Arc::clone(&webhook), body.clone());
                    async move {
                        let Ok(stream) = webhook.try_tls(&[b"h2"]).await else { return };
                        let mut builder = http2::Builder::new(TokioExecutor::new());
                        builder.initial_stream_window_size(1024).initial_connection_window_size(1024);
                        let Ok((sender, connection)) = builder.handshake(TokioIo::new(stream)).await else {
                            return;
                        };
                        tokio::spawn(connection);
                        let streams = (0..100).map(move |_| {
                            let mut sender = sender.clone();
                            let request = post("https://imds-webhook.imds.svc/mutate", body.clone());
                            async move {
                                let _unread = sender.send_request(request).await;
                                std::future::pending::<()>().await;
                            }
                        });
                        together(streams).await;
                    }
                });
                together(connections).await;
            }
        });
    }

    /// kubelet's probes come to the admin listener as strangers do.
    #[test]
    #[ignore = "measures time: ./test hostile"]
    fn strangers_at_the_admin_listener_keep_kubelet_from_no_probe() {
        let answered = Arc::new(Mutex::new(Vec::new()));
        let probes = Arc::clone(&answered);
        withstands(|webhook| {
            let probes = Arc::clone(&probes);
            async move {
                let kubelet = Arc::clone(&webhook);
                let probe = async move {
                    loop {
                        let begun = Instant::now();
                        let answer =
                            tokio::time::timeout(Duration::from_secs(2), kubelet.admin("/livez")).await;
                        probes
                            .lock()
                            .unwrap()
                            .push(answer.is_ok_and(|(status, _)| status == 200).then(|| begun.elapsed()));
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                };
                let storm = async move {
                    let mut held = std::collections::VecDeque::new();
                    loop {
                        for _ in 0..20 {
                            if let Ok(stream) = TcpStream::connect(webhook.admin).await {
                                let _ = stream.try_write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
                                held.push_back(stream);
                            }
                        }
                        held.drain(..held.len().saturating_sub(2000));
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                tokio::join!(probe, storm);
            }
        });
        let probes = answered.lock().unwrap();
        println!("  probes: {probes:?}");
        assert!(probes.len() > 5 && probes.iter().all(Option::is_some), "{probes:?}");
    }

    /// A body of which the first part is sent, as long as may be sent at once, and no more.
    struct Begun(Option<Bytes>);

    impl Body for Begun {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.take().map_or(Poll::Pending, |part| Poll::Ready(Some(Ok(Frame::data(part)))))
        }
    }

    async fn together<F: Future<Output = ()> + Send + 'static>(all: impl Iterator<Item = F>) {
        all.collect::<JoinSet<()>>().join_all().await;
    }
}
