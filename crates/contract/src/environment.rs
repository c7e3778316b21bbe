//! The environment variables through which an injected container is told its settings. The AWS names are those that
//! every AWS SDK knows; the rest are our own.

/// `--role-arn`.
pub const ROLE_ARN: &str = "AWS_ROLE_ARN";
/// `--token-file`.
pub const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
/// `--region`.
pub const REGION: &str = "AWS_REGION";
/// `--session-name`.
pub const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";
/// `--session-duration`, in seconds.
pub const SESSION_DURATION: &str = "IMDS_SESSION_DURATION";
/// `--http-tokens`.
pub const HTTP_TOKENS: &str = "IMDS_HTTP_TOKENS";
/// `--metadata`.
pub const METADATA: &str = "IMDS_METADATA";
/// `--assume-role-arns`.
pub const ASSUME_ROLE_ARNS: &str = "IMDS_ASSUME_ROLE_ARNS";
/// `--authorization-file`.
pub const AUTHORIZATION_FILE: &str = "IMDS_AUTHORIZATION_FILE";
/// `--allowed-hosts`.
pub const ALLOWED_HOSTS: &str = "IMDS_ALLOWED_HOSTS";
/// `--hop-limit`.
pub const HOP_LIMIT: &str = "IMDS_HOP_LIMIT";
/// `--listen`; several addresses are separated by commas.
pub const LISTEN: &str = "IMDS_LISTEN";
/// `--admin-listen`.
pub const ADMIN_LISTEN: &str = "IMDS_ADMIN_LISTEN";
/// `--start`.
pub const START: &str = "IMDS_START";
/// `--start-timeout`, in seconds.
pub const START_TIMEOUT: &str = "IMDS_START_TIMEOUT";
/// `--grace-period`, in seconds.
pub const GRACE_PERIOD: &str = "IMDS_GRACE_PERIOD";
/// `--log-level`.
pub const LOG_LEVEL: &str = "IMDS_LOG_LEVEL";

/// The STS endpoint to use, before [`ENDPOINT_URL`] and the partition's own.
pub const ENDPOINT_URL_STS: &str = "AWS_ENDPOINT_URL_STS";
/// The endpoint of every AWS service; used for STS where [`ENDPOINT_URL_STS`] is absent.
pub const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";
/// `true` disables both endpoint variables.
pub const IGNORE_CONFIGURED_ENDPOINT_URLS: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
/// A PEM file that replaces the compiled-in trust roots.
pub const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
/// A PEM file that replaces the compiled-in trust roots, where [`CA_BUNDLE`] is absent (OpenSSL's name).
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// `true` asks for a FIPS 140 validated endpoint.
pub const USE_FIPS_ENDPOINT: &str = "AWS_USE_FIPS_ENDPOINT";
/// `true` asks for an endpoint reachable over IPv4 and IPv6.
pub const USE_DUALSTACK_ENDPOINT: &str = "AWS_USE_DUALSTACK_ENDPOINT";
/// `regional` (default) or `legacy`.
pub const STS_REGIONAL_ENDPOINTS: &str = "AWS_STS_REGIONAL_ENDPOINTS";

/// The IMDS endpoint variable that most current SDKs read (`interception: endpoint`).
pub const EC2_METADATA_SERVICE_ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// The container credentials endpoint that current SDKs read, and some old ones that do not know
/// [`EC2_METADATA_SERVICE_ENDPOINT`] (`interception: endpoint`).
pub const CONTAINER_CREDENTIALS_FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
/// The file with the value of `Authorization` for it; read anew at each request.
pub const CONTAINER_AUTHORIZATION_TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// The Pod's name, from the downward API.
pub const POD_NAME: &str = "IMDS_POD_NAME";
/// The Pod's namespace, from the downward API.
pub const POD_NAMESPACE: &str = "IMDS_POD_NAMESPACE";
/// The Pod's service account, from the downward API.
pub const POD_SERVICE_ACCOUNT: &str = "IMDS_POD_SERVICE_ACCOUNT";
/// The Pod's uid, from the downward API: the `instance-id` of `metadata: extended`.
pub const POD_UID: &str = "IMDS_POD_UID";
/// The zone of the Pod's node, from the downward API where the cluster copies it to the Pod (Kubernetes 1.35): the
/// `placement/availability-zone` of `metadata: extended`.
pub const ZONE: &str = "IMDS_AVAILABILITY_ZONE";
/// The Pod's IP addresses, from the downward API (comma separated), read by `imds-redirect`, and for `metadata: extended`.
pub const POD_IPS: &str = "IMDS_POD_IPS";
/// The node's IP address, from the downward API, read by `imds-redirect` to recognise the node's own network namespace.
pub const HOST_IP: &str = "IMDS_HOST_IP";

/// Where a program's environment variables are read from: the system in `main`, a map in a test.
pub trait Environment {
    /// The variable's value; `None` when it is unset.
    fn get(&self, name: &str) -> Option<String>;
}

/// The process's own environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl Environment for std::collections::BTreeMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).map(|value| (*value).to_owned())
    }
}
