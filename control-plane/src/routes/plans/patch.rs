//! `PATCH /api/v1/plans/{plan}`

use std::{
    collections::BTreeMap,
    num::{NonZeroU8, NonZeroU32},
    sync::Arc,
};

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::Value;
use tenantry_domain::{
    Clock,
    config::RATE_LIMIT,
    connection::Connection,
    database_share::DatabaseShare,
    plan::{Limits, Plan, PlanName, Tier},
    server_class::ServerClassName,
};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::{body, change::change, view::PlanView};
use crate::{
    auth::{Authorized, scopes::PlansWrite},
    catalogue::Catalogue,
    input::{Ceiling, Fields, InPath, JsonBody, object},
    refusal::Refusal,
    vocabulary,
};

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "limits": { "maxUsers": 200 }, "retentionDays": 14 }))]
pub(crate) struct PatchPlanBody {
    /// Where its tenants' data goes: schema, database or instance.
    #[schema(value_type = Option<vocabulary::Tier>)]
    tier: Option<Tier>,
    /// The ceilings that change; null lifts one.
    #[serde(default, deserialize_with = "object")]
    limits: PatchLimits,
    /// What changes of what a tenant may take of its database server.
    #[serde(default, deserialize_with = "object")]
    database: PatchDatabaseShare,
    /// Replaces its features.
    features: Option<BTreeMap<String, bool>>,
    /// Replaces its default configuration.
    #[schema(value_type = Option<Object>)]
    default_config: Option<BTreeMap<String, Value>>,
    /// Days between a tenant's deletion and the purge of its data, up to 3650.
    retention_days: Option<u16>,
    /// Hours in which a move of its tenants can be undone, up to 8760, 0: not at all; null: as many as
    /// `--undo-moves-for` says.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    undo_moves_hours: Ceiling<u16>,
    /// The server class that a server of a tenant's own is made from: for tier instance only; null: the provider's default.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    server_class: Ceiling<ServerClassName>,
}

/// Ceilings to change: left out stays, null is unlimited from now on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PatchLimits {
    /// Users that a tenant may have.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    max_users: Ceiling<u32>,
    /// Bytes of data and files.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_storage: Ceiling<u64>,
    /// Requests to the data plane per day.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    api_requests_per_day: Ceiling<u64>,
    /// Requests to one data plane per second, on average.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    requests_per_second: Ceiling<NonZeroU32>,
    /// Requests that may come at once, after a pause; null: as many as per second.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    burst: Ceiling<NonZeroU32>,
    /// Requests that one data plane serves at a time.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    concurrent_requests: Ceiling<NonZeroU32>,
    /// Seconds that the database may work in a minute for requests to one data plane.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1)]
    database_seconds_per_minute: Ceiling<NonZeroU32>,
}

/// Left out stays, null is no limit from now on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PatchDatabaseShare {
    /// A tenant with weight 2 gets twice the connections of one with weight 1 when both wait; null is 1.
    #[serde(default)]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 255)]
    weight: Ceiling<NonZeroU8>,
    /// Sessions of its own at a time; with 0 it cannot log in itself.
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 262_143)]
    max_connections: Ceiling<u32>,
    /// Seconds until a statement is cancelled.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_147_483)]
    statement_timeout_seconds: Ceiling<NonZeroU32>,
    /// Seconds that a statement waits for a lock.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_147_483)]
    lock_timeout_seconds: Ceiling<NonZeroU32>,
    /// Seconds until a session that leaves a transaction open is ended.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_147_483)]
    idle_in_transaction_timeout_seconds: Ceiling<NonZeroU32>,
    /// `own`: the data plane has a login for each of its tenants, from its sign-up or next move on; null is `shared`.
    #[serde(default)]
    #[schema(value_type = Option<vocabulary::Connection>)]
    connection: Ceiling<Connection>,
}

impl PatchDatabaseShare {
    fn over(&self, share: DatabaseShare) -> DatabaseShare {
        DatabaseShare {
            weight: self.weight.over(Some(share.weight)).unwrap_or(NonZeroU8::MIN),
            max_connections: self.max_connections.over(share.max_connections),
            statement_timeout_seconds: self.statement_timeout_seconds.over(share.statement_timeout_seconds),
            lock_timeout_seconds: self.lock_timeout_seconds.over(share.lock_timeout_seconds),
            idle_in_transaction_timeout_seconds: self
                .idle_in_transaction_timeout_seconds
                .over(share.idle_in_transaction_timeout_seconds),
            connection: self.connection.over(Some(share.connection)).unwrap_or(Connection::Shared),
        }
    }
}

impl PatchPlanBody {
    fn check(&self) -> Result<(), Refusal> {
        let mut fields = Fields::default();
        body::check_share(&mut fields, &self.database.over(DatabaseShare::default()));
        body::check(
            &mut fields,
            self.features.as_ref(),
            self.default_config.as_ref(),
            self.retention_days,
            self.undo_moves_hours.over(None),
        );
        fields.finish()
    }

    fn over(self, plan: Plan) -> Plan {
        let per_day = self.limits.api_requests_per_day.over(plan.limits.api_requests_per_day);
        let default_config = self.default_config.unwrap_or_else(|| {
            let mut stored = plan.default_config;
            // It says what the limit says.
            if let (Some(value), Some(most)) = (stored.get_mut(RATE_LIMIT), per_day) {
                *value = most.into();
            } else {
                stored.remove(RATE_LIMIT);
            }
            stored
        });
        Plan {
            name: plan.name,
            tier: self.tier.unwrap_or(plan.tier),
            limits: Limits {
                max_users: self.limits.max_users.over(plan.limits.max_users),
                max_storage_bytes: self.limits.max_storage.over(plan.limits.max_storage_bytes),
                api_requests_per_day: per_day,
                requests_per_second: self.limits.requests_per_second.over(plan.limits.requests_per_second),
                burst: self.limits.burst.over(plan.limits.burst),
                concurrent_requests: self.limits.concurrent_requests.over(plan.limits.concurrent_requests),
                database_seconds_per_minute: self
                    .limits
                    .database_seconds_per_minute
                    .over(plan.limits.database_seconds_per_minute),
            },
            database: self.database.over(plan.database),
            features: self.features.unwrap_or(plan.features),
            default_config,
            retention_days: self.retention_days.unwrap_or(plan.retention_days),
            undo_moves_hours: self.undo_moves_hours.over(plan.undo_moves_hours),
            server_class: self.server_class.over(plan.server_class),
        }
    }
}

/// Change a plan
///
/// Only what is given. Limits, features and weight apply to its tenants at once; limits on their own sessions apply to
/// sessions that begin some seconds later. Its tier cannot change while tenants have it.
#[utoipa::path(
    patch, path = "/api/v1/plans/{plan}", tag = "plans",
    params(("plan" = String, Path, description = "Its name", example = "premium")),
    request_body = PatchPlanBody,
    responses(
        (status = 200, description = "The plan as it is now", body = PlanView),
        (status = 409, description = "`plan_in_use`: another tier, and tenants have it", body = Problem),
    ),
    security(("apiKey" = ["plans:write"])),
)]
pub(crate) async fn patch_plan(
    _: Authorized<PlansWrite>,
    InPath(name): InPath<PlanName>,
    State(registry): State<Registry>,
    State(catalogue): State<Catalogue>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<PatchPlanBody>,
) -> Result<Json<PlanView>, Refusal> {
    body.check()?;
    change(&registry, &catalogue, &*clock, &name, |plan| body.over(plan)).await
}
