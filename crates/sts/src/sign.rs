//! AWS Signature Version 4 of an `AssumeRole`, by AWS's own signer. Pure: the time is in the request.
//!
//! Source: IAM user guide, "AWS Signature Version 4 for API requests".

use aws_credential_types::Credentials as Identity;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};

use crate::failure::{Failure, FailureKind};
use crate::{AssumeRole, Endpoint, request};

/// The headers that sign a POST of this body to the endpoint, for a region: `Authorization` and what it covers.
pub(crate) fn headers(
    request: &AssumeRole<'_>,
    endpoint: &Endpoint,
    region: &str,
    body: &[u8],
) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            FailureKind::InvalidRequest,
            format!("could not sign the request to {endpoint}: {error}"),
        )
    };
    let credentials = request.credentials;
    let identity = Identity::new(
        &credentials.access_key_id,
        credentials.secret_access_key.expose(),
        Some(credentials.session_token.expose().to_owned()),
        None,
        "sts",
    )
    .into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(request.time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| failed(&error))?
        .into();
    let authority = endpoint.authority();
    let signed = [(HOST.as_str(), authority.as_str()), (CONTENT_TYPE.as_str(), request::CONTENT_TYPE)];
    let url = endpoint.url();
    let signable = SignableRequest::new("POST", url, signed.into_iter(), SignableBody::Bytes(body));
    let (instructions, _) = sign(signable.map_err(|error| failed(&error))?, &params)
        .map_err(|error| failed(&error))?
        .into_parts();
    let header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| failed(&error))?;
        let mut value = HeaderValue::from_str(value).map_err(|error| failed(&error))?;
        // The session token among them is a secret, and the signature is nobody's business.
        value.set_sensitive(name == AUTHORIZATION || name == "x-amz-security-token");
        Ok((name, value))
    };
    instructions.headers().map(header).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use imds_contract::SessionDuration;

    use super::*;
    use crate::{Credentials, Request, Secret};

    /// Signed by botocore 1.44 (`SigV4Auth`) with the same keys, time, region and form.
    #[test]
    fn signs_as_botocore_does() {
        let hop =
            "arn:aws:iam::444455556666:role/reader;external-id=Acme-42".parse::<imds_contract::RoleChain>();
        let hop = hop.unwrap().hops()[0].clone();
        let credentials = Credentials {
            access_key_id: "ASIAEXAMPLE000000001".to_owned(),
            secret_access_key: Secret::from("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            session_token: Secret::from("IQoJb3JpZ2luX2VjEXAMPLE//token+=="),
            expiration: SystemTime::UNIX_EPOCH,
        };
        let session_name = "default.web-0".parse().unwrap();
        let request = AssumeRole {
            hop: &hop,
            session_name: &session_name,
            duration: SessionDuration::DEFAULT,
            credentials: &credentials,
            time: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000),
        };
        let body = Request::from(request).form();
        let endpoint = "https://sts.eu-central-1.amazonaws.com".parse().unwrap();
        let headers = headers(&request, &endpoint, "eu-central-1", body.as_bytes()).unwrap();
        let value = |wanted: &str| {
            headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.to_str().unwrap())
        };
        assert_eq!(value("x-amz-date"), Some("20270115T080000Z"));
        assert_eq!(value("x-amz-security-token"), Some("IQoJb3JpZ2luX2VjEXAMPLE//token+=="));
        assert_eq!(
            value("authorization"),
            Some(
                "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE000000001/20270115/eu-central-1/sts/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, \
                 Signature=4393f95e26aa809ec65d89369de4f2ef800be5a75e31f5f28ec5d0dcdad26a56"
            )
        );
        assert!(!format!("{headers:?}").contains("IQoJ"), "no secret in a debug print");
    }
}
