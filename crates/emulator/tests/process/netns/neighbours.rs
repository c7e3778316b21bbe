//! A neighbour on the Pod's network, with every right over its own network namespace, sends packets for the addresses that
//! the emulator serves IMDS on. A plain listener on the same address shows which of these packets arrive.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use imds_testkit::netns::Netns;
use imds_testkit::tool;

use crate::support::{DOCUMENT, Emulator, Stage, eventually, exchange, preloaded};

/// Where the injected emulator listens: with `address`, and with `redirect` and `endpoint`.
const LISTEN: &str = "127.0.0.1:1338,[::1]:1338,169.254.169.254:80,[fd00:ec2::254]:80";

/// The addresses at which a plain listener is reached from outside. `::1` is none: the kernel drops such packets.
const OPEN: [&str; 3] = ["127.0.0.1", "169.254.169.254", "fd00:ec2::254"];

const CONTROL_PORT: u16 = 4000;

/// How long a neighbour waits for an answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The Pod's network: a node's settings as kube-proxy leaves them, IMDS's addresses on `lo`, and `eth0` to the neighbour.
fn pod_network() -> Option<(Netns, Neighbour)> {
    let netns = Netns::enter()?;
    // A new namespace inherits it where the node has it.
    netns.set_sysctl("net/ipv4/conf/all/route_localnet", "1")?;
    for line in [
        "ip link set lo up",
        "ip address add 169.254.169.254/32 dev lo",
        "ip address add fd00:ec2::254/128 dev lo nodad",
    ] {
        tool::run(line);
    }
    let neighbour = Neighbour::start();
    Some((netns, neighbour))
}

/// A network namespace that is connected to the Pod's `eth0`. All that it sends to an address of the Pod leaves on the wire.
struct Neighbour {
    targets: Sender<SocketAddr>,
    reached: Receiver<bool>,
}

impl Neighbour {
    /// Called in the Pod's namespace.
    fn start() -> Self {
        let (name, named) = channel();
        let (go, wait) = channel::<String>();
        let (targets, asked) = channel::<SocketAddr>();
        let (tell, reached) = channel();
        thread::spawn(move || {
            let netns = Netns::try_enter().unwrap();
            name.send(rustix::thread::gettid()).unwrap();
            let pod = wait.recv().unwrap();
            tool::run("ip address add 10.9.0.1/24 dev eth0");
            tool::run("ip link set lo up");
            tool::run("ip link set eth0 up");
            // It has no loopback addresses of its own any more: those of the Pod are meant.
            netns.set_sysctl("net/ipv4/conf/all/route_localnet", "1").unwrap();
            tool::run("ip address flush dev lo");
            tool::run("ip route replace 127.0.0.1/32 via 10.9.0.2");
            tool::run("ip route replace 169.254.169.254/32 via 10.9.0.2");
            for target in ["::1", "fd00:ec2::254"] {
                tool::run(&format!("ip -6 route replace {target}/128 via {pod} dev eth0"));
            }
            tell.send(true).unwrap();
            for target in asked {
                tell.send(TcpStream::connect_timeout(&target, PATIENCE).is_ok()).unwrap();
            }
        });
        let thread = named.recv().unwrap().as_raw_nonzero();
        tool::run(&format!("ip link add eth0 type veth peer name eth0 netns {thread}"));
        tool::run("ip address add 10.9.0.2/24 dev eth0");
        tool::run("ip address add fe80::2/64 dev eth0 nodad");
        tool::run("ip link set eth0 up");
        go.send("fe80::2".to_owned()).unwrap();
        let neighbour = Self { targets, reached };
        assert!(neighbour.reached.recv().unwrap());
        neighbour
    }

    fn reaches(&self, target: SocketAddr) -> bool {
        self.targets.send(target).unwrap();
        self.reached.recv().unwrap()
    }
}

/// Listens on an address as a program does that takes it for local.
fn plain_listener(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, CONTROL_PORT)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    address
}

fn listening(stage: &Stage, listen: &str) -> Emulator {
    let emulator = stage.emulator().env("IMDS_LISTEN", listen).spawn();
    eventually(|| listen.split(',').all(|address| has_document(address.parse().unwrap())));
    emulator
}

fn has_document(address: SocketAddr) -> bool {
    let request = format!("GET {DOCUMENT} HTTP/1.0\r\n\r\n");
    exchange(address, &request).is_some_and(|answer| answer.status == 200)
}

#[test]
fn serves_the_pod_and_nobody_outside_whatever_the_address() {
    let Some((_netns, neighbour)) = pod_network() else { return };
    let controls = OPEN.map(|ip| plain_listener(ip.parse().unwrap()));
    // The first packet may wait for the neighbour's address to be usable.
    eventually(|| controls.iter().all(|control| neighbour.reaches(*control)));
    let stage = Stage::new();
    let _emulator = listening(&stage, LISTEN);
    let listeners = LISTEN.split(',').map(|address| address.parse().unwrap());
    let exposed: Vec<SocketAddr> = listeners.filter(|address| neighbour.reaches(*address)).collect();
    assert_eq!(exposed, [], "reached from outside the Pod");
    assert!(neighbour.reaches(controls[1]), "the way is open still");
}

/// Whichever of the Pod's addresses a client in it connects from; but see `docs/adr/0017`.
#[test]
fn answers_clients_in_the_pod_that_bind_to_an_address_of_it() {
    let Some((_netns, _neighbour)) = pod_network() else { return };
    tool::run("ip address add fd00:9::2/64 dev eth0 nodad");
    let stage = Stage::new();
    let _emulator = listening(&stage, LISTEN);
    let from = |source: &str, target: &str| {
        let done = Command::new("curl")
            .args(["--silent", "--globoff", "--noproxy", "*", "--max-time", "2", "--interface", source])
            .arg(format!("http://{target}{DOCUMENT}"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&done.stdout).contains("\"Code\" : \"Success\"")
    };
    for target in ["127.0.0.1:1338", "169.254.169.254:80"] {
        for source in ["127.0.0.1", "169.254.169.254", "10.9.0.2"] {
            assert!(from(source, target), "from {source} to {target}");
        }
    }
    for source in ["::1", "fd00:ec2::254", "fd00:9::2"] {
        assert!(from(source, "[::1]:1338"), "from {source} to [::1]:1338");
    }
    for source in ["::1", "fd00:ec2::254"] {
        assert!(from(source, "[fd00:ec2::254]:80"), "from {source} to [fd00:ec2::254]:80");
    }
    assert!(!from("fd00:9::2", "[fd00:ec2::254]:80"), "docs/adr/0017 is out of date");
}

/// Before Linux 5.7 the system call needs a capability, which an injected emulator does not have.
#[test]
fn on_an_old_kernel_it_listens_only_where_the_kernel_itself_keeps_others_out() {
    let Some((netns, neighbour)) = pod_network() else { return };
    let stage = Stage::new();
    let Some(library) = old_kernel(&stage) else { return };
    let start =
        |listen: &str| stage.emulator().env("LD_PRELOAD", &library).env("IMDS_LISTEN", listen).spawn();

    let mut refused = start("169.254.169.254:80,[fd00:ec2::254]:80");
    let line =
        refused.wait_for_log("can't listen on 169.254.169.254:80: it could be reached from outside the Pod");
    assert!(line.contains("SO_BINDTODEVICE") && line.contains("Linux 5.7"), "{line}");
    eventually(|| refused.ended().is_some());
    assert_eq!(refused.ended().unwrap().code(), Some(1));

    // Nor where packets for 127.0.0.1 may come from outside.
    let mut routed = start("127.0.0.1:1338,[::1]:1338");
    routed.wait_for_log("can't listen on 127.0.0.1:1338: it could be reached from outside the Pod");
    eventually(|| routed.ended().is_some());

    netns.set_sysctl("net/ipv4/conf/all/route_localnet", "0").unwrap();
    let _emulator = start("127.0.0.1:1338,[::1]:1338");
    eventually(|| {
        ["127.0.0.1:1338", "[::1]:1338"].iter().all(|address| has_document(address.parse().unwrap()))
    });
    assert!(!neighbour.reaches("127.0.0.1:1338".parse().unwrap()));
}

/// A library that has `setsockopt` refuse `SO_BINDTODEVICE`, as a kernel before 5.7 does.
fn old_kernel(stage: &Stage) -> Option<PathBuf> {
    const SOURCE: &str = "
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <sys/socket.h>
        int setsockopt(int socket, int level, int name, const void *value, socklen_t length) {
            if (level == SOL_SOCKET && name == SO_BINDTODEVICE) { errno = EPERM; return -1; }
            int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, \"setsockopt\");
            return real(socket, level, name, value, length);
        }";
    preloaded(stage, SOURCE)
}
