//! A plan as clients see it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenantry_domain::plan::{Limits, Plan};
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
    /// Features that its tenants have unless switched off for one.
    features: BTreeMap<String, bool>,
    /// Default configuration by key.
    #[schema(value_type = Object, example = json!({ "session.timeout": 7200 }))]
    default_config: BTreeMap<String, Value>,
    /// Days between a tenant's deletion and the purge of its data.
    #[schema(example = 30)]
    retention_days: u16,
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
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        Self {
            max_users: limits.max_users,
            max_storage: limits.max_storage_bytes,
            api_requests_per_day: limits.api_requests_per_day,
        }
    }
}

impl From<LimitsView> for Limits {
    fn from(limits: LimitsView) -> Self {
        Self {
            max_users: limits.max_users,
            max_storage_bytes: limits.max_storage,
            api_requests_per_day: limits.api_requests_per_day,
        }
    }
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self {
            name: plan.name.to_string(),
            tier: plan.tier.as_str(),
            limits: plan.limits.into(),
            features: plan.features,
            default_config: plan.default_config,
            retention_days: plan.retention_days,
        }
    }
}
