//! The name server goes, or says what is wrong, and comes back.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc::{Sender, channel};
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
    /// An error with this code.
    Code(u8),
    /// Bytes that are no answer.
    Garbage,
    Nothing,
    /// Nobody listens.
    Gone,
}

/// The same address, port and resolver for the whole life of the emulator.
fn name_server(address: Ipv4Addr) -> Sender<Says> {
    let (sender, told) = channel();
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
            if let Some(answer) = answer(says, &question[..length]) {
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    sender
}

/// RFC 1035, 4.1: the header and the question as they came; for an IPv4 address one record.
fn answer(says: Says, question: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let name = question[HEADER..].iter().position(|length| *length == 0)? + 1;
    let end = HEADER + name + 4;
    let is_for_ipv4 = question[HEADER + name..].starts_with(&[0, 1]);
    let mut answer = question[..end].to_vec();
    let (code, records) = match says {
        Says::TheAddress => (0, u8::from(is_for_ipv4)),
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

fn survive(address: Ipv4Addr, name: &'static str, says: Says) {
    let scene = Scene::new();
    let server = name_server(address);
    let resolver = scene.stage.folder.path().join("resolv.conf");
    fs::write(&resolver, format!("nameserver {address}\noptions timeout:1 attempts:1\n")).unwrap();
    let mount = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let resolver = resolver.to_str().unwrap();
    let program = scene.stage.emulator_through(&["unshare", "--mount", "sh", "-c", mount, resolver]);
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
