//! The trust policies that STS would take, and the commands that put things right. Pure.

use imds_contract::{Hop, Partition, RoleArn};
use serde_json::{Value, json};

use super::case::Case;
use super::cause::Cause;

/// Whom a role has to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trusted {
    /// A service account, by its token.
    Token { issuer: String, subject: String, audience: String },
    /// The role before, in a chain.
    Role { arn: RoleArn, external_id: Option<String> },
}

/// What stands for what is not known.
pub(super) const ANY_ACCOUNT: &str = "ACCOUNT_ID";
pub(super) const ANY_ROLE: &str = "ROLE_NAME";
pub(super) const ANY_ISSUER: &str = "https://ISSUER";

/// The issuer as IAM writes it.
pub(super) fn provider(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer)
}

/// `arn:PARTITION:iam::ACCOUNT:oidc-provider/ISSUER`.
pub(super) fn provider_arn(role: Option<&RoleArn>, issuer: &str) -> String {
    let partition = role.map_or(Partition::Aws, RoleArn::partition);
    let account = role.map_or(ANY_ACCOUNT, RoleArn::account);
    format!("arn:{partition}:iam::{account}:oidc-provider/{}", provider(issuer))
}

/// The policy as IAM takes it: name both, `sub` and `aud`.
pub(super) fn trust(role: Option<&RoleArn>, trusted: &Trusted) -> Value {
    let statement = match trusted {
        Trusted::Token { issuer, subject, audience } => {
            let provider = provider(issuer);
            json!({
                "Effect": "Allow",
                "Principal": {"Federated": provider_arn(role, issuer)},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": {
                    format!("{provider}:aud"): audience,
                    format!("{provider}:sub"): subject,
                }},
            })
        }
        Trusted::Role { arn, external_id } => {
            let mut statement = json!({
                "Effect": "Allow",
                "Principal": {"AWS": arn.as_str()},
                "Action": "sts:AssumeRole",
            });
            if let (Some(id), Some(fields)) = (external_id, statement.as_object_mut()) {
                fields.insert("Condition".to_owned(), json!({"StringEquals": {"sts:ExternalId": id}}));
            }
            statement
        }
    };
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

/// What the role before needs.
pub(super) fn permission(hop: &Hop) -> Value {
    let statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": hop.role_arn.as_str()});
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

/// A region whose IAM endpoint is that of the partition; the commercial one needs none.
fn iam_region(partition: Partition) -> Option<&'static str> {
    match partition {
        Partition::Aws => None,
        Partition::AwsCn => Some("cn-north-1"),
        Partition::AwsUsGov => Some("us-gov-west-1"),
        Partition::AwsEusc => Some("eusc-de-east-1"),
        Partition::AwsIso => Some("us-iso-east-1"),
        Partition::AwsIsoB => Some("us-isob-east-1"),
        Partition::AwsIsoE => Some("eu-isoe-west-1"),
        Partition::AwsIsoF => Some("us-isof-south-1"),
    }
}

/// The commands for a cause, with credentials of the role's account; none where no command mends it.
pub(super) fn commands(case: &Case) -> Vec<String> {
    let role = case.role();
    let name = role.map_or(ANY_ROLE, RoleArn::name);
    let region =
        role.and_then(|role| iam_region(role.partition())).map(|region| format!(" --region {region}"));
    let region = region.unwrap_or_default();
    let iam = |words: &str| format!("aws iam {words}{region}");
    let issuer = case.issuer().unwrap_or(ANY_ISSUER);
    let audience = case.audience();
    let arn = provider_arn(role, issuer);
    let provider = iam(&format!("get-open-id-connect-provider --open-id-connect-provider-arn {arn}"));
    let documents = format!("curl --fail {issuer}/.well-known/openid-configuration");
    let trust = |name: &str| {
        [
            iam(&format!("get-role --role-name {name} --query Role.AssumeRolePolicyDocument")),
            format!(
                "{}    # replaces the whole policy",
                iam(&format!(
                    "update-assume-role-policy --role-name {name} --policy-document file://trust.json"
                ))
            ),
        ]
    };
    match case.cause() {
        Some(Cause::NoProvider) => vec![
            iam("list-open-id-connect-providers"),
            iam(&format!("create-open-id-connect-provider --url {issuer} --client-id-list {audience}")),
        ],
        Some(Cause::WrongAudience) => vec![
            provider,
            iam(&format!(
                "add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {arn} --client-id {audience}"
            )),
        ],
        Some(Cause::Thumbprint) => {
            let host = self::provider(issuer).split('/').next().unwrap_or_default();
            vec![
                provider,
                format!(
                    "openssl s_client -connect {host}:443 -servername {host} -showcerts </dev/null    # the last certificate, into ca.pem"
                ),
                "openssl x509 -in ca.pem -noout -fingerprint -sha1    # without the colons: THUMBPRINT"
                    .to_owned(),
                iam(&format!(
                    "update-open-id-connect-provider-thumbprint --open-id-connect-provider-arn {arn} --thumbprint-list THUMBPRINT"
                )),
            ]
        }
        Some(Cause::NoVerificationKey | Cause::IssuerSilent | Cause::BadToken) => {
            vec![documents, "kubectl get --raw /openid/v1/jwks".to_owned()]
        }
        Some(Cause::DurationTooLong) => {
            let seconds = case
                .identity
                .session_duration
                .map_or_else(|| "SECONDS".to_owned(), |seconds| seconds.to_string());
            vec![
                iam(&format!("get-role --role-name {name} --query Role.MaxSessionDuration")),
                iam(&format!("update-role --role-name {name} --max-session-duration {seconds}")),
            ]
        }
        Some(Cause::NotTrustedByRole) => {
            let mut commands = trust(name).to_vec();
            if let Some((before, _)) = case.hop() {
                commands.push(iam(&format!(
                    "put-role-policy --role-name {} --policy-name assume-{name} --policy-document file://permission.json",
                    before.name()
                )));
            }
            commands
        }
        Some(Cause::NotTrusted | Cause::Refused | Cause::ExplicitDeny) | None => {
            let mut commands = trust(name).to_vec();
            if case.cause() == Some(Cause::NotTrusted) {
                commands.push(format!(
                    "{}    # where there is no such role",
                    iam(&format!(
                        "create-role --role-name {name} --assume-role-policy-document file://trust.json"
                    ))
                ));
            }
            commands
        }
        Some(Cause::BadArn) => vec![iam(&format!("get-role --role-name {name} --query Role.Arn"))],
        Some(_) => Vec::new(),
    }
}
