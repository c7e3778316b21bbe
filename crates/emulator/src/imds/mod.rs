//! IMDS itself: a request and what is known now in, an answer out. Pure: no socket, no clock, no STS.

mod metadata;
mod page;
mod path;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use imds_contract::{AllowedHosts, HttpTokens, RoleArn};
use imds_sts::Secret;
use subtle::ConstantTimeEq as _;

use crate::clock::Now;
use crate::credentials::Credentials;
use crate::token::{TokenKey, Ttl};
use path::Resource;

pub use metadata::{Facts, Tree};

/// What is read of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, without the query.
    pub path: &'a str,
    /// `X-aws-ec2-metadata-token`, where present.
    pub token: Option<&'a [u8]>,
    /// `X-aws-ec2-metadata-token-ttl-seconds`, where present.
    pub ttl: Option<&'a [u8]>,
    /// Whether there is an `X-Forwarded-For`: a proxy speaks for somebody else.
    pub forwarded: bool,
    /// The host that is meant: of the target, else `Host`.
    pub host: Option<&'a [u8]>,
    /// `Authorization`, where present.
    pub authorization: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// A request with none of the headers.
    pub fn new(method: &'a Method, path: &'a str) -> Self {
        Self { method, path, token: None, ttl: None, forwarded: false, host: None, authorization: None }
    }
}

/// What is answered. The body may be the document, so it does not print.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
    /// Of the body.
    pub content_type: ContentType,
    /// `X-Aws-Ec2-Metadata-Token-Ttl-Seconds`: how long the token is still valid.
    pub token_ttl: Option<u32>,
    /// `Last-Modified`: when the credentials came.
    pub last_modified: Option<HeaderValue>,
    /// `Allow`, for a method that is not.
    pub allow: Option<&'static str>,
}

/// What was asked for, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Which kind of resource.
    pub class: Class,
    /// In which version of the protocol.
    pub version: Version,
}

impl Asked {
    /// Whether a role's name or a document was asked for without a session token.
    pub fn is_v1_read(self) -> bool {
        matches!(self, Self { class: Class::Roles | Class::Document, version: Version::V1 })
    }
}

/// `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// `text/plain`: tokens, lists and, as in the real service, the document.
    Plain,
    /// `text/html`: errors.
    Html,
    /// `application/json`: what the container credentials endpoint answers.
    Json,
}

/// Which kind of resource was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A session token.
    Token,
    /// The role's name.
    Roles,
    /// The document.
    Document,
    /// The list of versions.
    Versions,
    /// The container credentials endpoint.
    Container,
    /// Another path of a known version, served or not.
    Metadata,
    /// Everything else.
    Other,
}

/// Which version of the protocol the client spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Without a session token.
    V1,
    /// With one, or asking for one.
    V2,
    /// What is not IMDS: the container credentials endpoint.
    Neither,
}

const ALLOW_TOKEN: &str = "OPTIONS, PUT";
const ALLOW_DATA: &str = "OPTIONS, GET, HEAD";

/// The service: what does not change in the life of the process.
#[derive(Debug)]
pub struct Imds {
    /// The role whose credentials are served.
    pub role: RoleArn,
    /// Whether IMDSv1 is served.
    pub http_tokens: HttpTokens,
    /// This process's session tokens.
    pub tokens: TokenKey,
    /// What is served beside the credentials.
    pub metadata: Tree,
    /// What opens the container credentials endpoint; `None`: there is none.
    pub authorization: Option<Secret>,
    /// The hosts that requests may be for; `None`: any.
    pub allowed_hosts: Option<AllowedHosts>,
}

impl Imds {
    /// The service of a role as GKE on AWS's emulator has it: the credential paths alone, for any host.
    pub fn new(role: RoleArn, http_tokens: HttpTokens, tokens: TokenKey) -> Self {
        Self {
            role,
            http_tokens,
            tokens,
            metadata: Tree::default(),
            authorization: None,
            allowed_hosts: None,
        }
    }

    /// Answers a request with the credentials that there are.
    pub fn respond(
        &self,
        request: &Request<'_>,
        credentials: Option<&Credentials>,
        now: Now,
    ) -> (Asked, Answer) {
        let path = path::normalised(request.path);
        let resource = Resource::of(path.as_deref());
        let class = match resource {
            Resource::Token | Resource::TokenWithSlash => Class::Token,
            Resource::Roles => Class::Roles,
            Resource::Role(_) => Class::Document,
            Resource::Root => Class::Versions,
            Resource::ContainerCredentials => Class::Container,
            Resource::Metadata(_) => Class::Metadata,
            Resource::Unknown | Resource::Malformed => Class::Other,
        };
        let version = match class {
            Class::Container => Version::Neither,
            Class::Token => Version::V2,
            _ if request.token.is_some() => Version::V2,
            _ => Version::V1,
        };
        (Asked { class, version }, self.decide(request, &resource, credentials, now))
    }

    fn decide(
        &self,
        request: &Request<'_>,
        resource: &Resource<'_>,
        credentials: Option<&Credentials>,
        now: Now,
    ) -> Answer {
        let meant = |allowed: &AllowedHosts| request.host.is_none_or(|host| allowed.allow(host));
        if !self.allowed_hosts.as_ref().is_none_or(meant) {
            return Answer::empty(StatusCode::FORBIDDEN);
        }
        // As the real service: IMDSv2 alone knows of proxies. Where tokens are required nothing else is left.
        if request.forwarded && (request.method == Method::PUT || request.token.is_some()) {
            return Answer::empty(StatusCode::FORBIDDEN);
        }
        let token_path = matches!(resource, Resource::Token | Resource::TokenWithSlash);
        let allow = if token_path { ALLOW_TOKEN } else { ALLOW_DATA };
        match (request.method, resource) {
            (_, Resource::Malformed) => Answer::page(StatusCode::BAD_REQUEST),
            (&Method::OPTIONS, _) => Answer { allow: Some(allow), ..Answer::empty(StatusCode::OK) },
            (&Method::PUT, Resource::Token) => self.issue_token(request.ttl, now.boot),
            (&Method::PUT, Resource::TokenWithSlash) => Answer::empty(StatusCode::FORBIDDEN),
            (&Method::GET | &Method::HEAD, Resource::ContainerCredentials) => {
                self.container_credentials(request, credentials, now)
            }
            (&Method::GET | &Method::HEAD, _) if !token_path => match self.authorize(request.token, now.boot)
            {
                Ok(token_ttl) => Answer { token_ttl, ..self.read(resource, credentials, now) },
                Err(Unauthorized) => Answer::page(StatusCode::UNAUTHORIZED),
            },
            _ => Answer { allow: Some(allow), ..Answer::page(StatusCode::METHOD_NOT_ALLOWED) },
        }
    }

    fn issue_token(&self, ttl: Option<&[u8]>, now: Duration) -> Answer {
        let Some(ttl) = ttl.and_then(Ttl::parse) else { return Answer::page(StatusCode::BAD_REQUEST) };
        match self.tokens.seal(ttl, now) {
            Ok(token) => Answer { token_ttl: Some(ttl.as_secs()), ..Answer::plain(token.into()) },
            Err(_) => Answer::page(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    /// Checks the token: how long it is still valid, or `None` where none was sent and none is needed. A token that is
    /// present must be good even where none is needed: clients test for IMDSv2 that way.
    fn authorize(&self, token: Option<&[u8]>, now: Duration) -> Result<Option<u32>, Unauthorized> {
        match (token, self.http_tokens) {
            (Some(token), _) => self.tokens.open(token, now).map(Some).ok_or(Unauthorized),
            (None, HttpTokens::Optional) => Ok(None),
            (None, HttpTokens::Required) => Err(Unauthorized),
        }
    }

    /// The document, for clients that know ECS and EKS: they find the same keys in it. Whether `Authorization` has to be there
    /// follows IMDS: a client from before its file was invented is served where IMDSv1 is, and a wrong value never.
    fn container_credentials(
        &self,
        request: &Request<'_>,
        credentials: Option<&Credentials>,
        now: Now,
    ) -> Answer {
        let Some(expected) = &self.authorization else { return Answer::page(StatusCode::NOT_FOUND) };
        let authorized = match (request.authorization, self.http_tokens) {
            (Some(given), _) => given.ct_eq(expected.expose().as_bytes()).into(),
            (None, HttpTokens::Optional) => true,
            (None, HttpTokens::Required) => false,
        };
        let valid = credentials.filter(|credentials| credentials.are_valid(now));
        match valid {
            _ if request.forwarded => Answer::json_error(StatusCode::FORBIDDEN, page::FORWARDED),
            _ if !authorized => Answer::json_error(StatusCode::UNAUTHORIZED, page::NOT_AUTHORIZED),
            None => Answer::json_error(StatusCode::SERVICE_UNAVAILABLE, page::NO_CREDENTIALS),
            Some(credentials) => {
                Answer { content_type: ContentType::Json, ..Answer::plain(credentials.document()) }
            }
        }
    }

    fn read(&self, resource: &Resource<'_>, credentials: Option<&Credentials>, now: Now) -> Answer {
        let valid = credentials.filter(|credentials| credentials.are_valid(now));
        match (resource, valid) {
            (Resource::Root, _) => Answer::plain(Bytes::from_static(page::VERSIONS.as_bytes())),
            (Resource::Role(role), _) if *role != self.role.name() => Answer::page(StatusCode::NOT_FOUND),
            (Resource::Roles | Resource::Role(_), None) => Answer::page(StatusCode::SERVICE_UNAVAILABLE),
            (Resource::Roles, Some(credentials)) => Answer {
                last_modified: Some(credentials.last_modified()),
                ..Answer::plain(Bytes::copy_from_slice(self.role.name().as_bytes()))
            },
            (Resource::Role(_), Some(credentials)) => Answer {
                last_modified: Some(credentials.last_modified()),
                ..Answer::plain(credentials.document())
            },
            (Resource::Metadata(path), _) => {
                self.metadata.read(path).map_or_else(|| Answer::page(StatusCode::NOT_FOUND), Answer::plain)
            }
            _ => Answer::page(StatusCode::NOT_FOUND),
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// The token is missing where one is needed, or is none of ours, or has expired.
struct Unauthorized;

impl Answer {
    /// To a request whose body is too long.
    pub fn too_long() -> Self {
        Self::page(StatusCode::PAYLOAD_TOO_LARGE)
    }

    fn json_error(status: StatusCode, body: &'static str) -> Self {
        Self { body: body.into(), content_type: ContentType::Json, ..Self::empty(status) }
    }

    fn plain(body: Bytes) -> Self {
        Self { body, content_type: ContentType::Plain, ..Self::empty(StatusCode::OK) }
    }

    fn empty(status: StatusCode) -> Self {
        Self {
            status,
            body: Bytes::new(),
            content_type: ContentType::Plain,
            token_ttl: None,
            last_modified: None,
            allow: None,
        }
    }

    /// The service's error page for this status.
    fn page(status: StatusCode) -> Self {
        let body = match status {
            StatusCode::BAD_REQUEST => page::BAD_REQUEST,
            StatusCode::UNAUTHORIZED => page::UNAUTHORIZED,
            StatusCode::METHOD_NOT_ALLOWED => page::NOT_ALLOWED,
            StatusCode::PAYLOAD_TOO_LARGE => page::PAYLOAD_TOO_LARGE,
            StatusCode::SERVICE_UNAVAILABLE => page::UNAVAILABLE,
            _ => page::NOT_FOUND,
        };
        Self { body: body.into(), content_type: ContentType::Html, ..Self::empty(status) }
    }
}

#[cfg(test)]
mod tests;
