//! A request to IMDS, a line each: method, path, session token (`valid` and `expired` stand for real ones), TTL,
//! `X-Forwarded-For`, `Authorization` (`valid` too), `Host`. It never panics, and secrets are in the document alone, for
//! those who may read it.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use imds_contract::{HttpTokens, Metadata};
use imds_emulator::clock::Now;
use imds_emulator::credentials::Credentials;
use imds_emulator::imds::{Answer, Asked, Class, Facts, Imds, Request, Tree};
use imds_emulator::token::{LONGEST_TTL, TokenKey, Ttl};
use imds_sts::{Answer as StsAnswer, Credentials as StsCredentials, Secret};
use libfuzzer_sys::fuzz_target;

const SECRETS: [&str; 2] = ["EXAMPLE/secret+key", "EXAMPLE//session+token=="];
/// Opens the container credentials endpoint.
const AUTHORIZATION: &str = "container-authorization";
const HOUR: Duration = Duration::from_hours(1);
static NOW: LazyLock<Now> = LazyLock::new(|| Now {
    wall: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000),
    boot: Duration::from_secs(5000),
});

static OPTIONAL: LazyLock<Service> = LazyLock::new(|| Service::new(HttpTokens::Optional));
static REQUIRED: LazyLock<Service> = LazyLock::new(|| Service::new(HttpTokens::Required));
static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(credentials);

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(7, |byte| *byte == b'\n');
    let mut next = || lines.next().filter(|line| !line.is_empty());
    let Ok(method) = Method::from_bytes(next().unwrap_or_default()) else { return };
    let Ok(path) = str::from_utf8(next().unwrap_or_default()) else { return };
    let (token, ttl, forwarded, authorization, host) = (next(), next(), next().is_some(), next(), next());
    for service in [&*OPTIONAL, &*REQUIRED] {
        let token = token.map(|token| service.token(token));
        let authorization =
            authorization.map(|value| if value == b"valid" { AUTHORIZATION.as_bytes() } else { value });
        service.check(&Request { token, ttl, forwarded, host, authorization, ..Request::new(&method, path) });
    }
});

/// A service with tokens that it issued itself.
struct Service {
    imds: Imds,
    http_tokens: HttpTokens,
    valid: String,
    expired: String,
}

impl Service {
    fn new(http_tokens: HttpTokens) -> Self {
        let role = "arn:aws:iam::123456789012:role/path/my-role".parse().expect("a role");
        let key = TokenKey::generate().expect("the system has random bytes");
        let ttl = Ttl::parse(b"3600").expect("an hour");
        let seal = |now| key.seal(ttl, now).expect("a token");
        let (valid, expired) = (seal(NOW.boot), seal(Duration::ZERO));
        let facts = Facts { region: "eu-central-1".parse().ok(), ..Facts::default() };
        let imds = Imds {
            metadata: Tree::new(Metadata::Extended, &facts, &role, NOW.wall),
            authorization: Some(Secret::from(AUTHORIZATION)),
            allowed_hosts: "169.254.169.254".parse().ok(),
            ..Imds::new(role, http_tokens, key)
        };
        Self { imds, http_tokens, valid, expired }
    }

    fn token<'a>(&'a self, token: &'a [u8]) -> &'a [u8] {
        match token {
            b"valid" => self.valid.as_bytes(),
            b"expired" => self.expired.as_bytes(),
            other => other,
        }
    }

    fn check(&self, request: &Request<'_>) {
        let later = Now { wall: NOW.wall + HOUR, boot: NOW.boot + HOUR };
        for (credentials, now) in [(None, *NOW), (Some(&*CREDENTIALS), *NOW), (Some(&*CREDENTIALS), later)] {
            let (asked, answer) = self.imds.respond(request, credentials, now);
            let (given, right) = match asked.class {
                Class::Container => (request.authorization, AUTHORIZATION.as_bytes()),
                _ => (request.token, self.valid.as_bytes()),
            };
            let authorized = match given {
                Some(given) => given == right,
                None => self.http_tokens == HttpTokens::Optional,
            };
            check_answer(request, asked, &answer, authorized && credentials.is_some() && now == *NOW);
        }
    }
}

fn check_answer(request: &Request<'_>, asked: Asked, answer: &Answer, may_read: bool) {
    let body = str::from_utf8(&answer.body).expect("what IMDS says is text");
    let read = [Method::GET, Method::HEAD].contains(request.method);
    let holds_secrets = [Class::Document, Class::Container].contains(&asked.class);
    if holds_secrets && answer.status == StatusCode::OK && read {
        assert!(SECRETS.iter().all(|secret| body.contains(secret)), "{request:?}");
        let by_proxy = request.forwarded && (request.token.is_some() || asked.class == Class::Container);
        assert!(may_read && !by_proxy, "{request:?}");
        assert!(
            request.host.is_none_or(|host| host.trim_ascii().starts_with(b"169.254.169.254")),
            "{request:?}"
        );
    } else {
        assert!(!SECRETS.iter().any(|secret| body.contains(secret)), "{request:?}");
    }
    assert!(answer.token_ttl.is_none_or(|ttl| (1..=LONGEST_TTL).contains(&ttl)), "{request:?}");
    assert!(
        !answer.status.is_server_error() || answer.status == StatusCode::SERVICE_UNAVAILABLE,
        "{request:?}"
    );
}

/// An hour of them from [`NOW`] on.
fn credentials() -> Credentials {
    let [secret_access_key, session_token] = SECRETS.map(Secret::from);
    let answer = StsAnswer {
        credentials: StsCredentials {
            access_key_id: "ASIAEXAMPLE000000001".to_owned(),
            secret_access_key,
            session_token,
            expiration: NOW.wall + HOUR,
        },
        assumed_role_arn: None,
        date: None,
    };
    Credentials::new(&answer, HOUR, *NOW, *NOW).expect("an hour of life")
}
