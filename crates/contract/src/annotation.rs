//! The label and the annotations that a user writes on a Pod: GKE on AWS's "IMDS emulator" contract, word for word, and
//! our further annotations under the same prefix.

/// The Pod label that asks for the emulator. Only the value [`ENABLED_VALUE`] enables it.
pub const ENABLED_LABEL: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-enabled";

/// The one value of [`ENABLED_LABEL`] that enables the emulator; `true`, `TRUE`, `yes` and `""` all mean disabled.
pub const ENABLED_VALUE: &str = "True";

/// What every annotation of ours begins with.
pub const PREFIX: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-";

/// The ARN of the IAM role whose credentials the Pod gets: a [`RoleArn`](crate::RoleArn). Required.
pub const ROLE_ARN: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-role-arn";

/// The AWS region whose STS is asked: a [`Region`](crate::Region).
pub const REGION: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-region";

/// Whether IMDSv1 is allowed: [`HttpTokens`](crate::HttpTokens).
pub const HTTP_TOKENS: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-http-tokens";

/// The life of a session in seconds: [`SessionDuration`](crate::SessionDuration).
pub const SESSION_DURATION: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-session-duration";

/// A template of the role session name, with `{namespace}`, `{pod}` and `{serviceaccount}`.
pub const SESSION_NAME: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-session-name";

/// How the address is intercepted: [`Interception`](crate::Interception).
pub const INTERCEPTION: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-interception";

/// How much of the metadata tree is served: [`Metadata`](crate::Metadata).
pub const METADATA: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-metadata";

/// Further roles to assume after the first, in order (role chaining).
pub const ASSUME_ROLE_ARNS: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-assume-role-arns";

/// Whether the Pod's other containers start without credentials: [`Start`](crate::Start).
pub const START: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-start";

/// The CPU request of the injected containers, a Kubernetes quantity.
pub const CPU_REQUEST: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-cpu-request";

/// The CPU limit of the injected containers, a Kubernetes quantity, or `none`.
pub const CPU_LIMIT: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-cpu-limit";

/// The memory request of the injected containers, a Kubernetes quantity.
pub const MEMORY_REQUEST: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-memory-request";

/// The memory limit of the injected containers, a Kubernetes quantity.
pub const MEMORY_LIMIT: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-memory-limit";

/// Written by the webhook: what it did.
pub const STATUS: &str = "gkemulticloud.googleapis.com/aws-imds-emulator-status";

/// Every annotation of ours: those that a user writes, then [`STATUS`].
pub const ALL: [&str; 14] = [
    ROLE_ARN,
    REGION,
    HTTP_TOKENS,
    SESSION_DURATION,
    SESSION_NAME,
    INTERCEPTION,
    METADATA,
    ASSUME_ROLE_ARNS,
    START,
    CPU_REQUEST,
    CPU_LIMIT,
    MEMORY_REQUEST,
    MEMORY_LIMIT,
    STATUS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_ours_has_the_prefix() {
        for name in ALL.into_iter().chain([ENABLED_LABEL]) {
            assert!(name.strip_prefix(PREFIX).is_some_and(|suffix| !suffix.is_empty()), "{name}");
        }
    }
}
