//! Why an exchange with STS failed, and the sense of it: one table. It is finer than the kinds of failure that a metric tells
//! ([`FailureKind`]), each of which has a row of its own. `docs/explain.md` lists the rows; tests compare both.
//!
//! Sources: the STS API reference, "Errors" of `AssumeRoleWithWebIdentity` and `AssumeRole`; messages that users report of the
//! real service.

use imds_sts::{FailureKind, Remedy};

use crate::facts::refusal;

/// What a failure counts as: the log's `reason` and the metric's `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Sts(FailureKind),
    /// The projected token can't be read.
    TokenFile,
    /// What STS gave ends before what is served.
    ShortAnswer,
    /// What STS gave had ended.
    ExpiredAnswer,
    /// It is no failure of an exchange with STS: no log and no metric has it.
    Elsewhere,
}

impl Reason {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let of_sts = FailureKind::ALL.iter().map(|kind| Self::Sts(*kind));
        of_sts.chain([Self::TokenFile, Self::ShortAnswer, Self::ExpiredAnswer, Self::Elsewhere])
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::all().find(|reason| reason.word() == word)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sts(kind) => kind.as_str(),
            Self::TokenFile => "token_file",
            Self::ShortAnswer => "short_answer",
            Self::ExpiredAnswer => "expired_answer",
            Self::Elsewhere => "elsewhere",
        }
    }

    /// What the emulator does about it, if it has to do with it.
    fn remedy(self) -> Option<Remedy> {
        match self {
            Self::Sts(kind) => Some(kind.remedy()),
            Self::TokenFile => Some(Remedy::RereadToken),
            Self::ShortAnswer | Self::ExpiredAnswer => Some(Remedy::Retry),
            Self::Elsewhere => None,
        }
    }
}

/// The sense of it, in five lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sense {
    pub(crate) means: &'static str,
    pub(crate) because: &'static str,
    pub(crate) mend: &'static str,
    pub(crate) look: &'static str,
    pub(crate) meanwhile: &'static str,
}

macro_rules! causes {
    ($(
        $cause:ident = $word:literal, $reason:expr, $said:expr;
        $means:literal
        $because:literal
        $mend:literal
        $look:literal
    )+) => {
        /// Why. Those that say the same by other words come after those whose words are known.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Cause { $($cause,)+ }

        impl Cause {
            /// Every cause, in the order in which they are looked for.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$cause,)+];

            /// A word for programs and for the documentation.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$cause => $word,)+ }
            }

            pub(crate) fn reason(self) -> Reason {
                match self { $(Self::$cause => $reason,)+ }
            }

            /// What is in STS's code or message where it is this one, in whatever case; nothing: whatever else there is of this reason.
            pub(crate) fn said(self) -> &'static [&'static str] {
                match self { $(Self::$cause => $said,)+ }
            }

            pub(crate) fn sense(self) -> Sense {
                let meanwhile = meanwhile(self.reason().remedy());
                match self { $(Self::$cause => Sense { means: $means, because: $because, mend: $mend, look: $look, meanwhile },)+ }
            }
        }
    };
}

use FailureKind::{
    Connect, Denied, ExpiredToken, IdpUnreachable, InvalidRequest, InvalidToken, ProxyDenied, RegionDisabled,
    RejectedClaim, Resolve, ServerError, Throttled, Timeout, Tls, Trust, UnusableAnswer,
};
use Reason::Sts;

causes! {
    // What IAM decides. The kind of policy stands in the message: IAM User Guide, "Troubleshoot access denied error messages".
    EndpointPolicy = "vpc_endpoint_policy", Sts(Denied), &["VPC endpoint policy"];
        "The policy of the VPC endpoint, through which STS was asked, does not let this request pass."
        "An endpoint policy names roles, accounts or actions, and this one is not among them; or it denies them."
        "Allow the action and the role in the policy of the VPC endpoint for STS."
        "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].PolicyDocument'."
    OrganizationPolicy = "organization_policy", Sts(Denied), &["service control policy", "resource control policy"];
        "A policy of the organization (service control policy, resource control policy) does not allow it."
        "The policy is attached to the account of the role or of the caller, or to a unit above it, and allows less, or denies this."
        "Have the organization's administrators allow it for this role; nothing in the account itself can."
        "aws organizations list-policies-for-target for the account and each unit above it."
    PermissionsBoundary = "permissions_boundary", Sts(Denied), &["permissions boundary"];
        "The permissions boundary of the caller does not allow it. In a chain the caller is the role before; a token has no boundary."
        "A boundary bounds what a role's own policies can give: the action has to be in both."
        "Add the action that the message names, on this role, to the caller's boundary."
        "aws iam get-role for the caller: PermissionsBoundary."
    SessionPolicy = "session_policy", Sts(Denied), &["session policy"];
        "A session policy does not allow it. The emulator sends none."
        "Something between the Pod and STS adds it to the request; or the message is of another program."
        "Find who sets the policy of the session, and allow the action there."
        "CloudTrail's event of the first role: requestParameters.policy."
    IdentityPolicy = "identity_policy", Sts(Denied), &["identity-based policy"];
        "The caller has no permission for it, or its policies deny it. In a chain the caller is the role before; a token has no policies."
        "Across accounts both are needed: this role's trust in the caller, and a policy of the caller that allows the action."
        "Give the caller a policy that allows the action that the message names on this role."
        "aws iam list-role-policies and list-attached-role-policies for the caller."
    TagSession = "tag_session", Sts(Denied), &["sts:TagSession"];
        "Session tags came with the request, and the role's trust policy does not allow sts:TagSession. The emulator sends none."
        "The token has tags of its identity provider in it (the claim https://aws.amazon.com/tags), or something between the Pod and STS adds some."
        "Allow sts:TagSession beside the action that is allowed already, in the role's trust policy."
        "CloudTrail's event: requestParameters.principalTags; the token's claims (kubectl imds explain --token-file)."
    ExplicitDeny = "explicit_deny", Sts(Denied), &["explicit deny"];
        "A policy denies it in so many words. A deny counts more than anything that allows."
        "A service control policy of the organization, a permissions boundary, a session policy, or a Deny in the role's trust policy."
        "Find the policy that the message names, and leave this role or this caller out of its Deny."
        "aws organizations list-policies-for-target for the account; the role's PermissionsBoundary in aws iam get-role."
    SignatureRefused = "signature_refused", Sts(Denied), &["SignatureDoesNotMatch", "RequestExpired", "Signature expired"];
        "A further role was asked for with a signature that STS does not take. Only sts:AssumeRole, of role chaining, is signed."
        "The node's clock is off by more than 15 minutes, or something between the Pod and STS changes the request."
        "Synchronise the node's clock; take a proxy that changes requests out of the way."
        "date --utc on the node, beside the header Date of any answer of AWS."
    KeysRefused = "keys_refused", Sts(Denied), &["InvalidClientTokenId", "security token included in the request"];
        "STS does not know, or no longer, the credentials of the role before, with which a further role was asked for."
        "Another STS (AWS_ENDPOINT_URL_STS, another partition) answered for the first role; or its session was revoked."
        "Ask one STS for all roles; where sessions were revoked on purpose, take the policy AWSRevokeOlderSessions off the role."
        "The emulator's line \"serving IMDS\" tells which STS is asked."
    NotTrustedByRole = "not_trusted_by_role", Sts(Denied), &["perform: sts:AssumeRole on resource", "perform sts:AssumeRole on"];
        "The role before may not assume this one. STS says the same where this role does not exist."
        "This role's trust policy does not name the role before, or wants another external id; or the role before has no permission sts:AssumeRole on this one. Across accounts both are needed."
        "Add the statement below to this role's trust policy, and give the role before the permission."
        "aws iam get-role for this role; aws iam list-role-policies and list-attached-role-policies for the one before."
    NotTrusted = "not_trusted", Sts(Denied), &["sts:AssumeRoleWithWebIdentity"];
        "The role does not trust this token. STS says the same where the role does not exist."
        "The trust policy names another provider, subject or audience than the token has (case and a slash at the end count), or the role's name or account is mistyped."
        "Add the statement below to the role's trust policy. What is in the policy for others stays."
        "Compare the trust policy in aws iam get-role with the statement below; CloudTrail's event AssumeRoleWithWebIdentity tells what STS saw."
    Refused = "refused", Sts(Denied), &[];
        "STS, or something before it, says no (403), in words that are not known here."
        "Most often the trust policy; with an endpoint or a proxy of your own, their policy (a VPC endpoint's policy may leave the role out)."
        "Read the message; compare the role's trust policy with the statement below; look at the policy of the VPC endpoint."
        "aws ec2 describe-vpc-endpoints --query 'VpcEndpoints[].PolicyDocument'; CloudTrail's event, if STS saw the request at all."
    ClaimRejected = "rejected_claim", Sts(RejectedClaim), &[];
        "The identity provider, or STS for it, rejects a claim of the token: expired, revoked, or not of the form that it asks for."
        "The token is old: kubelet did not replace it, or the node's clock is off."
        "Create the Pod anew, so that it gets a new token; synchronise the node's clock."
        "The token's exp and nbf (kubectl imds explain --token-file), beside the time now."

    // What is wrong with the token, or with how AWS knows its issuer.
    NoProvider = "no_provider", Sts(InvalidToken), &["No OpenIDConnect provider found"];
        "The account of the role has no IAM OIDC provider for the token's issuer."
        "It was never made, or in another account; or its URL differs from iss (case, a slash at the end, another cluster's id); or the role's ARN has another account than the role."
        "Create the provider in the role's account, with exactly the token's issuer."
        "aws iam list-open-id-connect-providers, with credentials of the role's account."
    WrongAudience = "wrong_audience", Sts(InvalidToken), &["Incorrect token audience"];
        "The provider is there, and does not list the token's audience among its client ids."
        "The provider was made without --client-id-list, or settings.tokenAudience of the webhook is another one."
        "Add the audience to the provider."
        "aws iam get-open-id-connect-provider: ClientIDList."
    Thumbprint = "thumbprint", Sts(InvalidToken), &["configured thumbprint"];
        "The certificate of the issuer's HTTPS server is signed by another CA than the provider's thumbprints name."
        "The issuer's server got a certificate of another CA; AWS does not know the CA by itself, so the thumbprint counts."
        "Put the thumbprint of the CA that signs now into the provider."
        "aws iam get-open-id-connect-provider: ThumbprintList, beside the chain that the issuer's server shows."
    NoVerificationKey = "no_verification_key", Sts(InvalidToken), &["verification key"];
        "STS can't get the key that the token was signed with from the issuer."
        "The issuer's documents are not readable from the internet, or they are old: the cluster's signing keys have changed since they were published. Now and then it passes by itself."
        "Publish /.well-known/openid-configuration and /openid/v1/jwks again (docs/install.md, \"Publish the issuer\")."
        "curl both from outside, without credentials; kubectl get --raw /openid/v1/jwks has to have the same key ids."
    NotAToken = "not_a_token", Sts(InvalidToken), &["not a valid JWT", "Missing a required claim"];
        "What was shown is no token of an OIDC provider, or one that lacks a claim."
        "AWS_WEB_IDENTITY_TOKEN_FILE names another file, or the volume is not the projected one of the injection."
        "Remove the injected parts from the manifest, so that the Pod is injected anew."
        "kubectl imds check tells whether the emulator mounts the volume aws-imds-emulator-token."
    BadToken = "invalid_token", Sts(InvalidToken), &[];
        "STS can't validate the token, in words that are not known here."
        "Signature, issuer or time; for an issuer of your own most often its published keys."
        "Compare the token's issuer with the provider's URL, and the published keys with the cluster's."
        "kubectl get --raw /openid/v1/jwks, beside what curl gets from the issuer."
    Expired = "expired_token", Sts(ExpiredToken), &[];
        "The token had expired when STS saw it."
        "kubelet replaces it in time, so it did not: the kubelet is down or can't reach the API server; or the node's clock is slow or the API server's is."
        "Look after the kubelet of the Pod's node; synchronise the clocks of nodes and control plane."
        "kubectl get node; date --utc on the node; the token's exp."
    IssuerSilent = "idp_unreachable", Sts(IdpUnreachable), &[];
        "STS did not reach the issuer's HTTPS server, or got no answer in time."
        "The issuer is down, or not reachable from the internet (a private cluster, a firewall)."
        "Let AWS read the issuer's two documents, or publish them where it can (docs/install.md, \"Publish the issuer\")."
        "curl --fail ISSUER/.well-known/openid-configuration from outside."

    // What is wrong with the request.
    DurationTooLong = "duration_too_long", Sts(InvalidRequest), &["MaxSessionDuration"];
        "The session would be longer than the role allows."
        "session-duration (the annotation, or settings.sessionDuration) is above the role's MaxSessionDuration, which is 3600 unless somebody raised it."
        "Raise the role's maximum, or lower session-duration."
        "aws iam get-role --query Role.MaxSessionDuration."
    ChainTooLong = "chain_too_long", Sts(InvalidRequest), &["role chaining"];
        "A session of a role that is assumed by another role lives one hour at most, whatever the role allows."
        "session-duration is above 3600 beside assume-role-arns."
        "Take session-duration away, or set it to 3600 or less."
        "kubectl imds check tells whether the annotations are what was injected."
    BadArn = "bad_arn", Sts(InvalidRequest), &["ARN is invalid", "roleArn"];
        "STS does not take the ARN for one of a role."
        "A typing error that has the form of an ARN, or a role of another partition than the STS that was asked."
        "Correct the annotation role-arn; take a region of the role's partition."
        "aws iam get-role --query Role.Arn prints the ARN as STS wants it."
    PolicyRefused = "policy_refused", Sts(InvalidRequest), &["MalformedPolicyDocument", "PackedPolicyTooLarge"];
        "STS does not take a session policy or session tags of the request. The emulator sends none of either."
        "Something between the Pod and STS adds them; or the message is of another program."
        "Look for a proxy that changes requests."
        "CloudTrail's event: requestParameters.policy."
    RequestRefused = "request_refused", Sts(InvalidRequest), &[];
        "STS does not take the request as it is, in words that are not known here."
        "An annotation whose value STS refuses and the injection does not know of; or an endpoint that is not STS."
        "Read the message: it names the parameter."
        "AWS_ENDPOINT_URL_STS in the emulator's environment; the emulator's line \"serving IMDS\"."
    RegionOff = "region_disabled", Sts(RegionDisabled), &[];
        "STS is switched off in this region for the account of the role."
        "The region is an opt-in one that the account has not taken, or an administrator deactivated its STS endpoint."
        "Activate it (IAM console, Account settings; aws account enable-region for an opt-in region), or take another region."
        "aws account get-region-opt-status --region-name REGION."
    TooMany = "throttled", Sts(Throttled), &[];
        "Too many requests to STS in this account and region."
        "Many Pods at once, or another program that asks at every request."
        "Nothing for the Pod: the emulator waits, and asks once in half an hour otherwise. Spread over regional endpoints (annotation region)."
        "CloudTrail: who calls STS most; Service Quotas for STS."
    ServerFailed = "server_error", Sts(ServerError), &[];
        "STS failed (5xx): nothing is wrong with the Pod."
        "A disturbance of AWS, or of what stands in for STS (a proxy, a VPC endpoint)."
        "Wait; where it lasts in one region, take another with the annotation region."
        "The AWS Health Dashboard; whether other Pods of the region have it too."
    Unusable = "unusable_answer", Sts(UnusableAnswer), &[];
        "Something answered that is not STS, or not with credentials of the role that was asked for."
        "A captive portal, a load balancer or a proxy answers in STS's place; AWS_ENDPOINT_URL_STS leads elsewhere."
        "Point AWS_ENDPOINT_URL_STS at STS; let the proxy pass STS through."
        "The message says what came: a page's title, a status. curl -i ENDPOINT from a Pod of the same node."

    // The way to STS.
    NoName = "resolve", Sts(Resolve), &[];
        "The name of the STS endpoint has no address here."
        "No DNS for the Pod (a NetworkPolicy without UDP and TCP 53), a region that does not exist, or a private hosted zone without the record."
        "Allow DNS; correct the region; or set AWS_ENDPOINT_URL_STS in settings.emulatorEnv."
        "kubectl debug with an image that has nslookup; the region in the emulator's line \"serving IMDS\"."
    NoEndpoint = "no_endpoint", Sts(Connect), &["Could not connect to the endpoint URL", "EndpointConnectionError"];
        "No connection to STS. botocore and the AWS CLI say the same where its name has no address."
        "A region that does not exist, no DNS, a NetworkPolicy, a private subnet without NAT or VPC endpoint, or a firewall."
        "Correct the region that is in the URL; allow DNS and TCP 443 to STS."
        "nslookup of the URL's host, and curl -v to it, from a Pod of the same node."
    NoWay = "connect", Sts(Connect), &[];
        "No connection to STS, or it broke."
        "A NetworkPolicy, a private subnet without NAT or VPC endpoint, a firewall, or a proxy that is down."
        "Allow TCP 443 to STS, or set HTTPS_PROXY or AWS_ENDPOINT_URL_STS in settings.emulatorEnv."
        "The message has the addresses that were tried. kubectl debug, and curl -v to the endpoint."
    ProxySaysNo = "proxy_denied", Sts(ProxyDenied), &[];
        "The proxy does not let the emulator through to STS."
        "The proxy wants a user and password, or does not allow the host."
        "Allow sts.*.amazonaws.com:443 on the proxy, or put the credentials into HTTPS_PROXY (settings.emulatorEnv)."
        "The message has the proxy's status: 407 asks for a password, 403 is its rules."
    CaShown = "ca_shown", Sts(Tls), &["its certificate is a CA certificate", "CaUsedAsEndEntity"];
        "The server that answers for STS shows the certificate of a CA as its own."
        "A stand-in for STS whose certificate was made like that of a CA, as openssl req -x509 makes it by itself."
        "Sign a certificate for the server with that CA, and give the emulator the CA's (AWS_CA_BUNDLE)."
        "openssl x509 -in FILE -noout -ext basicConstraints says CA:TRUE."
    OtherName = "tls_name", Sts(Tls), &["not valid for name", "certificate is valid for", "valid for any names", "altname", "alternative certificate subject name", "hostname mismatch", "subject alternative", "does not match target host", "doesn't match", "doesn't match any of", "NotValidForName"];
        "The server that answers for STS has a certificate for another name: it is another server, or its certificate lacks this name."
        "A name server or a proxy that leads elsewhere, a private endpoint that is asked by another name, or AWS_ENDPOINT_URL_STS with a name that is not in the certificate."
        "Ask by a name that is in the certificate, or put the name into it. Another CA does not help."
        "openssl s_client -connect HOST:443 </dev/null | openssl x509 -noout -ext subjectAltName from a Pod shows its names."
    OtherTime = "tls_time", Sts(Tls), &["certificate expired", "has expired", "cert_has_expired", "not yet valid", "not valid yet", "CertificateExpired", "CertificateNotYetValid"];
        "The certificate of the server that answers for STS is not valid now: it has expired, or it is not valid yet."
        "The clock of the Pod's node is off, or nobody renewed the certificate of the proxy or the private endpoint. AWS renews its own."
        "Synchronise the node's clock, or renew the certificate. Another CA does not help."
        "date --utc on the node; openssl s_client -connect HOST:443 </dev/null | openssl x509 -noout -dates."
    NoTls = "tls", Sts(Tls), &[];
        "No TLS with the server that answers for STS: its certificate is of a CA that is not known here, or the two don't agree on a protocol."
        "A proxy that opens TLS with a CA of your own; a private endpoint; a name server that leads to another host; a server that speaks no TLS on that port."
        "Give the emulator the CA: an image with the file, and AWS_CA_BUNDLE in settings.emulatorEnv."
        "openssl s_client -connect HOST:443 -showcerts from a Pod shows who signed."
    NoTrustFile = "trust", Sts(Trust), &[];
        "The file with the trusted CAs can't be used."
        "AWS_CA_BUNDLE or SSL_CERT_FILE names a file that is not in the image, is not readable, or holds no certificate."
        "Put the file into the image, in PEM; or take the variable out of settings.emulatorEnv."
        "The message names the file."
    TooSlow = "timeout", Sts(Timeout), &[];
        "No answer of STS in time."
        "A firewall that drops packets without a word, a slow proxy, or a disturbance of STS."
        "As for a connection that fails: allow TCP 443 to STS."
        "The message says how far it came: connecting, TLS, or the answer."

    // Not of STS: explain/whose.rs.
    LimitRange = "limit_range", Reason::Elsewhere, &refusal::LIMIT_RANGE;
        "The namespace's LimitRange refuses the Pod, with the injected containers or without."
        "A container asks for less than its minimum, for more than its maximum, or in another ratio. The injected ones ask for 5m and 16Mi, with limits of 32Mi and, where all others have one, 100m."
        "Say by the annotations cpu-request, cpu-limit, memory-request and memory-limit what the injected containers ask for; for all Pods by settings.resources."
        "kubectl describe limitrange in the namespace; docs/annotations.md, \"Resources\"."
    Quota = "quota", Reason::Elsewhere, &refusal::QUOTA;
        "The namespace's ResourceQuota refuses the Pod: it is used up, or it asks for something that a container does not say."
        "The injected containers count too: 5m and 16Mi each, with limits of 32Mi and, where all others have one, 100m. An amount that a container of the Pod's own lacks, ours lack too."
        "Raise the quota; or say by the annotations cpu-request, cpu-limit, memory-request and memory-limit what the injected containers ask for."
        "kubectl describe resourcequota in the namespace; docs/annotations.md, \"Resources\"."
    PodSecurity = "pod_security", Reason::Elsewhere, &refusal::POD_SECURITY;
        "The namespace enforces a Pod Security Standard that the Pod does not keep."
        "With the interceptions redirect and address an init container needs NET_ADMIN, which Baseline and Restricted refuse."
        "Set the annotation interception to endpoint; or let the injection pass by a policy (docs/security.md, \"Exemptions\")."
        "kubectl get namespace --show-labels; the message names the containers and what they may not have."
    AdmissionPolicy = "admission_policy", Reason::Elsewhere, &["ValidatingAdmissionPolicy", "denied the request"];
        "A policy or a webhook of the cluster refuses the object. Where its words begin with aws-imds-emulator, it is this one's webhook."
        "The message says what it does not let pass: an image, a right, a field of a container; or what is wrong with an annotation."
        "Do as the message says; or have the policy let the injected containers pass (docs/security.md)."
        "kubectl get validatingadmissionpolicies,validatingwebhookconfigurations,mutatingwebhookconfigurations; docs/annotations.md, \"What is refused\"."
    NoRegion = "no_region", Reason::Elsewhere, &["missing region", "missingregion", "specify a region", "find a region", "region is missing", "invalidregion", "region is required", "noregionerror", "match a supported format", "invalid endpoint: http", "region must be", "no region was found", "no regionendpoint"];
        "The app's SDK knows no region, or one that none can be. Credentials are another matter."
        "Nothing in the container names it: AWS_REGION, AWS_DEFAULT_REGION or a profile. IMDS tells it only with metadata: extended and a region."
        "Set AWS_REGION in the app's container; or the annotations metadata: extended and region, for SDKs that ask IMDS."
        "kubectl exec POD -- env; docs/annotations.md, \"metadata\"."
    Imds = "imds", Reason::Elsewhere, &["169.254.169.254", "fd00:ec2::254", "127.0.0.1:1338", "[::1]:1338", "localhost:1338", "imds", "instance metadata", "instance-metadata", "instancemetadata", "ec2metadata", "ec2 metadata", "ec2rolerequesterror", "ec2 role", "ec2 instance role", "latest/meta-data", "latest/api/token", "metadata service", "container credentials", "containermetadata"];
        "The app asks IMDS, and gets no answer or another one than it needs. STS has no part in it."
        "The Pod is not injected; its interception is endpoint and the client does not read the variables; http-tokens is required and the client knows IMDSv1 alone (401); or the emulator has no credentials yet (503)."
        "kubectl imds check POD says which of these it is, and what mends it."
        "kubectl logs POD -c aws-imds-emulator; docs/troubleshooting.md; docs/clients.md for what the client knows."
    NoCredentials = "no_credentials", Reason::Elsewhere, &["unable to locate credentials", "nocredentialsexception", "nocredentialproviders", "no valid providers in chain", "nocredentialserror", "credentialsprovidererror", "could not load credentials", "unable to load credentials", "unable to load aws credentials", "unable to find credentials", "missing credentials", "no valid credential sources", "failed to refresh cached credentials", "get credentials:", "no providers in chain", "credentialsnotloaded", "no credentials", "could not find credentials", "unable to sign request without credentials", "unable to get iam security credentials", "partial credentials found"];
        "The app's SDK found credentials nowhere: not in the environment, not in a file, and not at IMDS."
        "The Pod is not injected, the SDK was told not to ask IMDS (AWS_EC2_METADATA_DISABLED), its interception is endpoint and the client does not read the variables, or the emulator has no credentials."
        "kubectl imds check POD says which of these it is, and what mends it."
        "kubectl logs POD -c aws-imds-emulator; kubectl exec POD -- env; docs/troubleshooting.md."
    StaleCredentials = "stale_credentials", Reason::Elsewhere, &["the provided token has expired", "token included in the request is expired", "expiredtoken:", "expiredtoken)", "expiredtoken<", "invalidaccesskeyid", "unrecognizedclient"];
        "AWS takes the app's request, and not the credentials that it carries: they have ended, or they are no role's."
        "The app keeps credentials beyond their Expiration, or others come first in its SDK's chain: AWS_ACCESS_KEY_ID, a profile, a token file of its own."
        "Take the other credentials away; have the app ask its SDK for credentials at each request, which keeps them fresh."
        "aws sts get-caller-identity in the app's container; kubectl imds check POD tells of variables that come first."
    RolePermissions = "role_permissions", Reason::Elsewhere, &["is not authorized to perform"];
        "The credentials work. The role that they are of may not do this."
        "No policy of the role allows the action on this resource, or one denies it: the kind of policy stands behind \"because\" or \"explicit deny\" in the message."
        "Give the role a policy that allows the action on the resource that the message names."
        "aws iam list-role-policies and list-attached-role-policies for the role; aws sts get-caller-identity in the app's container says whose credentials these are."
    Elsewhere = "elsewhere", Reason::Elsewhere, &[];
        "This is about another host or another service than STS, so nothing here explains it."
        "The text names where it was going. A host of your own in AWS_ENDPOINT_URL_STS would count as STS: then read what the emulator's log says of it."
        "Look after that host or service, and the way to it."
        "kubectl imds check POD, if it is about a Pod's credentials all the same."

    // On our side.
    TokenUnreadable = "token_file", Reason::TokenFile, &[];
        "The emulator can't read the projected token, so STS was not asked."
        "The volume is not mounted yet or not at all; or its mode leaves out uid 1338 (a policy that sets fsGroup or defaultMode)."
        "Look at the Pod's events; let nothing change the volume aws-imds-emulator-token."
        "kubectl describe pod: MountVolume failures; kubectl imds check."
    WorseThanHeld = "short_answer", Reason::ShortAnswer, &[];
        "STS gave credentials that end before those that are served: the emulator keeps the better ones."
        "An STS of your own that gives ever shorter sessions, or a clock that was set."
        "Nothing, where it passes; else look at what stands in for STS."
        "The expiration in the emulator's lines \"got credentials from STS\"."
    OverBefore = "expired_answer", Reason::ExpiredAnswer, &[];
        "STS gave credentials that had already ended."
        "The node's clock is ahead, or what stands in for STS is broken."
        "Synchronise the node's clock."
        "date --utc on the node."
}

/// What the emulator does until it is mended. The waits are those of its schedule.
fn meanwhile(remedy: Option<Remedy>) -> &'static str {
    let Some(remedy) = remedy else { return "The emulator has no part in this." };
    match remedy {
        Remedy::Retry => {
            "The emulator tries again, every 30 seconds at most; credentials that are there are served to their end."
        }
        Remedy::RereadToken => {
            "The emulator reads the token anew and tries again, every 30 seconds at most; credentials that are there are served to their end."
        }
        Remedy::Wait => {
            "The emulator waits up to a minute, then asks again; credentials that are there are served to their end."
        }
        Remedy::GiveUpSlowly => {
            "The emulator tries again, every 5 minutes at most: once it is mended the Pod gets credentials without being restarted."
        }
    }
}

impl Cause {
    /// Whether a trust policy has to do with it.
    pub(crate) fn is_about_trust(self) -> bool {
        matches!(self.reason(), Reason::Sts(Denied | InvalidToken | ExpiredToken | RejectedClaim))
            && !matches!(
                self,
                Self::EndpointPolicy
                    | Self::OrganizationPolicy
                    | Self::PermissionsBoundary
                    | Self::SessionPolicy
                    | Self::IdentityPolicy
                    | Self::SignatureRefused
                    | Self::KeysRefused
                    | Self::NotAToken
            )
    }

    /// Whether STS names a caller and what it asked for, which are two roles of a chain.
    pub(crate) fn names_both_roles(self) -> bool {
        matches!(self, Self::NotTrustedByRole | Self::IdentityPolicy | Self::TagSession)
    }

    /// Whether the role before may lack a permission.
    pub(crate) fn is_about_permission(self) -> bool {
        matches!(self, Self::NotTrustedByRole | Self::IdentityPolicy)
    }

    /// Whether what mends it names the issuer: a provider, or a trust policy.
    pub(crate) fn builds_on_issuer(self) -> bool {
        matches!(
            self,
            Self::NotTrusted
                | Self::Refused
                | Self::NoProvider
                | Self::WrongAudience
                | Self::Thumbprint
                | Self::NoVerificationKey
                | Self::BadToken
                | Self::IssuerSilent
        )
    }

    /// The sense of it where AWS can't read the token's issuer: that comes first, whatever STS said.
    pub(crate) fn sense_for_private_issuer(self) -> Sense {
        let sense = self.sense();
        if !self.builds_on_issuer() {
            return sense;
        }
        Sense {
            because: "AWS reads an issuer's documents over the internet, and the issuer of this token means something inside the cluster alone: no provider can be made of it, and no trust policy can name it.",
            mend: "Publish the issuer first (docs/install.md, \"Publish the issuer\"), and create the Pod anew. Provider and trust policy come after that: run this command again, and they are printed.",
            look: "kubectl get --raw /.well-known/openid-configuration names the issuer; once it is published, curl reads the same document from outside of the cluster.",
            ..sense
        }
    }

    /// By what it counts as, and by STS's code and message.
    pub(crate) fn of(reason: Reason, said: &str) -> Self {
        let of_reason = |cause: &&Self| cause.reason() == reason;
        let said = said.to_ascii_lowercase();
        let has = |cause: &&Self| cause.said().iter().any(|part| said.contains(&part.to_ascii_lowercase()));
        let rest = |cause: &&Self| cause.said().is_empty();
        let mut known = Self::ALL.iter().filter(of_reason);
        let named = known.clone().find(has).or_else(|| known.find(rest));
        // A test sees to it that there is a row for the rest of every reason.
        named.copied().unwrap_or(Self::RequestRefused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_of_failure_is_without_its_explanation() {
        for reason in Reason::all() {
            let rest = Cause::ALL.iter().filter(|cause| cause.reason() == reason && cause.said().is_empty());
            assert_eq!(rest.count(), 1, "{}: one row for the rest", reason.word());
            assert_eq!(Reason::from_word(reason.word()), Some(reason));
        }
    }

    /// The test `diagnosis` has each of them explained, and writes down how.
    #[test]
    fn the_documentation_shows_every_explanation() {
        let page = include_str!("../../../../docs/explain.md");
        for cause in Cause::ALL {
            assert!(page.contains(&format!("| `{}` |", cause.word())), "{} is not there", cause.word());
        }
    }

    #[test]
    fn every_sense_is_five_lines_that_are_sentences() {
        let mut words: Vec<_> = Cause::ALL.iter().map(|cause| cause.word()).collect();
        for cause in Cause::ALL {
            let Sense { means, because, mend, look, meanwhile } = cause.sense();
            for line in [means, because, mend, look, meanwhile] {
                assert!(
                    line.ends_with('.') && !line.contains('\n') && line.len() > 20,
                    "{}: {line}",
                    cause.word()
                );
            }
        }
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Cause::ALL.len(), "words are distinct");
    }
}
