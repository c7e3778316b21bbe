//! All that is decided before anything runs: the Pod, where it runs, and its injected form.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, bail};
use imds_contract::{Interception, address, annotation, environment};
use imds_inject::{Context, Decision, EmulatorEnv, Injection, Settings, decide};
use serde_json::Value;

use super::folder::Folder;
use super::kubelet::Facts;
use super::{picture, probe};
use crate::arguments::RunArguments;
use crate::output::{Output, Stopwatch};
use crate::pod_file::{read_pod, read_settings};

/// Where STS is in a namespace where every port is free.
const STS_PORT: u16 = 8443;

/// See the module.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) facts: Facts,
    /// The injected Pod.
    pub(crate) pod: Value,
    pub(crate) injection: Injection,
    pub(crate) token_audience: String,
    pub(crate) place: Place,
    pub(crate) folder: Folder,
}

/// Where the Pod runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a network namespace of its own.
    Namespace,
    /// Among the machine's other programs, on free ports of 127.0.0.1.
    Host(Ports),
}

/// Free ports of 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    sts: u16,
    pub(crate) imds: u16,
    pub(crate) admin: u16,
}

impl Ports {
    /// Ports that were free a moment ago: who takes them later says so if they are not.
    fn free() -> anyhow::Result<Self> {
        let listeners: Vec<TcpListener> =
            (0..3).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
        let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
        match ports.collect::<std::io::Result<Vec<u16>>>()?.as_slice() {
            &[sts, imds, admin] => Ok(Self { sts, imds, admin }),
            _ => bail!("no free port"),
        }
    }
}

impl Place {
    pub(crate) fn sts(self) -> SocketAddr {
        loopback(match self {
            Self::Namespace => STS_PORT,
            Self::Host(ports) => ports.sts,
        })
    }

    pub(crate) fn admin(self) -> SocketAddr {
        loopback(match self {
            Self::Namespace => address::ADMIN_PORT,
            Self::Host(ports) => ports.admin,
        })
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

impl Plan {
    /// Where a client finds IMDS.
    pub(crate) fn imds(&self) -> SocketAddr {
        match (self.place, self.injection.interception) {
            (Place::Host(ports), _) => loopback(ports.imds),
            (Place::Namespace, Interception::Endpoint) => loopback(address::EMULATOR_PORT),
            (Place::Namespace, Interception::Redirect | Interception::Address) => {
                (address::IMDS_IPV4, address::IMDS_PORT).into()
            }
        }
    }

    /// Reads, decides and tells.
    pub(crate) fn make(arguments: &RunArguments, output: &Output) -> anyhow::Result<Self> {
        let stopwatch = Stopwatch::start();
        let mut pod = read_pod(arguments.pod.as_deref())?;
        let mut settings = read_settings(arguments.settings.as_deref(), None)?;
        let facts = Facts::of(&pod);
        let context = Context::new(&facts.namespace);
        // Whether it is injected at all comes before all that it takes.
        let wanted = injection(decide(&settings, &pod, &context))?;
        let source = match &arguments.pod {
            Some(file) => file.display().to_string(),
            None => "the built-in examples/pod.yaml".to_owned(),
        };
        output.step(stopwatch, format_args!("Read the Pod {}/{} from {source}", facts.namespace, facts.name));

        let place = choose_place(arguments, &wanted, &pod, output)?;
        if place != Place::Namespace && wanted.interception != Interception::Endpoint {
            ask_for_endpoint(&mut settings, &mut pod);
        }
        let stopwatch = Stopwatch::start();
        let folder = Folder::new().context("cannot make a folder")?;
        settings.emulator_env = with_local_sts(&settings, place, &folder)?;
        let injection = injection(decide(&settings, &pod, &context))?;
        let injected = injection.apply_to(&pod)?;
        output.step(stopwatch, format_args!("Injected the emulator for {}", injection.served_role()));
        if injection.served_role() != &injection.role {
            output.detail(format_args!("by role chaining, from {}", injection.role));
        }
        output.details(picture::draw(&pod, &injected, &injection));
        Ok(Self { facts, pod: injected, injection, token_audience: settings.token_audience, place, folder })
    }
}

fn injection(decision: Decision) -> anyhow::Result<Injection> {
    match decision {
        Decision::Inject(injection) => Ok(injection),
        Decision::Skip(reason) => bail!("the Pod would not be injected: {reason}"),
        Decision::Refuse(reason) => bail!("the Pod would be refused: {reason}"),
    }
}

fn choose_place(
    arguments: &RunArguments,
    wanted: &Injection,
    pod: &Value,
    output: &Output,
) -> anyhow::Result<Place> {
    let outcome = if arguments.no_namespace {
        Err("--no-namespace was given".to_owned())
    } else {
        probe::try_out(&wanted.apply_to(pod)?)?
    };
    let is_endpoint = wanted.interception == Interception::Endpoint;
    let Err(reason) = outcome else {
        if is_endpoint {
            output.warning("Interception `endpoint`: clients find IMDS by environment variables alone");
            output.details([
                "A client that connects to 169.254.169.254 itself gets \"Network is unreachable\" in here.",
                "In a cluster it reaches the node's IMDS, where the node has one.",
            ]);
        }
        return Ok(Place::Namespace);
    };
    let mut lines = reason.lines();
    output.warning(format_args!("No network namespace: {}", lines.next().unwrap_or_default()));
    output.details(lines.map(str::trim_start));
    if !is_endpoint {
        output.details([
            "Interception `endpoint` instead: clients are told of IMDS by AWS_EC2_METADATA_SERVICE_ENDPOINT.",
        ]);
    }
    output.details([
        "A client that connects to 169.254.169.254 itself does not find it, but what this machine's network has there.",
    ]);
    Ok(Place::Host(Ports::free()?))
}

/// Puts `endpoint` in the place of what the operator and the Pod ask for.
fn ask_for_endpoint(settings: &mut Settings, pod: &mut Value) {
    settings.interception = Interception::Endpoint;
    let annotations = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    if let Some(interception) =
        annotations.and_then(|annotations| annotations.get_mut(annotation::INTERCEPTION))
    {
        *interception = Interception::Endpoint.as_str().into();
    }
}

/// The operator's environment for the emulator, with the local STS in place of AWS's and nothing that leads elsewhere: a
/// real STS must not be shown a token of a local issuer.
fn with_local_sts(settings: &Settings, place: Place, folder: &Folder) -> anyhow::Result<EmulatorEnv> {
    let leads_elsewhere = |name: &str| {
        name == environment::IGNORE_CONFIGURED_ENDPOINT_URLS || name.to_ascii_lowercase().ends_with("_proxy")
    };
    let theirs = settings.emulator_env.iter().filter(|(name, _)| !leads_elsewhere(name));
    let mut env: BTreeMap<String, String> =
        theirs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    env.insert(environment::ENDPOINT_URL_STS.to_owned(), format!("https://{}", place.sts()));
    env.insert(environment::CA_BUNDLE.to_owned(), folder.ca_bundle().to_string_lossy().into_owned());
    Ok(env.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_a_namespace_wins_over_the_pods_own_wish() {
        let mut pod = read_pod(None).unwrap();
        pod["metadata"]["annotations"][annotation::INTERCEPTION] = "address".into();
        let mut settings = Settings::new("image");
        ask_for_endpoint(&mut settings, &mut pod);
        let injection = injection(decide(&settings, &pod, &Context::new("default"))).unwrap();
        assert_eq!(injection.interception, Interception::Endpoint);
    }

    #[test]
    fn the_local_sts_stands_in_the_injected_spec_and_nothing_leads_past_it() {
        let folder = Folder::new().unwrap();
        let mut settings = Settings::new("image");
        let theirs = [
            ("AWS_ENDPOINT_URL_STS", "https://theirs"),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"),
            ("HTTPS_PROXY", "http://proxy"),
            ("IMDS_START_TIMEOUT", "5"),
        ];
        let theirs = theirs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        settings.emulator_env = BTreeMap::from(theirs).try_into().unwrap();
        let env = with_local_sts(&settings, Place::Namespace, &folder).unwrap();
        let ca_bundle = folder.ca_bundle();
        let expected = [
            ("AWS_CA_BUNDLE", ca_bundle.to_str().unwrap()),
            ("AWS_ENDPOINT_URL_STS", "https://127.0.0.1:8443"),
            ("IMDS_START_TIMEOUT", "5"),
        ];
        assert_eq!(env.iter().collect::<Vec<_>>(), expected);
    }
}
