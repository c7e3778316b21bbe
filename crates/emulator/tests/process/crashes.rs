//! Killed at random instants and started anew: what a client sees is a document of the new process, or none.

use std::time::{Duration, Instant};

use imds_local_sts::Fault;
use rustix::process::Signal;

use crate::support::{DOCUMENT, Stage, document_field, exchange};

const CRASHES: u32 = 12;

/// From exec to the first credentials, on a machine that has other things to do. STS's own time is in it.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn killed_at_any_instant_it_is_back_soon_under_the_same_name_with_credentials_of_its_own() {
    let stage = Stage::new();
    // In the middle of an exchange, now and then.
    stage.sts.set_fault(Fault::latency(Duration::from_millis(20)));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut waits = Vec::new();
    let mut last_key = String::new();
    let address = stage.emulator().start().imds;
    for _ in 0..CRASHES {
        let issued_before = stage.sts.exchanges().len();
        let begun = Instant::now();
        let emulator = stage.emulator().env("IMDS_LISTEN", address.to_string()).start();
        // Before the first, during the first, after it.
        let lives = Duration::from_millis(random.u64(0..120));
        while begun.elapsed() < lives {
            match exchange(address, &format!("GET {DOCUMENT} HTTP/1.0\r\n\r\n")) {
                Some(answer) if answer.status == 200 => {
                    emulator.remember_secrets(&answer);
                    let key = document_field(&answer.body, "AccessKeyId").unwrap();
                    assert!(key >= last_key, "{key} is of a process that is gone: it had {last_key}");
                    assert!(stage.sts.exchanges().len() > issued_before, "asked for since it started");
                    last_key = key;
                }
                Some(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
                None => panic!("it listens"),
            }
        }
        emulator.signal(Signal::KILL);
        drop(emulator);

        let begun = Instant::now();
        let emulator = stage.emulator().env("IMDS_LISTEN", address.to_string()).ready();
        waits.push(begun.elapsed());
        let key = document_field(&emulator.get(DOCUMENT).expect(200).body, "AccessKeyId").unwrap();
        assert!(key > last_key, "{key} after {last_key}");
        last_key = key;
    }
    let exchanges = stage.sts.exchanges();
    let name = |exchange: &imds_local_sts::Exchange| exchange.session_name.clone();
    assert!(exchanges.iter().all(|exchange| name(exchange).as_deref() == Some("default.nginx")));
    waits.sort_unstable();
    println!("to the first credentials: median {:?}, longest {:?}", waits[waits.len() / 2], waits.last());
    assert!(waits.iter().all(|wait| *wait < SOON), "{waits:?}");
}
