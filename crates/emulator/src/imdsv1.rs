//! Who still reads credentials by IMDSv1, by family of client, so that an owner knows when `http-tokens: required` refuses
//! nobody.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

/// What a client writes may be anything: of more families than these the rest is counted as one.
const MOST: usize = 20;
const LONGEST: usize = 32;
const OTHERS: &str = "other";
const NAMELESS: &str = "none";

/// Reads so far, by family.
#[derive(Debug, Default)]
pub struct Clients(Mutex<Vec<(String, u64)>>);

impl Clients {
    /// Counts one read. The family, where it is the first of its family.
    pub fn count(&self, user_agent: Option<&[u8]>) -> Option<String> {
        let family = family(user_agent);
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family = if families.len() < MOST || families.iter().any(|(known, _)| *known == family) {
            family
        } else {
            OTHERS.into()
        };
        if let Some((_, reads)) = families.iter_mut().find(|(known, _)| *known == family) {
            *reads += 1;
            return None;
        }
        families.push((family.clone().into_owned(), 1));
        Some(family.into_owned())
    }

    /// Reads by family, in the order in which the families came.
    pub fn reads(&self) -> Vec<(String, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The first product of a `User-Agent`, without its version: `Boto3` of `Boto3/1.44.5 md/Botocore…`.
/// Source: RFC 9110, 10.1.5.
fn family(user_agent: Option<&[u8]>) -> Cow<'_, str> {
    let Some(user_agent) = user_agent else { return NAMELESS.into() };
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let product = user_agent.iter().take_while(|byte| legal(byte)).take(LONGEST).count();
    match user_agent.get(..product).and_then(|product| std::str::from_utf8(product).ok()) {
        None | Some("") => NAMELESS.into(),
        Some(product) => product.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_the_first_product_without_its_version() {
        for (user_agent, expected) in [
            ("Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1", "Boto3"),
            ("aws-cli/1.45.11 Python/3.11", "aws-cli"),
            ("aws-sdk-nodejs/2.1693.0 linux/v20", "aws-sdk-nodejs"),
            ("curl/7.88.1", "curl"),
            ("Boto/2.49.0 Python/3.11.2 Linux/6.1", "Boto"),
            ("s3fs", "s3fs"),
            ("", "none"),
            ("/1.0", "none"),
            ("\"} evil 1", "none"),
            ("an-agent-with-a-name-that-does-not-end-at-all/1", "an-agent-with-a-name-that-does-n"),
        ] {
            assert_eq!(family(Some(user_agent.as_bytes())), expected, "{user_agent}");
        }
        assert_eq!(family(None), "none");
        assert_eq!(family(Some(b"\xff\xfe")), "none");
    }

    #[test]
    fn each_family_is_news_once() {
        let clients = Clients::default();
        assert_eq!(clients.count(Some(b"curl/7")), Some("curl".to_owned()));
        assert_eq!(clients.count(Some(b"curl/8")), None);
        assert_eq!(clients.count(None), Some("none".to_owned()));
        assert_eq!(clients.reads(), [("curl".to_owned(), 2), ("none".to_owned(), 1)]);
    }

    #[test]
    fn a_client_with_ever_new_names_fills_nothing() {
        let clients = Clients::default();
        for number in 0..1000 {
            clients.count(Some(format!("agent{number}/1").as_bytes()));
        }
        let reads = clients.reads();
        assert_eq!(reads.len(), MOST + 1);
        assert_eq!(reads.last(), Some(&("other".to_owned(), 1000 - MOST as u64)));
        assert_eq!(clients.count(Some(b"agent3/2")), None, "those that are known go on");
    }
}
