//! Signals at the wrong moment: while STS is being asked, while an answer is being read, twice; and a process that is stopped
//! for longer than its credentials live.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use imds_local_sts::Fault;
use rustix::process::Signal;

use crate::support::{DOCUMENT, Emulator, ROLES, Response, Stage, document_field, eventually};

/// How long what is open may take to finish, and a little more.
const DRAIN: Duration = Duration::from_secs(4);

/// Tells it to end, and expects that it does, well and in time.
#[track_caller]
fn ends_when_told(emulator: &mut Emulator, signals: &[Signal]) {
    let told = Instant::now();
    for signal in signals {
        emulator.signal(*signal);
    }
    ends_in_time(emulator, told);
}

#[track_caller]
fn ends_in_time(emulator: &mut Emulator, told: Instant) {
    eventually(|| emulator.ended().is_some());
    assert!(told.elapsed() < DRAIN, "{:?}", told.elapsed());
    assert!(emulator.ended().unwrap().success());
}

#[test]
fn sigterm_while_sts_is_asked_does_not_wait_for_sts() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::Hang);
    let mut emulator = stage.emulator().start();
    emulator.wait_for_log("asking STS");
    ends_when_told(&mut emulator, &[Signal::TERM]);
}

#[test]
fn sigterm_while_sts_is_asked_lets_the_grace_period_have_the_credentials() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::latency(Duration::from_millis(700)));
    let mut emulator = stage.emulator().env("IMDS_GRACE_PERIOD", "3600").start();
    emulator.wait_for_log("asking STS");
    emulator.signal(Signal::TERM);
    emulator.wait_for_log("told to stop");
    emulator.get(DOCUMENT).expect(503);
    eventually(|| emulator.get(DOCUMENT).status == 200);
    ends_when_told(&mut emulator, &[Signal::TERM]);
}

#[test]
fn sigterm_in_the_middle_of_a_request_lets_it_be_answered() {
    let stage = Stage::new();
    let mut emulator = stage.emulator().ready();
    let (begun, rest) = (format!("GET {ROLES} HTTP/1.1\r\nho"), "st: x\r\n\r\n");
    let mut client = TcpStream::connect(emulator.imds).unwrap();
    client.write_all(begun.as_bytes()).unwrap();
    // The same connection is read from before the signal comes.
    thread::sleep(Duration::from_millis(200));
    let told = Instant::now();
    emulator.signal(Signal::TERM);
    emulator.wait_for_log("told to stop");
    thread::sleep(Duration::from_millis(200));
    client.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let answer = Response::parse(&answer).expect("a whole answer").expect(200);
    assert_eq!((answer.body.as_str(), answer.header("connection")), ("my-example-role", Some("close")));
    ends_in_time(&mut emulator, told);
}

/// A client that has asked a thousand times and reads nothing would keep the process for ever.
#[test]
fn sigterm_in_the_middle_of_an_answer_waits_for_its_reader_a_moment_only() {
    let stage = Stage::new();
    let mut emulator = stage.emulator().ready();
    let mut deaf = TcpStream::connect(emulator.imds).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let requests = format!("GET {DOCUMENT} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(100_000);
    assert!(deaf.write_all(requests.as_bytes()).is_err(), "it is answered no more than is read");
    ends_when_told(&mut emulator, &[Signal::TERM]);
}

#[test]
fn two_signals_at_once_are_two() {
    let stage = Stage::new();
    let mut emulator = stage.emulator().env("IMDS_GRACE_PERIOD", "3600").ready();
    ends_when_told(&mut emulator, &[Signal::TERM, Signal::INT]);
}

#[test]
fn stopped_for_longer_than_its_credentials_live_it_serves_none_that_have_ended() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(6)));
    let emulator = stage.emulator().ready();
    let expiration = document_field(&emulator.get(DOCUMENT).expect(200).body, "Expiration").unwrap();
    let expiration = humantime::parse_rfc3339(&expiration).unwrap();
    emulator.signal(Signal::STOP);
    stage.sts.set_fault(Fault::Status(http::StatusCode::SERVICE_UNAVAILABLE));
    // Asked while it is stopped: answered when it goes on.
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = TcpStream::connect(emulator.imds).unwrap();
            client.write_all(format!("GET {DOCUMENT} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
            client
        })
        .collect();
    thread::sleep(expiration.duration_since(SystemTime::now()).unwrap_or_default());
    emulator.signal(Signal::CONT);
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        Response::parse(&answer).expect("an answer").expect(503);
    }
    stage.sts.set_fault(Fault::None);
    eventually(|| emulator.get(DOCUMENT).status == 200);
}
