//! The answer: from status, headers and bytes to credentials that may be served, or a [`Failure`]. Pure.
//!
//! Invariant: credentials in an [`Answer`] are complete, are fit to be put into JSON as they are, and belong to the role
//! that was asked for. Their end is STS's own.
//!
//! Source: STS API reference, `AssumeRoleWithWebIdentity` and `AssumeRole`. Elements are found by their local names, in any order: AWS and
//! its stand-ins differ in order and namespace.

use std::fmt;
use std::time::{Duration, SystemTime};

use roxmltree::{Document, Node, ParsingOptions};

use crate::failure::{Failure, FailureKind, clean, clean_word};
use crate::json::rest_of_string;
use crate::{Request, Secret};

/// The most that is read of an answer, in bytes. STS's own are about 2 KiB.
pub const LONGEST_BODY: usize = 64 * 1024;

/// What an XML body may cost: STS's own has about 40 nodes, and a node takes as much memory as 20 bytes of text.
const MOST_NODES: u32 = 1000;

/// The longest wait that an answer can ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// An HTTP answer.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The status.
    pub status: u16,
    /// The header `Date`.
    pub date: Option<&'a str>,
    /// The header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// The header `x-amzn-RequestId`.
    pub request_id: Option<&'a str>,
    /// The body, or as much of it as came.
    pub body: &'a [u8],
}

/// What STS gave.
#[derive(Debug)]
pub struct Answer {
    /// The credentials.
    pub credentials: Credentials,
    /// Who they make the caller, for example `arn:aws:sts::123456789012:assumed-role/my-role/session`.
    pub assumed_role_arn: Option<String>,
    /// STS's own time, by which the life of the credentials is measured when the local clock is wrong.
    pub date: Option<SystemTime>,
}

/// Temporary credentials. Each text is printable ASCII without space, quote or backslash.
pub struct Credentials {
    /// The access key's id, for example `ASIA…`.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token.
    pub session_token: Secret,
    /// When they end, exactly as STS said.
    pub expiration: SystemTime,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

/// Reads the answer to `request`.
pub fn decode(request: &Request<'_>, reply: &Reply<'_>) -> Result<Answer, Failure> {
    let date = reply.date.and_then(|date| httpdate::parse_http_date(date).ok());
    if !(200..=299).contains(&reply.status) {
        return Err(refusal(request, reply, date));
    }
    let unusable = |why: Unusable| Failure {
        status: Some(reply.status),
        request_id: reply.request_id.and_then(|id| clean_word(id, request.secret())),
        ..Failure::new(FailureKind::UnusableAnswer, why.to_string())
    };
    let (credentials, assumed_role_arn) =
        credentials(reply.body, request.action(), request.role_arn().name()).map_err(unusable)?;
    Ok(Answer { credentials, assumed_role_arn, date })
}

/// Why an answer of success is none. No variant holds text of the answer: it may be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unusable {
    TooLong,
    NotXml,
    Missing(&'static str),
    IllCharacters(&'static str),
    Expiration,
    OtherRole,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "but its body is over {} KiB", LONGEST_BODY / 1024),
            Self::NotXml => f.write_str("but its body is not STS's XML"),
            Self::Missing(name) => write!(f, "but without {name}"),
            Self::IllCharacters(name) => write!(f, "but its {name} holds characters that no key has"),
            Self::Expiration => f.write_str("but its Expiration is no date"),
            Self::OtherRole => f.write_str("but with credentials of another role"),
        }
    }
}

fn credentials(body: &[u8], action: &str, role: &str) -> Result<(Credentials, Option<String>), Unusable> {
    if body.len() > LONGEST_BODY {
        return Err(Unusable::TooLong);
    }
    let document = parse_xml(body).ok_or(Unusable::NotXml)?;
    let root = document.root_element();
    if root.tag_name().name().strip_prefix(action) != Some("Response") {
        return Err(Unusable::NotXml);
    }
    let result = child(root, &format!("{action}Result")).ok_or(Unusable::Missing("a Result element"))?;
    let found = child(result, "Credentials").ok_or(Unusable::Missing("Credentials"))?;

    let arn = child(result, "AssumedRoleUser").and_then(|user| child_text(user, "Arn"));
    if arn.and_then(assumed_role_name).is_some_and(|name| name != role) {
        return Err(Unusable::OtherRole);
    }
    let expiration = child_text(found, "Expiration").ok_or(Unusable::Missing("Expiration"))?;
    let credentials = Credentials {
        access_key_id: key(found, "AccessKeyId")?.to_owned(),
        secret_access_key: key(found, "SecretAccessKey")?.into(),
        session_token: key(found, "SessionToken")?.into(),
        expiration: instant(expiration).ok_or(Unusable::Expiration)?,
    };
    let arn = arn.filter(|arn| arn.len() <= 2048 && arn.bytes().all(|b| b.is_ascii_graphic()));
    Ok((credentials, arn.map(str::to_owned)))
}

/// The text of a key, which will be put into JSON as it is.
fn key<'a>(credentials: Node<'a, '_>, name: &'static str) -> Result<&'a str, Unusable> {
    let text = child_text(credentials, name).ok_or(Unusable::Missing(name))?;
    let is_key_byte = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if text.bytes().all(is_key_byte) { Ok(text) } else { Err(Unusable::IllCharacters(name)) }
}

/// The role of `arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION`, where others than AWS keep the role's path before
/// its name; `None` for any other form.
fn assumed_role_name(arn: &str) -> Option<&str> {
    let mut fields = arn.splitn(6, ':');
    let [scheme, _partition, service, _region, _account, resource] = std::array::from_fn(|_| fields.next());
    let (role, _session) = resource?.strip_prefix("assumed-role/")?.rsplit_once('/')?;
    let name = role.rsplit('/').next()?;
    (scheme == Some("arn") && service == Some("sts")).then_some(name)
}

/// A date of RFC 3339, 5.6: letters of either case, a fraction of a second or none, any offset. The offset's colon may be missing,
/// as it is where `strftime` wrote it.
fn instant(text: &str) -> Option<SystemTime> {
    let text = text.to_ascii_uppercase();
    if text.ends_with('Z') {
        return humantime::parse_rfc3339(&text).ok();
    }
    let (date, time) = text.split_once('T')?;
    let (time, offset) = time.split_at(time.find(['+', '-'])?);
    let local = humantime::parse_rfc3339(&format!("{date}T{time}Z")).ok()?;
    let (sign, offset) = offset.split_at(1);
    let ahead = offset_from_utc(offset)?;
    if sign == "+" { local.checked_sub(ahead) } else { local.checked_add(ahead) }
}

/// `HH:MM`, or without the colon.
fn offset_from_utc(text: &str) -> Option<Duration> {
    let digits =
        text.split_at_checked(2).map(|(hours, rest)| (hours, rest.strip_prefix(':').unwrap_or(rest)));
    let number = |digits: &str, below: u64| {
        let is_two_digits = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|number| is_two_digits && *number < below)
    };
    let (hours, minutes) = digits?;
    Some(Duration::from_secs(number(hours, 24)? * 3600 + number(minutes, 60)? * 60))
}

/// An answer that says no, whatever its body is: STS's XML, JSON, a proxy's page, nothing.
fn refusal(request: &Request<'_>, reply: &Reply<'_>, date: Option<SystemTime>) -> Failure {
    let token = request.secret();
    let body = reply.body.get(..LONGEST_BODY).unwrap_or(reply.body);
    let text = String::from_utf8_lossy(body);
    let error = error_body(body).unwrap_or_default();

    let code = error.code.and_then(|code| clean_word(code.rsplit('#').next()?, token));
    let kind = FailureKind::of_answer(code.as_deref(), reply.status);
    let message = match (error.message.map(|message| clean(&message, token)), page_title(&text)) {
        (Some(message), _) if !message.is_empty() => message,
        (_, Some(title)) => format!("a page that is not STS's, titled {:?}", clean(title, token)),
        _ if code.is_some() => "without a message".to_owned(),
        _ if body.is_empty() => "with an empty body".to_owned(),
        _ => "with a body that is not STS's".to_owned(),
    };
    Failure {
        code,
        status: Some(reply.status),
        request_id: error.request_id.as_deref().or(reply.request_id).and_then(|id| clean_word(id, token)),
        retry_after: reply.retry_after.and_then(|wait| retry_after(wait, date)),
        ..Failure::new(kind, message)
    }
}

/// Seconds, or a date that is measured by the answer's own.
fn retry_after(text: &str, date: Option<SystemTime>) -> Option<Duration> {
    let wait = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text.trim()).ok()?.duration_since(date?).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The parts of an error body, as they stand there: somebody else's text, not yet fit to be passed on.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    /// `Code`.
    pub code: Option<String>,
    /// `Message`.
    pub message: Option<String>,
    /// `RequestId`.
    pub request_id: Option<String>,
}

/// The error in a body, XML or JSON; `None` where there is none.
pub fn error_body(body: &[u8]) -> Option<ErrorBody> {
    xml_error(body).or_else(|| json_error(&String::from_utf8_lossy(body)))
}

/// `<ErrorResponse><Error><Code/><Message/></Error><RequestId/></ErrorResponse>`, and what S3-like servers make of it.
fn xml_error(body: &[u8]) -> Option<ErrorBody> {
    let document = parse_xml(body)?;
    let named = |name: &str| document.descendants().find(|node| node.tag_name().name() == name);
    let error = named("Error")?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Some(ErrorBody {
        code: owned(child_text(error, "Code")),
        message: owned(child_text(error, "Message")),
        request_id: owned(named("RequestId").or_else(|| named("RequestID")).and_then(text)),
    })
}

/// `{"Error": {"Code": …, "Message": …}, "RequestId": …}` or `{"__type": …, "message": …}`. Not a JSON parser: it looks
/// for the names, which is enough to show a person what was said.
fn json_error(body: &str) -> Option<ErrorBody> {
    let field = |names: &[&str]| names.iter().find_map(|name| json_string(body, name));
    body.trim_start().starts_with('{').then(|| ErrorBody {
        code: field(&["Code", "code", "__type"]),
        message: field(&["Message", "message"]),
        request_id: field(&["RequestId", "requestId"]),
    })
}

/// The first string that is the value of `name`.
fn json_string(body: &str, name: &str) -> Option<String> {
    let name = format!("\"{name}\"");
    let value = body.match_indices(&name).find_map(|(at, _)| {
        body.get(at + name.len()..)?.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')
    })?;
    // Whatever is escaped is shown.
    rest_of_string(value.chars(), Some)
}

/// The title of an HTML page.
fn page_title(body: &str) -> Option<&str> {
    // ASCII only, so that both texts have the same offsets.
    let lower = body.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let length = lower.get(start..)?.find('<')?;
    body.get(start..start + length).filter(|title| !title.trim().is_empty())
}

/// No DTD, so no entities of the document's own.
fn parse_xml(body: &[u8]) -> Option<Document<'_>> {
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(std::str::from_utf8(body).ok()?, options).ok()
}

/// The one child of this name: where there are two, neither can be trusted to be the right one.
fn child<'a, 'input>(parent: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    let mut named = parent.children().filter(|node| node.tag_name().name() == name);
    let found = named.next()?;
    named.next().is_none().then_some(found)
}

fn child_text<'a>(parent: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(parent, name).and_then(text)
}

/// The text of an element that holds nothing else, without the white space of a pretty-printer.
fn text<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    let mut children = node.children();
    let text = children.next().filter(Node::is_text)?.text().map(str::trim)?;
    (children.next().is_none() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
