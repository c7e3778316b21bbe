//! What a client of each version sees, shown as if typed. Fails if anything is not as it should be.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use imds_contract::{HttpTokens, address};
use serde_json::Value;

use super::http::{Answer, request};
use crate::output::Output;

const LISTING: &str = "/latest/meta-data/iam/security-credentials/";
const TOKEN: &str = "/latest/api/token";
/// A path that IMDS has and the emulator has not.
const NOT_SERVED: &str = "/latest/user-data";
const TTL_HEADER: &str = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
const TOKEN_HEADER: &str = "X-aws-ec2-metadata-token";

/// Where IMDS is, and what it should serve.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) server: SocketAddr,
    /// The role's name.
    pub(crate) role: &'a str,
    pub(crate) http_tokens: HttpTokens,
}

/// Asks and shows; the credentials' remaining life.
pub(crate) async fn show(expected: &Expected<'_>, output: &Output) -> anyhow::Result<Duration> {
    let url = match expected.server.port() {
        address::IMDS_PORT => format!("http://{}", expected.server.ip()),
        port => format!("http://{}:{port}", expected.server.ip()),
    };
    let client = Client { url, server: expected.server, output };
    let document_path = format!("{LISTING}{}", expected.role);
    match expected.http_tokens {
        HttpTokens::Optional => {
            output.answer("")?;
            output.answer("# IMDSv1: two plain GETs")?;
            let listing = client.get(LISTING, None).await?;
            ensure!(listing == expected.role, "the listing should be {:?}", expected.role);
            check(&client.get(&document_path, None).await?)?;
        }
        HttpTokens::Required => {
            output.answer("")?;
            output.answer("# IMDSv1: this Pod requires IMDSv2")?;
            client.expect_status(LISTING, None, 401).await?;
        }
    }
    output.answer("")?;
    output.answer("# IMDSv2: a session token first")?;
    let token = client.put_token().await?;
    let listing = client.get(LISTING, Some(&token)).await?;
    ensure!(listing == expected.role, "the listing should be {:?}", expected.role);
    let left = check(&client.get(&document_path, Some(&token)).await?)?;
    output.answer("")?;
    output.answer("# Nothing else is served")?;
    client.expect_status(NOT_SERVED, Some(&token), 404).await?;
    output.answer("")?;
    Ok(left)
}

struct Client<'a> {
    url: String,
    server: SocketAddr,
    output: &'a Output,
}

impl Client<'_> {
    /// Shows the command and the answer, secrets shortened.
    async fn get(&self, path: &str, token: Option<&str>) -> anyhow::Result<String> {
        self.output.prompt(&format!("curl -s {}{}{path}", shell_header(token), self.url))?;
        let answer = self.ask("GET", path, &token_header(token)).await?;
        self.output.lines(&shorten_secrets(&answer.body))?;
        ensure!(answer.status == 200, "GET {path} was answered {}", answer.status);
        Ok(answer.body)
    }

    async fn put_token(&self) -> anyhow::Result<String> {
        self.output.prompt(&format!("TOKEN=$(curl -s -X PUT -H '{TTL_HEADER}' {}{TOKEN})", self.url))?;
        let answer = self.ask("PUT", TOKEN, &["Content-Length: 0".to_owned(), TTL_HEADER.to_owned()]).await?;
        ensure!(answer.status == 200, "PUT {TOKEN} was answered {}", answer.status);
        self.output.prompt("echo $TOKEN")?;
        self.output.answer(&shorten(&answer.body))?;
        Ok(answer.body)
    }

    async fn expect_status(&self, path: &str, token: Option<&str>, status: u16) -> anyhow::Result<()> {
        let shown =
            format!("curl -s -o /dev/null -w '%{{http_code}}\\n' {}{}{path}", shell_header(token), self.url);
        self.output.prompt(&shown)?;
        let answer = self.ask("GET", path, &token_header(token)).await?;
        self.output.answer(&answer.status.to_string())?;
        ensure!(answer.status == status, "GET {path} should be answered {status}");
        Ok(())
    }

    async fn ask(&self, method: &str, path: &str, headers: &[String]) -> anyhow::Result<Answer> {
        request(self.server, method, path, headers)
            .await
            .with_context(|| format!("{method} {}{path}", self.url))
    }
}

fn token_header(token: Option<&str>) -> Vec<String> {
    token.map(|token| format!("{TOKEN_HEADER}: {token}")).into_iter().collect()
}

fn shell_header(token: Option<&str>) -> String {
    token.map(|_| format!("-H \"{TOKEN_HEADER}: $TOKEN\" ")).unwrap_or_default()
}

/// Whether a client would take the document; the credentials' remaining life.
fn check(document: &str) -> anyhow::Result<Duration> {
    let document: Value = serde_json::from_str(document).context("the document should be JSON")?;
    let text = |field: &str| document.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    ensure!(text("Code") == Some("Success"), "the document's Code should be Success");
    for field in ["LastUpdated", "Type", "AccessKeyId", "SecretAccessKey", "Token"] {
        text(field).with_context(|| format!("the document's {field} is missing"))?;
    }
    let expiration = text("Expiration").context("the document's Expiration is missing")?;
    let expiration = humantime::parse_rfc3339(expiration).context("the document's Expiration is no time")?;
    expiration.duration_since(now()).ok().context("the credentials have expired")
}

#[expect(clippy::disallowed_methods, reason = "a client's clock, not the emulator's")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn shorten_secrets(document: &str) -> String {
    let parsed: Value = serde_json::from_str(document).unwrap_or_default();
    let secrets = ["SecretAccessKey", "Token"].iter().filter_map(|field| parsed.get(field)?.as_str());
    secrets.fold(document.to_owned(), |text, secret| text.replace(secret, &shorten(secret)))
}

/// Enough to compare two by eye.
fn shorten(secret: &str) -> String {
    secret.chars().take(4).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{
  "Code" : "Success",
  "LastUpdated" : "2020-01-01T00:00:00Z",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : "ASIAEXAMPLE000000001",
  "SecretAccessKey" : "wJalrXUtnFEMI/K7MDENG",
  "Token" : "FwoGZXIvYXdzEXAMPLE",
  "Expiration" : "2999-01-01T00:00:00Z"
}"#;

    #[test]
    fn secrets_are_shown_by_their_first_letters_alone() {
        let shown = shorten_secrets(DOCUMENT);
        assert!(
            shown.contains(r#""SecretAccessKey" : "wJal…""#) && shown.contains(r#""Token" : "FwoG…""#),
            "{shown}"
        );
        assert!(shown.contains("ASIAEXAMPLE000000001"), "the key's id is no secret");
        assert_eq!(shorten_secrets("my-example-role"), "my-example-role");
    }

    #[test]
    fn a_document_that_no_client_would_take_is_a_failure() {
        assert!(check(DOCUMENT).is_ok());
        for (from, to) in [
            ("Success", "AssumeRoleUnauthorizedAccess"),
            ("FwoGZXIvYXdzEXAMPLE", ""),
            ("2999", "2001"),
            ("2999-01-01T00:00:00Z", "soon"),
            ("{", "["),
        ] {
            assert!(check(&DOCUMENT.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }
}
