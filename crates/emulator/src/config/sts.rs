//! How STS is reached: the variables that every AWS SDK knows, read as they read them.

use std::fmt;
use std::str::FromStr;

use imds_contract::{Invalid, Partition, Region, RoleArn, environment};
use imds_sts::{
    Client, ClientSettings, Endpoint, EndpointError, EndpointSettings, NoProxy, Proxy, Timeouts, Trust, proxy,
};

use super::Reader;

impl Reader<'_> {
    /// The client of the role's STS. Wrong variables are reported even where the role itself is wrong.
    pub(super) fn sts(&mut self, role_arn: Option<&RoleArn>, region: Option<Region>) -> Option<Client> {
        let before = self.problems.len();
        let ignored = self.flag(environment::IGNORE_CONFIGURED_ENDPOINT_URLS);
        let endpoint_url: Option<Endpoint> = if ignored {
            None
        } else {
            self.variable(&[environment::ENDPOINT_URL_STS, environment::ENDPOINT_URL])
        };
        let fips = self.flag(environment::USE_FIPS_ENDPOINT);
        let dual_stack = self.flag(environment::USE_DUALSTACK_ENDPOINT);
        let regional = self.variable(&[environment::STS_REGIONAL_ENDPOINTS]).unwrap_or_default();
        let trust = match self.text(&[environment::CA_BUNDLE, environment::SSL_CERT_FILE]) {
            Some((_, path)) => Trust::Bundle(path.into()),
            None => Trust::Mozilla,
        };
        // Where the role is wrong, any partition serves to see what else is.
        let role_partition = match (role_arn, &region) {
            (Some(role), _) => role.partition(),
            (None, Some(region)) => region.partition(),
            (None, None) => Partition::Aws,
        };
        let settings = EndpointSettings { role_partition, region, endpoint_url, fips, dual_stack, regional };
        let endpoint = settings.resolve().map_err(|error| self.endpoint_problem(&error)).ok();
        let signing_region = settings.signing_region();
        let proxy = endpoint.as_ref().and_then(|endpoint| self.proxy(endpoint));
        let endpoint = endpoint.filter(|_| self.problems.len() == before)?;
        Some(Client::new(ClientSettings {
            endpoint,
            signing_region,
            proxy,
            trust,
            timeouts: Timeouts::default(),
        }))
    }

    /// Only the proxy that would be used is read: a cluster sets the other variables for others.
    fn proxy(&mut self, endpoint: &Endpoint) -> Option<Proxy> {
        let list = self.text(&proxy::NO_PROXY).map(|(_, list)| list).unwrap_or_default();
        self.variable(proxy::variables(endpoint, &NoProxy::parse(&list))?)
    }

    fn endpoint_problem(&mut self, error: &EndpointError) {
        let name = match error {
            EndpointError::Url(_) => environment::ENDPOINT_URL_STS.to_owned(),
            EndpointError::OtherPartition { .. } => {
                let given = self.given(&super::REGION).pop();
                given.map_or_else(|| environment::REGION.to_owned(), |(name, _)| name)
            }
            EndpointError::FipsWithUrl => environment::USE_FIPS_ENDPOINT.to_owned(),
            EndpointError::DualStackWithUrl => environment::USE_DUALSTACK_ENDPOINT.to_owned(),
        };
        self.problems.push(format!("{name}: {error}"));
    }

    /// The first of these variables that is set, with its name.
    fn text(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        let read = |name: &&'static str| {
            Some((*name, self.environment.get(name).filter(|value| !value.is_empty())?))
        };
        names.iter().find_map(read)
    }

    pub(super) fn variable<T: FromStr<Err: fmt::Display>>(&mut self, names: &[&'static str]) -> Option<T> {
        let (name, value) = self.text(names)?;
        value.parse().map_err(|error| self.problems.push(format!("{name}: {error}"))).ok()
    }

    fn flag(&mut self, name: &'static str) -> bool {
        self.variable::<Switch>(&[name]).is_some_and(|switch| switch.0)
    }
}

/// `true` or `false`, in any case, as the SDKs take them.
struct Switch(bool);

impl FromStr for Switch {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Self(true)),
            "false" => Ok(Self(false)),
            _ => Err(Invalid::new(text, "true or false")),
        }
    }
}
