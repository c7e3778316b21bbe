//! Further roles to assume after the first, in order: role chaining.

use std::fmt;
use std::str::FromStr;

use super::arn::is_name_byte;
use super::{Invalid, RoleArn, SessionDuration};

const ACCEPTED: &str = "one to 5 ARNs of IAM roles of one partition, separated by commas or blanks, each with \
                        ;external-id=ID behind it where its trust policy asks for one (ID: 2 to 1224 letters, digits or _+=.@:/-)";

/// What divides an ARN from its external id. A role's path may hold a `;`, and even this, which nobody does:
/// the first counts.
const EXTERNAL_ID: &str = ";external-id=";

/// One further role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The role.
    pub role_arn: RoleArn,
    /// What the role's trust policy wants as `sts:ExternalId`. No secret: AWS's own documentation says so.
    pub external_id: Option<String>,
}

/// Roles to assume one after the other, each with the credentials of the one before. Empty by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleChain(Vec<Hop>);

impl RoleChain {
    /// Each hop is an exchange at every refresh.
    pub const MOST: usize = 5;

    /// The roles in their order.
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }

    /// The role whose credentials come out in the end, where there is any.
    pub fn last(&self) -> Option<&RoleArn> {
        self.0.last().map(|hop| &hop.role_arn)
    }

    /// Whether a session may be that long: STS gives a role that is assumed by another role's session one hour at most.
    /// Source: STS API, `AssumeRole`, `DurationSeconds`.
    pub fn allows(&self, duration: SessionDuration) -> Result<(), Invalid> {
        if self.0.is_empty() || duration <= SessionDuration::DEFAULT {
            return Ok(());
        }
        Err(Invalid::new(
            duration.to_string(),
            "at most 3600 with assume-role-arns: STS caps chained sessions",
        ))
    }
}

impl FromStr for RoleChain {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or_else(|| Invalid::new(text, ACCEPTED))
    }
}

fn parse(text: &str) -> Option<RoleChain> {
    let words = text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let hops = words.map(parse_hop).collect::<Option<Vec<_>>>()?;
    let partition = hops.first()?.role_arn.partition();
    let legal = hops.len() <= RoleChain::MOST && hops.iter().all(|hop| hop.role_arn.partition() == partition);
    legal.then_some(RoleChain(hops))
}

fn parse_hop(word: &str) -> Option<Hop> {
    let (arn, external_id) = match word.split_once(EXTERNAL_ID) {
        Some((arn, id)) => (arn, Some(id)),
        None => (word, None),
    };
    let external_id = external_id.map(str::to_owned);
    if external_id.as_deref().is_some_and(|id| !is_external_id(id)) {
        return None;
    }
    Some(Hop { role_arn: arn.parse().ok()?, external_id })
}

/// `[\w+=,.@:\/-]`, 2 to 1224 of them; but no comma, which divides the hops. Source: STS API, `AssumeRole`, `ExternalId`.
fn is_external_id(text: &str) -> bool {
    (2..=1224).contains(&text.len())
        && text.bytes().all(|byte| byte != b',' && is_name_byte(byte) || b":/".contains(&byte))
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.role_arn.fmt(f)?;
        match &self.external_id {
            Some(id) => write!(f, "{EXTERNAL_ID}{id}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for RoleChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, hop) in self.0.iter().enumerate() {
            write!(f, "{}{hop}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "arn:aws:iam::111122223333:role/a";
    const B: &str = "arn:aws:iam::444455556666:role/path/b=c";

    #[test]
    fn reads_roles_in_their_order_however_they_are_divided() {
        for text in [format!("{A},{B}"), format!("{A}, {B}\n"), format!("  {A}\n{B} "), format!(",{A},,{B},")]
        {
            let chain: RoleChain = text.parse().unwrap();
            let arns: Vec<_> = chain.hops().iter().map(|hop| hop.role_arn.as_str()).collect();
            assert_eq!(arns, [A, B], "{text:?}");
            assert_eq!(chain.last().map(RoleArn::name), Some("b=c"));
        }
    }

    #[test]
    fn a_role_may_have_an_external_id() {
        let text = format!("{A};external-id=Acme:42/x=y@z,{B}");
        let chain: RoleChain = text.parse().unwrap();
        let ids: Vec<_> = chain.hops().iter().map(|hop| hop.external_id.as_deref()).collect();
        assert_eq!(ids, [Some("Acme:42/x=y@z"), None]);
        assert_eq!(chain.to_string(), text, "it prints as it reads");
    }

    #[test]
    fn a_chained_session_has_an_hour_at_most() {
        let chain: RoleChain = A.parse().unwrap();
        let duration = |seconds: &str| seconds.parse::<SessionDuration>().unwrap();
        assert_eq!(chain.allows(duration("3600")), Ok(()));
        assert!(chain.allows(duration("3601")).unwrap_err().to_string().contains("at most 3600"));
        assert_eq!(RoleChain::default().allows(duration("43200")), Ok(()));
    }

    #[test]
    fn what_is_no_chain_is_refused_with_the_form() {
        let six = [A; 6].join(",");
        let china = format!("{A},arn:aws-cn:iam::111122223333:role/a");
        for wrong in [
            "",
            " , ",
            "my-role",
            &six,
            &china,
            &format!("{A};external-id="),
            &format!("{A};external-id=x"),
            &format!("{A};external-id=two,words"),
            &format!("{A};external-id=two words"),
            &format!("{A};externalid=abc"),
            &format!("{A};external-id={}", "x".repeat(1225)),
        ] {
            let error = wrong.parse::<RoleChain>().expect_err(wrong).to_string();
            assert!(error.contains(";external-id=ID"), "{error}");
        }
    }
}
