//! Hostile and heavy clients, one kind a test, while two well-behaved ones ask on: each has its answer in time, none is
//! turned away, and the memory stays under the limit that the injection sets.
//!
//! One after the other and not with the unit tests, because time is measured: `./test hostile`.

mod attack;
mod honest;

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use imds_testkit::cgroup::Limits;

use crate::support::{DOCUMENT, Emulator, ROLES, Stage, eventually, exchange};
use attack::Attack;
use honest::Latencies;

/// The limit that the injection sets.
const MEMORY: u64 = 32 * 1024 * 1024;

const MANY: usize = 10_000;

/// For how long well-behaved clients are measured under each attack.
const MEASURED: Duration = Duration::from_secs(4);

/// Half of the answers, and 99 of 100, are there so soon. No bound holds for each: the attackers are on the same machine, and
/// a crowd is given its time (docs/adr/0016).
const MEDIAN: Duration = Duration::from_millis(10);
const P99: Duration = Duration::from_millis(50);

/// The CPU limit that the injection sets, in thousandths, in a Pod whose other containers all have one.
const MILLICORES: u64 = 100;

/// Runs the attack on IMDS, by clients in the Pod, beside the well-behaved ones, says how they fared, and checks it.
#[track_caller]
fn withstands(attack: impl FnOnce(&Attack<'_>) + Send) {
    let (_emulator, [fresh, kept]) = run(None, |emulator| emulator.imds, attack);
    fresh.check();
    kept.check();
}

/// Runs the attack on the admin listener, which strangers reach, within the CPU limit too.
#[track_caller]
fn withstands_strangers(attack: impl FnOnce(&Attack<'_>) + Send) {
    let (emulator, [fresh, kept]) = run(Some(MILLICORES), |emulator| emulator.admin, attack);
    fresh.check();
    kept.check();
    // What holds the Pod's other containers back is not reached by the attack.
    emulator.may_start().expect(200);
}

/// Runs the attack on IMDS within the CPU limit: there is no promise of time, but one of an end.
#[track_caller]
fn recovers_within_its_cpu_limit(attack: impl FnOnce(&Attack<'_>) + Send) {
    let (emulator, _) = run(Some(MILLICORES), |emulator| emulator.imds, attack);
    eventually(|| {
        exchange(emulator.imds, "GET / HTTP/1.0\r\n\r\n").is_some_and(|answer| answer.status == 200)
    });
    let stop = AtomicBool::new(false);
    let imds = emulator.imds;
    let after = thread::scope(|threads| {
        let after = threads.spawn(|| honest::on_new_connections(imds, &stop));
        thread::sleep(MEASURED / 4);
        stop.store(true, SeqCst);
        after.join().unwrap()
    });
    println!("  after it:         {after}");
    assert_eq!(after.failures, [] as [String; 0], "every request is answered");
}

/// Runs the attack beside well-behaved clients, on new connections and on a kept one, and says how they fared.
#[track_caller]
fn run(
    millicores: Option<u64>,
    target: impl Fn(&Emulator) -> SocketAddr,
    attack: impl FnOnce(&Attack<'_>) + Send,
) -> (Emulator, [Latencies; 2]) {
    let limit = Limits::new(MEMORY, millicores);
    let stage = Stage::new();
    let words = limit.as_ref().map(Limits::command).unwrap_or_default();
    let program = stage.emulator_through(&words.iter().map(String::as_str).collect::<Vec<_>>());
    // As a Pod has it: a line a request would be read by this process, and measured.
    let mut emulator = program.env("IMDS_LOG_LEVEL", "debug").ready();
    emulator.get(DOCUMENT).expect(200);

    let stop = AtomicBool::new(false);
    let (imds, target) = (emulator.imds, target(&emulator));
    let (fresh, kept) = thread::scope(|threads| {
        threads.spawn(|| attack(&Attack { target, stop: &stop }));
        let fresh = threads.spawn(|| honest::on_new_connections(imds, &stop));
        let kept = threads.spawn(|| honest::on_a_kept_connection(imds, &stop));
        thread::sleep(MEASURED);
        stop.store(true, SeqCst);
        (fresh.join().unwrap(), kept.join().unwrap())
    });

    let peak = limit.as_ref().map(Limits::peak);
    println!("{}", thread::current().name().unwrap_or_default());
    println!("  new connections:  {fresh}");
    println!("  kept connection:  {kept}");
    let counted = peak.map_or("no".to_owned(), |peak| format!("{}", peak / 1024));
    println!("  memory: {}, {counted} KiB of all that the limit counts", resident(&emulator));
    assert!(emulator.ended().is_none(), "it lives");
    assert_eq!(limit.as_ref().map_or(0, Limits::kills), 0, "killed for lack of memory");
    assert!(peak.is_none_or(|peak| peak < MEMORY), "{peak:?}");
    emulator.get(ROLES).expect(200);
    (emulator, [fresh, kept])
}

/// The most memory of its own that the process has held.
fn resident(emulator: &Emulator) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", emulator.child.id())).unwrap();
    let line = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    format!("VmHWM {}, RssAnon {} at the end", line("VmHWM:"), line("RssAnon:"))
}

impl Latencies {
    #[track_caller]
    fn check(&self) {
        assert_eq!(self.failures, [] as [String; 0], "every request is answered");
        assert!(self.second_tries <= 3, "{self}");
        assert!(self.all_but_one_in(2) < MEDIAN && self.all_but_one_in(100) < P99, "{self}");
    }
}

const HEAD: &[u8] = b"GET /latest/meta-data/ HTTP/1.1\r\nhost: 169.254.169.254\r\nuser-agent: ";
const BODY: &[u8] = b"PUT /latest/api/token HTTP/1.1\r\nhost: 169.254.169.254\r\n\
    x-aws-ec2-metadata-token-ttl-seconds: 60\r\ncontent-length: 1000\r\n\r\n12345";
const WHOLE: &[u8] = b"GET /latest/meta-data/ HTTP/1.1\r\nhost: 169.254.169.254\r\n\r\n";

#[test]
#[ignore = "measures time: ./test hostile"]
fn nobody() {
    withstands(|_| {});
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn ten_thousand_connections_at_once_and_held_idle() {
    withstands(|attack| attack.hold(MANY, b""));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn ten_thousand_requests_at_once_and_their_connections_held() {
    withstands(|attack| attack.hold(MANY, WHOLE));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn ten_thousand_heads_begun_and_never_ended() {
    withstands(|attack| attack.hold(MANY, HEAD));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn ten_thousand_bodies_begun_and_never_ended() {
    withstands(|attack| attack.hold(MANY, BODY));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn a_storm_of_connections_on_which_nothing_is_said() {
    withstands(|attack| attack.storm(MANY, b""));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn a_storm_of_heads_begun() {
    withstands(|attack| attack.storm(MANY, HEAD));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn slow_heads_and_slow_bodies_byte_by_byte() {
    withstands(|attack| attack.trickle(&[HEAD, BODY]));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn loops_without_a_pause_on_kept_and_on_new_connections() {
    withstands(|attack| attack.loops(16));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn clients_that_ask_and_never_read() {
    withstands(|attack| attack.never_read(100));
}

const METRICS: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n";

#[test]
#[ignore = "measures time: ./test hostile"]
fn strangers_with_a_storm_of_connections() {
    withstands_strangers(|attack| attack.storm(MANY, b""));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn strangers_with_a_storm_of_requests() {
    withstands_strangers(|attack| attack.storm(MANY, METRICS));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn strangers_who_hold_ten_thousand_connections() {
    withstands_strangers(|attack| attack.hold(MANY, HEAD));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn strangers_with_heads_and_bodies_byte_by_byte() {
    withstands_strangers(|attack| attack.trickle(&[HEAD, BODY]));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn strangers_who_loop_without_a_pause() {
    withstands_strangers(|attack| attack.loops(16));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn within_a_cpu_limit_a_storm_of_heads_begun_has_an_end() {
    recovers_within_its_cpu_limit(|attack| attack.storm(MANY, HEAD));
}

#[test]
#[ignore = "measures time: ./test hostile"]
fn within_a_cpu_limit_ten_thousand_requests_at_once_have_an_end() {
    recovers_within_its_cpu_limit(|attack| attack.hold(MANY, WHOLE));
}
