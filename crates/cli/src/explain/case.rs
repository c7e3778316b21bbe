//! All that is known of a refusal, from wherever it comes. Pure.

use imds_contract::pod::TOKEN_AUDIENCE;
use imds_contract::{Hop, RoleArn};
use imds_sts::Claims;

use super::cause::Cause;
use super::policy::{ANY_ISSUER, Trusted};
use super::said::Said;
use crate::facts::identity::Identity;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Case {
    /// What STS said; none where it is not known, or said nothing bad.
    pub(super) said: Option<Said>,
    /// Of a token that was given.
    pub(super) claims: Option<Claims>,
    /// Of a Pod that was given; else what the command line tells.
    pub(super) identity: Identity,
    /// Of the cluster that was asked.
    pub(super) cluster_issuer: Option<String>,
}

impl Case {
    pub(super) fn cause(&self) -> Option<Cause> {
        self.said.as_ref().map(|said| said.cause)
    }

    fn message(&self) -> &str {
        self.said.as_ref().map_or("", |said| said.message.as_str())
    }

    /// The role that was asked for when it was refused.
    pub(super) fn role(&self) -> Option<&RoleArn> {
        let at = self.said.as_ref().and_then(|said| said.at.as_ref()).map(|at| &at.role);
        at.or(self.identity.role.as_ref())
    }

    /// A further role that was refused, and the one before it.
    pub(super) fn hop(&self) -> Option<(RoleArn, Hop)> {
        let at = self.said.as_ref()?.at.as_ref();
        let hops = self.identity.chain.hops();
        if let Some(at) = at {
            let index = at.number.checked_sub(2)?;
            let before = match index.checked_sub(1) {
                None => self.identity.role.clone(),
                Some(index) => hops.get(index).map(|hop| hop.role_arn.clone()),
            };
            let hop = hops.get(index).filter(|hop| hop.role_arn == at.role).cloned();
            let hop = hop.unwrap_or_else(|| Hop { role_arn: at.role.clone(), external_id: None });
            return Some((before.filter(|_| !hops.is_empty()).or_else(|| caller(self.message()))?, hop));
        }
        // Of the message alone.
        (self.cause() == Some(Cause::NotTrustedByRole)).then(|| {
            Some((caller(self.message())?, Hop { role_arn: resource(self.message())?, external_id: None }))
        })?
    }

    /// The token's; else what the log or the message says; else the cluster's.
    pub(super) fn issuer(&self) -> Option<&str> {
        let of_token = self.claims.as_ref().and_then(|claims| claims.issuer.as_deref());
        let of_log =
            self.said.as_ref().map(|said| said.shown.issuer.as_str()).filter(|issuer| !issuer.is_empty());
        let of_message =
            self.message().split_once("provider found in your account for ").map(|(_, rest)| rest);
        let of_message = of_message.and_then(|rest| rest.split(' ').next());
        of_token.or(of_log).or(of_message).or(self.cluster_issuer.as_deref())
    }

    pub(super) fn subject(&self) -> Option<&str> {
        let of_token = self.claims.as_ref().and_then(|claims| claims.subject.as_deref());
        let of_log =
            self.said.as_ref().map(|said| said.shown.subject.as_str()).filter(|subject| !subject.is_empty());
        let of_pod = Some(self.identity.subject.as_str()).filter(|subject| !subject.is_empty());
        of_token.or(of_log).or(of_pod)
    }

    /// `None` where there is no telling.
    pub(super) fn audiences(&self) -> Option<Vec<String>> {
        let of_token = self.claims.as_ref().map(|claims| claims.audiences.clone());
        let of_log =
            || self.said.as_ref().map(|said| said.shown.audiences.clone()).filter(|all| !all.is_empty());
        let of_pod = || self.identity.audience.clone().map(|audience| vec![audience]);
        of_token.filter(|all| !all.is_empty()).or_else(of_log).or_else(of_pod)
    }

    /// The one that provider and policy name.
    pub(super) fn audience(&self) -> String {
        let audiences = self.audiences().unwrap_or_default();
        let usual = audiences.iter().find(|audience| *audience == TOKEN_AUDIENCE).or(audiences.first());
        usual.cloned().unwrap_or_else(|| TOKEN_AUDIENCE.to_owned())
    }

    /// Whom the role has to trust; `None` where too little is known.
    pub(super) fn trusted(&self) -> Option<Trusted> {
        if let Some((arn, hop)) = self.hop() {
            return Some(Trusted::Role { arn, external_id: hop.external_id });
        }
        let subject = self.subject()?.to_owned();
        let issuer = self.issuer().unwrap_or(ANY_ISSUER).to_owned();
        Some(Trusted::Token { issuer, subject, audience: self.audience() })
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
