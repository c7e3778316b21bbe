//! CPU and memory of the injected containers.

use std::collections::BTreeMap;

use imds_contract::{Invalid, annotation};
use serde::de::{Deserialize, Deserializer, Error};

use crate::quantity::Quantity;
use crate::settings::Scalar;

/// `resources` of the injected containers. Given in the settings, it replaces the default as a whole. No request is above
/// its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources {
    /// What the scheduler reserves.
    pub requests: BTreeMap<String, Quantity>,
    /// What kubelet enforces.
    pub limits: BTreeMap<String, Quantity>,
}

impl Default for Resources {
    /// A few times what the emulator was measured to use: under 1 MiB idle and 16 KiB a connection; 4 ms of CPU to start, of
    /// the 10 ms that 100m allows in every 100 ms. All four are set, because a `ResourceQuota` on any of them refuses a Pod
    /// with a container that lacks it.
    fn default() -> Self {
        let list = |entries: [(&str, &str); 2]| {
            entries.iter().filter_map(|(name, text)| Some(((*name).to_owned(), text.parse().ok()?))).collect()
        };
        Self {
            requests: list([("cpu", "5m"), ("memory", "16Mi")]),
            limits: list([("cpu", "100m"), ("memory", "32Mi")]),
        }
    }
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Lists { requests, limits } = Lists::deserialize(deserializer)?;
        for (name, request) in &requests {
            if let Some(limit) = limits.get(name).filter(|limit| limit.amount() < request.amount()) {
                return Err(D::Error::custom(format!(
                    "{name}: the request {request} is above the limit {limit}"
                )));
            }
        }
        Ok(Self { requests, limits })
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    #[serde(default, deserialize_with = "quantities")]
    requests: BTreeMap<String, Quantity>,
    #[serde(default, deserialize_with = "quantities")]
    limits: BTreeMap<String, Quantity>,
}

fn quantities<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Quantity>, D::Error> {
    let scalars = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    let parse = |(name, scalar): (String, Scalar)| {
        let quantity =
            scalar.to_string().parse().map_err(|error| D::Error::custom(format!("{name}: {error}")))?;
        Ok((name, quantity))
    };
    scalars.into_iter().map(parse).collect()
}

/// What a Pod's annotations ask for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) cpu_request: Option<Quantity>,
    pub(crate) memory_request: Option<Quantity>,
    pub(crate) memory_limit: Option<Quantity>,
}

impl Resources {
    /// These defaults with what the Pod asks for. In a Guaranteed Pod requests equal limits, so that it stays Guaranteed.
    /// The error names the annotation that cannot be had together with the others.
    pub(crate) fn with(&self, asked: &Asked, guaranteed: bool) -> Result<Self, (&'static str, Invalid)> {
        let mut resources = self.clone();
        if let Some((request, limit)) = asked.memory_request.as_ref().zip(asked.memory_limit.as_ref())
            && request.amount() > limit.amount()
        {
            let invalid =
                Invalid { value: request.to_string(), accepted: "at most what the memory limit is" };
            return Err((annotation::MEMORY_REQUEST, invalid));
        }
        resources.limit("memory", asked.memory_limit.as_ref());
        resources.request("memory", asked.memory_request.as_ref());
        resources.request("cpu", asked.cpu_request.as_ref());
        if guaranteed {
            // Who asks for so much CPU means so much: the default limit is generous because nothing reserves it.
            resources.equal("cpu", asked.cpu_request.as_ref());
            resources.equal("memory", None);
        }
        Ok(resources)
    }

    /// Who asks for more than the default limit means the limit too: the API server refuses a request above its limit.
    fn request(&mut self, name: &str, request: Option<&Quantity>) {
        let Some(request) = request else { return };
        if let Some(limit) = self.limits.get_mut(name).filter(|limit| limit.amount() < request.amount()) {
            *limit = request.clone();
        }
        self.requests.insert(name.to_owned(), request.clone());
    }

    fn limit(&mut self, name: &str, limit: Option<&Quantity>) {
        let Some(limit) = limit else { return };
        if let Some(request) = self.requests.get_mut(name).filter(|request| request.amount() > limit.amount())
        {
            *request = limit.clone();
        }
        self.limits.insert(name.to_owned(), limit.clone());
    }

    /// Makes request and limit the same: what was asked for, else the limit, else the request.
    fn equal(&mut self, name: &str, asked: Option<&Quantity>) {
        let amount = asked.or_else(|| self.limits.get(name)).or_else(|| self.requests.get(name)).cloned();
        if let Some(amount) = amount {
            self.requests.insert(name.to_owned(), amount.clone());
            self.limits.insert(name.to_owned(), amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Option<Quantity> {
        text.parse().ok()
    }

    /// CPU and memory: request/limit.
    fn shown(resources: &Resources) -> [String; 2] {
        ["cpu", "memory"].map(|name| format!("{}/{}", resources.requests[name], resources.limits[name]))
    }

    #[test]
    fn all_four_are_set_by_default() {
        assert_eq!(shown(&Resources::default()), ["5m/100m", "16Mi/32Mi"]);
    }

    #[test]
    fn what_is_asked_for_never_puts_a_request_above_its_limit() {
        let with = |asked| shown(&Resources::default().with(&asked, false).unwrap());
        let asked =
            Asked { cpu_request: quantity("1"), memory_request: quantity("48Mi"), ..Asked::default() };
        assert_eq!(with(asked), ["1/1", "48Mi/48Mi"]);
        assert_eq!(with(Asked { memory_limit: quantity("8Mi"), ..Asked::default() }), ["5m/100m", "8Mi/8Mi"]);
        assert_eq!(
            with(Asked { memory_limit: quantity("1Gi"), ..Asked::default() }),
            ["5m/100m", "16Mi/1Gi"]
        );
        let both =
            Asked { memory_request: quantity("64Mi"), memory_limit: quantity("32Mi"), ..Asked::default() };
        assert_eq!(Resources::default().with(&both, false).unwrap_err().0, annotation::MEMORY_REQUEST);
    }

    #[test]
    fn a_guaranteed_pod_gets_equal_requests_and_limits() {
        let with = |resources: &Resources, asked| shown(&resources.with(&asked, true).unwrap());
        let defaults = Resources::default();
        assert_eq!(with(&defaults, Asked::default()), ["100m/100m", "32Mi/32Mi"]);
        let asked =
            Asked { cpu_request: quantity("20m"), memory_request: quantity("8Mi"), ..Asked::default() };
        assert_eq!(with(&defaults, asked), ["20m/20m", "32Mi/32Mi"]);
        let unlimited = Resources { limits: BTreeMap::new(), ..Resources::default() };
        assert_eq!(with(&unlimited, Asked::default()), ["5m/5m", "16Mi/16Mi"]);
    }
}
