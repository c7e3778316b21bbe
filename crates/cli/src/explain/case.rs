//! All that is known of a refusal, from wherever it comes. Pure.

use imds_contract::pod::TOKEN_AUDIENCE;
use imds_contract::{Hop, RoleArn};
use imds_sts::Claims;

use super::cause::Cause;
use super::policy::{ANY_AUDIENCE, ANY_ISSUER, ANY_SUBJECT, Trusted};
use super::said::Said;
use crate::facts::identity::Identity;
use crate::facts::issuer;
use crate::shell_words;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Case {
    /// What STS said; none where it is not known, or said nothing bad.
    pub(super) said: Option<Said>,
    /// Of a token that was given.
    pub(super) claims: Option<Claims>,
    /// Of a Pod that was given; else what the command line tells.
    pub(super) identity: Identity,
    /// Whether it is about a Pod that was looked at. Its spec and the cluster go before what its log says.
    pub(super) of_pod: bool,
    /// Of the cluster that was asked.
    pub(super) cluster_issuer: Option<String>,
}

impl Case {
    pub(super) fn cause(&self) -> Option<Cause> {
        self.said.as_ref().map(|said| said.cause)
    }

    fn names_both_roles(&self) -> bool {
        self.cause().is_some_and(Cause::names_both_roles)
    }

    fn message(&self) -> &str {
        self.said.as_ref().map_or("", |said| said.message.as_str())
    }

    /// The role that was asked for when it was refused. A log is believed in this only as far as the Pod's spec has the role.
    pub(super) fn role(&self) -> Option<&RoleArn> {
        let named = self.said.as_ref().and_then(|said| said.at.as_ref());
        let named = named.filter(|at| if self.of_pod { self.is_own(&at.role) } else { at.number > 1 });
        named
            .map(|at| &at.role)
            .or(self.identity.role.as_ref())
            .or_else(|| Some(&self.said.as_ref()?.at.as_ref()?.role))
    }

    /// Whether the Pod's spec names it.
    fn is_own(&self, role: &RoleArn) -> bool {
        let Identity { role: first, chain, .. } = &self.identity;
        first.as_ref() == Some(role) || chain.hops().iter().any(|hop| hop.role_arn == *role)
    }

    /// A role that a Pod's log names and its spec does not.
    pub(super) fn foreign_role(&self) -> Option<RoleArn> {
        let at = self.said.as_ref()?.at.as_ref().map(|at| at.role.clone());
        let named = [at, resource(self.message())];
        named.into_iter().flatten().find(|role| self.of_pod && !self.is_own(role))
    }

    /// A further role that was refused, and the one before it: of a Pod, those of its spec.
    pub(super) fn hop(&self) -> Option<(RoleArn, Hop)> {
        let at = self.said.as_ref()?.at.as_ref();
        let hops = self.identity.chain.hops();
        if self.of_pod {
            let named = match at {
                Some(at) => at.role.clone(),
                None if self.names_both_roles() => resource(self.message())?,
                None => return None,
            };
            let index = hops.iter().position(|hop| hop.role_arn == named)?;
            let before = match index.checked_sub(1) {
                None => self.identity.role.clone()?,
                Some(index) => hops.get(index)?.role_arn.clone(),
            };
            return Some((before, hops.get(index)?.clone()));
        }
        if let Some(at) = at {
            at.number.checked_sub(2)?;
            return Some((caller(self.message())?, Hop { role_arn: at.role.clone(), external_id: None }));
        }
        // Of the message alone.
        self.names_both_roles().then(|| {
            Some((caller(self.message())?, Hop { role_arn: resource(self.message())?, external_id: None }))
        })?
    }

    /// The issuer that has to be trusted: the token's, or the cluster's own. Where neither is known, what a text names, but of a Pod
    /// that was looked at nothing: whatever runs in it may have written the line.
    pub(super) fn issuer(&self) -> Option<&str> {
        let of_token = self.claims.as_ref().and_then(|claims| claims.issuer.as_deref());
        let own = of_token.or(self.cluster_issuer.as_deref());
        if self.of_pod { own } else { own.or_else(|| self.named_issuer()) }
    }

    /// The issuer that the log or STS's message names.
    pub(super) fn named_issuer(&self) -> Option<&str> {
        let of_log =
            self.said.as_ref().map(|said| said.shown.issuer.as_str()).filter(|issuer| !issuer.is_empty());
        let of_message =
            self.message().split_once("provider found in your account for ").map(|(_, rest)| rest);
        let of_message = of_message.and_then(|rest| rest.split(' ').next());
        of_log.or(of_message)
    }

    /// Whether what has to be trusted is a token that AWS can't check: nothing can be built on its issuer.
    pub(super) fn issuer_is_private(&self) -> bool {
        self.hop().is_none() && self.issuer().is_some_and(issuer::is_private)
    }

    /// The token's; else the Pod's; else what a text names.
    pub(super) fn subject(&self) -> Option<&str> {
        let of_token = self.claims.as_ref().and_then(|claims| claims.subject.as_deref());
        let of_pod = Some(self.identity.subject.as_str()).filter(|subject| !subject.is_empty());
        of_token.or(of_pod).or_else(|| self.named_subject())
    }

    /// The subject that the log names.
    pub(super) fn named_subject(&self) -> Option<&str> {
        self.said.as_ref().map(|said| said.shown.subject.as_str()).filter(|subject| !subject.is_empty())
    }

    /// `None` where there is no telling.
    pub(super) fn audiences(&self) -> Option<Vec<String>> {
        let of_token = self.claims.as_ref().map(|claims| claims.audiences.clone());
        let of_pod = || self.identity.audience.clone().map(|audience| vec![audience]);
        of_token.filter(|all| !all.is_empty()).or_else(of_pod).or_else(|| self.named_audiences())
    }

    /// The audiences that the log names.
    pub(super) fn named_audiences(&self) -> Option<Vec<String>> {
        self.said.as_ref().map(|said| said.shown.audiences.clone()).filter(|all| !all.is_empty())
    }

    /// Whether whom to trust is known from a text alone, which anything in the Pod may have written.
    pub(super) fn is_by_text_alone(&self) -> bool {
        let by_text = |own: Option<&str>, named: Option<&str>| own.is_some() && own == named;
        let token_by_text =
            by_text(self.issuer(), self.named_issuer()) || by_text(self.subject(), self.named_subject());
        !self.of_pod && (self.hop().is_some() || self.claims.is_none() && token_by_text)
    }

    /// The one that provider and policy name; a placeholder where it can't stand in them.
    pub(super) fn audience(&self) -> String {
        let audiences = self.audiences().unwrap_or_default();
        let usual = audiences.iter().find(|audience| *audience == TOKEN_AUDIENCE).or(audiences.first());
        shell_words::claim(usual.map_or(TOKEN_AUDIENCE, String::as_str), ANY_AUDIENCE).to_owned()
    }

    /// The issuer that provider and policy name; a placeholder where it is not known, or can't stand in them.
    pub(super) fn provider_issuer(&self) -> &str {
        self.issuer().filter(|issuer| shell_words::is_issuer(issuer)).unwrap_or(ANY_ISSUER)
    }

    /// Whom the role has to trust; `None` where too little is known, or where nobody can.
    pub(super) fn trusted(&self) -> Option<Trusted> {
        if let Some((arn, hop)) = self.hop() {
            return Some(Trusted::Role { arn, external_id: hop.external_id });
        }
        if self.issuer_is_private() {
            return None;
        }
        let subject = shell_words::claim(self.subject()?, ANY_SUBJECT).to_owned();
        Some(Trusted::Token { issuer: self.provider_issuer().to_owned(), subject, audience: self.audience() })
    }
}

/// `User: arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION is not …`, as the role's own ARN. A path is not in it.
fn caller(message: &str) -> Option<RoleArn> {
    let (_, rest) = message.split_once("User: arn:")?;
    let mut fields = rest.split(' ').next()?.splitn(5, ':');
    let [partition, service, _region, account, resource] = std::array::from_fn(|_| fields.next());
    let role = resource?.strip_prefix("assumed-role/")?.rsplit_once('/')?.0;
    (service? == "sts").then(|| format!("arn:{}:iam::{}:role/{role}", partition?, account?).parse().ok())?
}

fn resource(message: &str) -> Option<RoleArn> {
    let (_, rest) = message.split_once("on resource: ")?;
    rest.split(' ').next()?.parse().ok()
}
