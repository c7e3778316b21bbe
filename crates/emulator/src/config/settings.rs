//! The settings' names: flag, variable and help of each. What they hold is read in `config.rs`.

use std::fmt::Write as _;

use imds_contract::environment;

/// A flag, its variable and its line of help.
pub(super) struct Setting {
    pub(super) flag: &'static str,
    pub(super) variable: &'static str,
    pub(super) value: &'static str,
    pub(super) help: &'static str,
}

pub(super) const ROLE_ARN: Setting = Setting {
    flag: "role-arn",
    variable: environment::ROLE_ARN,
    value: "ARN",
    help: "the IAM role whose credentials are served (required)",
};
pub(super) const TOKEN_FILE: Setting = Setting {
    flag: "token-file",
    variable: environment::TOKEN_FILE,
    value: "PATH",
    help: "the projected service-account token (required)",
};
pub(super) const LISTEN: Setting = Setting {
    flag: "listen",
    variable: environment::LISTEN,
    value: "IP:PORT",
    help: "where IMDS is served; may be repeated, or separated by commas [127.0.0.1:1338 and [::1]:1338]",
};
pub(super) const ADMIN_LISTEN: Setting = Setting {
    flag: "admin-listen",
    variable: environment::ADMIN_LISTEN,
    value: "IP:PORT",
    help: "where health and metrics are served [0.0.0.0:1339, and IPv6 where it exists]",
};
pub(super) const REGION: Setting = Setting {
    flag: "region",
    variable: environment::REGION,
    value: "REGION",
    help: "the region whose STS is asked [the role's partition's global STS]",
};
pub(super) const SESSION_NAME: Setting = Setting {
    flag: "session-name",
    variable: environment::SESSION_NAME,
    value: "NAME",
    help: "the role session name, cut to 64 characters [the host's name]",
};
pub(super) const SESSION_DURATION: Setting = Setting {
    flag: "session-duration",
    variable: environment::SESSION_DURATION,
    value: "SECONDS",
    help: "the life of a session, 900 to 43200 [3600]",
};
pub(super) const HTTP_TOKENS: Setting = Setting {
    flag: "http-tokens",
    variable: environment::HTTP_TOKENS,
    value: "optional|required",
    help: "optional: IMDSv1 and IMDSv2; required: IMDSv2 only [optional]",
};
pub(super) const METADATA: Setting = Setting {
    flag: "metadata",
    variable: environment::METADATA,
    value: "credentials|extended",
    help: "extended: iam/info, instance-id, region, zone and so on too, as far as known [credentials]",
};
pub(super) const ASSUME_ROLE_ARNS: Setting = Setting {
    flag: "assume-role-arns",
    variable: environment::ASSUME_ROLE_ARNS,
    value: "ARN[;external-id=ID],…",
    help: "further roles to assume after the first, in order; the last one's credentials are served [none]",
};
pub(super) const AUTHORIZATION_FILE: Setting = Setting {
    flag: "authorization-file",
    variable: environment::AUTHORIZATION_FILE,
    value: "PATH",
    help: "serve /v1/credentials too, to those who read this file; it is made where it is not there [off]",
};
pub(super) const ALLOWED_HOSTS: Setting = Setting {
    flag: "allowed-hosts",
    variable: environment::ALLOWED_HOSTS,
    value: "HOST,…",
    help: "the hosts that a request's Host may name [any]",
};
pub(super) const HOP_LIMIT: Setting = Setting {
    flag: "hop-limit",
    variable: environment::HOP_LIMIT,
    value: "NUMBER",
    help: "the IP hop limit (TTL) of IMDS's answers, 1 to 64 [the system's]",
};
pub(super) const START: Setting = Setting {
    flag: "start",
    variable: environment::START,
    value: "always|with-credentials",
    help: "whether /startupz lets the Pod start without credentials once --start-timeout is over [always]",
};
pub(super) const START_TIMEOUT: Setting = Setting {
    flag: "start-timeout",
    variable: environment::START_TIMEOUT,
    value: "SECONDS",
    help: "how long /startupz waits for the first credentials [30]",
};
pub(super) const GRACE_PERIOD: Setting = Setting {
    flag: "grace-period",
    variable: environment::GRACE_PERIOD,
    value: "SECONDS",
    help: "how long to go on serving after SIGTERM [20]; a second signal ends it",
};
pub(super) const LOG_LEVEL: Setting = Setting {
    flag: "log-level",
    variable: environment::LOG_LEVEL,
    value: "LEVEL",
    help: "error, warn, info, debug or trace [info]",
};

pub(super) const SETTINGS: [&Setting; 17] = [
    &ROLE_ARN,
    &TOKEN_FILE,
    &LISTEN,
    &ADMIN_LISTEN,
    &REGION,
    &SESSION_NAME,
    &SESSION_DURATION,
    &HTTP_TOKENS,
    &METADATA,
    &ASSUME_ROLE_ARNS,
    &AUTHORIZATION_FILE,
    &ALLOWED_HOSTS,
    &HOP_LIMIT,
    &START,
    &START_TIMEOUT,
    &GRACE_PERIOD,
    &LOG_LEVEL,
];

pub(super) fn help() -> String {
    let mut text = "\
Serves the credential part of the EC2 instance metadata service (IMDS) on loopback, with credentials from
STS AssumeRoleWithWebIdentity.

Usage: imds-emulator --role-arn ARN --token-file PATH [FLAGS]
       imds-emulator --wait[=SECONDS]    (returns once the emulator beside it has started, which it asks at the first
                                          address of --listen; fails with the reason after so long)

Flags, each with its environment variable:
"
    .to_owned();
    for Setting { flag, variable, value, help } in SETTINGS {
        let _ = write!(text, "  --{flag} {value} ({variable})\n      {help}\n");
    }
    text.push_str(
        "  --allow-remote
      let --listen name an address other than a loopback or IMDS address: whoever reaches it gets the credentials
      (loopback and IMDS addresses serve this Pod only, with or without this flag)

STS is reached by AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT,
AWS_STS_REGIONAL_ENDPOINTS, AWS_CA_BUNDLE (or SSL_CERT_FILE), HTTPS_PROXY and NO_PROXY, as with the AWS SDKs.
",
    );
    text
}
