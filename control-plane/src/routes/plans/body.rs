//! A plan as clients write it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tenantry_domain::{
    config::{ConfigKey, RATE_LIMIT},
    database_share::DatabaseShare,
    plan::{Plan, PlanName, Tier},
    server_class::{ServerClass, ServerClassName},
};
use utoipa::ToSchema;

use super::view::{DatabaseShareView, LimitsView};
use crate::{
    input::{Fields, object},
    refusal::Refusal,
    routes::tenants::create::feature_names,
    vocabulary,
};

/// The longest retention: ten years.
const MAX_RETENTION_DAYS: u16 = 3650;

/// The longest time in which a move can be undone: a year.
const MAX_UNDO_MOVES_HOURS: u16 = 8760;

/// Everything about a plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "name": "starter", "tier": "schema",
    "limits": { "maxUsers": 100, "maxStorage": 10_737_418_240_u64, "apiRequestsPerDay": 1000 },
    "features": { "biometric_auth": false }, "defaultConfig": { "session.timeout": 3600 }, "retentionDays": 30,
}))]
pub(crate) struct PlanBody {
    /// Its name: 1 to 40 characters of a-z, 0-9 and inner - or _. In a PUT the path has it.
    #[schema(value_type = Option<String>)]
    name: Option<PlanName>,
    /// Where its tenants' data goes: schema, database or instance.
    #[schema(value_type = vocabulary::Tier)]
    tier: Tier,
    /// Ceilings; what is absent is unlimited.
    #[serde(default, deserialize_with = "object")]
    limits: LimitsView,
    /// What a tenant may take of its database server.
    #[serde(default, deserialize_with = "object")]
    database: DatabaseShareView,
    /// Features by name.
    #[serde(default)]
    features: BTreeMap<String, bool>,
    /// Default configuration by key.
    #[serde(default)]
    #[schema(value_type = Object)]
    default_config: BTreeMap<String, Value>,
    /// Days between a tenant's deletion and the purge of its data, up to 3650; 30 when absent.
    #[serde(default = "thirty")]
    retention_days: u16,
    /// Hours in which a move of its tenants can be undone, up to 8760, 0: not at all; when null or absent as many as
    /// `--undo-moves-for` says.
    undo_moves_hours: Option<u16>,
    /// The server class that a server of a tenant's own is made from: for tier instance only.
    #[schema(value_type = Option<String>)]
    server_class: Option<ServerClassName>,
}

const fn thirty() -> u16 {
    30
}

/// Notes what is wrong with the parts of a plan that are given.
pub(super) fn check(
    fields: &mut Fields,
    features: Option<&BTreeMap<String, bool>>,
    default_config: Option<&BTreeMap<String, Value>>,
    retention_days: Option<u16>,
    undo_moves_hours: Option<u16>,
) {
    if let Some(features) = features {
        feature_names(fields, features);
    }
    for (key, value) in default_config.into_iter().flatten() {
        let fits = ConfigKey::parse(key).and_then(|key| key.check(value));
        fields.take(&format!("defaultConfig.{key}"), fits);
    }
    let fits = retention_days.is_none_or(|days| days <= MAX_RETENTION_DAYS);
    fields.check("retentionDays", fits, "must be from 0 to 3650");
    let fits = undo_moves_hours.is_none_or(|hours| hours <= MAX_UNDO_MOVES_HOURS);
    fields.check("undoMovesHours", fits, "must be from 0 to 8760");
}

/// Notes what PostgreSQL would not take.
pub(super) fn check_share(fields: &mut Fields, share: &DatabaseShare) {
    let fits = share.max_connections.is_none_or(|most| most <= DatabaseShare::MAX_CONNECTIONS);
    let must = format!("must be from 0 to {}", DatabaseShare::MAX_CONNECTIONS);
    fields.check("database.maxConnections", fits, &must);
    let must = format!("must be from 1 to {}", DatabaseShare::MAX_TIMEOUT_SECONDS);
    for (name, seconds) in [
        ("statementTimeoutSeconds", share.statement_timeout_seconds),
        ("lockTimeoutSeconds", share.lock_timeout_seconds),
        ("idleInTransactionTimeoutSeconds", share.idle_in_transaction_timeout_seconds),
    ] {
        let fits = seconds.is_none_or(|seconds| seconds.get() <= DatabaseShare::MAX_TIMEOUT_SECONDS);
        fields.check(&format!("database.{name}"), fits, &must);
    }
}

/// Refuses a plan whose parts do not go together.
pub(super) fn check_whole(classes: &[ServerClass], plan: &Plan) -> Result<(), Refusal> {
    check_server_class(classes, plan)?;
    check_rate_limit(plan)
}

/// Refuses a plan that says two things of how many requests its tenants have in a day.
fn check_rate_limit(plan: &Plan) -> Result<(), Refusal> {
    let mut fields = Fields::default();
    let agrees = plan
        .default_config
        .get(RATE_LIMIT)
        .is_none_or(|value| value.as_u64() == plan.limits.api_requests_per_day);
    fields.check(
        "defaultConfig.api.rate_limit",
        agrees,
        "must be what `limits.apiRequestsPerDay` is, or be left out",
    );
    fields.finish()
}

/// Refuses a plan whose server class is none of these, or makes no servers for its tenants.
fn check_server_class(classes: &[ServerClass], plan: &Plan) -> Result<(), Refusal> {
    let Some(name) = &plan.server_class else { return Ok(()) };
    let mut fields = Fields::default();
    fields.check("serverClass", plan.tier == Tier::Instance, "is for plans of tier instance only");
    match classes.iter().find(|class| class.name == *name) {
        None => {
            fields.wrong("serverClass", "there is no such server class; see GET /api/v1/server-classes");
        }
        Some(class) => {
            fields.check("serverClass", class.tiers == [Tier::Instance], "must be a class of tier instance");
        }
    }
    fields.finish()
}

impl PlanBody {
    /// The plan; `named` is the name in the path, if it has one.
    pub(super) fn read(self, named: Option<PlanName>) -> Result<Plan, Refusal> {
        let mut fields = Fields::default();
        check(
            &mut fields,
            Some(&self.features),
            Some(&self.default_config),
            Some(self.retention_days),
            self.undo_moves_hours,
        );
        check_share(&mut fields, &self.database.into());
        let differs = matches!((&self.name, &named), (Some(own), Some(named)) if own != named);
        fields.check("name", !differs, "must be the one in the path, or left out");
        let name = named.or(self.name);
        fields.finish()?;
        Ok(Plan {
            name: name.ok_or_else(|| Refusal::missing("name"))?,
            tier: self.tier,
            limits: self.limits.into(),
            database: self.database.into(),
            features: self.features,
            default_config: self.default_config,
            retention_days: self.retention_days,
            undo_moves_hours: self.undo_moves_hours,
            server_class: self.server_class,
        })
    }
}
