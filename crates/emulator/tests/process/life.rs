//! The life of the real program: start, STS's faults, rotation of the token, crash, end.

use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime};

use crate::support::{DOCUMENT, ROLES, Stage, document_field, eventually, exchange, preloaded};
use http::StatusCode;
use imds_local_sts::Fault;
use rustix::process::Signal;

#[test]
fn wrong_settings_are_all_reported_and_exit_64() {
    let output = Command::new(env!("CARGO_BIN_EXE_imds-emulator"))
        .env_clear()
        .args(["--session-duration", "60", "--http-tokens=maybe"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    for name in ["--role-arn", "--token-file", "--session-duration", "--http-tokens"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
}

#[test]
fn before_the_first_credentials_503_then_the_pod_starts_with_the_reason_then_it_recovers() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    let emulator = stage.emulator().env("IMDS_START_TIMEOUT", "2").start();
    let page = emulator.get(ROLES).expect(503);
    assert!(page.body.contains("503 - Service Unavailable"));
    emulator.get(DOCUMENT).expect(503);
    emulator.admin("/startupz").expect(503);
    emulator.admin("/readyz").expect(503);
    emulator.admin("/livez").expect(200);
    eventually(|| emulator.admin("/startupz").status == 200);
    let started = emulator.admin("/startupz").body;
    assert!(started.contains("without credentials") && started.contains("503"), "{started}");
    emulator.admin("/readyz").expect(503);
    stage.sts.set_fault(Fault::None);
    eventually(|| emulator.get(DOCUMENT).status == 200);
    emulator.admin("/readyz").expect(200);
}

/// What kubelet runs as the startup probe: its output becomes an event of the Pod.
#[test]
fn with_credentials_the_pod_does_not_start_before_there_are_some_and_the_gate_says_why() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    let program = stage.emulator().env("IMDS_START", "with-credentials").env("IMDS_START_TIMEOUT", "0");
    let emulator = program.start();
    emulator.wait_for_log("can't get credentials");
    emulator.admin("/startupz").expect(503);
    let gate = |seconds: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imds-emulator"));
        command
            .arg(format!("--wait={seconds}"))
            .env("IMDS_LISTEN", emulator.imds.to_string())
            .output()
            .unwrap()
    };
    let held_back = gate("1");
    let reason = String::from_utf8_lossy(&held_back.stderr).into_owned();
    assert_eq!(held_back.status.code(), Some(1), "{reason}");
    assert!(reason.contains("no credentials yet") && reason.contains("STS answered 503"), "{reason}");
    stage.sts.set_fault(Fault::None);
    assert!(gate("20").status.success());
    emulator.get(DOCUMENT).expect(200);
}

/// A page in a browser, or a proxy, that IMDS has guards against.
#[test]
fn whether_the_pod_may_start_is_told_to_the_gate_alone() {
    let stage = Stage::new();
    let emulator = stage.emulator().env("IMDS_ALLOWED_HOSTS", "169.254.169.254").ready();
    emulator.may_start().expect(200);
    for (headers, status) in [("host: evil.example", 403), ("host: 169.254.169.254", 404)] {
        emulator.ask(&format!("GET /startupz HTTP/1.0\r\n{headers}\r\n\r\n")).expect(status);
    }
}

/// The event loop hangs: in place of an `epoll_wait` that returns, one that does not once a file is there.
#[test]
fn an_event_loop_that_hangs_ends_the_program() {
    const SOURCE: &str = "
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdlib.h>
        #include <sys/epoll.h>
        #include <unistd.h>
        int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
            while (access(getenv(\"HANG\"), F_OK) == 0) sleep(1);
            int (*real)(int, struct epoll_event *, int, int) = dlsym(RTLD_NEXT, \"epoll_wait\");
            return real(epoll, events, most, timeout);
        }";
    let stage = Stage::new();
    let Some(library) = preloaded(&stage, SOURCE) else { return };
    let hang = stage.folder.path().join("hang");
    let mut emulator = stage.emulator().env("LD_PRELOAD", library).env("HANG", &hang).ready();
    std::fs::write(&hang, "").unwrap();
    emulator.wait_for_log("the event loop no longer runs");
    eventually(|| emulator.ended().is_some());
    assert_eq!(emulator.ended().unwrap().signal(), Some(6), "SIGABRT");
}

#[test]
fn a_denial_is_told_in_words() {
    let stage = Stage::new();
    let emulator = stage.emulator().env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/not-mine").start();
    let line = emulator.wait_for_log("can't get credentials");
    assert!(line.contains("AccessDenied") && line.contains("\"reason\":\"denied\""), "{line}");
    let page = emulator.admin("/startupz").expect(503).body;
    assert!(page.contains("AccessDenied"), "{page}");
}

#[test]
fn a_missing_token_file_is_told_in_words_and_found_when_it_comes() {
    let stage = Stage::new();
    let late = stage.folder.path().join("late");
    let emulator = stage.emulator().env("AWS_WEB_IDENTITY_TOKEN_FILE", &late).start();
    let line = emulator.wait_for_log("can't use the token file");
    assert!(line.contains(late.to_str().unwrap()), "{line}");
    std::fs::copy(stage.token_file(), &late).unwrap();
    eventually(|| emulator.get(DOCUMENT).status == 200);
}

#[test]
fn a_token_file_that_can_not_be_read_without_waiting_holds_up_nothing() {
    let stage = Stage::new();
    let pipe = stage.folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut emulator = stage.emulator().env("AWS_WEB_IDENTITY_TOKEN_FILE", &pipe).start();
    emulator.wait_for_log("it is not a regular file");
    emulator.admin("/livez").expect(200);
    emulator.signal(Signal::TERM);
    eventually(|| emulator.ended().is_some());
}

#[test]
fn clients_that_hold_connections_open_keep_neither_the_probes_nor_the_token_file_from_working() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(4)));
    let emulator = stage.emulator().ready();
    let silent = |address, number| -> Vec<TcpStream> {
        (0..number).map(|_| TcpStream::connect(address).unwrap()).collect()
    };
    let (_admin, _imds) = (silent(emulator.admin, 100), silent(emulator.imds, 400));
    let first = emulator.get(DOCUMENT).expect(200).body;
    emulator.admin("/livez").expect(200);
    eventually(|| {
        let now = emulator.get(DOCUMENT);
        now.status == 200 && now.body != first
    });
}

#[test]
fn every_fault_of_sts_leaves_the_last_good_document_in_place_until_its_end() {
    let faults = [
        Fault::Garbage,
        Fault::Truncate,
        Fault::WrongRole,
        Fault::Reset,
        Fault::Refuse(None),
        Fault::Hang,
        Fault::Status(StatusCode::INTERNAL_SERVER_ERROR),
    ];
    std::thread::scope(|threads| {
        for fault in faults {
            threads.spawn(|| outlives(fault));
        }
    });
}

fn outlives(fault: Fault) {
    let stage = Stage::new();
    // Ten seconds of life: a refresh falls due after four to five.
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(10)));
    let emulator = stage.emulator().ready();
    let first = emulator.get(DOCUMENT).expect(200).body;
    let name = format!("{fault:?}");
    let hangs = fault == Fault::Hang;
    stage.sts.set_fault(fault);
    if hangs {
        // Past the refresh, which waits for STS; a request does not.
        std::thread::sleep(Duration::from_secs(6));
    } else {
        emulator.wait_for_log("can't get credentials");
    }
    assert_eq!(emulator.get(DOCUMENT).expect(200).body, first, "{name}");
    let expiration = humantime::parse_rfc3339(&document_field(&first, "Expiration").unwrap()).unwrap();
    eventually(|| emulator.get(DOCUMENT).status == 503 && emulator.get(ROLES).status == 503);
    assert!(SystemTime::now() < expiration + Duration::from_secs(1), "{name}");
}

#[test]
fn the_token_is_read_anew_at_every_exchange_and_the_session_name_stays() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(4)));
    let emulator = stage.emulator().ready();
    stage.rotate_key_and_token();
    let first = document_field(&emulator.get(DOCUMENT).body, "AccessKeyId");
    eventually(|| {
        let now = document_field(&emulator.get(DOCUMENT).body, "AccessKeyId");
        now.is_some() && now != first
    });
    let exchanges = stage.sts.exchanges();
    assert!(exchanges.len() >= 2);
    assert!(
        exchanges.iter().all(|exchange| exchange.session_name.as_deref() == Some("default.nginx")),
        "{exchanges:?}"
    );
}

#[test]
fn killed_and_restarted_under_a_looping_client_there_is_no_wrong_answer() {
    let stage = Stage::new();
    let mut emulator = stage.emulator().ready();
    let address = emulator.imds;
    let stop = Arc::new(AtomicBool::new(false));
    let good = Arc::new(AtomicU32::new(0));
    let client = {
        let (stop, good) = (Arc::clone(&stop), Arc::clone(&good));
        std::thread::spawn(move || {
            while !stop.load(SeqCst) {
                // No answer at all is what a client sees of a dead process: it retries.
                let Some(answer) = exchange(address, &format!("GET {DOCUMENT} HTTP/1.0\r\n\r\n")) else {
                    continue;
                };
                match answer.status {
                    503 => assert!(answer.body.contains("<h1>503"), "{answer:?}"),
                    200 => {
                        assert!(answer.body.starts_with("{\n  \"Code\" : \"Success\""), "{answer:?}");
                        assert!(answer.body.ends_with("Z\"\n}"), "{answer:?}");
                        let expiration = document_field(&answer.body, "Expiration").unwrap();
                        let expiration = humantime::parse_rfc3339(&expiration).unwrap();
                        assert!(expiration > SystemTime::now(), "{answer:?}");
                        good.fetch_add(1, SeqCst);
                    }
                    other => panic!("{other}: {answer:?}"),
                }
            }
        })
    };
    for _ in 0..5 {
        let before = good.load(SeqCst);
        eventually(|| good.load(SeqCst) > before + 20);
        emulator.child.kill().unwrap();
        emulator.child.wait().unwrap();
        emulator = stage.emulator().env("IMDS_LISTEN", address.to_string()).start();
    }
    eventually(|| emulator.get(DOCUMENT).status == 200);
    stop.store(true, SeqCst);
    client.join().unwrap();
}

#[test]
fn sigterm_keeps_serving_until_the_grace_period_ends() {
    let stage = Stage::new();
    let mut emulator = stage.emulator().env("IMDS_GRACE_PERIOD", "2").ready();
    let told = Instant::now();
    emulator.signal(Signal::TERM);
    emulator.wait_for_log("told to stop");
    while told.elapsed() < Duration::from_millis(1500) {
        emulator.get(DOCUMENT).expect(200);
    }
    eventually(|| emulator.ended().is_some());
    assert!(told.elapsed() >= Duration::from_secs(2), "{:?}", told.elapsed());
    assert!(emulator.ended().unwrap().success());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let stage = Stage::new();
    let mut emulator = stage.emulator().env("IMDS_GRACE_PERIOD", "3600").ready();
    emulator.signal(Signal::TERM);
    emulator.wait_for_log("told to stop");
    emulator.signal(Signal::TERM);
    eventually(|| emulator.ended().is_some());
    assert!(emulator.ended().unwrap().success());
}

#[test]
fn wait_returns_once_the_emulator_has_started() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::latency(Duration::from_secs(1)));
    let emulator = stage.emulator().start();
    let begun = Instant::now();
    let wait = Command::new(env!("CARGO_BIN_EXE_imds-emulator"))
        .env_clear()
        .args(["--wait", "--listen", &emulator.imds.to_string()])
        .status()
        .unwrap();
    assert!(wait.success());
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
    emulator.get(DOCUMENT).expect(200);
}
