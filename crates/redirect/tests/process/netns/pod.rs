//! A network namespace that stands for a Pod's, and one next to it that stands for the node's.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use imds_testkit::netns::Netns;
use imds_testkit::{privilege, tool};
use serde_json::Value;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_imds-redirect");
pub(crate) const IMDS: &str = "169.254.169.254:80";
pub(crate) const IMDS_V6: &str = "[fd00:ec2::254]:80";
/// What the listener in the emulator's place answers.
pub(crate) const EMULATOR: &str = "emulator";
/// What [`Pod::get`] says of a connection that was refused.
pub(crate) const REFUSED: &str = "ConnectionRefused";
/// What [`Pod::get`] says of an address to which there is no way.
pub(crate) const UNREACHABLE: &str = "HostUnreachable";
const TOOLS: &[&str] = &["ip", "nft", "curl", "setpriv", "capsh", "setcap"];

/// The network namespace of a Pod, entered by the test's thread: nothing in it but `lo`, which is down.
pub(crate) struct Pod {
    pub(crate) netns: Netns,
}

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Pod {
    /// `None` where the test is to be skipped.
    pub(crate) fn new() -> Option<Self> {
        privilege::require("tools to judge by", tool::all_installed(TOOLS))?;
        Some(Self { netns: Netns::enter()? })
    }

    /// Runs the program in the Pod.
    pub(crate) fn run(&self, arguments: &str) -> Run {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &str, variables: &[(&str, &str)]) -> Run {
        let mut command = Command::new(PROGRAM);
        command.args(arguments.split_whitespace()).env_clear().envs(variables.iter().copied());
        run(command)
    }

    /// Runs the program, which must succeed without a word on stderr, and returns its line.
    pub(crate) fn done(&self, arguments: &str) -> String {
        self.run(arguments).line()
    }

    /// Listens where the emulator does.
    pub(crate) fn emulator(&self) {
        answer("emulator", &["127.0.0.1:1338", "[::1]:1338"]);
    }

    /// What a client in the Pod gets: the answer, or the kind of the error.
    pub(crate) fn get(&self, address: &str) -> String {
        get(address).unwrap_or_else(|error| format!("{:?}", error.kind()))
    }

    /// What `curl` gets when it is run by this user; `None` where the test is to be skipped.
    pub(crate) fn curl(&self, uid: u32, url: &str) -> Option<String> {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "5", url])
            .uid(uid)
            .gid(uid);
        let output = privilege::require(&format!("user id {uid}"), command.output())?;
        assert!(output.status.success(), "curl {url}: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The ruleset as `nft` tells it, without handles.
    pub(crate) fn ruleset(&self) -> Vec<Value> {
        let told: Value = serde_json::from_str(&tool::run("nft -j list ruleset")).unwrap();
        let mut objects = told["nftables"].as_array().unwrap().clone();
        objects.retain(|object| object.get("metainfo").is_none());
        for object in &mut objects {
            for content in object.as_object_mut().unwrap().values_mut() {
                content.as_object_mut().unwrap().remove("handle");
            }
        }
        objects
    }

    /// Connects the Pod to a node by `eth0`, with a default route through it in both families.
    pub(crate) fn connect_to_node(&self) -> Node {
        let node = Node::start();
        tool::run(&format!("ip link add eth0 type veth peer name pod0 netns {}", node.thread));
        tool::run("ip address add 10.9.0.2/24 dev eth0");
        tool::run("ip address add fd00:9::2/64 dev eth0 nodad");
        tool::run("ip link set eth0 up");
        node.connected.send(()).unwrap();
        node.ready.recv().unwrap();
        tool::run("ip route add default via 10.9.0.1");
        tool::run("ip -6 route add default via fd00:9::1");
        node
    }
}

impl Run {
    /// The line of a run that succeeded.
    pub(crate) fn line(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout.trim_end().to_owned()
    }

    /// The message of a run that failed with exit code 1.
    pub(crate) fn error(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        self.stderr.trim_end().to_owned()
    }
}

/// The network namespace of a node whose own IMDS answers "node", on both addresses, ports 80 and 81.
pub(crate) struct Node {
    thread: i32,
    connected: Sender<()>,
    ready: Receiver<i32>,
}

impl Node {
    fn start() -> Self {
        let (tell, ready) = channel();
        let (connected, wait) = channel();
        // Ends when the Pod lets go of the node.
        thread::spawn(move || {
            let _netns = Netns::try_enter().unwrap();
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            if wait.recv().is_err() {
                return;
            }
            tool::run("ip link set lo up");
            tool::run("ip address add 169.254.169.254/32 dev lo");
            tool::run("ip address add fd00:ec2::254/128 dev lo nodad");
            tool::run("ip address add 10.9.0.1/24 dev pod0");
            tool::run("ip address add fd00:9::1/64 dev pod0 nodad");
            tool::run("ip link set pod0 up");
            answer("node", &["0.0.0.0:80", "0.0.0.0:81", "[fd00:ec2::254]:80", "[fd00:ec2::254]:81"]);
            tell.send(0).unwrap();
            let _ = wait.recv();
        });
        let thread = ready.recv().unwrap();
        Self { thread, connected, ready }
    }
}

pub(crate) fn run(mut command: Command) -> Run {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The words of a command line, and a path after them.
pub(crate) fn words(line: &str) -> impl Iterator<Item = OsString> {
    line.split_whitespace().map(OsString::from)
}

/// Answers every request to these addresses with `name`, until the test's process ends.
pub(crate) fn answer(name: &'static str, addresses: &[&str]) {
    for address in addresses {
        let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        thread::spawn(move || {
            for client in listener.incoming() {
                let _ = serve(client, name);
            }
        });
    }
}

fn serve(client: io::Result<TcpStream>, name: &str) -> io::Result<()> {
    let mut client = client?;
    // The whole request is read, lest what is left of it reset the connection.
    for line in BufReader::new(&client).lines() {
        if line?.is_empty() {
            break;
        }
    }
    write!(client, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{name}", name.len())
}

fn get(address: &str) -> io::Result<String> {
    let address: SocketAddr = address.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.rsplit("\r\n").next().unwrap_or_default().to_owned())
}
