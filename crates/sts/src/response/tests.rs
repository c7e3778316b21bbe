//! AWS's own answers, its stand-ins' and what else may come.

use proptest::prelude::*;

use super::*;
use crate::{AssumeRole, AssumeRoleWithWebIdentity, Remedy};

const TOKEN: &str =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg";

/// AWS's form, element order as documented in the API reference.
const GOOD: &str = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:shop:web</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/my-role/shop.web</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:shop.web</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE==</SessionToken>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
      <Expiration>2014-10-24T23:00:23Z</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
    <Provider>arn:aws:iam::123456789012:oidc-provider/oidc.example.com</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#;

fn reply(status: u16, body: &[u8]) -> Reply<'_> {
    Reply { status, date: None, retry_after: None, request_id: None, body }
}

fn decode_for_my_role(reply: &Reply<'_>) -> Result<Answer, Failure> {
    let request = AssumeRoleWithWebIdentity {
        role_arn: &"arn:aws:iam::123456789012:role/team/my-role".parse().unwrap(),
        session_name: &"shop.web".parse().unwrap(),
        duration: imds_contract::SessionDuration::DEFAULT,
        token: &TOKEN.into(),
    };
    decode(&request.into(), reply)
}

/// The answer to somebody who shows the credentials of [`GOOD`], [`TOKEN`] in the place of their session token.
fn decode_for_a_further_role(reply: &Reply<'_>) -> Result<Answer, Failure> {
    let Answer { credentials, .. } =
        good(&GOOD.replace("AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE==", TOKEN));
    let hop = imds_contract::Hop {
        role_arn: "arn:aws:iam::444455556666:role/reader".parse().unwrap(),
        external_id: None,
    };
    let request = AssumeRole {
        hop: &hop,
        session_name: &"shop.web".parse().unwrap(),
        duration: imds_contract::SessionDuration::DEFAULT,
        credentials: &credentials,
        time: expiration(),
    };
    decode(&request.into(), reply)
}

fn good(body: &str) -> Answer {
    decode_for_my_role(&reply(200, body.as_bytes())).unwrap()
}

fn failed(status: u16, body: &str) -> Failure {
    decode_for_my_role(&reply(status, body.as_bytes())).unwrap_err()
}

/// 2014-10-24T23:00:23Z.
fn expiration() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_414_191_623)
}

#[test]
fn reads_what_aws_answers() {
    let answer = decode_for_my_role(&Reply {
        date: Some("Fri, 24 Oct 2014 22:00:23 GMT"),
        ..reply(200, GOOD.as_bytes())
    })
    .unwrap();
    let credentials = &answer.credentials;
    assert_eq!(credentials.access_key_id, "ASgeIAIOSFODNN7EXAMPLE");
    assert_eq!(credentials.secret_access_key.expose(), "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY");
    assert_eq!(credentials.session_token.expose(), "AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE==");
    assert_eq!(credentials.expiration, expiration());
    assert_eq!(answer.date, Some(expiration() - Duration::from_hours(1)));
    assert_eq!(
        answer.assumed_role_arn.as_deref(),
        Some("arn:aws:sts::123456789012:assumed-role/my-role/shop.web")
    );
    let debug = format!("{answer:?}");
    assert!(!debug.contains("EXAMPLE") && debug.contains("expiration"), "{debug}");
}

#[test]
fn order_prefixes_and_spaces_do_not_matter() {
    let body = r#"<?xml version="1.0" encoding="UTF-8"?>
        <s:AssumeRoleWithWebIdentityResponse xmlns:s="urn:other"><s:ResponseMetadata/>
        <s:AssumeRoleWithWebIdentityResult><s:Credentials><s:Expiration>
        2014-10-24T23:00:23Z </s:Expiration><s:AccessKeyId> A</s:AccessKeyId>
        <s:SecretAccessKey><![CDATA[B&]]></s:SecretAccessKey><s:SessionToken>C&amp;&lt;&#x2F;</s:SessionToken>
        </s:Credentials></s:AssumeRoleWithWebIdentityResult></s:AssumeRoleWithWebIdentityResponse>"#;
    let answer = good(body);
    assert_eq!(answer.credentials.access_key_id, "A");
    assert_eq!(answer.credentials.secret_access_key.expose(), "B&");
    assert_eq!(answer.credentials.session_token.expose(), "C&</");
    assert_eq!(answer.assumed_role_arn, None);
}

#[test]
fn an_expiration_is_kept_as_it_is() {
    for (text, after) in [
        ("2014-10-24T23:00:23Z", Duration::ZERO),
        ("2014-10-24T23:00:23.5Z", Duration::from_millis(500)),
        ("2014-10-24T23:00:23.000001Z", Duration::from_micros(1)),
        ("2014-10-24T23:00:23+00:00", Duration::ZERO),
        ("2014-10-24T23:00:23.250+00:00", Duration::from_millis(250)),
        ("2014-10-24t23:00:23z", Duration::ZERO),
        ("2014-10-25T01:00:23+02:00", Duration::ZERO),
        ("2014-10-25T01:00:23.5+0200", Duration::from_millis(500)),
        ("2014-10-24T13:30:23-09:30", Duration::ZERO),
        ("2014-10-24T23:00:23-00:00", Duration::ZERO),
    ] {
        let answer = good(&GOOD.replace("2014-10-24T23:00:23Z", text));
        assert_eq!(answer.credentials.expiration, expiration() + after, "{text}");
    }
}

#[test]
fn an_expiration_that_is_no_date_makes_the_answer_unusable() {
    for text in [
        "",
        "soon",
        "1414191623",
        "2014-10-24",
        "2014-10-24T23:00:23",
        "2014-10-24T23:00:23+02",
        "2014-10-24T23:00:23+2:00",
        "2014-10-24T23:00:23+24:00",
        "2014-10-24T23:00:23+02:60",
        "2014-10-24T23:00:23+02:00Z",
        "2014-10-24T23:00:23+\u{e9}\u{e9}",
        "2014-10-24T+02:00",
        "2014-13-24T23:00:23Z",
        "1914-10-24T23:00:23Z",
        "12014-10-24T23:00:23Z",
    ] {
        let failure = failed(200, &GOOD.replace("2014-10-24T23:00:23Z", text));
        assert_eq!(failure.kind, FailureKind::UnusableAnswer, "{text}");
        assert!(failure.to_string().contains("Expiration"), "{failure}");
    }
}

#[test]
fn a_key_that_would_break_json_makes_the_answer_unusable() {
    let keys = [
        "ASgeIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY",
        "AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE==",
    ];
    for key in keys {
        for wrong in [
            "",
            " ",
            "a\"b",
            "a\\b",
            "a b",
            "a\nb",
            "a&#10;b",
            "a&#0;b",
            "é",
            "a<b/>c",
            "a<!-- -->c",
            "<b>a</b>",
        ] {
            let failure = failed(200, &GOOD.replace(key, wrong));
            assert_eq!(
                (failure.kind, failure.remedy),
                (FailureKind::UnusableAnswer, Remedy::Retry),
                "{wrong:?}"
            );
            assert!(keys.iter().all(|key| !failure.to_string().contains(key)), "{failure}");
        }
    }
}

#[test]
fn reads_what_aws_answers_to_a_further_role() {
    let body = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <AssumeRoleResult>
          <AssumedRoleUser>
            <AssumedRoleId>AROAEXAMPLE:shop.web</AssumedRoleId>
            <Arn>arn:aws:sts::444455556666:assumed-role/reader/shop.web</Arn>
          </AssumedRoleUser>
          <Credentials>
            <AccessKeyId>ASIAEXAMPLE000000002</AccessKeyId><SecretAccessKey>second</SecretAccessKey>
            <SessionToken>secondtoken</SessionToken><Expiration>2014-10-24T23:00:23Z</Expiration>
          </Credentials>
        </AssumeRoleResult>
        <ResponseMetadata><RequestId>d9d47248-fd55-4686-ad7c-0fb7cd1cddd7</RequestId></ResponseMetadata>
      </AssumeRoleResponse>"#;
    let answer = decode_for_a_further_role(&reply(200, body.as_bytes())).unwrap();
    assert_eq!(answer.credentials.access_key_id, "ASIAEXAMPLE000000002");
    assert_eq!(answer.credentials.expiration, expiration());
    for other in [GOOD, &body.replace("reader", "writer")] {
        let failure = decode_for_a_further_role(&reply(200, other.as_bytes())).unwrap_err();
        assert_eq!(failure.kind, FailureKind::UnusableAnswer, "{other}");
    }
}

/// AWS repeats what it would have signed, the session token in it.
#[test]
fn a_refused_signature_brings_no_session_token_back() {
    let body = format!(
        "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>The Canonical String for this request should have \
         been 'POST\n/\n\nx-amz-security-token:{TOKEN}\n'</Message></Error></ErrorResponse>"
    );
    let failure = decode_for_a_further_role(&reply(403, body.as_bytes())).unwrap_err();
    assert_eq!(failure.code.as_deref(), Some("SignatureDoesNotMatch"));
    assert!(failure.message.ends_with("x-amz-security-token:[token] '"), "{failure}");
}

#[test]
fn an_answer_with_a_part_missing_or_twice_is_unusable() {
    for name in ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "Credentials"] {
        let missing = failed(200, &GOOD.replace(name, "Other"));
        assert_eq!(missing.to_string(), format!("STS answered 200: but without {name}"));
        let twice = GOOD.replace(&format!("<{name}>"), &format!("<{name}>x</{name}><{name}>"));
        assert_eq!(failed(200, &twice).kind, FailureKind::UnusableAnswer, "{name}");
    }
}

#[test]
fn credentials_of_another_role_are_never_taken() {
    let failure = failed(200, &GOOD.replace("assumed-role/my-role/", "assumed-role/your-role/"));
    assert_eq!(failure.to_string(), "STS answered 200: but with credentials of another role");
    // A stand-in that says something else there says nothing about the role.
    for other in ["arn:aws:iam::123456789012:user/me", "me", ""] {
        good(&GOOD.replace("arn:aws:sts::123456789012:assumed-role/my-role/shop.web", other));
    }
}

#[test]
fn what_is_not_sts_xml_is_unusable() {
    let deep = "<a>".repeat(20_000);
    let wide = GOOD.replace("<Audience>", &format!("{}<Audience>", "<x/>".repeat(1000)));
    let dtd = format!("<!DOCTYPE a [<!ENTITY e \"x\">]>{GOOD}");
    let long = GOOD.replace("<Audience>", &format!("{}<Audience>", " ".repeat(LONGEST_BODY)));
    for body in [
        "",
        "ok",
        "<html></html>",
        r#"{"AssumeRoleWithWebIdentityResponse":{}}"#,
        &GOOD[..900],
        &deep,
        &wide,
        &dtd,
        &long,
    ] {
        assert_eq!(failed(200, body).kind, FailureKind::UnusableAnswer, "{body:.60}");
    }
    assert_eq!(failed(204, "").kind, FailureKind::UnusableAnswer);
    assert_eq!(failed(302, "").kind, FailureKind::UnusableAnswer);
}

#[test]
fn reads_an_error_of_aws() {
    let body = r#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <Error><Type>Sender</Type><Code>AccessDenied</Code>
        <Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error>
        <RequestId>4d3b1b1a-0c5a-4d5f-8b0e-0123456789ab</RequestId></ErrorResponse>"#;
    let failure = failed(403, body);
    assert_eq!((failure.kind, failure.remedy), (FailureKind::Denied, Remedy::GiveUpSlowly));
    assert_eq!((failure.status, failure.code.as_deref()), (Some(403), Some("AccessDenied")));
    assert_eq!(
        failure.to_string(),
        "STS answered 403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity \
         (request 4d3b1b1a-0c5a-4d5f-8b0e-0123456789ab)"
    );
}

#[test]
fn reads_errors_of_other_forms() {
    for (status, body, shown) in [
        (
            400,
            "<Error><Code>ValidationError</Code><Message>a &amp; b</Message></Error>",
            "STS answered 400 ValidationError: a & b",
        ),
        (
            400,
            r#"{"Error":{"Code":"ExpiredTokenException","Message":"Token \"x\" \u0065xpired","Type":"Sender"},"RequestId":"r-1"}"#,
            "STS answered 400 ExpiredTokenException: Token \"x\" expired (request r-1)",
        ),
        (
            400,
            r#" {"__type" : "com.amazonaws.sts#InvalidIdentityToken", "message":"no"}"#,
            "STS answered 400 InvalidIdentityToken: no",
        ),
        (400, r#"{"Code":"ValidationError","Message":"a\qb"}"#, "STS answered 400 ValidationError: aqb"),
        (
            503,
            "<!DOCTYPE html><html><head><TITLE>Bad\n day</TITLE></head><body>…</body></html>",
            "STS answered 503: a page that is not STS's, titled \"Bad day\"",
        ),
        (500, "", "STS answered 500: with an empty body"),
        (500, "oops", "STS answered 500: with a body that is not STS's"),
        (500, r#"{"Code":"Internal"#, "STS answered 500: with a body that is not STS's"),
        (429, "<Error><Code>Throttling</Code></Error>", "STS answered 429 Throttling: without a message"),
    ] {
        assert_eq!(failed(status, body).to_string(), shown);
    }
}

#[test]
fn an_error_does_not_echo_the_token() {
    for (status, body) in [
        (
            400,
            format!("<Error><Code>InvalidIdentityToken</Code><Message>bad token: {TOKEN}</Message></Error>"),
        ),
        (400, format!("<Error><Code>{}</Code><Message>x</Message></Error>", &TOKEN[..34])),
        (400, format!(r#"{{"message":"{TOKEN}","RequestId":"{}"}}"#, &TOKEN[40..60])),
        (502, format!("<title>{TOKEN}</title>")),
    ] {
        let shown = format!("{:?}", failed(status, &body));
        assert!(!shown.contains(&TOKEN[..16]) && !shown.contains(&TOKEN[40..56]), "{shown}");
    }
}

#[test]
fn reads_how_long_to_wait() {
    for (wait, seconds) in [
        ("7", Some(7)),
        (" 0 ", Some(0)),
        ("99999999999", Some(3600)),
        ("Fri, 24 Oct 2014 22:00:33 GMT", Some(10)),
        ("Fri, 24 Oct 2014 21:00:33 GMT", Some(0)),
        ("-1", None),
        ("later", None),
    ] {
        let failure = decode_for_my_role(&Reply {
            date: Some("Fri, 24 Oct 2014 22:00:23 GMT"),
            retry_after: Some(wait),
            request_id: Some("r-2"),
            ..reply(503, b"")
        })
        .unwrap_err();
        assert_eq!(failure.retry_after, seconds.map(Duration::from_secs), "{wait}");
        assert_eq!(failure.request_id.as_deref(), Some("r-2"));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(status in 100u16..600, body: Vec<u8>, header in ".*") {
        let answer = decode_for_my_role(&Reply {
            status,
            date: Some(&header),
            retry_after: Some(&header),
            request_id: Some(&header),
            body: &body,
        });
        prop_assert!(answer.is_err());
    }

    /// Bytes changed in a good answer: whatever is still accepted keeps the invariant.
    #[test]
    fn a_damaged_answer_is_refused_or_safe(
        at in 0..GOOD.len(),
        remove in 0usize..40,
        insert in "[\"\\\\ <>&;/a-zA-Zé\u{0}\n]{0,8}",
        status in prop_oneof![Just(200u16), Just(400), Just(503)],
    ) {
        let mut body = GOOD.as_bytes().to_vec();
        body.splice(at..(at + remove).min(GOOD.len()), insert.bytes());
        if let Ok(Answer { credentials, .. }) = decode_for_my_role(&reply(status, &body)) {
            let keys = [
                credentials.access_key_id.as_str(),
                credentials.secret_access_key.expose(),
                credentials.session_token.expose(),
            ];
            for key in keys {
                prop_assert!(!key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'));
            }
        }
    }

    #[test]
    fn json_like_text_is_safe(body in r#"\{("Code"|"Message"|[:,"\\ u0-9a-f]|é){0,40}"#) {
        prop_assert_eq!(failed(400, &body).status, Some(400));
    }
}
