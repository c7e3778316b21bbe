//! The name server goes, or says what is wrong, and comes back.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use imds_testkit::netns::Netns;
use imds_testkit::tool;

use crate::outages::{Outage, Scene};
use crate::support::{STS_DOMAIN, can_unshare};

/// What the name server does with a question.
#[derive(Debug, Clone, Copy)]
enum Says {
    /// The loopback address, to every name.
    TheAddress,
    /// The loopback address to names in this domain, and that there is no other.
    Domain(&'static str),
    /// An error with this code.
    Code(u8),
    /// Bytes that are no answer.
    Garbage,
    Nothing,
    /// Nobody listens.
    Gone,
}

/// What a name server was asked.
type Asked = Arc<Mutex<Vec<String>>>;

/// The same address, port and resolver for the whole life of the emulator.
fn name_server(address: Ipv4Addr) -> (Sender<Says>, Asked) {
    let (sender, told) = channel();
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        let mut says = Says::TheAddress;
        let mut socket = None;
        loop {
            match told.recv_timeout(Duration::from_millis(1)) {
                Ok(now) => says = now,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(_) => return,
            }
            if let Says::Gone = says {
                socket = None;
                continue;
            }
            let socket = socket.get_or_insert_with(|| UdpSocket::bind((address, 53)).unwrap());
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let mut question = [0; 512];
            let Ok((length, client)) = socket.recv_from(&mut question) else { continue };
            noted.lock().unwrap().push(name(&question[..length]));
            if let Some(answer) = answer(says, &question[..length]) {
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    (sender, asked)
}

const HEADER: usize = 12;

/// RFC 1035, 3.1: labels, each after its length.
fn name(question: &[u8]) -> String {
    let mut rest = &question[HEADER..];
    let mut labels = Vec::new();
    while let [length, after @ ..] = rest
        && *length > 0
    {
        let (label, next) = after.split_at(usize::from(*length));
        labels.push(str::from_utf8(label).unwrap());
        rest = next;
    }
    labels.join(".")
}

/// RFC 1035, 4.1: the header and the question as they came; for an IPv4 address one record.
fn answer(says: Says, question: &[u8]) -> Option<Vec<u8>> {
    let end_of_name = question[HEADER..].iter().position(|length| *length == 0)? + 1;
    let end = HEADER + end_of_name + 4;
    let is_for_ipv4 = question[HEADER + end_of_name..].starts_with(&[0, 1]);
    let mut answer = question[..end].to_vec();
    let (code, records) = match says {
        Says::TheAddress => (0, u8::from(is_for_ipv4)),
        Says::Domain(domain) if name(question).ends_with(domain) => (0, u8::from(is_for_ipv4)),
        Says::Domain(_) => (3, 0),
        Says::Code(code) => (code, 0),
        Says::Garbage => return Some([&question[..2], &[0xff; 40]].concat()),
        Says::Nothing | Says::Gone => return None,
    };
    answer[2..HEADER].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0]);
    if records > 0 {
        // The name as in the question, A, IN, for no time at all, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

#[test]
fn an_outage_of_the_name_server() {
    let Some(_netns) = Netns::enter() else { return };
    if !can_unshare(&["--mount"]) {
        return;
    }
    tool::run("ip link set lo up");
    let outages = [
        ("a server that fails", Says::Code(2)),
        ("no such name", Says::Code(3)),
        ("a server that refuses", Says::Code(5)),
        ("garbage", Says::Garbage),
        ("a server that says nothing", Says::Nothing),
        ("no server", Says::Gone),
    ];
    thread::scope(|threads| {
        for (number, (name, says)) in (2..).zip(outages) {
            let thread = thread::Builder::new().name(name.to_owned());
            thread
                .spawn_scoped(threads, move || survive(Ipv4Addr::new(127, 0, 0, number), name, says))
                .unwrap();
        }
    });
}

/// Puts the files of a folder in the place of the machine's, and becomes the command. The image has no nsswitch.conf.
const MOUNT: &str = r#"
    for file in resolv.conf hosts nsswitch.conf; do mount --bind "$0/$file" "/etc/$file"; done
    exec "$@"
"#;

/// The folder of them.
fn files(scene: &Scene, resolver: &str, hosts: &str) -> String {
    let folder = scene.stage.folder.path();
    for (name, content) in [("resolv.conf", resolver), ("hosts", hosts), ("nsswitch.conf", "")] {
        fs::write(folder.join(name), content).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

fn survive(address: Ipv4Addr, name: &'static str, says: Says) {
    let scene = Scene::new();
    let (server, _) = name_server(address);
    let files = files(&scene, &format!("nameserver {address}\noptions timeout:1 attempts:1\n"), "");
    let program = scene.stage.emulator_through(&["unshare", "--mount", "sh", "-c", MOUNT, &files]);
    let port = scene.proxy.address.port();
    let program = program.env("AWS_ENDPOINT_URL_STS", format!("https://any.{STS_DOMAIN}:{port}"));
    let back = server.clone();
    let outage = Outage {
        name,
        reasons: &["resolve"],
        begin: Box::new(move |_| server.send(says).unwrap()),
        end: Box::new(move |_| back.send(Says::TheAddress).unwrap()),
    };
    outage.is_survived_by(program, &scene);
}

/// As kubelet writes it, in a company whose own domain has a wildcard record.
fn kubelets(address: Ipv4Addr) -> String {
    let search = "shop.svc.cluster.local svc.cluster.local cluster.local corp.example";
    format!("search {search}\nnameserver {address}\noptions ndots:5 timeout:1 attempts:1\n")
}

/// What a name server is asked for the first exchange, which its log ends with these words; STS is at this host.
fn asked(address: Ipv4Addr, says: Says, host: &str, hosts: &str, ends_with: &str) -> Vec<String> {
    let scene = Scene::new();
    let (server, asked) = name_server(address);
    server.send(says).unwrap();
    let files = files(&scene, &kubelets(address), hosts);
    let program = scene.stage.emulator_through(&["unshare", "--mount", "sh", "-c", MOUNT, &files]);
    let port = scene.proxy.address.port();
    let emulator = program.env("AWS_ENDPOINT_URL_STS", format!("https://{host}:{port}")).start();
    emulator.wait_for_log(ends_with);
    drop(emulator);
    let mut names = std::mem::take(&mut *asked.lock().unwrap());
    names.dedup();
    names
}

#[test]
fn a_name_with_a_dot_is_asked_for_as_it_is() {
    let Some(_netns) = Netns::enter() else { return };
    if !can_unshare(&["--mount"]) {
        return;
    }
    tool::run("ip link set lo up");
    let host = format!("any.{STS_DOMAIN}");
    let (got, refused) = ("got credentials", "can't get credentials");
    let service = "sts.shop.svc.cluster.local";
    let of_shop = Says::Domain(service);
    let aws = "sts.eu-west-9.amazonaws.com";
    let cases: [(Says, &str, &str, &str, &[&str]); 5] = [
        // A wildcard record would lead there too, were the question asked.
        (Says::TheAddress, &host, "", got, &[&host]),
        (Says::Code(3), &host, &format!("127.0.0.1 {host}"), got, &[]),
        // A Service needs the search, with a dot in its name or without. (STS has no certificate for either.)
        (of_shop, "sts", "", refused, &[service]),
        (of_shop, "sts.shop", "", refused, &["sts.shop", "sts.shop.shop.svc.cluster.local", service]),
        // AWS's own are never searched for.
        (Says::Domain("corp.example"), aws, "", refused, &[aws]),
    ];
    for (number, (says, host, hosts, ends_with, expected)) in (1..).zip(cases) {
        assert_eq!(asked(Ipv4Addr::new(127, 0, 1, number), says, host, hosts, ends_with), expected, "{host}");
    }
}
