//! Names, ids and paths inside an injected Pod.

/// The init container that puts the interception in place.
pub const REDIRECT_CONTAINER: &str = "aws-imds-emulator-redirect";
/// The sidecar that serves IMDS.
pub const EMULATOR_CONTAINER: &str = "aws-imds-emulator";
/// The volume with the projected service-account token; the emulator alone mounts it.
pub const TOKEN_VOLUME: &str = "aws-imds-emulator-token";
/// Where the emulator mounts [`TOKEN_VOLUME`].
pub const TOKEN_MOUNT_PATH: &str = "/var/run/secrets/aws-imds-emulator";
/// The name of the token file inside [`TOKEN_MOUNT_PATH`].
pub const TOKEN_FILE_NAME: &str = "token";
/// The volume with the value of `Authorization` for [`CONTAINER_CREDENTIALS_PATH`]: the emulator writes it, the other
/// containers mount it to read (`interception: endpoint`).
pub const AUTHORIZATION_VOLUME: &str = "aws-imds-emulator-authorization";
/// Where every container mounts [`AUTHORIZATION_VOLUME`].
pub const AUTHORIZATION_MOUNT_PATH: &str = "/var/run/secrets/aws-imds-emulator-authorization";
/// The name of the file inside [`AUTHORIZATION_MOUNT_PATH`].
pub const AUTHORIZATION_FILE_NAME: &str = "token";
/// Where the emulator serves credentials in the form of ECS and EKS, beside IMDS.
pub const CONTAINER_CREDENTIALS_PATH: &str = "/v1/credentials";
/// The label by which Kubernetes tells a Pod its node's zone (1.35 and later). Source: KEP-4742.
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// The audience that STS expects in the token.
pub const TOKEN_AUDIENCE: &str = "sts.amazonaws.com";
/// The life that the token is asked for, in seconds; kubelet renews it at 80 %.
pub const TOKEN_EXPIRATION_SECONDS: u32 = 86_400;
/// The user id of the emulator.
pub const EMULATOR_UID: u32 = 1338;
/// The user id of the redirect: "nobody".
pub const REDIRECT_UID: u32 = 65_534;
/// The programs' paths in the image.
pub const REDIRECT_COMMAND: &str = "/imds-redirect";
/// See [`REDIRECT_COMMAND`].
pub const EMULATOR_COMMAND: &str = "/imds-emulator";
