//! With as few descriptors as the machine gives.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use imds_local_sts::Fault;
use imds_testkit::privilege;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{DOCUMENT, Emulator, Response, Stage, eventually};
use crate::watch::Watch;

#[test]
fn clients_that_would_hold_every_descriptor_keep_the_credentials_from_nothing() {
    let stage = Stage::new();
    // Refreshed every few seconds: the token, the CA bundle and STS each need a descriptor.
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(4)));
    let emulator = stage.emulator_through(&["sh", "-c", "ulimit -n 64 && exec \"$@\"", "sh"]).ready();
    let watch = Watch::of(&emulator);
    let stop = AtomicBool::new(false);
    thread::scope(|threads| {
        for address in [emulator.imds, emulator.admin] {
            let stop = &stop;
            threads.spawn(move || {
                let mut held = std::collections::VecDeque::new();
                while !stop.load(SeqCst) {
                    held.extend(TcpStream::connect(address));
                    if held.len() > 200 {
                        held.pop_front();
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            });
        }
        for _ in 0..3 {
            let before = emulator.get(DOCUMENT).expect(200).body;
            eventually(|| emulator.get(DOCUMENT).expect(200).body != before);
            emulator.may_start().expect(200);
        }
        stop.store(true, SeqCst);
    });
    assert!(!emulator.output().contains("can't"), "nothing was missing");
    let seen = watch.end(&emulator, &stage.sts);
    assert!(seen.iter().all(|part| part.answer.status == 200), "always served");
}

/// All below the limit are open. There is none for the token file, the CA bundle, STS, or a client that comes now: the last good credentials are served until their
/// end to those that are connected, and nothing has to be started anew.
#[test]
fn with_no_descriptor_left_it_serves_on_and_recovers() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(6)));
    let emulator = stage.emulator().ready();
    let mut kept = TcpStream::connect(emulator.imds).unwrap();
    let first = ask(&mut kept).body;
    let Some(most) = privilege::require("to limit another process", limit_files(&emulator, 3)) else {
        return;
    };
    let mut late = TcpStream::connect(emulator.imds).unwrap();
    emulator.wait_for_log("can't accept connections");
    emulator.wait_for_log("can't get credentials");
    let now = ask(&mut kept);
    assert!(now.status == 503 || now.body == first, "{now:?}");
    eventually(|| ask(&mut kept).status == 503);
    stage.sts.set_fault(Fault::None);

    limit_files(&emulator, most).unwrap();
    eventually(|| ask(&mut kept).status == 200);
    // Who waited in the kernel's queue meanwhile is answered.
    assert_eq!(ask(&mut late).status, 200);
    emulator.admin("/readyz").expect(200);
    let said = emulator.output().matches("can't accept connections").count();
    assert!(said <= 2, "said once by each listener, not at each try: {said}");
}

/// The limit before.
fn limit_files(emulator: &Emulator, most: u64) -> rustix::io::Result<u64> {
    let pid = Pid::from_child(&emulator.child);
    // It has the ceiling that this process has.
    let limit = Rlimit { current: Some(most), maximum: getrlimit(Resource::Nofile).maximum };
    let before = prlimit(Some(pid), Resource::Nofile, limit)?;
    Ok(before.current.unwrap_or(u64::MAX))
}

fn ask(kept: &mut TcpStream) -> Response {
    kept.write_all(format!("GET {DOCUMENT} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    loop {
        let mut part = [0; 4096];
        let length = kept.read(&mut part).unwrap();
        assert!(length > 0, "it broke off: {text}");
        text += std::str::from_utf8(&part[..length]).unwrap();
        if let Some(answer) = Response::parse(&text)
            && answer.header("content-length") == Some(&answer.body.len().to_string())
        {
            return answer;
        }
    }
}
