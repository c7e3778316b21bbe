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
pub(super) const ANY_SUBJECT: &str = "SUBJECT";
pub(super) const ANY_AUDIENCE: &str = "AUDIENCE";

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

/// The statement that a trust policy has to have: it names both, `sub` and `aud`. A role's policy is never printed whole: what else
/// is in it is others'.
pub(super) fn statement(role: Option<&RoleArn>, trusted: &Trusted) -> Value {
    match trusted {
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
    }
}

/// The same for a session with tags: `sts:TagSession` beside the action.
pub(super) fn with_tags(mut statement: Value) -> Value {
    if let Some(action) = statement.get_mut("Action") {
        *action = json!([action.take(), "sts:TagSession"]);
    }
    statement
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

/// The commands for a cause, with credentials of the role's account; none where no command mends it, or where nothing can be built
/// on the issuer.
pub(super) fn commands(case: &Case) -> Vec<String> {
    let iam = Iam::of(case);
    let refused_for = case.cause();
    if case.issuer_is_private() && refused_for.is_none_or(Cause::builds_on_issuer) {
        return vec![format!("{ISSUER_OF_CLUSTER}    # the issuer that the cluster's tokens name")];
    }
    let role = refused_role(case);
    let name = role.as_ref().map_or(ANY_ROLE, RoleArn::name);
    match refused_for {
        Some(Cause::NoProvider) => vec![
            iam.command("list-open-id-connect-providers"),
            iam.command(&format!(
                "create-open-id-connect-provider --url {} --client-id-list {}",
                case.provider_issuer(),
                case.audience()
            )),
        ],
        Some(Cause::WrongAudience) => vec![
            iam.command(&iam.get_provider()),
            iam.command(&format!(
                "add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {} --client-id {}",
                iam.provider,
                case.audience()
            )),
        ],
        Some(Cause::Thumbprint) => thumbprint(case, &iam),
        Some(Cause::NoVerificationKey | Cause::IssuerSilent | Cause::BadToken) => vec![
            format!("curl --fail {}/.well-known/openid-configuration", case.provider_issuer()),
            "kubectl get --raw /openid/v1/jwks".to_owned(),
        ],
        Some(Cause::DurationTooLong) => {
            let seconds = case
                .identity
                .session_duration
                .map_or_else(|| "SECONDS".to_owned(), |seconds| seconds.to_string());
            vec![
                iam.command(&format!("get-role --role-name {name} --query Role.MaxSessionDuration")),
                iam.command(&format!("update-role --role-name {name} --max-session-duration {seconds}")),
            ]
        }
        Some(Cause::NotTrustedByRole) => {
            let mut commands = iam.add_statement(name);
            if let Some((before, hop)) = case.hop() {
                commands.extend(iam.give_permission(&before, &hop));
            }
            commands
        }
        Some(Cause::NotTrusted) => {
            let mut commands = iam.add_statement(name);
            commands.extend(iam.create_role(name));
            commands
        }
        Some(Cause::IdentityPolicy) => {
            case.hop().map(|(before, hop)| iam.give_permission(&before, &hop).into()).unwrap_or_default()
        }
        Some(Cause::Refused | Cause::TagSession) | None => iam.add_statement(name),
        Some(Cause::ExplicitDeny) => vec![iam.get_trust_policy(name)],
        Some(Cause::BadArn) => vec![iam.command(&format!("get-role --role-name {name} --query Role.Arn"))],
        Some(_) => Vec::new(),
    }
}

/// The role whose trust policy it is about.
fn refused_role(case: &Case) -> Option<RoleArn> {
    case.hop().map(|(_, hop)| hop.role_arn).or_else(|| case.role().cloned())
}

/// What the cluster says of its tokens.
pub(super) const ISSUER_OF_CLUSTER: &str = "kubectl get --raw /.well-known/openid-configuration";

/// The AWS CLI, for the partition of the role.
struct Iam {
    region: String,
    /// The provider's ARN.
    provider: String,
}

impl Iam {
    fn of(case: &Case) -> Self {
        let role = refused_role(case);
        let region = role.as_ref().and_then(|role| iam_region(role.partition()));
        let region = region.map(|region| format!(" --region {region}")).unwrap_or_default();
        Self { region, provider: provider_arn(role.as_ref(), case.provider_issuer()) }
    }

    fn command(&self, words: &str) -> String {
        format!("aws iam {words}{}", self.region)
    }

    fn get_provider(&self) -> String {
        format!("get-open-id-connect-provider --open-id-connect-provider-arn {}", self.provider)
    }

    fn get_trust_policy(&self, role: &str) -> String {
        let words =
            format!("get-role --role-name {role} --query Role.AssumeRolePolicyDocument --output json");
        self.command(&words)
    }

    /// IAM knows no addition to a trust policy: it is fetched, merged, looked at and put back.
    fn add_statement(&self, role: &str) -> Vec<String> {
        let update = self.command(&format!(
            "update-assume-role-policy --role-name {role} --policy-document file://merged.json"
        ));
        vec![
            format!("{} > trust.json", self.get_trust_policy(role)),
            // IAM keeps a single statement as an object, not a list.
            "jq '.Statement = ([.Statement] | flatten) + [input]' trust.json statement.json > merged.json"
                .to_owned(),
            "diff trust.json merged.json    # the statement is added, and nothing else changes".to_owned(),
            update,
        ]
    }

    fn create_role(&self, role: &str) -> [String; 2] {
        let words = format!("create-role --role-name {role} --assume-role-policy-document file://new.json");
        [
            "jq -n '{Version: \"2012-10-17\", Statement: [input]}' statement.json > new.json    # where there is no such role"
                .to_owned(),
            self.command(&words),
        ]
    }

    /// The policy's name has the account: roles of one name in two accounts need a policy each.
    fn give_permission(&self, before: &RoleArn, hop: &Hop) -> [String; 2] {
        let to = &hop.role_arn;
        let policy =
            format!("--role-name {} --policy-name assume-{}-{}", before.name(), to.account(), to.name());
        [
            format!(
                "{}    # has to say NoSuchEntity: the next line replaces a policy of this name",
                self.command(&format!("get-role-policy {policy}"))
            ),
            self.command(&format!("put-role-policy {policy} --policy-document file://permission.json")),
        ]
    }
}

fn thumbprint(case: &Case, iam: &Iam) -> Vec<String> {
    let host = provider(case.provider_issuer()).split('/').next().unwrap_or_default();
    let server = if host.contains("]:") || !host.ends_with(']') && host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:443")
    };
    let name = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
    vec![
        iam.command(&format!("{} --query ThumbprintList --output text", iam.get_provider())),
        format!(
            "openssl s_client -connect {server} -servername {name} -showcerts </dev/null    # the last certificate, into ca.pem"
        ),
        "openssl x509 -in ca.pem -noout -fingerprint -sha1    # without the colons: THUMBPRINT".to_owned(),
        iam.command(&format!(
            "update-open-id-connect-provider-thumbprint --open-id-connect-provider-arn {} --thumbprint-list OLD THUMBPRINT",
            iam.provider
        )) + "    # the whole list: OLD are those that are there",
    ]
}
