//! CPU and memory of the injected containers.

use std::collections::BTreeMap;
use std::str::FromStr;

use imds_contract::{Invalid, annotation};
use serde::de::{Deserialize, Deserializer, Error};

use crate::quantity::Quantity;
use crate::scalar::{Scalar, scalars};

/// The resources that the injected containers always have requests and limits for.
pub(crate) const COMPUTE: [&str; 2] = ["cpu", "memory"];

/// What a quota may ask for besides.
const EPHEMERAL_STORAGE: &str = "ephemeral-storage";

/// What ours have where each of the Pod's own containers has it and nothing else is asked for: resource, request, limit. Such a
/// namespace may have a quota on it, and a Pod that is limited as a whole is to stay so. 100m of CPU allow 10 ms in every 100, of
/// which a start takes 4. What is stored is the log, which kubelet cuts at 50Mi (`containerLogMaxSize`, `containerLogMaxFiles`).
const LIKE_THE_OTHERS: [(&str, Option<&str>, &str); 2] =
    [("cpu", None, "100m"), (EPHEMERAL_STORAGE, Some("16Mi"), "64Mi")];

/// The two lists of a container's resources.
pub(crate) const REQUESTS: &str = "requests";
pub(crate) const LIMITS: &str = "limits";

/// In bytes: 8 MiB, several times what the emulator needs; a container that is killed at its start explains nothing.
const LEAST_MEMORY: f64 = 8.0 * 1024.0 * 1024.0;

/// `resources` of the injected containers. What the settings leave out of CPU and memory is as by default. No request is
/// above its limit.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Resources {
    /// What the scheduler reserves.
    pub requests: BTreeMap<String, Quantity>,
    /// What kubelet enforces.
    pub limits: BTreeMap<String, Quantity>,
}

impl Default for Resources {
    /// A few times what the emulator was measured to use: under 1 MiB idle and 16 KiB a connection. A `ResourceQuota` on any of
    /// these refuses a Pod with a container that lacks it. No CPU limit: the kernel would stop the emulator for most of each 100 ms
    /// when clients ask much, and answers would be late (but see `LIKE_THE_OTHERS`).
    fn default() -> Self {
        let list = |entries: &[(&str, &str)]| {
            entries.iter().filter_map(|(name, text)| Some(((*name).to_owned(), text.parse().ok()?))).collect()
        };
        Self { requests: list(&[("cpu", "5m"), ("memory", "16Mi")]), limits: list(&[("memory", "32Mi")]) }
    }
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Lists { requests, limits } = Lists::deserialize(deserializer)?;
        for (name, request) in &requests.0 {
            if let Some(limit) = limits.0.get(name).filter(|limit| limit.amount() < request.amount()) {
                return Err(D::Error::custom(format!(
                    "resources: {name}: the request {request} is above the limit {limit}"
                )));
            }
        }
        for (name, limit) in &limits.0 {
            if let Some(accepted) = too_low(name, limit) {
                let invalid = Invalid::new(limit.to_string(), accepted);
                return Err(D::Error::custom(format!("resources: the limit of {name}: {invalid}")));
            }
        }
        let mut resources = Self::default();
        limits.0.iter().for_each(|(name, limit)| resources.limit(name, Some(limit)));
        requests.0.iter().for_each(|(name, request)| resources.request(name, Some(request)));
        Ok(resources)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    #[serde(default)]
    requests: Quantities,
    #[serde(default)]
    limits: Quantities,
}

#[derive(Default)]
struct Quantities(BTreeMap<String, Quantity>);

impl<'de> Deserialize<'de> for Quantities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |(name, scalar): (String, Scalar)| {
            if !COMPUTE.contains(&name.as_str()) && name != EPHEMERAL_STORAGE {
                let accepted = "cpu, memory or ephemeral-storage";
                return Err(D::Error::custom(format!("resources: {}", Invalid::new(name, accepted))));
            }
            let quantity = scalar
                .to_string()
                .parse()
                .map_err(|error| D::Error::custom(format!("resources: {name}: {error}")))?;
            Ok((name, quantity))
        };
        Ok(Self(scalars(deserializer)?.into_iter().map(parse).collect::<Result<_, _>>()?))
    }
}

/// The form that a limit too low to run with should have.
fn too_low(name: &str, limit: &Quantity) -> Option<&'static str> {
    match name {
        "memory" if limit.amount() < LEAST_MEMORY => Some("at least 8Mi, which the programs need to run"),
        "cpu" if limit.amount() <= 0.0 => Some("more than 0: it is the limit too"),
        _ => None,
    }
}

/// What the Pod's own resources ask of ours.
#[derive(Debug, PartialEq)]
pub(crate) enum Constraint {
    /// Nothing.
    None,
    /// Requests that equal limits: the Pod is Guaranteed by its containers, and is to stay so.
    Equal,
    /// The Pod has resources as a whole (Kubernetes 1.34 and later): its containers' requests must fit into its request, and
    /// each container's limit into its limit. Source: Kubernetes, "Assign Pod-level CPU and memory resources".
    Within {
        /// The Pod's limits, by resource.
        limits: BTreeMap<&'static str, Quantity>,
    },
}

/// A CPU limit, or the wish for none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CpuLimit {
    None,
    Of(Quantity),
}

impl FromStr for CpuLimit {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::Of) }
    }
}

/// What a Pod's annotations ask for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) cpu_request: Option<Quantity>,
    pub(crate) cpu_limit: Option<CpuLimit>,
    pub(crate) memory_request: Option<Quantity>,
    pub(crate) memory_limit: Option<Quantity>,
}

impl Resources {
    /// These defaults with what the Pod asks for, as its own resources allow it. `others_have` is whether each of its own
    /// containers has this resource in this list. The error names the annotation that cannot be had together with the others.
    pub(crate) fn with(
        &self,
        asked: &Asked,
        constraint: &Constraint,
        others_have: impl Fn(&str, &str) -> bool,
    ) -> Result<Self, (&'static str, Invalid)> {
        let Asked { cpu_request, cpu_limit, memory_request, memory_limit } = asked;
        if *cpu_limit == Some(CpuLimit::None) && *constraint == Constraint::Equal {
            let accepted = "a limit, because the Pod is Guaranteed";
            return Err((annotation::CPU_LIMIT, Invalid::new("none", accepted)));
        }
        if let Some((request, limit)) = memory_request.as_ref().zip(memory_limit.as_ref()) {
            let accepted = match constraint {
                Constraint::Equal => "what the memory limit is, because the Pod is Guaranteed",
                Constraint::None | Constraint::Within { .. } => "at most what the memory limit is",
            };
            if request.amount() > limit.amount()
                || *constraint == Constraint::Equal && request.amount() < limit.amount()
            {
                return Err((annotation::MEMORY_REQUEST, Invalid::new(request.to_string(), accepted)));
            }
        }
        let mut resources = self.clone();
        for (name, request, limit) in LIKE_THE_OTHERS {
            resources.add_like_the_others(
                name,
                request.filter(|_| others_have(REQUESTS, name)),
                Some(limit).filter(|_| others_have(LIMITS, name)),
            );
        }
        if let Constraint::Within { limits } = constraint {
            resources.fit(limits);
        }
        resources.limit("memory", memory_limit.as_ref());
        resources.request("memory", memory_request.as_ref());
        match cpu_limit {
            Some(CpuLimit::Of(limit)) => resources.limit("cpu", Some(limit)),
            Some(CpuLimit::None) => drop(resources.limits.remove("cpu")),
            None => {}
        }
        resources.request("cpu", cpu_request.as_ref());
        if *constraint == Constraint::Equal {
            // Who asks for so much means so much: the default limits are generous because nothing reserves them.
            resources.equal("cpu", cpu_request.as_ref());
            resources.equal("memory", memory_request.as_ref());
        }
        resources.check_asked(asked)?;
        Ok(resources)
    }

    /// Amounts for where there are none yet; what is there stays.
    fn add_like_the_others(&mut self, name: &str, request: Option<&str>, limit: Option<&str>) {
        let quantity = |text: Option<&str>| text.and_then(|text| text.parse().ok());
        let (asked, limited) = (self.requests.get(name).cloned(), self.limits.get(name).cloned());
        self.request(name, asked.is_none().then(|| quantity(request)).flatten().as_ref());
        self.limit(name, limited.or_else(|| quantity(limit)).as_ref());
        self.request(name, asked.as_ref());
    }

    /// Requests count against what the Pod as a whole requests, and no limit may be above its limit.
    fn fit(&mut self, limits: &BTreeMap<&'static str, Quantity>) {
        for name in COMPUTE {
            self.requests.insert(name.to_owned(), Quantity::zero());
            if let Some(of_pod) = limits.get(name) {
                self.limit(
                    name,
                    Some(of_pod).filter(|of_pod| self.is_limited_above(name, of_pod)).cloned().as_ref(),
                );
            }
        }
    }

    fn is_limited_above(&self, name: &str, other: &Quantity) -> bool {
        self.limits.get(name).is_some_and(|limit| limit.amount() > other.amount())
    }

    /// What was asked for leaves the programs enough to run.
    fn check_asked(&self, asked: &Asked) -> Result<(), (&'static str, Invalid)> {
        let memory = [
            (annotation::MEMORY_LIMIT, asked.memory_limit.as_ref()),
            (annotation::MEMORY_REQUEST, asked.memory_request.as_ref()),
        ];
        let limit = match &asked.cpu_limit {
            Some(CpuLimit::Of(limit)) => Some(limit),
            Some(CpuLimit::None) | None => None,
        };
        let cpu = [(annotation::CPU_LIMIT, limit), (annotation::CPU_REQUEST, asked.cpu_request.as_ref())];
        for (name, annotations) in [("memory", &memory[..]), ("cpu", &cpu[..])] {
            let too_low = self.limits.get(name).and_then(|limit| too_low(name, limit));
            let asked = annotations.iter().find_map(|(annotation, asked)| Some((*annotation, (*asked)?)));
            if let (Some(accepted), Some((annotation, asked))) = (too_low, asked) {
                return Err((annotation, Invalid::new(asked.to_string(), accepted)));
            }
        }
        Ok(())
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
        let limit = |name| resources.limits.get(name).map_or("none".to_owned(), ToString::to_string);
        ["cpu", "memory"].map(|name| format!("{}/{}", resources.requests[name], limit(name)))
    }

    #[test]
    fn all_but_the_cpu_limit_are_set_by_default() {
        assert_eq!(shown(&Resources::default()), ["5m/none", "16Mi/32Mi"]);
    }

    #[test]
    fn what_is_asked_for_never_puts_a_request_above_its_limit() {
        let with =
            |asked| shown(&Resources::default().with(&asked, &Constraint::None, |_, _| false).unwrap());
        let asked =
            Asked { cpu_request: quantity("1"), memory_request: quantity("48Mi"), ..Asked::default() };
        assert_eq!(with(asked), ["1/none", "48Mi/48Mi"]);
        assert_eq!(with(Asked { memory_limit: quantity("8Mi"), ..Asked::default() }), ["5m/none", "8Mi/8Mi"]);
        assert_eq!(
            with(Asked { memory_limit: quantity("1Gi"), ..Asked::default() }),
            ["5m/none", "16Mi/1Gi"]
        );
        let both =
            Asked { memory_request: quantity("64Mi"), memory_limit: quantity("32Mi"), ..Asked::default() };
        assert_eq!(
            Resources::default().with(&both, &Constraint::None, |_, _| false).unwrap_err().0,
            annotation::MEMORY_REQUEST
        );
    }

    #[test]
    fn there_is_a_cpu_limit_where_the_pods_own_containers_have_one_or_it_is_asked_for() {
        let with = |limit: Option<&str>, is_cpu_limited| {
            let asked = Asked { cpu_limit: limit.map(|text| text.parse().unwrap()), ..Asked::default() };
            shown(
                &Resources::default()
                    .with(&asked, &Constraint::None, |_, name| is_cpu_limited && name == "cpu")
                    .unwrap(),
            )[0]
            .clone()
        };
        assert_eq!(with(None, true), "5m/100m");
        assert_eq!(with(Some("50m"), false), "5m/50m");
        assert_eq!(with(Some("50m"), true), "5m/50m");
        assert_eq!(with(Some("2m"), true), "2m/2m", "no request is above its limit");
        assert_eq!(with(Some("none"), true), "5m/none");
        assert!("lots".parse::<CpuLimit>().is_err());
        let none = Asked { cpu_limit: Some(CpuLimit::None), ..Asked::default() };
        let refused = Resources::default().with(&none, &Constraint::Equal, |_, _| true).unwrap_err();
        assert_eq!((refused.0, refused.1.value.as_str()), (annotation::CPU_LIMIT, "none"));
        let zero = Asked { cpu_limit: Some(CpuLimit::Of("0".parse().unwrap())), ..Asked::default() };
        assert_eq!(
            Resources::default().with(&zero, &Constraint::None, |_, _| false).unwrap_err().0,
            annotation::CPU_LIMIT
        );
    }

    #[test]
    fn storage_is_requested_and_limited_where_the_pods_own_containers_do_so() {
        let with = |defaults: &Resources, has: fn(&str) -> bool| {
            let others_have = |list: &str, name: &str| name == EPHEMERAL_STORAGE && has(list);
            let resources = defaults.with(&Asked::default(), &Constraint::None, others_have).unwrap();
            [resources.requests, resources.limits]
                .map(|list| list.get(EPHEMERAL_STORAGE).map(ToString::to_string))
        };
        let some = |text: &str| Some(text.to_owned());
        let defaults = Resources::default();
        assert_eq!(with(&defaults, |_| true), [some("16Mi"), some("64Mi")]);
        assert_eq!(with(&defaults, |list| list == REQUESTS), [some("16Mi"), None]);
        assert_eq!(with(&defaults, |_| false), [None, None]);
        let mut by_operator = Resources::default();
        by_operator.limit(EPHEMERAL_STORAGE, quantity("8Mi").as_ref());
        assert_eq!(with(&by_operator, |_| true), [some("8Mi"), some("8Mi")], "no request is above its limit");
        let mut by_operator = Resources::default();
        by_operator.request(EPHEMERAL_STORAGE, quantity("1Gi").as_ref());
        assert_eq!(with(&by_operator, |_| true), [some("1Gi"), some("1Gi")]);
    }

    #[test]
    fn a_guaranteed_pod_gets_equal_requests_and_limits() {
        let with = |resources: &Resources, asked| {
            shown(&resources.with(&asked, &Constraint::Equal, |_, _| true).unwrap())
        };
        let defaults = Resources::default();
        assert_eq!(with(&defaults, Asked::default()), ["100m/100m", "32Mi/32Mi"]);
        let asked =
            Asked { cpu_request: quantity("20m"), memory_request: quantity("8Mi"), ..Asked::default() };
        assert_eq!(with(&defaults, asked), ["20m/20m", "8Mi/8Mi"]);
        let unlimited = Resources { limits: BTreeMap::new(), ..Resources::default() };
        assert_eq!(with(&unlimited, Asked::default()), ["100m/100m", "16Mi/16Mi"]);
    }

    #[test]
    fn in_a_guaranteed_pod_memory_request_and_limit_are_one() {
        let with = |request, limit| {
            let asked = Asked {
                memory_request: quantity(request),
                memory_limit: quantity(limit),
                ..Asked::default()
            };
            Resources::default().with(&asked, &Constraint::Equal, |_, _| true)
        };
        assert_eq!(shown(&with("64Mi", "64Mi").unwrap()), ["100m/100m", "64Mi/64Mi"]);
        assert_eq!(with("16Mi", "64Mi").unwrap_err().0, annotation::MEMORY_REQUEST);
    }

    #[test]
    fn in_a_pod_with_resources_of_its_own_ours_fit() {
        let limits = |limits: &[(&'static str, &str)]| Constraint::Within {
            limits: limits.iter().map(|(name, text)| (*name, text.parse().unwrap())).collect(),
        };
        let with =
            |asked, constraint| shown(&Resources::default().with(&asked, &constraint, |_, _| false).unwrap());
        assert_eq!(with(Asked::default(), limits(&[])), ["0/none", "0/32Mi"]);
        let tight = || limits(&[("cpu", "50m"), ("memory", "24Mi")]);
        assert_eq!(with(Asked::default(), tight()), ["0/none", "0/24Mi"]);
        assert_eq!(with(Asked::default(), limits(&[("cpu", "2"), ("memory", "1Gi")])), ["0/none", "0/32Mi"]);
        let asked =
            Asked { cpu_request: quantity("10m"), memory_limit: quantity("16Mi"), ..Asked::default() };
        assert_eq!(with(asked, tight()), ["10m/none", "0/16Mi"]);
    }

    #[test]
    fn what_nothing_can_run_with_is_refused() {
        let refused = |asked, constraint| {
            let resources =
                Resources::default().with(&asked, &constraint, |_, _| constraint == Constraint::Equal);
            resources.map_err(|(annotation, invalid)| (annotation, invalid.value))
        };
        let limit = Asked { memory_limit: quantity("64"), ..Asked::default() };
        let expected = Err((annotation::MEMORY_LIMIT, "64".to_owned()));
        assert_eq!(refused(limit, Constraint::None), expected);
        let request = || Asked { memory_request: quantity("4Mi"), ..Asked::default() };
        assert!(refused(request(), Constraint::None).is_ok(), "the limit is as by default");
        let expected = Err((annotation::MEMORY_REQUEST, "4Mi".to_owned()));
        assert_eq!(refused(request(), Constraint::Equal), expected);
        let cpu = || Asked { cpu_request: quantity("0"), ..Asked::default() };
        assert!(refused(cpu(), Constraint::None).is_ok());
        assert_eq!(refused(cpu(), Constraint::Equal), Err((annotation::CPU_REQUEST, "0".to_owned())));
    }
}
