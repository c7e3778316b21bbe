//! Whatever it is that keeps the credentials from being refreshed: the last good ones are served unchanged until their end,
//! then 503, and once it is over that is noticed within the back-off.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use imds_local_sts::{Certificate, Fault};

use crate::proxy::{Does, Proxy};
use crate::support::{DOCUMENT, Program, ROLES, Stage, eventually};
use crate::watch::Watch;

/// So short that a refresh falls due after two seconds and a half.
const LIFE: Duration = Duration::from_secs(6);

/// How long an exchange may take.
const EXCHANGE: Duration = Duration::from_secs(15);

const TLS: &[&str] = &["tls"];
const BROKEN_OFF: &[&str] = &["connect", "tls"];
const TIMEOUT: &[&str] = &["timeout"];

/// One thing that goes wrong.
pub(crate) struct Outage {
    pub(crate) name: &'static str,
    /// What it may count as in the log: some end before the handshake or in it, as it happens.
    pub(crate) reasons: &'static [&'static str],
    pub(crate) begin: Box<dyn Fn(&Scene) + Sync>,
    pub(crate) end: Box<dyn Fn(&Scene) + Sync>,
}

/// What can go wrong.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) proxy: Proxy,
    /// As the emulator is told of them.
    token: PathBuf,
    bundle: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let stage = Stage::new();
        let proxy = Proxy::to(stage.sts.url());
        let token = stage.folder.path().join("the-token");
        symlink(stage.token_file(), &token).unwrap();
        let bundle = stage.folder.path().join("ca.pem");
        Self { stage, proxy, token, bundle }
    }
}

fn survive(outage: &Outage) {
    let scene = Scene::new();
    let program = scene.stage.emulator().env("AWS_ENDPOINT_URL_STS", scene.proxy.url());
    outage.is_survived_by(program, &scene);
}

impl Outage {
    /// `LIFE` of credentials, then the outage.
    pub(crate) fn is_survived_by(&self, program: Program<'_>, scene: &Scene) {
        scene.stage.sts.set_fault(Fault::NearExpiry(LIFE));
        let emulator = program.env("AWS_WEB_IDENTITY_TOKEN_FILE", &scene.token).ready();
        let watch = Watch::of(&emulator);
        (self.begin)(scene);
        eventually(|| emulator.get(DOCUMENT).status == 503);
        emulator.get(ROLES).expect(503);
        emulator.admin("/livez").expect(200);
        emulator.admin("/readyz").expect(503);
        emulator.admin("/startupz").expect(200);

        scene.stage.sts.set_fault(Fault::None);
        (self.end)(scene);
        let over = Instant::now();
        eventually(|| emulator.get(DOCUMENT).status == 200);
        let noticed = over.elapsed();
        let (reason, wait) = last_failure(&emulator.output());
        assert!(self.reasons.contains(&reason.as_str()), "{reason}");
        let in_flight = if reason == "timeout" { EXCHANGE } else { Duration::ZERO };
        assert!(
            noticed < wait + in_flight + Duration::from_secs(2),
            "{noticed:?}, and it was to be {wait:?}"
        );

        let seen = watch.end(&emulator, &scene.stage.sts);
        let statuses: Vec<_> = seen.iter().map(|part| part.answer.status).collect();
        // Where the outage came late, a refresh had been made before.
        assert!(statuses.ends_with(&[200, 503, 200]), "{statuses:?}");
        assert!(scene.proxy.most_open() <= 1, "one exchange at a time");
    }
}

/// The last failure's reason, and the wait that it announced.
fn last_failure(output: &str) -> (String, Duration) {
    let line = output.lines().rfind(|line| line.contains("can't get credentials")).expect("a failure");
    let (_, wait) = line.split_once("\"retry_in_seconds\":").unwrap();
    let seconds = wait.split(',').next().unwrap().parse().unwrap();
    (crate::support::field(line, "reason"), Duration::from_secs(seconds))
}

fn survive_all(outages: &[Outage]) {
    thread::scope(|threads| {
        for outage in outages {
            // The name is in the message of what fails.
            let thread = thread::Builder::new().name(outage.name.to_owned());
            thread.spawn_scoped(threads, || survive(outage)).unwrap();
        }
    });
}

fn network(name: &'static str, reasons: &'static [&'static str], does: Does) -> Outage {
    Outage {
        name,
        reasons,
        begin: Box::new(move |scene| scene.proxy.set(does)),
        end: Box::new(|scene| scene.proxy.set(Does::Pass)),
    }
}

fn certificate(name: &'static str, shown: Certificate) -> Outage {
    Outage {
        name,
        reasons: TLS,
        begin: Box::new(move |scene| scene.stage.sts.set_certificate(shown).unwrap()),
        end: Box::new(|scene| scene.stage.sts.set_certificate(Certificate::Good).unwrap()),
    }
}

/// Something else is where the CA bundle should be.
fn bundle(name: &'static str, reasons: &'static [&'static str], place: fn(&Path)) -> Outage {
    Outage {
        name,
        reasons,
        begin: Box::new(move |scene| {
            fs::rename(&scene.bundle, scene.bundle.with_extension("good")).unwrap();
            place(&scene.bundle);
        }),
        end: Box::new(|scene| {
            remove(&scene.bundle);
            fs::rename(scene.bundle.with_extension("good"), &scene.bundle).unwrap();
        }),
    }
}

/// Something else is where the token should be.
fn token(name: &'static str, place: fn(&Path)) -> Outage {
    Outage {
        name,
        reasons: &["token_file"],
        begin: Box::new(move |scene| {
            remove(&scene.token);
            place(&scene.token);
        }),
        end: Box::new(|scene| {
            remove(&scene.token);
            symlink(scene.stage.token_file(), &scene.token).unwrap();
        }),
    }
}

fn remove(path: &Path) {
    let _ = if path.is_dir() && !path.is_symlink() { fs::remove_dir(path) } else { fs::remove_file(path) };
}

fn nothing(_: &Path) {}

fn empty(path: &Path) {
    fs::write(path, "").unwrap();
}

fn directory(path: &Path) {
    fs::create_dir(path).unwrap();
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn an_outage_of_the_network() {
    survive_all(&[
        network("closed", BROKEN_OFF, Does::Close),
        network("reset", BROKEN_OFF, Does::Reset),
        network("closed in the first record", TLS, Does::CutAfter(3)),
        network("reset in the certificate", TLS, Does::ResetAfter(700)),
        Outage {
            name: "nothing behind the proxy",
            reasons: BROKEN_OFF,
            begin: Box::new(|scene| scene.stage.sts.set_fault(Fault::Refuse(None))),
            end: Box::new(|_| {}),
        },
        network("nothing comes back", TIMEOUT, Does::Swallow),
        network("too slow", TIMEOUT, Does::Trickle(Duration::from_millis(50))),
    ]);
}

#[test]
fn an_outage_of_trust() {
    survive_all(&[
        certificate("an expired certificate", Certificate::Expired),
        certificate("a certificate for another name", Certificate::OtherName),
        certificate("a certificate of another authority", Certificate::OtherAuthority),
        bundle("another bundle", TLS, |path| {
            let other = tokio::runtime::Runtime::new().unwrap();
            let other =
                other.block_on(async { imds_local_sts::LocalSts::start(imds_local_sts::Config::default()) });
            fs::write(path, other.unwrap().ca_pem().unwrap()).unwrap();
        }),
        bundle("no bundle", &["trust"], nothing),
        bundle("an empty bundle", &["trust"], empty),
        bundle("a bundle that is a directory", &["trust"], directory),
        bundle("a bundle that is a pipe", &["trust"], pipe),
    ]);
}

#[test]
fn an_outage_of_the_token_file() {
    survive_all(&[
        token("no token", nothing),
        token("an empty token", empty),
        token("a token of 30 kB", |path| fs::write(path, "x".repeat(30_000)).unwrap()),
        token("a token that is no text", |path| fs::write(path, [0xff; 400]).unwrap()),
        token("a token that is a directory", directory),
        token("a token that is a pipe", pipe),
        token("a token that is a link to nowhere", |path| symlink("/nowhere/at/all", path).unwrap()),
        token("a token that is a link to itself", |path| symlink(path, path).unwrap()),
    ]);
}

/// Short of an outage: late, or byte by byte, but in time.
#[test]
fn a_slow_network_is_no_outage() {
    let slow = [Does::Delay(Duration::from_millis(300)), Does::Trickle(Duration::from_millis(1))];
    thread::scope(|threads| {
        for does in slow {
            threads.spawn(move || {
                let scene = Scene::new();
                scene.stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(12)));
                scene.proxy.set(does);
                let program = scene.stage.emulator().env("AWS_ENDPOINT_URL_STS", scene.proxy.url());
                let emulator = program.ready();
                let watch = Watch::of(&emulator);
                // Two exchanges, the second while a document is served.
                let first = emulator.get(DOCUMENT).expect(200).body;
                eventually(|| emulator.get(DOCUMENT).expect(200).body != first);
                assert!(!emulator.output().contains("can't get credentials"), "{does:?}");
                watch.end(&emulator, &scene.stage.sts);
            });
        }
    });
}

/// As long as it lasts, there is one whole token in its place, and never none.
#[test]
fn a_token_that_is_replaced_all_the_time_is_no_outage() {
    let stage = Stage::new();
    stage.sts.set_fault(Fault::NearExpiry(Duration::from_secs(4)));
    let emulator = stage.emulator().ready();
    let watch = Watch::of(&emulator);
    let exchanges = stage.sts.exchanges().len();
    eventually(|| {
        (0..10).for_each(|_| stage.rotate_token());
        stage.sts.exchanges().len() >= exchanges + 3
    });
    assert!(!emulator.output().contains("can't get credentials"));
    let seen = watch.end(&emulator, &stage.sts);
    assert!(seen.iter().all(|part| part.answer.status == 200), "always served");
}
