//! The ARN of an IAM role.

use std::fmt;
use std::str::FromStr;

use super::{Invalid, Partition};

const ACCEPTED: &str = "the ARN of an IAM role, for example arn:aws:iam::123456789012:role/my-example-role";

/// STS's limit on the length of a role ARN. Source: STS API, `AssumeRoleWithWebIdentity`, `RoleArn`.
const LONGEST: usize = 2048;

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`, checked: known partition, 12-digit account, legal path and name.
/// Source: IAM user guide, "IAM identifiers".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoleArn {
    text: String,
    partition: Partition,
    name_at: usize,
}

impl RoleArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition that the role lives in.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The 12-digit account id.
    pub fn account(&self) -> &str {
        self.text.split(':').nth(4).unwrap_or_default()
    }

    /// The role's name, without its path: what IMDS lists.
    pub fn name(&self) -> &str {
        self.text.get(self.name_at..).unwrap_or_default()
    }
}

impl FromStr for RoleArn {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or_else(|| Invalid::new(text, ACCEPTED))
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Option<RoleArn> {
    if text.len() > LONGEST {
        return None;
    }
    let mut fields = text.splitn(6, ':');
    let [arn, partition, service, region, account, resource] = std::array::from_fn(|_| fields.next());
    if (arn?, service?, region?) != ("arn", "iam", "") {
        return None;
    }
    let partition = Partition::from_id(partition?)?;
    let account = account?;
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (path, name) = match resource?.strip_prefix("role/")?.rsplit_once('/') {
        Some((path, name)) => (path, name),
        None => ("", resource?.strip_prefix("role/")?),
    };
    // IAM: a path is up to 512 printable ASCII characters, a name up to 64 of `[\w+=,.@-]`.
    let legal_path = path.len() <= 510 && path.bytes().all(|b| b.is_ascii_graphic());
    let legal_name = (1..=64).contains(&name.len()) && name.bytes().all(is_name_byte);
    (legal_path && legal_name).then(|| RoleArn {
        text: text.to_owned(),
        partition,
        name_at: text.len() - name.len(),
    })
}

/// `[\w+=,.@-]`, IAM's and STS's alphabet for names.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_an_arn_apart() {
        let arn: RoleArn = "arn:aws-us-gov:iam::123456789012:role/team/a/my_role@x".parse().unwrap();
        assert_eq!(
            (arn.partition(), arn.account(), arn.name()),
            (Partition::AwsUsGov, "123456789012", "my_role@x")
        );
        assert_eq!(arn.to_string(), "arn:aws-us-gov:iam::123456789012:role/team/a/my_role@x");
    }

    #[test]
    fn refuses_what_is_no_role_arn_and_names_the_form() {
        let long = format!("arn:aws:iam::123456789012:role/{}", "a".repeat(65));
        for wrong in [
            "",
            "my-role",
            "arn:aws:iam::123456789012:user/me",
            "arn:aws:iam::12345678901:role/r",
            "arn:aws:iam::12345678901x:role/r",
            "arn:aws:iam:us-east-1:123456789012:role/r",
            "arn:aws:sts::123456789012:assumed-role/r/s",
            "arn:nowhere:iam::123456789012:role/r",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/path/",
            "arn:aws:iam::123456789012:role/with space",
            "arn:aws:iam::123456789012:role/new\nline",
            "arn:aws:iam::123456789012:role/rôle",
            " arn:aws:iam::123456789012:role/r",
            long.as_str(),
        ] {
            let error = wrong.parse::<RoleArn>().expect_err(wrong);
            assert!(error.to_string().contains("arn:aws:iam::123456789012:role/my-example-role"), "{error}");
        }
    }
}
