//! Whether a web identity token is good, and whether it may have the role: pure, time is an argument.
//!
//! The order is that in which each check makes sense (form, issuer, key, signature, time, audience, trust); AWS's own
//! is not published. Nothing of the token is believed before its signature, but for naming the issuer and the key.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use imds_contract::{RoleArn, SessionDuration};
use serde_json::Value;

use crate::issuer::seconds;
use crate::key::{Algorithm, PublicKey};
use crate::refusal::Refusal;
use crate::signature::Caller;
use crate::{Role, TrustedRole};

/// What STS knows of the issuer: an IAM OIDC identity provider.
pub(crate) struct Provider<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) keys: &'a [PublicKey],
    pub(crate) audience: &'a str,
}

/// Whom a good token names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) subject: String,
    pub(crate) audience: String,
}

/// Checks a token's form, issuer, signature, time and audience.
pub(crate) fn token(raw: &str, provider: &Provider<'_>, now: SystemTime) -> Result<Identity, Refusal> {
    let (signed, signature) = raw.rsplit_once('.').ok_or(Refusal::NotAJwt)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::NotAJwt)?;
    let (header, claims) = (json(header)?, json(claims)?);
    let signature = decode(signature)?;
    let algorithm =
        header.get("alg").and_then(Value::as_str).and_then(Algorithm::named).ok_or(Refusal::NotAJwt)?;

    let issuer = claims.get("iss").and_then(Value::as_str).ok_or(Refusal::MissingClaim("iss"))?;
    if issuer != provider.issuer {
        return Err(Refusal::UnknownIssuer { issuer: issuer.to_owned() });
    }
    let id = header.get("kid").and_then(Value::as_str);
    let key = provider.keys.iter().find(|key| Some(&*key.id) == id).ok_or(Refusal::UnknownKey)?;
    if !key.verifies(algorithm, signed.as_bytes(), &signature) {
        return Err(Refusal::BadSignature);
    }

    let now = seconds(now);
    let expiry = claims.get("exp").and_then(Value::as_u64).ok_or(Refusal::MissingClaim("exp"))?;
    if now >= expiry {
        return Err(Refusal::Expired { now, expiry });
    }
    // Optional in a JWT: absent means valid from the start.
    if claims.get("nbf").and_then(Value::as_u64).is_some_and(|not_before| now < not_before) {
        return Err(Refusal::NotYetValid);
    }
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(Refusal::MissingClaim("sub"))?;
    match claims.get("aud").ok_or(Refusal::MissingClaim("aud"))? {
        Value::String(one) if one == provider.audience => {}
        Value::Array(several) if several.iter().any(|one| one == provider.audience) => {}
        _ => return Err(Refusal::WrongAudience),
    }
    Ok(Identity { subject: subject.to_owned(), audience: provider.audience.to_owned() })
}

/// The role that is asked for, when it exists, trusts the subject and may last so long (in seconds).
pub(crate) fn role<'a>(
    roles: &'a [Role],
    arn: &RoleArn,
    identity: &Identity,
    duration: u32,
) -> Result<&'a Role, Refusal> {
    let role = roles
        .iter()
        .find(|role| role.arn == *arn && role.subjects.contains(&identity.subject))
        .ok_or(Refusal::NotTrusted)?;
    if duration > role.max_session.as_secs() {
        return Err(Refusal::DurationOverMaximum);
    }
    Ok(role)
}

/// The role that is asked for by the session of another role, when it exists, trusts that one and may last so long (in
/// seconds).
pub(crate) fn chained_role<'a>(
    roles: &'a [Role],
    arn: &RoleArn,
    caller: &Caller,
    external_id: Option<&str>,
    duration: u32,
) -> Result<&'a Role, Refusal> {
    let trusts = |trust: &TrustedRole| {
        trust.arn == caller.role
            && (trust.external_id.is_none() || trust.external_id.as_deref() == external_id)
    };
    let role = roles.iter().find(|role| role.arn == *arn && role.trusted_roles.iter().any(trusts));
    let role = role.ok_or_else(|| Refusal::NotTrustedByRole { caller: caller.arn(), role: arn.clone() })?;
    if duration > SessionDuration::DEFAULT.as_secs() {
        return Err(Refusal::ChainedTooLong);
    }
    Ok(role)
}

fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::NotAJwt)
}

fn json(part: &str) -> Result<Value, Refusal> {
    serde_json::from_slice(&decode(part)?).map_err(|_| Refusal::NotAJwt)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::{Claims, ForeignIssuer, Issuer};

    const ISSUER: &str = "https://127.0.0.1:8443";
    const AUDIENCE: &str = "sts.amazonaws.com";

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }

    fn claims() -> Claims {
        Claims { lifetime: Duration::from_hours(1), ..Claims::new("default", "web", "nginx") }
    }

    fn check(issuer: &Issuer, token: &str, now: SystemTime) -> Result<Identity, Refusal> {
        let keys = issuer.public_keys();
        super::token(token, &Provider { issuer: ISSUER, keys: &keys, audience: AUDIENCE }, now)
    }

    #[test]
    fn a_good_token_names_its_subject_until_the_second_of_its_expiry() {
        let issuer = Issuer::new(ISSUER);
        let token = issuer.mint(&claims(), now());
        let identity = check(&issuer, &token, now()).unwrap();
        assert_eq!(identity.subject, "system:serviceaccount:default:web");
        assert!(check(&issuer, &token, now() + Duration::from_secs(3599)).is_ok());
        let late = check(&issuer, &token, now() + Duration::from_hours(1)).unwrap_err();
        assert_eq!((late.code(), late.status().as_u16()), ("ExpiredTokenException", 400));
        assert_eq!(
            late.to_string(),
            "Token expired: current date/time 1700003600 must be before the expiration date/time1700003600"
        );
    }

    #[test]
    fn each_wrong_token_has_its_own_aws_error() {
        let issuer = Issuer::new(ISSUER);
        let stranger = Issuer::new(ISSUER);
        let good = issuer.mint(&claims(), now());
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (header, body) = signed.split_once('.').unwrap();
        let other = issuer.mint(&Claims::new("kube-system", "admin", "evil"), now());
        let other_body = other.split('.').nth(1).unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let symmetric = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
        let exp = 1_700_003_600_u64;
        let sub = "system:serviceaccount:default:web";

        let not_a_jwt = Refusal::NotAJwt;
        for (what, token, refusal) in [
            ("empty", String::new(), not_a_jwt.clone()),
            ("no JWT", "not-a-jwt".to_owned(), not_a_jwt.clone()),
            ("two parts", signed.to_owned(), not_a_jwt.clone()),
            ("four parts", format!("{good}.x"), not_a_jwt.clone()),
            ("no base64", format!("!!.{body}.{signature}"), not_a_jwt.clone()),
            ("a trailing newline", format!("{good}\n"), not_a_jwt.clone()),
            ("alg none", format!("{none}.{body}."), not_a_jwt.clone()),
            ("alg of a shared secret", format!("{symmetric}.{body}.{signature}"), not_a_jwt),
            ("no signature", format!("{signed}."), Refusal::BadSignature),
            ("another body", format!("{header}.{other_body}.{signature}"), Refusal::BadSignature),
            ("a stranger's key", stranger.mint(&claims(), now()), Refusal::UnknownKey),
            (
                "another issuer",
                Issuer::new("https://elsewhere").mint(&claims(), now()),
                Refusal::UnknownIssuer { issuer: "https://elsewhere".to_owned() },
            ),
            ("no iss", issuer.sign(&json!({ "exp": exp })), Refusal::MissingClaim("iss")),
            (
                "no exp",
                issuer.sign(&json!({ "iss": ISSUER, "sub": sub, "aud": AUDIENCE })),
                Refusal::MissingClaim("exp"),
            ),
            (
                "no sub",
                issuer.sign(&json!({ "iss": ISSUER, "exp": exp, "aud": AUDIENCE })),
                Refusal::MissingClaim("sub"),
            ),
            (
                "no aud",
                issuer.sign(&json!({ "iss": ISSUER, "exp": exp, "sub": sub })),
                Refusal::MissingClaim("aud"),
            ),
            (
                "expired",
                issuer.mint(&claims(), now() - Duration::from_hours(2)),
                Refusal::Expired { now: 1_700_000_000, expiry: 1_699_996_400 },
            ),
            ("of tomorrow", issuer.mint(&claims(), now() + Duration::from_hours(24)), Refusal::NotYetValid),
            (
                "another audience",
                issuer.mint(&Claims { audience: "vault".to_owned(), ..claims() }, now()),
                Refusal::WrongAudience,
            ),
        ] {
            assert_eq!(check(&issuer, &token, now()), Err(refusal.clone()), "{what}");
            let code = if what == "expired" { "ExpiredTokenException" } else { "InvalidIdentityToken" };
            assert_eq!((refusal.code(), refusal.status().as_u16()), (code, 400), "{what}");
        }
        assert_eq!(Refusal::WrongAudience.to_string(), "Incorrect token audience");
    }

    #[test]
    fn a_clusters_own_token_is_verified_with_the_keys_that_it_publishes() {
        const CLUSTER: &str = "https://kubernetes.default.svc";
        let good = include_str!("../tests/fixtures/token");
        let jwks = include_str!("../tests/fixtures/jwks.json");
        let cluster = ForeignIssuer::new(CLUSTER, jwks).unwrap();
        let another = ForeignIssuer::new(CLUSTER, &Issuer::new(CLUSTER).jwks().to_string()).unwrap();
        let check = |issuer: &ForeignIssuer, token: &str| {
            let keys = issuer.public_keys();
            let now = UNIX_EPOCH + Duration::from_hours(500_000);
            super::token(token, &Provider { issuer: issuer.url(), keys: &keys, audience: AUDIENCE }, now)
        };
        assert_eq!(check(&cluster, good).unwrap().subject, "system:serviceaccount:demo:my-sa");
        assert_eq!(check(&another, good), Err(Refusal::UnknownKey));

        let [header, body, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let kid = json(header).unwrap()["kid"].clone();
        let other_algorithm = URL_SAFE_NO_PAD.encode(json!({ "alg": "ES256", "kid": kid }).to_string());
        let claims = json!({ "iss": CLUSTER, "sub": "system:serviceaccount:kube-system:admin" });
        let other_body = URL_SAFE_NO_PAD.encode(claims.to_string());
        for (what, token) in [
            ("another body", format!("{header}.{other_body}.{signature}")),
            ("another algorithm", format!("{other_algorithm}.{body}.{signature}")),
            ("no signature", format!("{header}.{body}.")),
        ] {
            assert_eq!(check(&cluster, &token), Err(Refusal::BadSignature), "{what}");
        }
    }

    #[test]
    fn one_audience_may_stand_without_an_array() {
        let issuer = Issuer::new(ISSUER);
        let check = |audience: &str| {
            let claims = json!({ "iss": ISSUER, "exp": 1_700_003_600_u64, "sub": "s", "aud": audience });
            check(&issuer, &issuer.sign(&claims), now()).map(|identity| identity.subject)
        };
        assert_eq!(check(AUDIENCE), Ok("s".to_owned()));
        assert_eq!(check("vault"), Err(Refusal::WrongAudience));
    }

    #[test]
    fn an_old_keys_token_is_good_until_the_key_is_dropped() {
        let issuer = Issuer::new(ISSUER);
        let token = issuer.mint(&claims(), now());
        issuer.rotate();
        assert!(check(&issuer, &token, now()).is_ok());
        issuer.drop_old_keys();
        assert_eq!(check(&issuer, &token, now()), Err(Refusal::UnknownKey));
    }

    #[test]
    fn a_role_is_given_to_whom_it_trusts_and_for_no_longer_than_it_may() {
        let arn: RoleArn = "arn:aws:iam::123456789012:role/my-example-role".parse().unwrap();
        let unknown: RoleArn = "arn:aws:iam::123456789012:role/unknown".parse().unwrap();
        let roles = [Role::new(arn.clone(), "default", "web")];
        let identity =
            |subject: &str| Identity { subject: subject.to_owned(), audience: AUDIENCE.to_owned() };
        let trusted = identity("system:serviceaccount:default:web");
        let error = |arn, identity: &Identity, duration| role(&roles, arn, identity, duration).unwrap_err();

        assert!(role(&roles, &arn, &trusted, 3600).is_ok());
        for refusal in [
            error(&unknown, &trusted, 3600),
            error(&arn, &identity("system:serviceaccount:default:other"), 3600),
            error(&arn, &identity("system:serviceaccount:default:web2"), 43_200),
        ] {
            assert_eq!((refusal.code(), refusal.status().as_u16()), ("AccessDenied", 403));
            assert_eq!(refusal.to_string(), "Not authorized to perform sts:AssumeRoleWithWebIdentity");
        }
        let long = error(&arn, &trusted, 3601);
        assert_eq!((long.code(), long.status().as_u16()), ("ValidationError", 400));
        assert_eq!(
            long.to_string(),
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        );
    }

    #[test]
    fn a_role_is_given_to_the_role_that_it_trusts_and_for_an_hour_at_most() {
        let arn = |name: &str| format!("arn:aws:iam::444455556666:role/{name}").parse::<RoleArn>().unwrap();
        let trust = |external_id: Option<&str>| TrustedRole {
            arn: arn("first"),
            external_id: external_id.map(str::to_owned),
        };
        let roles =
            [Role::chained(arn("open"), trust(None)), Role::chained(arn("guarded"), trust(Some("Acme-42")))];
        let ask = |name: &str, by: &str, external_id, duration| {
            let caller = Caller { role: arn(by), session_name: "default.web".to_owned() };
            chained_role(&roles, &arn(name), &caller, external_id, duration).map(|role| role.arn.name())
        };
        assert_eq!(ask("open", "first", None, 3600), Ok("open"));
        assert_eq!(ask("open", "first", Some("anything"), 900), Ok("open"));
        assert_eq!(ask("guarded", "first", Some("Acme-42"), 3600), Ok("guarded"));
        for refused in [
            ask("guarded", "first", None, 3600),
            ask("guarded", "first", Some("Acme-43"), 3600),
            ask("open", "other", None, 3600),
            ask("unknown", "first", None, 3600),
        ] {
            let refusal = refused.unwrap_err();
            assert_eq!((refusal.code(), refusal.status().as_u16()), ("AccessDenied", 403));
            assert!(
                refusal.to_string().starts_with("User: arn:aws:sts::444455556666:assumed-role/"),
                "{refusal}"
            );
        }
        assert_eq!(ask("open", "first", None, 3601).unwrap_err().code(), "ValidationError");
    }
}
