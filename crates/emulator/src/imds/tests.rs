//! The wire contract of the credential paths, request by request.

use std::time::SystemTime;

use imds_sts::{Answer as StsAnswer, Credentials as StsCredentials, Secret};
use proptest::prelude::*;

use super::*;

const LIST: &str = "/latest/meta-data/iam/security-credentials/";
const DOCUMENT: &str = "/latest/meta-data/iam/security-credentials/my-role";
const CONTAINER: &str = "/v1/credentials";
const HOUR: Duration = Duration::from_hours(1);

fn now() -> Now {
    Now { wall: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000), boot: Duration::from_secs(5000) }
}

fn after(time: Duration) -> Now {
    Now { wall: now().wall + time, boot: now().boot + time }
}

/// The service under test, and what it knows.
struct Bench {
    imds: Imds,
    credentials: Option<Credentials>,
    now: Now,
}

fn imds() -> Bench {
    let role = "arn:aws:iam::123456789012:role/path/my-role".parse().unwrap();
    let imds = Imds::new(role, HttpTokens::Optional, TokenKey::generate().unwrap());
    let answer = StsAnswer {
        credentials: StsCredentials {
            access_key_id: "ASIAEXAMPLE000000001".into(),
            secret_access_key: Secret::from("EXAMPLE/secret+key"),
            session_token: Secret::from("EXAMPLE//token+=="),
            expiration: now().wall + HOUR,
        },
        assumed_role_arn: None,
        date: None,
    };
    Bench { imds, credentials: Credentials::new(&answer, HOUR, now(), now()), now: now() }
}

impl Bench {
    fn tokens_required(mut self) -> Self {
        self.imds.http_tokens = HttpTokens::Required;
        self
    }

    fn not_ready(mut self) -> Self {
        self.credentials = None;
        self
    }

    fn at(mut self, now: Now) -> Self {
        self.now = now;
        self
    }

    fn with_container_endpoint(mut self) -> Self {
        self.imds.authorization = Some(Secret::from("the-value"));
        self
    }

    fn for_hosts(mut self, hosts: &str) -> Self {
        self.imds.allowed_hosts = Some(hosts.parse().unwrap());
        self
    }

    /// Asks the container credentials endpoint with this `Authorization`.
    fn container(&self, authorization: Option<&str>) -> Answer {
        let authorization = authorization.map(str::as_bytes);
        self.ask(&Request { authorization, ..Request::new(&Method::GET, CONTAINER) })
    }

    fn ask(&self, request: &Request<'_>) -> Answer {
        self.ask_as(request).1
    }

    fn ask_as(&self, request: &Request<'_>) -> (Asked, Answer) {
        self.imds.respond(request, self.credentials.as_ref(), self.now)
    }

    fn method(&self, method: &Method, path: &str) -> Answer {
        self.ask(&Request::new(method, path))
    }

    fn get(&self, path: &str) -> Answer {
        self.method(&Method::GET, path)
    }

    fn get_with_token(&self, path: &str, token: &[u8]) -> Answer {
        self.ask(&Request { token: Some(token), ..Request::new(&Method::GET, path) })
    }

    fn put_token(&self, ttl: Option<&str>) -> Answer {
        let ttl = ttl.map(str::as_bytes);
        self.ask(&Request { ttl, ..Request::new(&Method::PUT, "/latest/api/token") })
    }
}

impl Answer {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    #[track_caller]
    fn expect_page(self, status: u16) {
        let page = self.expect(status);
        assert_eq!(page.content_type, ContentType::Html);
        assert!(page.text().contains(&format!("<h1>{status} - ")), "{}", page.text());
    }
}

#[test]
fn v1_gets_the_roles_name_without_a_newline_and_the_document() {
    let listing = imds().get(LIST).expect(200);
    assert_eq!((listing.text().as_str(), listing.content_type), ("my-role", ContentType::Plain));
    assert_eq!(listing.token_ttl, None);
    let document = imds().get(DOCUMENT).expect(200);
    assert_eq!(document.content_type, ContentType::Plain);
    assert_eq!(document.last_modified, Some(HeaderValue::from_static("Fri, 15 Jan 2027 08:00:00 GMT")));
    assert_eq!(
        document.text(),
        r#"{
  "Code" : "Success",
  "LastUpdated" : "2027-01-15T08:00:00Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLE000000001",
  "SecretAccessKey" : "EXAMPLE/secret+key",
  "Token" : "EXAMPLE//token+==",
  "Expiration" : "2027-01-15T09:00:00Z"
}"#
    );
}

#[test]
fn v2_gets_a_token_and_reads_with_it_until_it_expires() {
    let bench = imds().tokens_required();
    let token = bench.put_token(Some("60")).expect(200);
    assert_eq!(token.token_ttl, Some(60));
    assert_eq!(bench.get_with_token(LIST, &token.body).expect(200).token_ttl, Some(60));
    let bench = bench.at(after(Duration::from_secs(1)));
    assert_eq!(bench.get_with_token(DOCUMENT, &token.body).expect(200).token_ttl, Some(59));
    bench.at(after(Duration::from_mins(1))).get_with_token(DOCUMENT, &token.body).expect_page(401);
}

#[test]
fn a_ttl_out_of_bounds_is_a_bad_request() {
    for ttl in ["1", "9", "21600"] {
        assert_eq!(imds().put_token(Some(ttl)).expect(200).token_ttl, Some(ttl.parse().unwrap()));
    }
    for ttl in [None, Some(""), Some("0"), Some("21601"), Some("-1"), Some("soon")] {
        imds().put_token(ttl).expect_page(400);
    }
}

#[test]
fn without_a_token_v1_works_only_where_tokens_are_optional() {
    for path in ["/", LIST, DOCUMENT, "/latest/meta-data/instance-id"] {
        imds().tokens_required().get(path).expect_page(401);
    }
    imds().get(LIST).expect(200);
}

#[test]
fn a_bad_token_is_refused_even_where_none_is_needed() {
    let foreign = imds().put_token(Some("60")).body;
    for token in [&b"INVALID"[..], b"", b"\xff", &foreign] {
        imds().get_with_token("/", token).expect_page(401);
        imds().get_with_token(DOCUMENT, token).expect_page(401);
    }
}

#[test]
fn the_root_lists_the_versions() {
    let versions = imds().get("/").expect(200).text();
    assert!(versions.starts_with("1.0\n2007-01-19\n") && versions.ends_with("\nlatest"), "{versions}");
}

#[test]
fn everything_else_is_not_found() {
    for path in [
        "/latest/meta-data/",
        "/latest/meta-data/instance-id",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/iam/security-credentials-extended/",
        "/latest/meta-data/iam/security-credentials/other-role",
        "/latest/meta-data/iam/security-credentials/MY-ROLE",
        "/latest/user-data",
    ] {
        imds().get(path).expect_page(404);
    }
    let bench = imds();
    let token = bench.put_token(Some("60")).body;
    assert_eq!(bench.get_with_token("/latest/meta-data/", &token).expect(404).token_ttl, Some(60));
}

#[test]
fn before_the_first_credentials_and_after_their_end_the_service_is_unavailable() {
    for bench in [imds().not_ready(), imds().at(after(HOUR))] {
        bench.get(LIST).expect_page(503);
        bench.get(DOCUMENT).expect_page(503);
        bench.get("/latest/meta-data/iam/security-credentials/other-role").expect_page(404);
        bench.get("/").expect(200);
        bench.put_token(Some("60")).expect(200);
    }
    imds().at(after(Duration::from_secs(3598))).get(DOCUMENT).expect(200);
}

#[test]
fn methods_are_those_of_the_real_service() {
    let bench = imds();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::CONNECT, Method::TRACE] {
        for path in [LIST, DOCUMENT, "/", "/latest/meta-data/instance-id"] {
            let refused = bench.method(&method, path).expect(405);
            assert_eq!(refused.allow, Some("OPTIONS, GET, HEAD"), "{method} {path}");
        }
    }
    for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
        let refused = bench.method(&method, "/latest/api/token").expect(405);
        assert_eq!(refused.allow, Some("OPTIONS, PUT"), "{method}");
    }
    assert_eq!(bench.method(&Method::OPTIONS, DOCUMENT).expect(200).allow, Some("OPTIONS, GET, HEAD"));
    assert_eq!(bench.method(&Method::OPTIONS, "/latest/api/token").expect(200).allow, Some("OPTIONS, PUT"));
    bench.method(&Method::HEAD, DOCUMENT).expect(200);
}

#[test]
fn a_proxied_request_and_a_token_path_with_a_slash_are_forbidden() {
    let bench = imds();
    let token = bench.put_token(Some("60")).body;
    for (method, path, token) in [
        (Method::PUT, "/latest/api/token", None),
        (Method::GET, DOCUMENT, Some(&token[..])),
        (Method::GET, LIST, Some(&b"INVALID"[..])),
    ] {
        let request = Request { token, ttl: Some(b"60"), forwarded: true, ..Request::new(&method, path) };
        assert!(bench.ask(&request).expect(403).body.is_empty());
    }
    let v1 = Request { forwarded: true, ..Request::new(&Method::GET, LIST) };
    bench.ask(&v1).expect(200);
    imds().tokens_required().ask(&v1).expect(401);
    let request = Request { ttl: Some(b"60"), ..Request::new(&Method::PUT, "/latest/api/token/") };
    assert!(imds().ask(&request).expect(403).body.is_empty());
}

#[test]
fn the_container_endpoint_serves_the_document_to_those_who_read_the_file() {
    let bench = imds().with_container_endpoint();
    let answer = bench.container(Some("the-value")).expect(200);
    assert_eq!(answer.content_type, ContentType::Json);
    assert_eq!(answer.text(), bench.get(DOCUMENT).text());
    for wrong in ["", "the-valuE", "the-value ", "the-value-and-more", "Bearer the-value"] {
        bench.container(Some(wrong)).expect(401);
        imds().with_container_endpoint().tokens_required().container(Some(wrong)).expect(401);
    }
    // As IMDS: where IMDSv1 is served, older clients, which do not know the file, are served too.
    bench.container(None).expect(200);
    let required = imds().with_container_endpoint().tokens_required();
    required.container(Some("the-value")).expect(200);
    let refused = required.container(None).expect(401);
    assert_eq!(refused.content_type, ContentType::Json);
    assert!(refused.text().contains("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), "{}", refused.text());
}

#[test]
fn the_container_endpoint_is_closed_to_proxies_and_where_nobody_asked_for_it() {
    imds().container(Some("the-value")).expect_page(404);
    let bench = imds().with_container_endpoint();
    let authorization = Some(&b"the-value"[..]);
    let forwarded = Request { authorization, forwarded: true, ..Request::new(&Method::GET, CONTAINER) };
    bench.ask(&forwarded).expect(403);
    assert_eq!(bench.method(&Method::POST, CONTAINER).expect(405).allow, Some("OPTIONS, GET, HEAD"));
    for bench in [imds().not_ready(), imds().at(after(HOUR))] {
        let answer = bench.with_container_endpoint().container(Some("the-value")).expect(503);
        assert!(answer.text().starts_with("{\"code\":\"NoCredentials\""), "{}", answer.text());
    }
}

#[test]
fn extended_metadata_is_served_by_the_rules_of_the_rest() {
    let mut bench = imds();
    let facts = Facts { region: Some("eu-central-1".parse().unwrap()), ..Facts::default() };
    let role = "arn:aws:iam::123456789012:role/my-role".parse().unwrap();
    bench.imds.metadata = Tree::new(imds_contract::Metadata::Extended, &facts, &role, now().wall);
    let region = bench.get("/latest/meta-data/placement/region").expect(200);
    assert_eq!((region.text().as_str(), region.content_type), ("eu-central-1", ContentType::Plain));
    assert_eq!(bench.get("/latest/").expect(200).text(), "dynamic\nmeta-data");
    bench.get("/latest/meta-data/ami-id").expect_page(404);
    bench.get("/latest/api").expect_page(404);
    let token = bench.put_token(Some("60")).body;
    let with_token = bench.get_with_token("/2021-07-15/meta-data/placement/region/", &token).expect(200);
    assert_eq!(with_token.token_ttl, Some(60));
    bench.tokens_required().get("/latest/meta-data/placement/region").expect_page(401);
}

#[test]
fn where_hosts_are_named_a_request_for_another_is_forbidden() {
    let ask = |bench: &Bench, host| {
        bench.ask(&Request { host, ..Request::new(&Method::GET, DOCUMENT) }).status.as_u16()
    };
    let bench = imds().for_hosts("169.254.169.254,localhost");
    assert_eq!(ask(&bench, Some(b"169.254.169.254")), 200);
    assert_eq!(ask(&bench, Some(b"localhost:1338")), 200);
    assert_eq!(ask(&bench, None), 200, "HTTP/1.0 has no Host");
    assert_eq!(ask(&bench, Some(b"rebind.example")), 403);
    assert_eq!(ask(&imds(), Some(b"rebind.example")), 200, "any host by default");
}

#[test]
fn a_malformed_path_is_a_bad_request() {
    imds().get("/latest/meta-data/iam/security-credentials/%2e%2e").expect_page(400);
    imds().get("/latest/meta-data/iam/security-credentials/my-role%00").expect_page(400);
}

#[test]
fn the_metrics_know_what_was_asked_for_and_in_which_version() {
    let asked = |method: &Method, path, token| {
        let request = Request { token, ..Request::new(method, path) };
        let (Asked { class, version }, _) = imds().ask_as(&request);
        (class, version)
    };
    assert_eq!(asked(&Method::GET, LIST, None), (Class::Roles, Version::V1));
    assert_eq!(asked(&Method::GET, DOCUMENT, Some(b"x")), (Class::Document, Version::V2));
    assert_eq!(asked(&Method::PUT, "/latest/api/token", None), (Class::Token, Version::V2));
    assert_eq!(asked(&Method::GET, "/", None), (Class::Versions, Version::V1));
    assert_eq!(asked(&Method::GET, "/latest/user-data", None), (Class::Metadata, Version::V1));
    assert_eq!(asked(&Method::GET, "/favicon.ico", None), (Class::Other, Version::V1));
    assert_eq!(asked(&Method::GET, CONTAINER, Some(b"x")), (Class::Container, Version::Neither));
}

proptest! {
    #[test]
    fn a_secret_is_only_ever_in_the_document(
        path in proptest::collection::vec(
            proptest::sample::select(vec![
                "/", "latest", "1.0", "2009-04-04", "api", "token", "meta-data", "iam", "security-credentials",
                "my-role", "my%2drole", "other", "..", "%2e", "%00", "info", "v1", "credentials",
            ]),
            0..8,
        ).prop_map(|segments| format!("/{}", segments.join("/"))),
        token in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        method in proptest::sample::select(vec![Method::GET, Method::HEAD, Method::PUT, Method::POST]),
        forwarded in any::<bool>(),
    ) {
        let request = Request { token: token.as_deref(), forwarded, ..Request::new(&method, &path) };
        for bench in [imds(), imds().with_container_endpoint()] {
            let (asked, answer) = bench.ask_as(&request);
            let is_the_document = match asked.class {
                Class::Document => path.contains("/security-credentials/"),
                Class::Container => bench.imds.authorization.is_some() && !forwarded,
                _ => false,
            };
            prop_assert!(is_the_document || !answer.text().contains("EXAMPLE"), "{}", path);
        }
    }
}
