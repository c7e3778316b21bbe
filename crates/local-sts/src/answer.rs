//! What STS says, in AWS's own XML.
//!
//! An answer is XML even when the request says `Accept: application/json`: AWS would then send JSON (with `Expiration` as
//! a number), but most other STS implementations ignore the header, and so does this one: a client must bear with both.
//! Source: STS API reference, `AssumeRoleWithWebIdentity`, "Sample Response" and "Common Errors".

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use imds_contract::RoleArn;

use crate::credentials::Credentials;
use crate::random;
use crate::refusal::Refusal;
use crate::request::Action;
use crate::verify::Identity;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// A whole answer, not yet sent.
pub(crate) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    request_id: String,
    retry_after: Option<Duration>,
}

/// What a good answer tells.
pub(crate) struct Assumed<'a> {
    pub(crate) credentials: &'a Credentials,
    pub(crate) expiration: SystemTime,
    /// The role that was asked for: its account and partition.
    pub(crate) role: &'a RoleArn,
    /// The name of the role that was assumed.
    pub(crate) role_name: &'a str,
    pub(crate) session_name: &'a str,
    /// Whom the token named, and the URL of its issuer; `None` for a signed request.
    pub(crate) token: Option<(&'a Identity, &'a str)>,
}

impl Answer {
    /// 200 with credentials.
    pub(crate) fn success(assumed: &Assumed<'_>) -> Self {
        let Assumed { credentials, expiration, role, role_name, session_name, token } = assumed;
        let (partition, account) = (role.partition(), role.account());
        let request_id = random::uuid();
        let action = token.map_or(Action::AssumeRole, |_| Action::AssumeRoleWithWebIdentity).as_str();
        let (response, result) = (format!("{action}Response"), format!("{action}Result"));

        let mut xml = Xml::open(&response);
        xml.within(&result, |xml| {
            if let Some((identity, issuer)) = token {
                // An OIDC provider is named by its URL without the scheme.
                let provider = issuer.split_once("://").map_or(*issuer, |(_, rest)| rest);
                xml.text("Audience", &identity.audience);
                xml.text("Provider", &format!("arn:{partition}:iam::{account}:oidc-provider/{provider}"));
                xml.text("SubjectFromWebIdentityToken", &identity.subject);
            }
            xml.within("AssumedRoleUser", |xml| {
                // A role's unique id: "AROA" and 17 characters. Source: IAM user guide, "Unique identifiers".
                xml.text("AssumedRoleId", &format!("AROALOCALSTS000000000:{session_name}"));
                xml.text(
                    "Arn",
                    &format!("arn:{partition}:sts::{account}:assumed-role/{role_name}/{session_name}"),
                );
            });
            xml.within("Credentials", |xml| {
                xml.text("AccessKeyId", &credentials.access_key_id);
                xml.text("SecretAccessKey", &credentials.secret_access_key);
                xml.text("SessionToken", &credentials.session_token);
                xml.text("Expiration", &humantime::format_rfc3339_seconds(*expiration).to_string());
            });
        });
        xml.within("ResponseMetadata", |xml| xml.text("RequestId", &request_id));
        Self::new(StatusCode::OK, xml.close(&response), request_id)
    }

    /// The AWS error of a refusal.
    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        Self::error(refusal.status(), refusal.code(), &refusal.to_string())
    }

    /// Any AWS error.
    pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Self {
        let request_id = random::uuid();
        let mut xml = Xml::open("ErrorResponse");
        xml.within("Error", |xml| {
            xml.text("Type", if status.is_server_error() { "Receiver" } else { "Sender" });
            xml.text("Code", code);
            xml.text("Message", message);
        });
        xml.text("RequestId", &request_id);
        Self::new(status, xml.close("ErrorResponse"), request_id)
    }

    /// The page of a load balancer that couldn't reach STS.
    pub(crate) fn load_balancer(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let page = format!(
            "<html>\r\n<head><title>{0} {title}</title></head>\r\n<body><center><h1>{0} {title}</h1></center></body>\r\n</html>\r\n",
            status.as_u16()
        );
        Self { content_type: "text/html", ..Self::new(status, page, random::uuid()) }
    }

    /// 200 with bytes that are neither XML nor text.
    pub(crate) fn garbage() -> Self {
        let junk = Bytes::from_static(b"<Assume\x00\xff\xfeRole&&<<</Credentials>");
        Self { body: junk, ..Self::new(StatusCode::OK, String::new(), random::uuid()) }
    }

    /// With a `Retry-After` header, in whole seconds.
    pub(crate) fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    /// The answer as a response that was made `now`.
    pub(crate) fn into_response(self, now: SystemTime) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        for (name, value) in [(REQUEST_ID, self.request_id), (header::DATE, httpdate::fmt_http_date(now))] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        if let Some(time) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs()));
        }
        response
    }

    /// The bytes of the answer as HTTP/1.1, up to the middle of the body.
    pub(crate) fn into_first_half(self) -> Bytes {
        let half = self.body.slice(..self.body.len() / 2);
        let head = format!(
            "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len()
        );
        [head.as_bytes(), &half].concat().into()
    }

    fn new(status: StatusCode, body: String, request_id: String) -> Self {
        Self { status, content_type: "text/xml", body: body.into(), request_id, retry_after: None }
    }
}

/// XML as AWS lays it out: two blanks a level, a line an element.
struct Xml {
    text: String,
    level: usize,
}

impl Xml {
    fn open(root: &str) -> Self {
        Self { text: format!("<{root} xmlns=\"{NAMESPACE}\">\n"), level: 1 }
    }

    fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        let indent = "  ".repeat(self.level);
        let _ = writeln!(self.text, "{indent}<{name}>");
        self.level += 1;
        inside(self);
        self.level -= 1;
        let _ = writeln!(self.text, "{indent}</{name}>");
    }

    fn text(&mut self, name: &str, text: &str) {
        let indent = "  ".repeat(self.level);
        let _ = writeln!(self.text, "{indent}<{name}>{}</{name}>", escape(text));
    }

    fn close(mut self, root: &str) -> String {
        let _ = writeln!(self.text, "</{root}>");
        self.text
    }
}

/// The five entities; what XML 1.0 can't hold at all becomes `?`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            '\u{0}'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use roxmltree::Document;

    use super::*;

    fn success(credentials: &Credentials) -> Answer {
        let identity =
            Identity { subject: "system:serviceaccount:a:b".to_owned(), audience: "aud".to_owned() };
        answer(credentials, Some((&identity, "https://127.0.0.1:8443")))
    }

    fn answer(credentials: &Credentials, token: Option<(&Identity, &str)>) -> Answer {
        Answer::success(&Assumed {
            credentials,
            expiration: UNIX_EPOCH + Duration::from_millis(1_700_000_000_999),
            role: &"arn:aws-cn:iam::123456789012:role/team/my-example-role".parse().unwrap(),
            role_name: "my-example-role",
            session_name: "default.nginx",
            token,
        })
    }

    /// The elements that hold text, in order, below the root of AWS's namespace.
    fn leaves(answer: &Answer) -> Vec<(String, String)> {
        let text = std::str::from_utf8(&answer.body).unwrap();
        let document = Document::parse(text).expect(text);
        assert!(document.descendants().filter(roxmltree::Node::is_element).all(|element| {
            element.tag_name().namespace() == Some("https://sts.amazonaws.com/doc/2011-06-15/")
        }));
        document
            .descendants()
            .filter(|node| node.is_element() && !node.children().any(|child| child.is_element()))
            .map(|leaf| (leaf.tag_name().name().to_owned(), leaf.text().unwrap_or_default().to_owned()))
            .collect()
    }

    #[test]
    fn a_success_has_awss_elements() {
        let credentials = Credentials::new(7);
        let answer = success(&credentials);
        let id = answer.request_id.clone();
        let leaves = leaves(&answer);
        let expected = [
            ("Audience", "aud"),
            ("Provider", "arn:aws-cn:iam::123456789012:oidc-provider/127.0.0.1:8443"),
            ("SubjectFromWebIdentityToken", "system:serviceaccount:a:b"),
            ("AssumedRoleId", "AROALOCALSTS000000000:default.nginx"),
            ("Arn", "arn:aws-cn:sts::123456789012:assumed-role/my-example-role/default.nginx"),
            ("AccessKeyId", "ASIAEXAMPLE000000007"),
            ("SecretAccessKey", &credentials.secret_access_key),
            ("SessionToken", &credentials.session_token),
            ("Expiration", "2023-11-14T22:13:20Z"),
            ("RequestId", &id),
        ];
        assert_eq!(leaves, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn the_answer_to_a_signed_request_tells_of_no_token() {
        let answer = answer(&Credentials::new(7), None);
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert!(
            text.starts_with("<AssumeRoleResponse xmlns=") && text.contains("<AssumeRoleResult>"),
            "{text}"
        );
        let names: Vec<_> = leaves(&answer).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "AssumedRoleId",
                "Arn",
                "AccessKeyId",
                "SecretAccessKey",
                "SessionToken",
                "Expiration",
                "RequestId"
            ]
        );
    }

    #[test]
    fn an_error_has_awss_elements_and_any_text_survives() {
        let answer = Answer::error(StatusCode::SERVICE_UNAVAILABLE, "Slow", "a<b> & \"c\" 'd' \u{1}ü");
        let id = answer.request_id.clone();
        let expected =
            [("Type", "Receiver"), ("Code", "Slow"), ("Message", "a<b> & \"c\" 'd' ?ü"), ("RequestId", &id)];
        assert_eq!(leaves(&answer), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(leaves(&Answer::refusal(&Refusal::NotTrusted))[0].1, "Sender");
    }

    #[test]
    fn a_response_carries_awss_headers() {
        let answer = Answer::refusal(&Refusal::NotTrusted).retry_after(Some(Duration::from_secs(5)));
        let response = answer.into_response(UNIX_EPOCH);
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], "text/xml");
        assert_eq!(response.headers()["date"], "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(response.headers()["retry-after"], "5");
        assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
    }

    #[test]
    fn the_first_half_promises_more_than_it_holds() {
        let answer = success(&Credentials::new(1));
        let whole = answer.body.len();
        let half = answer.into_first_half();
        let text = std::str::from_utf8(&half).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with(&format!("content-length: {whole}"))
        );
        assert_eq!(body.len(), whole / 2);
    }
}
