//! What a Pod asks for: its annotations, over the operator's settings.

use std::str::FromStr;

use imds_contract::{
    HttpTokens, Interception, Invalid, Metadata, Region, RoleArn, SessionDuration, annotation,
};
use serde_json::Value;

use crate::pod::PodView;
use crate::reason::{InvalidAnnotation, Reason};
use crate::resources::{Asked, Resources};
use crate::session_name::SessionNameTemplate;
use crate::settings::{Settings, served};

/// See the module.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(crate) role: RoleArn,
    pub(crate) region: Option<Region>,
    pub(crate) http_tokens: HttpTokens,
    pub(crate) session_duration: SessionDuration,
    pub(crate) session_name: SessionNameTemplate,
    pub(crate) interception: Interception,
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
        let metadata: Option<Metadata> = reader.read(annotation::METADATA);
        reader.check(annotation::METADATA, served(metadata.unwrap_or(settings.metadata)));
        reader.refuse_role_chain();
        let resources = reader.resources(&settings.resources);
        if let (Some(role), Some(region)) = (&role, &region) {
            reader.check(annotation::REGION, in_partition_of(role, region));
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
            session_duration: session_duration.unwrap_or(settings.session_duration),
            session_name: session_name.unwrap_or_else(|| settings.session_name.clone()),
            interception: interception.unwrap_or(settings.interception),
            resources,
        })
    }
}

fn in_partition_of(role: &RoleArn, region: &Region) -> Result<(), Invalid> {
    if region.partition() == role.partition() {
        return Ok(());
    }
    Err(Invalid {
        value: region.to_string(),
        accepted: "a region of the partition that the role's ARN names",
    })
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
            other => Err(Invalid { value: other.to_string(), accepted: "text: put the value in quotes" }),
        };
        self.check(annotation, parsed)
    }

    fn check<T>(&mut self, annotation: &'static str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|invalid| self.invalid.push(InvalidAnnotation { annotation, invalid })).ok()
    }

    fn refuse_role_chain(&mut self) {
        if let Some(value) = self.pod.annotation(annotation::ASSUME_ROLE_ARNS) {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            let accepted = "nothing: this version assumes no further roles";
            self.check(annotation::ASSUME_ROLE_ARNS, Err::<(), _>(Invalid { value, accepted }));
        }
    }

    fn resources(&mut self, defaults: &Resources) -> Option<Resources> {
        let asked = Asked {
            cpu_request: self.read(annotation::CPU_REQUEST),
            memory_request: self.read(annotation::MEMORY_REQUEST),
            memory_limit: self.read(annotation::MEMORY_LIMIT),
        };
        match defaults.with(&asked, &self.pod.constraint()) {
            Ok(resources) => Some(resources),
            Err((annotation, invalid)) => self.check(annotation, Err(invalid)),
        }
    }
}
