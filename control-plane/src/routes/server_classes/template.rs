//! What the servers of a class are made of, as clients write it and see it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tenantry_domain::{
    json_depth,
    server::Provider,
    server_template::{Quantity, ServerSize, ServerTemplate, check_parameter, check_spec_member},
};
use utoipa::ToSchema;

use crate::input::Fields;

/// The most settings, and characters of a value.
const MAX_PARAMETERS: usize = 100;
const MAX_VALUE: usize = 1000;

/// The most bytes of a spec.
const MAX_SPEC: usize = 32 << 10;

/// The oldest and the newest version of PostgreSQL that may be asked for.
const VERSIONS: std::ops::RangeInclusive<u16> = 15..=99;

/// Members of a server class that say what its servers are made of.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TemplateBody {
    /// PostgreSQL's major version.
    #[schema(example = 17)]
    pub(super) version: Option<u16>,
    /// How large a server is.
    pub(super) size: SizeBody,
    /// PostgreSQL's settings, by name.
    #[schema(example = json!({ "work_mem": "16MB" }))]
    pub(super) parameters: BTreeMap<String, String>,
    /// Members of the spec of a CloudNativePG cluster.
    pub(super) spec: Map<String, Value>,
}

/// How large a server is. What is absent is for the provider to choose.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SizeBody {
    /// Provider rds: the machine.
    #[schema(example = "db.m7g.large")]
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_class: Option<String>,
    /// Provider kubernetes: processors, in its notation.
    #[schema(example = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<String>,
    /// Provider kubernetes: memory, in its notation.
    #[schema(example = "4Gi")]
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
    /// The disk, in the notation of Kubernetes.
    #[schema(example = "100Gi")]
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<String>,
    /// The kind of disk: a storage class of Kubernetes, or for rds e.g. `gp3`.
    #[schema(example = "gp3")]
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_class: Option<String>,
    /// How many there are of a server, 1 to 9, of which one is written to and the others stand by; 1 when absent. On rds more
    /// than one means Multi-AZ.
    #[schema(minimum = 1, maximum = 9)]
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<u8>,
}

impl TemplateBody {
    /// The template for a provider; notes what is wrong with it.
    pub(super) fn read(self, provider: Provider, fields: &mut Fields) -> ServerTemplate {
        let version = self.version.is_none_or(|version| VERSIONS.contains(&version));
        fields.check("version", version, "must be 15 or later");
        fields.check("parameters", self.parameters.len() <= MAX_PARAMETERS, "must be at most 100");
        for (name, value) in &self.parameters {
            let field = format!("parameters.{name}");
            fields.take(&field, check_parameter(name));
            let fits = value.chars().count() <= MAX_VALUE && !value.chars().any(char::is_control);
            fields.check(&field, fits, "must have at most 1000 characters and no control characters");
        }
        for name in self.spec.keys() {
            fields.take(&format!("spec.{name}"), check_spec_member(name));
        }
        let spec = Value::Object(self.spec.clone());
        fields.take("spec", json_depth::check(&spec));
        let length = serde_json::to_string(&self.spec).map_or(0, |text| text.len());
        fields.check("spec", length <= MAX_SPEC, "must have at most 32 KiB");
        let template = ServerTemplate {
            version: self.version,
            size: self.size.read(fields),
            parameters: self.parameters,
            spec: self.spec,
        };
        let kind = template.size.storage_class.as_deref().unwrap_or_default();
        let needs_more = provider == Provider::Rds && kind.starts_with("io");
        fields.check(
            "size.storageClass",
            !needs_more,
            "must be gp2 or gp3: io1 and io2 need IOPS, which no class gives",
        );
        for field in template.useless_to(provider) {
            fields.wrong(field, format!("has no meaning to provider {provider}; leave it out"));
        }
        template
    }
}

impl SizeBody {
    fn read(self, fields: &mut Fields) -> ServerSize {
        let instances = self.instances.is_none_or(|count| (1..=9).contains(&count));
        fields.check("size.instances", instances, "must be from 1 to 9");
        let mut quantity =
            |field, text: Option<String>| fields.take_some(field, text.as_deref().map(Quantity::parse));
        let (cpu, memory) = (quantity("size.cpu", self.cpu), quantity("size.memory", self.memory));
        let storage = quantity("size.storage", self.storage);
        let mut name = |field, text: Option<String>| fields.take_some(field, text.map(provider_name));
        ServerSize {
            instance_class: name("size.instanceClass", self.instance_class),
            storage_class: name("size.storageClass", self.storage_class),
            cpu,
            memory,
            storage,
            instances: self.instances,
        }
    }
}

/// A name that a provider has given: what Kubernetes and Amazon allow.
fn provider_name(text: String) -> Result<String, &'static str> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let bounded = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if bounded && text.len() <= 63 && text.bytes().all(inner) {
        return Ok(text);
    }
    Err("must be 1 to 63 characters of a-z, 0-9, - and ., and begin with a letter or digit")
}

impl From<ServerTemplate> for TemplateBody {
    fn from(template: ServerTemplate) -> Self {
        let size = template.size;
        Self {
            version: template.version,
            size: SizeBody {
                instance_class: size.instance_class,
                cpu: size.cpu.map(String::from),
                memory: size.memory.map(String::from),
                storage: size.storage.map(String::from),
                storage_class: size.storage_class,
                instances: size.instances,
            },
            parameters: template.parameters,
            spec: template.spec,
        }
    }
}
