//! What whoever reads that STS refused needs next: what the token said of itself, which is what a trust policy is compared
//! with, and the command that compares. Never the token.

use std::fmt;

use imds_contract::environment::{self, Environment};
use imds_contract::is_object_name;
use imds_sts::{Claims, FailureKind};

/// The refusals that are about the token, the role or its trust policy.
const ABOUT_TRUST: [FailureKind; 4] =
    [FailureKind::Denied, FailureKind::InvalidToken, FailureKind::ExpiredToken, FailureKind::RejectedClaim];

/// See the module. Each text is fit for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What the token that was shown says of itself.
    pub claims: Claims,
    /// What to type.
    pub command: ExplainCommand,
}

impl Advice {
    /// For a failure of this kind; `None` where the token has nothing to do with it.
    pub fn on(kind: &str, token: &str, command: &ExplainCommand) -> Option<Self> {
        let about_trust = ABOUT_TRUST.iter().any(|of_trust| of_trust.as_str() == kind);
        about_trust.then(|| Self { claims: Claims::of(token).unwrap_or_default(), command: command.clone() })
    }

    /// The token's issuer; empty where it names none.
    pub fn issuer(&self) -> &str {
        self.claims.issuer.as_deref().unwrap_or_default()
    }

    /// The token's subject; empty where it names none.
    pub fn subject(&self) -> &str {
        self.claims.subject.as_deref().unwrap_or_default()
    }

    /// The token's audiences.
    pub fn audiences(&self) -> String {
        self.claims.audiences.join(" ")
    }
}

/// `kubectl imds explain`, with the Pod where it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainCommand(String);

impl ExplainCommand {
    /// The Pod is known by what the session's name is made of.
    pub fn of(environment: &dyn Environment) -> Self {
        let named = |variable| environment.get(variable).filter(|name| can_be_typed(name));
        let pod = named(environment::POD_NAME).zip(named(environment::POD_NAMESPACE));
        let pod = pod.map(|(pod, namespace)| format!(" {pod} -n {namespace}"));
        Self(format!("kubectl imds explain{}", pod.unwrap_or_default()))
    }
}

impl fmt::Display for ExplainCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name, and no flag.
fn can_be_typed(name: &str) -> bool {
    is_object_name(name) && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn command(variables: &[(&'static str, &'static str)]) -> String {
        ExplainCommand::of(&variables.iter().copied().collect::<BTreeMap<_, _>>()).to_string()
    }

    #[test]
    fn the_command_names_the_pod_where_it_is_known_and_nothing_that_is_no_name() {
        let pod = |name| command(&[(environment::POD_NAME, name), (environment::POD_NAMESPACE, "shop")]);
        assert_eq!(pod("web-7d4b9c-x2x9p"), "kubectl imds explain web-7d4b9c-x2x9p -n shop");
        for no_name in ["", "--help", "a b", "a;b", "$(a)", "A", "a\nb"] {
            assert_eq!(pod(no_name), "kubectl imds explain", "{no_name:?}");
        }
        assert_eq!(command(&[(environment::POD_NAME, "web")]), "kubectl imds explain");
    }

    #[test]
    fn only_a_refusal_of_trust_tells_of_the_token() {
        let command = ExplainCommand::of(&BTreeMap::new());
        let advised =
            FailureKind::ALL.iter().filter(|kind| Advice::on(kind.as_str(), "", &command).is_some());
        let words: Vec<_> = advised.map(|kind| kind.as_str()).collect();
        assert_eq!(words, ["denied", "rejected_claim", "invalid_token", "expired_token"]);
        assert_eq!(Advice::on("token_file", "", &command), None);
    }

    #[test]
    fn what_is_no_token_is_no_reason_to_fail() {
        let command = ExplainCommand::of(&BTreeMap::new());
        let advice = Advice::on("invalid_token", "no token at all", &command).unwrap();
        assert_eq!((advice.issuer(), advice.subject(), advice.audiences().as_str()), ("", "", ""));
    }
}
