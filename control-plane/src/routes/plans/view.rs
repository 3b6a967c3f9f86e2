//! A plan as clients see it.

use std::{
    collections::BTreeMap,
    num::{NonZeroU8, NonZeroU32},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_domain::{
    connection::Connection,
    database_share::DatabaseShare,
    plan::{Limits, Plan},
};
use utoipa::ToSchema;

use crate::vocabulary;

/// What a tenant can buy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanView {
    /// Its name.
    #[schema(example = "premium")]
    name: String,
    /// Where its tenants' data goes: schema, database or instance.
    #[schema(value_type = vocabulary::Tier)]
    tier: &'static str,
    /// Ceilings.
    limits: LimitsView,
    /// What a tenant may take of its database server.
    database: DatabaseShareView,
    /// Features that its tenants have unless switched off for one.
    features: BTreeMap<String, bool>,
    /// Default configuration by key.
    #[schema(value_type = Object, example = json!({ "session.timeout": 7200 }))]
    default_config: BTreeMap<String, Value>,
    /// Days between a tenant's deletion and the purge of its data.
    #[schema(example = 30)]
    retention_days: u16,
    /// Hours in which a move of its tenants can be undone; null: as many as `--undo-moves-for` says.
    undo_moves_hours: Option<u16>,
    /// The server class that a server of a tenant's own is made from, in tier instance; null: the provider's default.
    #[schema(example = "standard")]
    server_class: Option<String>,
}

/// Ceilings; null or absent is unlimited.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LimitsView {
    /// Users that a tenant may have.
    #[schema(example = 1000)]
    max_users: Option<u32>,
    /// Bytes of data and files.
    #[schema(example = 107_374_182_400_u64)]
    max_storage: Option<u64>,
    /// Requests to the data plane per day.
    #[schema(example = 10000)]
    api_requests_per_day: Option<u64>,
    /// Requests to one data plane per second, on average; more are refused with 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, example = 100)]
    requests_per_second: Option<NonZeroU32>,
    /// Requests that may come at once, after a pause; as many as per second, if it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, example = 200)]
    burst: Option<NonZeroU32>,
    /// Requests that one data plane serves at a time; more are refused with 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, example = 50)]
    concurrent_requests: Option<NonZeroU32>,
    /// Seconds that the database may work in a minute for requests to one data plane; then they are refused with 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, example = 30)]
    database_seconds_per_minute: Option<NonZeroU32>,
}

/// What a tenant may take of its database server. All but weight and connection is for sessions of its own (psql, back
/// ends); the timeouts are what such a session begins with. Null or absent means no limit; for connections it means the
/// worker's `--tenant-connections`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct DatabaseShareView {
    /// A tenant with weight 2 gets twice the connections of one with weight 1 when both wait.
    #[schema(value_type = u8, minimum = 1, maximum = 255, example = 1)]
    weight: NonZeroU8,
    /// Sessions at a time; with 0 it cannot log in itself.
    #[schema(maximum = 262_143, example = 10)]
    max_connections: Option<u32>,
    /// Seconds until a statement is cancelled.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_147_483, example = 60)]
    statement_timeout_seconds: Option<NonZeroU32>,
    /// Seconds that a statement waits for a lock.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_147_483, example = 10)]
    lock_timeout_seconds: Option<NonZeroU32>,
    /// Seconds until a session that leaves a transaction open is ended.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 2_147_483, example = 300)]
    idle_in_transaction_timeout_seconds: Option<NonZeroU32>,
    /// `own`: the data plane has a login for each of its tenants, which can become nobody else, whatever the app says. It
    /// holds for a tenant from its sign-up or next move on.
    #[schema(value_type = vocabulary::Connection)]
    connection: Connection,
}

impl Default for DatabaseShareView {
    fn default() -> Self {
        DatabaseShare::default().into()
    }
}

impl From<DatabaseShare> for DatabaseShareView {
    fn from(share: DatabaseShare) -> Self {
        Self {
            weight: share.weight,
            max_connections: share.max_connections,
            statement_timeout_seconds: share.statement_timeout_seconds,
            lock_timeout_seconds: share.lock_timeout_seconds,
            idle_in_transaction_timeout_seconds: share.idle_in_transaction_timeout_seconds,
            connection: share.connection,
        }
    }
}

impl From<DatabaseShareView> for DatabaseShare {
    fn from(share: DatabaseShareView) -> Self {
        Self {
            weight: share.weight,
            max_connections: share.max_connections,
            statement_timeout_seconds: share.statement_timeout_seconds,
            lock_timeout_seconds: share.lock_timeout_seconds,
            idle_in_transaction_timeout_seconds: share.idle_in_transaction_timeout_seconds,
            connection: share.connection,
        }
    }
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        Self {
            max_users: limits.max_users,
            max_storage: limits.max_storage_bytes,
            api_requests_per_day: limits.api_requests_per_day,
            requests_per_second: limits.requests_per_second,
            burst: limits.burst,
            concurrent_requests: limits.concurrent_requests,
            database_seconds_per_minute: limits.database_seconds_per_minute,
        }
    }
}

impl From<LimitsView> for Limits {
    fn from(limits: LimitsView) -> Self {
        Self {
            max_users: limits.max_users,
            max_storage_bytes: limits.max_storage,
            api_requests_per_day: limits.api_requests_per_day,
            requests_per_second: limits.requests_per_second,
            burst: limits.burst,
            concurrent_requests: limits.concurrent_requests,
            database_seconds_per_minute: limits.database_seconds_per_minute,
        }
    }
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self {
            name: plan.name.to_string(),
            tier: plan.tier.as_str(),
            limits: plan.limits.into(),
            database: plan.database.into(),
            features: plan.features,
            default_config: plan.default_config,
            retention_days: plan.retention_days,
            undo_moves_hours: plan.undo_moves_hours,
            server_class: plan.server_class.map(|class| class.to_string()),
        }
    }
}
