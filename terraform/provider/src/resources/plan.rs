//! `tenantry_plan`

use tonic::async_trait;

use super::{Call, Done, Resource, Warnings, keyed::Keyed, member};
use crate::{
    api::Request,
    diagnostic::{Diagnostic, Failure},
    schema::{Attribute, Object, Type, Value},
};

const PLANS: Keyed =
    Keyed { collection: "plans", noun: "plan", taken: "plan_exists", resource: "tenantry_plan" };

pub(super) const TIERS: &[&str] = &["schema", "database", "instance"];

/// What a tenant can buy.
pub(crate) struct Plan;

fn limits() -> Type {
    Type::Object(vec![
        Attribute::integer("max_users", "Users that a tenant may have.").optional(),
        Attribute::integer("max_storage", "Bytes of data and files.").optional(),
        Attribute::integer("api_requests_per_day", "Requests to the data plane per day.").optional(),
        Attribute::integer("requests_per_second", "Requests to one data plane per second, on average.")
            .optional(),
        Attribute::integer("burst", "Requests that may come at once, after a pause.").optional(),
        Attribute::integer("concurrent_requests", "Requests that one data plane serves at a time.")
            .optional(),
        Attribute::integer(
            "database_seconds_per_minute",
            "Seconds that the database may work in a minute for requests to one data plane.",
        )
        .optional(),
    ])
}

fn database() -> Type {
    let timeout = |name, doc| Attribute::integer(name, doc).optional();
    Type::Object(vec![
        Attribute::integer("weight", "Its share of the connections when several tenants wait, 1 to 255.")
            .default_number(1),
        Attribute::integer("max_connections", "Sessions of its own at a time.").optional(),
        timeout("statement_timeout_seconds", "Seconds until a statement is cancelled."),
        timeout("lock_timeout_seconds", "Seconds that a statement waits for a lock."),
        timeout(
            "idle_in_transaction_timeout_seconds",
            "Seconds until a session that leaves a transaction open is ended.",
        ),
        Attribute::string("connection", "shared, or own: a login of the data plane for each tenant.")
            .default_text("shared")
            .one_of(&["shared", "own"]),
    ])
}

#[async_trait]
impl Resource for Plan {
    fn name(&self) -> &'static str {
        PLANS.resource
    }

    fn doc(&self) -> &'static str {
        "What a tenant can buy: tier, limits, features, default configuration."
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            Attribute::string("name", "Its name.").required().replaces(),
            Attribute::string("tier", "Where its tenants' data goes: schema, database or instance.")
                .required()
                .one_of(TIERS),
            Attribute::new("limits", limits(), "Ceilings; what is left out is unlimited.").default_members(),
            Attribute::new("database", database(), "What a tenant may take of its server.").default_members(),
            Attribute::new("features", Type::map_of(Type::Bool), "Features by name.")
                .default(Value::Map(Object::new())),
            Attribute::json("default_config", "Default configuration by key, as JSON.").default_text("{}"),
            Attribute::integer(
                "retention_days",
                "Days between a tenant's deletion and the purge of its data.",
            )
            .default_number(30),
            Attribute::integer("undo_moves_hours", "Hours in which a move of its tenants can be undone.")
                .optional(),
            Attribute::string(
                "server_class",
                "What a server of a tenant's own is made from: for tier instance.",
            )
            .optional(),
        ]
    }

    async fn create(&self, call: &Call<'_>, planned: &Object) -> Result<Done, Failure> {
        PLANS.create(call, planned, |request| request).await
    }

    async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure> {
        PLANS.read(call, state).await
    }

    async fn update(&self, call: &Call<'_>, _: &Object, planned: &Object) -> Result<Object, Failure> {
        PLANS.replace(call, planned).await
    }

    async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure> {
        let name = Keyed::name(prior);
        match call.api.send(Request::delete(&["plans", name])).await {
            Ok(_) => Ok(Warnings::new()),
            Err(error) if error.is_not_found() => Ok(Warnings::new()),
            Err(error) if error.is("plan_in_use") && is_of_the_past(call, prior).await => {
                Ok(vec![kept(name)])
            }
            Err(error) => Err(call.refused(format!("Plan {name} could not be deleted"), &error)),
        }
    }

    fn import(&self, id: &str) -> Result<Object, String> {
        Ok(Keyed::import(id))
    }
}

/// Whether only records of purged tenants have the plan.
async fn is_of_the_past(call: &Call<'_>, plan: &Object) -> bool {
    let tenants = Request::get(&["tenants"]).asking("plan", Keyed::name(plan));
    let tenants = call.api.list(tenants).await;
    tenants.is_ok_and(|tenants| tenants.iter().all(|tenant| member(tenant, "status") == "purged"))
}

fn kept(name: &str) -> Diagnostic {
    Diagnostic::warning(
        format!("Plan {name} stays in the registry"),
        format!(
            "No tenant has it any more, but the records of purged tenants keep it for as long as they are kept \
             (--keep-purged-tenants). Terraform has forgotten it; to manage it again, import it: `terraform import \
             tenantry_plan.NAME {name}`."
        ),
    )
}
