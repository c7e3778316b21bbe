//! The program as scripts use it: what it writes, that its words work, and how it ends.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is a failure")]

mod client;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use client::{Client, ROLE};
use imds_local_sts::{Claims, Issuer};
use rustix::process::{Pid, Signal, kill_process};

/// A running program, ended when the test ends.
struct Program(Child);

impl Program {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(state: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local-sts"));
    command.arg("--state").arg(state).args(["--role", &format!("{ROLE}=default:web")]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Starts it and waits for its one line.
fn start(command: &mut Command) -> (Program, String) {
    let mut program = Program(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (program, line)
}

#[tokio::test]
async fn it_writes_what_others_need_serves_and_ends_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let (mut program, line) = start(command(&state).args(["--fault", "throttle"]));
        let url = fs::read_to_string(state.join("url")).unwrap();
        assert!(line.starts_with("local-sts ready at ") && line.contains(&url), "{line}");
        let client = Client::new(&url, Some(&fs::read_to_string(state.join("ca.pem")).unwrap()));
        let token = || fs::read_to_string(state.join("token/token")).unwrap();

        assert_eq!(client.exchange(&token(), &[]).await.element("Code"), "Throttling");
        client.post("/_local/fault", "", "none").await.unwrap();
        let old = token();
        assert_eq!(client.post("/_local/token/rotate", "", "").await.unwrap().status(), 200);
        assert_ne!(token(), old);
        assert_eq!(client.exchange(&token(), &[]).await.status(), 200);

        program.signal(signal);
        let status = tokio::task::spawn_blocking(move || program.0.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn a_token_lives_as_long_as_it_is_told_and_is_renewed_in_time() {
    let state = tempfile::tempdir().unwrap();
    let (_program, _) = start(command(state.path()).args(["--token-lifetime", "2s", "--token-mode", "0640"]));
    let url = fs::read_to_string(state.path().join("url")).unwrap();
    let client = Client::new(&url, Some(&fs::read_to_string(state.path().join("ca.pem")).unwrap()));
    let token = || fs::read_to_string(state.path().join("token/token")).unwrap();
    let first = token();
    for _ in 0..30 {
        assert_eq!(client.exchange(&token(), &[]).await.status(), 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(client.exchange(&first, &[]).await.element("Code"), "ExpiredTokenException");
}

#[tokio::test]
async fn told_of_a_cluster_it_takes_that_ones_tokens_and_mints_none() {
    let state = tempfile::tempdir().unwrap();
    let jwks = state.path().join("jwks.json");
    let cluster = Issuer::new("https://kubernetes.default.svc");
    fs::write(&jwks, cluster.jwks().to_string()).unwrap();
    let with_jwks = || {
        let mut command = command(state.path());
        command.args(["--issuer", cluster.url()]).arg("--jwks").arg(&jwks);
        command
    };
    let (program, _) = start(&mut with_jwks());
    let url = fs::read_to_string(state.path().join("url")).unwrap();
    let client = Client::new(&url, Some(&fs::read_to_string(state.path().join("ca.pem")).unwrap()));
    let lifetime = Duration::from_hours(24 * 365 * 200);
    let claims = Claims { lifetime, ..Claims::new("default", "web", "nginx") };
    let token = cluster.mint(&claims, SystemTime::UNIX_EPOCH);
    assert_eq!(client.exchange(&token, &[]).await.status(), 200);
    assert!(!state.path().join("token").exists());
    drop(program);

    fs::write(&jwks, "{}").unwrap();
    let failed = with_jwks().stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(said.contains("jwks.json: this is no JWK set; accepted:"), "{said}");
}

#[test]
fn wrong_usage_ends_with_64_and_a_taken_port_with_1() {
    let state = tempfile::tempdir().unwrap();
    let usage = command(state.path()).args(["--fault", "sulk"]).status().unwrap();
    assert_eq!(usage.code(), Some(64));
    let help = command(state.path()).arg("--help").status().unwrap();
    assert_eq!(help.code(), Some(0));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = command(state.path()).args(["--listen", &address]).status().unwrap();
    assert_eq!(failed.code(), Some(1));
    assert!(!state.path().join("url").exists(), "nobody is told to come");
}
