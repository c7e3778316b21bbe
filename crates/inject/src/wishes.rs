//! What a Pod asks for: its annotations, over the operator's settings.

use std::fmt;
use std::str::FromStr;

use imds_contract::{
    HttpTokens, Interception, Invalid, Metadata, Partition, Region, RoleArn, RoleChain, SessionDuration,
    Start, annotation,
};
use serde_json::Value;

use crate::pod::PodView;
use crate::reason::{InvalidAnnotation, Reason};
use crate::resources::{Asked, Resources};
use crate::session_name::SessionNameTemplate;
use crate::settings::Settings;

/// See the module.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(crate) role: RoleArn,
    pub(crate) role_chain: RoleChain,
    pub(crate) region: Option<Region>,
    pub(crate) http_tokens: HttpTokens,
    pub(crate) session_duration: SessionDuration,
    pub(crate) session_name: SessionNameTemplate,
    pub(crate) interception: Interception,
    pub(crate) metadata: Metadata,
    pub(crate) start: Start,
    pub(crate) resources: Resources,
}

impl Wishes {
    /// Reads them all; every annotation that is not accepted is in the error.
    pub(crate) fn of(pod: PodView<'_>, settings: &Settings) -> Result<Self, Reason> {
        let mut reader = Reader { pod, invalid: Vec::new() };
        let role: Option<RoleArn> = reader.read(annotation::ROLE_ARN);
        let region: Option<Region> = reader.read(annotation::REGION);
        let http_tokens = reader.read(annotation::HTTP_TOKENS);
        let session_duration = reader.read(annotation::SESSION_DURATION);
        let session_name = reader.read(annotation::SESSION_NAME);
        let interception = reader.read(annotation::INTERCEPTION);
        let metadata = reader.read(annotation::METADATA);
        let start = reader.read(annotation::START);
        let role_chain = reader.read::<RoleChain>(annotation::ASSUME_ROLE_ARNS).unwrap_or_default();
        let resources = reader.resources(&settings.resources);
        if let (Some(role), Some(region)) = (&role, &region) {
            reader.check(annotation::REGION, in_partition_of(role, region.partition(), region));
        }
        if let Some((role, last)) = role.as_ref().zip(role_chain.last()) {
            reader.check(annotation::ASSUME_ROLE_ARNS, in_partition_of(role, last.partition(), last));
        }
        if let Some(duration) = session_duration {
            reader.check(annotation::SESSION_DURATION, role_chain.allows(duration));
        }
        let (true, Some(resources)) = (reader.invalid.is_empty(), resources) else {
            return Err(Reason::InvalidAnnotations(reader.invalid));
        };
        let role = role.ok_or(Reason::NoRole)?;
        // The operator's region is a default for the cluster: it says nothing about a role of another partition.
        let default_region =
            || settings.region.clone().filter(|region| region.partition() == role.partition());
        Ok(Self {
            region: region.or_else(default_region),
            role,
            http_tokens: http_tokens.unwrap_or(settings.http_tokens),
            // The operator's, too, is a default: a chain takes what STS gives it.
            session_duration: session_duration
                .or_else(|| {
                    role_chain.allows(settings.session_duration).map(|()| settings.session_duration).ok()
                })
                .unwrap_or_default(),
            role_chain,
            session_name: session_name.unwrap_or_else(|| settings.session_name.clone()),
            interception: interception.unwrap_or(settings.interception),
            metadata: metadata.unwrap_or(settings.metadata),
            start: start.unwrap_or(settings.start),
            resources,
        })
    }
}

fn in_partition_of(role: &RoleArn, partition: Partition, value: impl fmt::Display) -> Result<(), Invalid> {
    if partition == role.partition() {
        return Ok(());
    }
    Err(Invalid::new(value.to_string(), "one of the partition that the role's ARN names"))
}

impl Wishes {
    /// Whether the Pod's containers are told of the container credentials endpoint too: where nothing is intercepted, and a
    /// client that knows of it but not of its `Authorization` file (before the end of 2023) is served all the same.
    pub(crate) fn container_endpoint(&self) -> bool {
        self.interception == Interception::Endpoint && self.http_tokens == HttpTokens::Optional
    }
}

struct Reader<'a> {
    pod: PodView<'a>,
    invalid: Vec<InvalidAnnotation>,
}

impl Reader<'_> {
    fn read<T: FromStr<Err = Invalid>>(&mut self, annotation: &'static str) -> Option<T> {
        let value = self.pod.annotation(annotation)?;
        // A file that never saw an API server may hold `session-duration: 3600`.
        let parsed = match value {
            Value::String(text) => text.parse(),
            other => Err(Invalid::new(other.to_string(), "text: put the value in quotes")),
        };
        self.check(annotation, parsed)
    }

    fn check<T>(&mut self, annotation: &'static str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.invalid.push(InvalidAnnotation { annotation, invalid })).ok()
    }

    fn resources(&mut self, defaults: &Resources) -> Option<Resources> {
        let asked = Asked {
            cpu_request: self.read(annotation::CPU_REQUEST),
            cpu_limit: self.read(annotation::CPU_LIMIT),
            memory_request: self.read(annotation::MEMORY_REQUEST),
            memory_limit: self.read(annotation::MEMORY_LIMIT),
        };
        let others_have = |list: &str, resource: &str| self.pod.each_has(list, resource);
        match defaults.with(&asked, &self.pod.constraint(), others_have) {
            Ok(resources) => Some(resources),
            Err((annotation, invalid)) => self.check(annotation, Err(invalid)),
        }
    }
}
