//! Every refusal, and every part of a trust that can be wrong.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::explain::{DENIED, ROLE, part, said, token};
use super::page::{self, cell, code};
use super::recording::{ISSUER, Recording};

/// What STS says, or the emulator, for each thing that may be wrong; the word of the explanation.
const REFUSALS: &[(&str, &str)] = &[
    (
        "AccessDenied: User: anonymous is not authorized to perform: sts:AssumeRoleWithWebIdentity on resource: arn:aws:iam::111122223333:role/a because no VPC endpoint policy allows the sts:AssumeRoleWithWebIdentity action",
        "vpc_endpoint_policy",
    ),
    (
        "AccessDenied: User: x is not authorized to perform: sts:AssumeRoleWithWebIdentity with an explicit deny in a service control policy",
        "organization_policy",
    ),
    (
        "AccessDenied: User: x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/b because no resource control policy allows the sts:AssumeRole action",
        "organization_policy",
    ),
    (
        "AccessDenied: User: x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/b because no permissions boundary allows the sts:AssumeRole action",
        "permissions_boundary",
    ),
    (
        "AccessDenied: User: x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/b with an explicit deny in a session policy",
        "session_policy",
    ),
    (
        "AccessDenied: User: x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/b because no identity-based policy allows the sts:AssumeRole action",
        "identity_policy",
    ),
    (
        "AccessDenied: User: x is not authorized to perform: sts:TagSession on resource: arn:aws:iam::210987654321:role/b",
        "tag_session",
    ),
    (
        "AccessDenied: User: x is not authorized to perform: sts:AssumeRoleWithWebIdentity on resource: arn:aws:iam::210987654321:role/b with an explicit deny in a resource-based policy",
        "explicit_deny",
    ),
    ("SignatureDoesNotMatch: The request signature we calculated does not match", "signature_refused"),
    ("RequestExpired: Request has expired", "signature_refused"),
    ("InvalidClientTokenId: The security token included in the request is invalid", "keys_refused"),
    (
        "AccessDenied: User: arn:aws:sts::123456789012:assumed-role/a/s is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/b",
        "not_trusted_by_role",
    ),
    (DENIED, "not_trusted"),
    ("AccessDenied: something new", "refused"),
    ("IDPRejectedClaim: The token is revoked", "rejected_claim"),
    (
        "InvalidIdentityToken: No OpenIDConnect provider found in your account for https://oidc.example.com/my-cluster",
        "no_provider",
    ),
    ("InvalidIdentityToken: Incorrect token audience", "wrong_audience"),
    (
        "InvalidIdentityToken: OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
        "thumbprint",
    ),
    (
        "InvalidIdentityToken: Couldn't retrieve verification key from your identity provider",
        "no_verification_key",
    ),
    ("InvalidIdentityToken: The ID Token provided is not a valid JWT", "not_a_token"),
    ("InvalidIdentityToken: something new", "invalid_token"),
    ("ExpiredTokenException: Token expired", "expired_token"),
    ("IDPCommunicationError: The identity provider did not answer", "idp_unreachable"),
    (
        "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role",
        "duration_too_long",
    ),
    (
        "ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        "chain_too_long",
    ),
    ("ValidationError: Request ARN is invalid", "bad_arn"),
    ("MalformedPolicyDocument: This policy contains invalid Json", "policy_refused"),
    ("PackedPolicyTooLarge: Packed policy consumes 130% of allotted space", "policy_refused"),
    ("ValidationError: 1 validation error detected: Value at 'roleSessionName'", "request_refused"),
    ("RegionDisabledException: STS is not activated in this region", "region_disabled"),
    ("Throttling: Rate exceeded", "throttled"),
    ("ThrottlingException: Rate exceeded", "throttled"),
    ("RequestLimitExceeded: Request limit exceeded", "throttled"),
    ("TooManyRequestsException: Too many requests", "throttled"),
    ("SlowDown: Please reduce your request rate", "throttled"),
    ("InternalFailure: An internal error", "server_error"),
    ("ServiceUnavailable: Unavailable", "server_error"),
    ("STS answered 502: with an empty body", "server_error"),
    ("STS answered 200: but without AssumeRoleWithWebIdentityResult", "unusable_answer"),
    (
        "could not connect to sts.moon-1.amazonaws.com:443: failed to lookup address information: Name or service not known",
        "resolve",
    ),
    ("dial tcp: lookup sts.eu-west-9.amazonaws.com on 10.0.0.2:53: no such host", "resolve"),
    ("Could not connect to the endpoint URL: \"https://sts.eu-west-9.amazonaws.com/\"", "no_endpoint"),
    (
        "could not connect to sts.amazonaws.com:443: 203.0.113.7:443: Connection refused (os error 111)",
        "connect",
    ),
    ("Post \"https://sts.amazonaws.com/\": EOF", "connect"),
    (
        "could not get through the proxy http://p:3128 to sts.amazonaws.com:443: it answered 407 Proxy Authentication Required",
        "proxy_denied",
    ),
    ("response code for CONNECT: 403", "proxy_denied"),
    (
        "could not set up TLS with sts.tools:443 at 10.0.0.7:443: its certificate is a CA certificate: sign a server certificate with it",
        "ca_shown",
    ),
    (
        "could not set up TLS with sts.amazonaws.com:443: invalid peer certificate: certificate not valid for name \"sts.amazonaws.com\"",
        "tls_name",
    ),
    (
        "Hostname/IP does not match certificate's altnames: Host: sts.amazonaws.com. is not in the cert's altnames",
        "tls_name",
    ),
    ("x509: certificate has expired or is not yet valid", "tls_time"),
    ("could not set up TLS with sts.amazonaws.com:443: UnknownIssuer", "tls"),
    ("x509: certificate signed by unknown authority", "tls"),
    ("can't read the CA bundle /ca.pem: No such file or directory", "trust"),
    ("RequestTimeout: Request timed out", "timeout"),
    ("could not connect to sts.amazonaws.com:443 within 5s", "timeout"),
    ("dial tcp 203.0.113.7:443: i/o timeout", "timeout"),
    ("maximum cpu usage per Container is 50m, but limit is 100m", "limit_range"),
    (
        "exceeded quota: q, requested: limits.memory=96Mi, used: limits.memory=1Gi, limited: limits.memory=1Gi",
        "quota",
    ),
    ("failed quota: q: must specify limits.ephemeral-storage for: aws-imds-emulator", "quota"),
    ("violates PodSecurity \"restricted:latest\": unrestricted capabilities", "pod_security"),
    (
        "ValidatingAdmissionPolicy 'no-latest' with binding 'no-latest' denied request: images need a digest",
        "admission_policy",
    ),
    ("You must specify a region.", "no_region"),
    (
        "Get \"http://169.254.169.254/latest/meta-data/\": dial tcp 169.254.169.254:80: connect: connection refused",
        "imds",
    ),
    ("Unable to locate credentials", "no_credentials"),
    (
        "An error occurred (ExpiredToken) when calling the PutObject operation: The provided token has expired.",
        "stale_credentials",
    ),
    (
        "User: arn:aws:sts::123456789012:assumed-role/a/s is not authorized to perform: s3:ListBucket on resource: \"arn:aws:s3:::b\"",
        "role_permissions",
    ),
    ("Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout", "elsewhere"),
    ("getaddrinfo ENOTFOUND registry.npmjs.org", "elsewhere"),
    ("can't use the token file /var/run/secrets/aws-imds-emulator/token: Permission denied", "token_file"),
    ("STS's answer holds credentials that end before those that are served", "short_answer"),
    ("STS's answer holds credentials that have already expired", "expired_answer"),
];

/// A named line of what it means, put together again.
fn entry(stdout: &str, name: &str) -> String {
    let lines = stdout.lines().skip_while(|line| !line.starts_with(&format!("  {name} ")));
    let mut text = String::new();
    for (number, line) in lines.enumerate() {
        let (left, right) = line.split_at_checked(12).unwrap_or_default();
        if number > 0 && !left.trim().is_empty() || line.is_empty() {
            break;
        }
        text.extend([if number > 0 { " " } else { "" }, right]);
    }
    text
}

#[test]
fn each_refusal_is_explained() {
    let mut table =
        "| STS says, or the emulator | explanation | it means | what mends it |\n|---|---|---|---|\n"
            .to_owned();
    for alike in REFUSALS.chunk_by(|(_, word), (_, next)| word == next) {
        let mut lines = Vec::new();
        for (refusal, word) in alike {
            let stdout = said(&["--error", refusal], "");
            assert_eq!(stdout.lines().next().unwrap(), format!("✘ {refusal} [{word}]"));
            lines =
                ["means", "mend", "because", "look", "meanwhile"].map(|name| entry(&stdout, name)).to_vec();
            assert!(lines.iter().all(|line| line.ends_with('.')), "{refusal}: {stdout}");
        }
        let refusals = alike.iter().map(|(refusal, _)| *refusal).collect::<Vec<_>>().join("\n");
        let (refusals, word) = (code(&refusals), alike[0].1);
        writeln!(table, "| {refusals} | `{word}` | {} | {} |", cell(&lines[0]), cell(&lines[1])).unwrap();
    }
    page::holds("explain.md", "refusals", &table);
}

/// A part that is wrong, and how it comes out.
struct Wrong {
    what: &'static str,
    part: &'static str,
    stdout: String,
}

/// With a token that differs in a claim.
fn token_with(what: &'static str, part: &'static str, claim: &str, value: Value) -> Wrong {
    let token = token(|claims| claims[claim] = value);
    Wrong { what, part, stdout: said(&["--token-file", "-", "--role-arn", ROLE], &token) }
}

/// With a good token that is refused.
fn token_and(what: &'static str, part: &'static str, refusal: &str) -> Wrong {
    let arguments = ["--token-file", "-", "--role-arn", ROLE, "--error", refusal];
    Wrong { what, part, stdout: said(&arguments, &token(|_| {})) }
}

/// With a Pod.
fn pod(
    what: &'static str,
    part: &'static str,
    name: &str,
    mut recording: Recording,
    put: impl FnOnce(&mut Recording),
) -> Wrong {
    put(&mut recording);
    Wrong { what, part, stdout: recording.run(&["explain", name, "-n", "imds-test"]).stdout }
}

const NO_PROVIDER: &str = "InvalidIdentityToken: No OpenIDConnect provider found in your account";
const NO_KEY: &str = "InvalidIdentityToken: Couldn't retrieve verification key from your identity provider";
const THUMBPRINT: &str =
    "InvalidIdentityToken: OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint";
const OF_API_SERVER: &str = "https://kubernetes.default.svc.cluster.local";

fn of_tokens() -> Vec<Wrong> {
    vec![
        token_with("the issuer that an API server has by itself", "issuer", "iss", json!(OF_API_SERVER)),
        token_with("a slash at the end", "issuer", "iss", json!("https://oidc.example.com/")),
        token_and("no provider in the account", "issuer", NO_PROVIDER),
        token_and("documents that AWS can't read", "issuer", NO_KEY),
        token_with("a token for the API server", "audience", "aud", json!([OF_API_SERVER])),
        token_and(
            "a provider without the audience",
            "audience",
            "InvalidIdentityToken: Incorrect token audience",
        ),
        token_with(
            "the namespace's default account",
            "subject",
            "sub",
            json!("system:serviceaccount:shop:default"),
        ),
        token_with("a token of a user", "subject", "sub", json!("jane@example.com")),
        token_and("another service account in the trust policy", "subject", DENIED),
        token_and("a certificate of another CA", "thumbprint", THUMBPRINT),
        token_with("an old token", "expiry", "exp", json!(1_700_000_000)),
        token_with("a clock that is ahead", "expiry", "nbf", json!(4_000_000_000_u64)),
        token_and("a role that may not exist", "role name", DENIED),
        token_and("an ARN with a typing error", "role name", "ValidationError: Request ARN is invalid"),
        token_and("a provider in another account", "account", NO_PROVIDER),
        Wrong {
            what: "the account of an example",
            part: "account",
            stdout: said(&["--error", DENIED, "--role-arn", "arn:aws:iam::123456789012:role/my-app"], ""),
        },
    ]
}

fn of_pods() -> Vec<Wrong> {
    let stranger = |what, part, variable: &str, value: &str, refusal: &str| {
        pod(what, part, "stranger", Recording::denied(), |pod| {
            pod.sets(variable, value);
            pod.refuses(refusal);
        })
    };
    vec![
        pod(
            "a cluster whose issuer was changed",
            "issuer",
            "stranger",
            Recording::denied().with_public_issuer(),
            |pod| pod.replace("openid-configuration", ISSUER, "https://oidc.example.com/new"),
        ),
        pod(
            "a further role that wants another external id",
            "external id",
            "chained",
            Recording::chained(),
            |pod| {
                pod.refuses("STS answered 403 AccessDenied: User: x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::210987654321:role/first");
            },
        ),
        stranger(
            "a region of another partition",
            "region",
            "AWS_REGION",
            "cn-north-1",
            "STS answered 403 InvalidIdentityToken: something new",
        ),
        stranger(
            "a region where STS is off",
            "region",
            "AWS_REGION",
            "eu-south-1",
            "STS answered 403 RegionDisabledException: STS is not activated in this region",
        ),
        stranger(
            "a region that does not exist",
            "region",
            "AWS_REGION",
            "eu-moon-1",
            "could not connect to sts.eu-moon-1.amazonaws.com:443: failed to lookup address information",
        ),
        stranger(
            "a local zone's group in place of a region",
            "region",
            "AWS_REGION",
            "us-west-2-lax-1",
            "could not connect to sts.us-west-2-lax-1.amazonaws.com:443: failed to lookup address information",
        ),
        stranger(
            "a session that is longer than the role allows",
            "session duration",
            "IMDS_SESSION_DURATION",
            "43200",
            "STS answered 400 ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ),
    ]
}

#[test]
fn each_wrong_part_is_told() {
    let mut table = "| fault | part | what `explain` says |\n|---|---|---|\n".to_owned();
    for Wrong { what, part: name, stdout } in of_tokens().into_iter().chain(of_pods()) {
        let (mark, text) = part(&stdout, name);
        assert!(["✘", "!"].contains(&mark), "{what}: {stdout}");
        writeln!(table, "| {what} | {name} | {mark} {} |", cell(text)).unwrap();
    }
    page::holds("explain.md", "wrong parts", &table);
}
