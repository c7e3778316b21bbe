//! The real program as a process beside a local STS, and a raw HTTP client. Every process logs at TRACE, and when it ends
//! its whole output and its last metrics page are searched for the token and for every secret that it served.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use imds_local_sts::{Claims, Config, LocalSts, Mode, Projection, Role, Transport, TrustedRole};
use imds_testkit::{privilege, tool};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

pub(crate) const ROLE_ARN: &str = "arn:aws:iam::123456789012:role/my-example-role";
pub(crate) const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
pub(crate) const DOCUMENT: &str = "/latest/meta-data/iam/security-credentials/my-example-role";

/// STS's certificate is for every name in it.
pub(crate) const STS_DOMAIN: &str = "sts.test";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Trusts [`ROLE_ARN`], who shows the external id `Acme-42`.
pub(crate) const READER_ARN: &str = "arn:aws:iam::444455556666:role/team/reader";
/// Trusts [`READER_ARN`].
pub(crate) const WRITER_ARN: &str = "arn:aws:iam::777788889999:role/writer";

/// A local STS that trusts `default/default` with [`ROLE_ARN`], and a projected token of that service account.
pub(crate) struct Stage {
    pub(crate) sts: LocalSts,
    pub(crate) folder: TempDir,
    secrets: Arc<Mutex<BTreeSet<String>>>,
    _runtime: Runtime,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let token = Projection {
            directory: folder.path().join("token"),
            mode: Mode::Owner,
            claims: Claims::new("default", "default", "nginx"),
        };
        let chained = |arn: &str, trusted: &str, external_id: Option<&str>| {
            let external_id = external_id.map(str::to_owned);
            Role::chained(arn.parse().unwrap(), TrustedRole { arn: trusted.parse().unwrap(), external_id })
        };
        let roles = vec![
            Role::new(ROLE_ARN.parse().unwrap(), "default", "default"),
            chained(READER_ARN, ROLE_ARN, Some("Acme-42")),
            chained(WRITER_ARN, READER_ARN, None),
        ];
        let transport = Transport::Https { names: vec![format!("*.{STS_DOMAIN}")] };
        let config = Config { roles, token: Some(token), transport, ..Config::default() };
        let sts = runtime.block_on(async { LocalSts::start(config) }).unwrap();
        std::fs::write(folder.path().join("ca.pem"), sts.ca_pem().unwrap()).unwrap();
        let stage = Self { sts, folder, secrets: Arc::default(), _runtime: runtime };
        stage.remember_token();
        stage
    }

    /// A new token of a new key; the old key's tokens verify no more.
    pub(crate) fn rotate_key_and_token(&self) {
        self.sts.issuer().rotate();
        self.sts.issuer().drop_old_keys();
        self.rotate_token();
    }

    /// A new token in the place of the old one, by a swap of symbolic links, as kubelet does it.
    pub(crate) fn rotate_token(&self) {
        self.sts.rotate_token().unwrap();
        self.remember_token();
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.sts.token_path().unwrap()
    }

    fn remember_token(&self) {
        self.secrets.lock().unwrap().insert(std::fs::read_to_string(self.token_file()).unwrap());
    }

    pub(crate) fn emulator(&self) -> Program<'_> {
        self.emulator_through(&[])
    }

    /// The program, started by a command that becomes it once it has set the scene: `sh -c '…; exec "$@"' sh`.
    pub(crate) fn emulator_through(&self, words: &[&str]) -> Program<'_> {
        let program = env!("CARGO_BIN_EXE_imds-emulator");
        let words = [words, &[program]].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("AWS_ENDPOINT_URL_STS", self.sts.url())
            .env("AWS_CA_BUNDLE", self.folder.path().join("ca.pem"))
            .env("AWS_ROLE_ARN", ROLE_ARN)
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", self.token_file())
            .env("AWS_ROLE_SESSION_NAME", "default.nginx")
            .env("IMDS_LISTEN", "127.0.0.1:0")
            .env("IMDS_ADMIN_LISTEN", "127.0.0.1:0")
            .env("IMDS_GRACE_PERIOD", "0")
            .env("IMDS_LOG_LEVEL", "trace");
        Program { command, stderr: Stdio::piped(), stage: self }
    }
}

/// The program, about to be started.
pub(crate) struct Program<'a> {
    command: Command,
    stderr: Stdio,
    stage: &'a Stage,
}

impl Program<'_> {
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Its log goes there, and is not read by the test.
    pub(crate) fn log_to(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = stderr.into();
        self
    }

    /// Starts the program and waits until it listens.
    pub(crate) fn start(self) -> Emulator {
        let mut emulator = self.spawn();
        let serving = emulator.wait_for_log("serving IMDS");
        emulator.imds = field(&serving, "imds").parse().unwrap();
        emulator.admin = field(&serving, "admin").parse().unwrap();
        emulator
    }

    /// Starts the program.
    pub(crate) fn spawn(mut self) -> Emulator {
        let mut child =
            self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(self.stderr).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let stdout = child.stdout.take().unwrap();
        let (lines, log) = channel();
        if let Some(stderr) = child.stderr.take() {
            let copy = Arc::clone(&output);
            thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    copy.lock().unwrap().push_str(&(line.clone() + "\n"));
                    let _ = lines.send(line);
                }
            });
        }
        let copy = Arc::clone(&output);
        thread::spawn(move || {
            let mut text = String::new();
            let _ = BufReader::new(stdout).read_to_string(&mut text);
            copy.lock().unwrap().push_str(&text);
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let secrets = Arc::clone(&self.stage.secrets);
        Emulator { child, log, output, secrets, imds: nowhere, admin: nowhere }
    }

    /// Starts the program where its log can't tell the addresses that it has, and waits until it serves credentials.
    pub(crate) fn ready_unheard(self) -> Emulator {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (imds, admin) = (free(), free());
        let program = self.env("IMDS_LISTEN", imds.to_string()).env("IMDS_ADMIN_LISTEN", admin.to_string());
        let mut emulator = program.spawn();
        (emulator.imds, emulator.admin) = (imds, admin);
        eventually(|| exchange(admin, "GET /readyz HTTP/1.0\r\n\r\n").is_some_and(|page| page.status == 200));
        emulator
    }

    /// Starts the program and waits until it serves credentials.
    pub(crate) fn ready(self) -> Emulator {
        let emulator = self.start();
        eventually(|| emulator.admin("/readyz").status == 200);
        emulator
    }
}

pub(crate) struct Emulator {
    pub(crate) child: Child,
    log: Receiver<String>,
    output: Arc<Mutex<String>>,
    secrets: Arc<Mutex<BTreeSet<String>>>,
    pub(crate) imds: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Emulator {
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.log.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(error) => panic!("{error}: no {part:?} in:\n{}", self.output()),
            }
        }
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: 169.254.169.254\r\nconnection: close\r\n\r\n"))
    }

    /// What `--wait` asks.
    pub(crate) fn may_start(&self) -> Response {
        exchange(self.imds, "GET /startupz HTTP/1.0\r\n\r\n").expect("the emulator answers")
    }

    pub(crate) fn admin(&self, path: &str) -> Response {
        exchange(self.admin, &format!("GET {path} HTTP/1.0\r\n\r\n")).expect("the admin listener answers")
    }

    pub(crate) fn ask(&self, request: &str) -> Response {
        let response = exchange(self.imds, request).expect("the emulator answers");
        self.remember_secrets(&response);
        response
    }

    /// Every secret that was served is looked for in the output at the end.
    pub(crate) fn remember_secrets(&self, response: &Response) {
        let fields = ["SecretAccessKey", "Token"].map(|name| document_field(&response.body, name));
        self.secrets.lock().unwrap().extend(fields.into_iter().flatten());
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let metrics = exchange(self.admin, "GET /metrics HTTP/1.0\r\n\r\n").map(|page| page.body);
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("the emulator's output:\n{}", self.output());
            return;
        }
        let output = self.output() + &metrics.unwrap_or_default();
        for secret in self.secrets.lock().unwrap().iter() {
            // Any part of a token would be too much; its header alone is public.
            let tail = &secret[secret.len() / 2..];
            assert!(!output.contains(tail), "a secret is in the output:\n{output}");
        }
        for debug in ["Other(", "Error {", "Os {"] {
            assert!(!output.contains(debug), "an error is told as the code has it:\n{output}");
        }
    }
}

/// An answer, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut status = lines.next()?.splitn(3, ' ');
        let (version, code) = (status.next()?.to_owned(), status.next()?);
        let headers = lines.filter_map(|line| line.split_once(": "));
        Some(Self {
            status: code.parse().ok()?,
            version,
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
            body: body.to_owned(),
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Whether `unshare` with these words does what it should; where not, the test is to be skipped.
pub(crate) fn can_unshare(words: &[&str]) -> bool {
    let output = Command::new("unshare").args(words).arg("true").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let given = if output.status.success() { Ok(()) } else { Err(said) };
    privilege::require(&format!("unshare {}", words.join(" ")), given).is_some()
}

/// A library made of this C, for `LD_PRELOAD`; `None` where the test is to be skipped.
pub(crate) fn preloaded(stage: &Stage, source: &str) -> Option<PathBuf> {
    privilege::require("a C compiler", tool::all_installed(&["cc"]))?;
    let [file, library] = ["preloaded.c", "preloaded.so"].map(|name| stage.folder.path().join(name));
    std::fs::write(&file, source).unwrap();
    tool::run(&format!("cc -shared -fPIC -o {} {}", library.display(), file.display()));
    Some(library)
}

/// Writes the request and reads until the server closes.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> Option<Response> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Response::parse(&text)
}

/// A field of the credential document.
pub(crate) fn document_field(document: &str, name: &str) -> Option<String> {
    let (_, rest) = document.split_once(&format!("\"{name}\" : \""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// A field of a log line.
pub(crate) fn field(line: &str, name: &str) -> String {
    let (_, rest) =
        line.split_once(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split_once('"').unwrap().0.to_owned()
}

/// Waits for what must come to pass.
#[track_caller]
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it did not come to pass within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
