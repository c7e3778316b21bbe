//! All that a client says on a connection, byte for byte. The server never panics, comes to an end with its client, and says
//! nothing but answers, one to a request at most.
#![no_main]

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use imds_contract::{HttpTokens, Start};
use imds_daemon::server::{Limits, http1};
use imds_daemon::shutdown::Shutdown;
use imds_emulator::admin::Admin;
use imds_emulator::clock::{Clock as _, SystemClock};
use imds_emulator::http::Service;
use imds_emulator::imds::Imds;
use imds_emulator::metrics::Metrics;
use imds_emulator::refresh;
use imds_emulator::token::TokenKey;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};

/// `GET / HTTP/1.0` and two line feeds.
const SHORTEST_REQUEST: usize = 16;

static SERVICE: LazyLock<Arc<Service<SystemClock>>> = LazyLock::new(|| Arc::new(service()));

thread_local! {
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime"));
}

fuzz_target!(|said: &[u8]| {
    let heard = RUNTIME.with_borrow(|runtime| runtime.block_on(talk(said)));
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&heard));
    let answers = heard.windows(7).filter(|bytes| bytes == b"HTTP/1.").count();
    assert!(answers <= said.len() / SHORTEST_REQUEST + 1, "{answers} answers");
});

/// What the server says until it ends.
async fn talk(said: &[u8]) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let (_stop, finish) = Shutdown::channel();
    let handle = |request| {
        let service = Arc::clone(&SERVICE);
        async move { service.respond(request).await }
    };
    client.write_all(said).await.expect("it has room");
    client.shutdown().await.expect("it can be closed");
    http1(server, Limits::default(), handle, finish).await;
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.expect("the server has closed it");
    heard
}

fn service() -> Service<SystemClock> {
    let role = "arn:aws:iam::123456789012:role/my-role".parse().expect("a role");
    let tokens = TokenKey::generate().expect("the system has random bytes");
    let (_, view) = refresh::channel();
    let metrics = Arc::new(Metrics::new(SystemTime::UNIX_EPOCH));
    let admin = Admin {
        view: view.clone(),
        metrics: Arc::clone(&metrics),
        clock: SystemClock,
        started: SystemClock.now(),
        start: Start::Always,
        start_timeout: Duration::ZERO,
    };
    Service {
        imds: Imds::new(role, HttpTokens::Optional, tokens),
        view,
        metrics,
        clock: SystemClock,
        admin: Arc::new(admin),
    }
}
