//! The real service's own answers, as others recorded them, shape for shape: status, every header, and the form of the
//! body. Where ours differ on purpose, the row says so.
//!
//! Sources: the SDK for Rust's fixtures (recorded in 2021), kube2iam #119 and #241, kiam #116, aws-beam #47 and
//! google-auth-library-ruby #421.

use crate::support::{DOCUMENT, Emulator, ROLES, Response, Stage};

/// Which value of a header was recorded.
#[derive(Clone, Copy)]
enum Value {
    Is(&'static str),
    Date,
    /// As long as the body.
    Length,
}

use Value::{Date, Is, Length};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

#[track_caller]
fn expect(answer: &Response, status: u16, recorded: &[(&str, Value)]) {
    assert_eq!(answer.status, status, "{answer:?}");
    let mut names: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    let mut expected: Vec<_> = recorded.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected, "these headers and no other");
    for (name, value) in recorded {
        let found = answer.header(name).unwrap_or_default();
        match value {
            Is(text) => assert_eq!(found, *text, "{name}"),
            Date => assert!(httpdate::parse_http_date(found).is_ok(), "{name}: {found}"),
            Length => assert_eq!(found, answer.body.len().to_string(), "{name}"),
        }
    }
}

fn ask(emulator: &Emulator, method: &str, path: &str, headers: &str) -> Response {
    emulator.ask(&format!(
        "{method} {path} HTTP/1.1\r\nhost: 169.254.169.254\r\nconnection: close\r\n{headers}\r\n"
    ))
}

#[test]
fn a_session_of_imdsv2_as_recorded() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let token = ask(&emulator, "PUT", "/latest/api/token", "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n");
    let headers = [
        (TTL, Is("21600")),
        ("content-length", Is("56")),
        ("content-type", Is("text/plain")),
        ("date", Date),
        ("server", Is("EC2ws")),
        ("connection", Is("close")),
    ];
    expect(&token, 200, &headers);
    assert!(token.body.starts_with("AQAEA") && token.body.ends_with("=="), "{}", token.body);

    let with_token = format!("x-aws-ec2-metadata-token: {}\r\n", token.body);
    let read = [
        ("content-type", Is("text/plain")),
        ("accept-ranges", Is("none")),
        ("last-modified", Date),
        ("content-length", Length),
        ("date", Date),
        ("server", Is("EC2ws")),
        ("connection", Is("close")),
    ];
    for path in [ROLES, DOCUMENT] {
        let answer = ask(&emulator, "GET", path, &with_token);
        let ttl: u32 = answer.header(TTL).unwrap().parse().unwrap();
        assert!((21_590..=21_600).contains(&ttl), "{ttl}");
        let ttl = if ttl == 21_600 { "21600" } else { answer.header(TTL).unwrap().to_owned().leak() };
        expect(&answer, 200, &[&read[..], &[(TTL, Is(ttl))]].concat());
    }

    // A path that is not there: recorded where no role is attached.
    let answer = ask(&emulator, "GET", "/latest/meta-data/iam/security-credentials-extended/", &with_token);
    let names: Vec<_> =
        answer.headers.iter().map(|(name, _)| name.as_str()).filter(|name| *name != TTL).collect();
    assert!(answer.header(TTL).is_some(), "{answer:?}");
    assert_eq!(names.len(), 5, "{answer:?}");
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.header("content-length")),
        (404, Some("text/html"), Some("339"))
    );
    assert!(answer.body.starts_with("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n"), "{}", answer.body);
    assert!(
        answer.body.contains("XHTML 1.0 Transitional") && answer.body.ends_with("</html>\n"),
        "{}",
        answer.body
    );
    assert_eq!(answer.body.matches("404 - Not Found").count(), 2, "title and heading");
}

#[test]
fn what_is_forbidden_as_recorded() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let token =
        ask(&emulator, "PUT", "/latest/api/token", "x-aws-ec2-metadata-token-ttl-seconds: 60\r\n").body;
    let ttl = "x-aws-ec2-metadata-token-ttl-seconds: 60\r\n";
    for (method, path, headers) in [
        ("PUT", "/latest/api/token", format!("{ttl}X-Forwarded-For: 10.0.0.1\r\n")),
        ("GET", ROLES, format!("x-aws-ec2-metadata-token: {token}\r\nx-forwarded-for: 10.0.0.1\r\n")),
        ("PUT", "/latest/api/token/", ttl.to_owned()),
    ] {
        let recorded = [
            ("content-type", Is("text/plain")),
            ("content-length", Is("0")),
            ("server", Is("EC2ws")),
            ("date", Date),
            ("connection", Is("close")),
        ];
        expect(&ask(&emulator, method, path, &headers), 403, &recorded);
    }
    let get = ask(&emulator, "GET", "/latest/api/token", "");
    assert_eq!((get.status, get.header("allow")), (405, Some("OPTIONS, PUT")));
    assert!(get.body.contains("Not Allowed"), "{}", get.body);
}

/// Recorded in 2018: 301 to the path with a slash; since 2022 the listing itself. Some clients do not follow a 301.
#[test]
fn a_listing_without_its_slash_is_the_listing() {
    let stage = Stage::new();
    let emulator = stage.emulator().ready();
    let [with, without] = [ROLES, ROLES.trim_end_matches('/')].map(|path| ask(&emulator, "GET", path, ""));
    assert_eq!((with.status, &with.body), (200, &without.body));
    assert_eq!(without.status, 200);
}
