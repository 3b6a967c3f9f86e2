//! `tenantry_server_class`

use tonic::async_trait;

use super::{Call, Done, Resource, Warnings, keyed::Keyed, plan::TIERS};
use crate::{
    diagnostic::Failure,
    schema::{Attribute, Object, Type, Value},
};

const CLASSES: Keyed = Keyed {
    collection: "server-classes",
    noun: "server class",
    taken: "server_class_exists",
    resource: "tenantry_server_class",
};

/// What servers are made from.
pub(crate) struct ServerClass;

fn size() -> Type {
    let text = |name, doc| Attribute::string(name, doc).optional();
    Type::Object(vec![
        text("instance_class", "made_by rds: the machine, e.g. db.m7g.large."),
        text("cpu", "made_by kubernetes: processors, e.g. 2 or 500m."),
        text("memory", "made_by kubernetes: memory, e.g. 4Gi."),
        text("storage", "The disk, e.g. 100Gi."),
        text("storage_class", "The kind of disk: a storage class of Kubernetes, or e.g. gp3."),
        Attribute::integer("instances", "How many there are of a server, the standbys included.").optional(),
    ])
}

#[async_trait]
impl Resource for ServerClass {
    fn name(&self) -> &'static str {
        CLASSES.resource
    }

    fn doc(&self) -> &'static str {
        "A template from which a provider makes servers, and how much room is kept."
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            Attribute::string("name", "Its name; its servers' names begin with it.").required().replaces(),
            // `provider` is a word of Terraform.
            Attribute::string("made_by", "The provider that makes its servers: local, rds or kubernetes.")
                .api("provider")
                .required()
                .replaces()
                .one_of(&["local", "rds", "kubernetes"]),
            Attribute::string("region", "Where its servers run.").default_text("default"),
            Attribute::new("parameters", Type::map_of(Type::String), "PostgreSQL's settings, by name.")
                .default(Value::Map(Object::new())),
            Attribute::integer("version", "PostgreSQL's major version; the provider's choice if left out.")
                .optional(),
            Attribute::new(
                "size",
                size(),
                "How large a server is; what is left out is the provider's choice.",
            )
            .default_members(),
            Attribute::json("spec", "Members of the spec of a CloudNativePG cluster, as JSON.")
                .default_text("{}"),
            Attribute::new("tiers", Type::set_of_strings(), "The tiers that a server may hold.")
                .default(Value::strings(["database", "schema"]))
                .one_of(TIERS),
            Attribute::integer("capacity", "How many tenants a server may hold; 1 for tier instance.")
                .required(),
            Attribute::integer("max_connections", "Connections that one data plane may open to a server.")
                .default_number(50),
            Attribute::integer("min_free", "The room for tenants that is kept by ordering servers.")
                .default_number(0),
            Attribute::integer("max_servers", "So many servers at most.").default_number(10),
            Attribute::string("cost", "What a server costs each month, for a person.").optional(),
            Attribute::string("created_at", "When it was added.").stable(),
        ]
    }

    async fn create(&self, call: &Call<'_>, planned: &Object) -> Result<Done, Failure> {
        CLASSES.create(call, planned, |request| request).await
    }

    async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure> {
        CLASSES.read(call, state).await
    }

    async fn update(&self, call: &Call<'_>, _: &Object, planned: &Object) -> Result<Object, Failure> {
        CLASSES.replace(call, planned).await
    }

    async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure> {
        CLASSES.delete(call, prior).await
    }

    fn import(&self, id: &str) -> Result<Object, String> {
        Ok(Keyed::import(id))
    }
}
