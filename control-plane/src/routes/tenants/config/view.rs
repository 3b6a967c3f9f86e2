//! A configuration value over the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use tenantry_domain::{
    config::{ConfigKey, FEATURES, ISSUERS, RATE_LIMIT},
    ids::TenantId,
    plan::PlanName,
    tenant::Tenant,
};
use tenantry_registry::{ConfigEntry, ConfigValue, IssuerKeysState, Registry};
use utoipa::ToSchema;

use crate::{refusal::Refusal, vault::Vault};

/// A configuration value that holds for a tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigView {
    /// Its key.
    #[schema(example = "session.timeout")]
    pub(super) config_key: String,
    /// The value; null for an encrypted one, unless it is revealed.
    #[schema(value_type = Object, example = 3600)]
    config_value: Value,
    /// Whether it is kept encrypted.
    is_encrypted: bool,
    /// Who has set it: the `tenant`, or its `plan` as a default.
    #[schema(example = "tenant")]
    source: &'static str,
    /// When the tenant has set it; null for a default.
    updated_at: Option<DateTime<Utc>>,
    /// How fetching the keys of `auth.issuers` goes, of those whose keys are not written there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    issuer_keys: Vec<IssuerKeysView>,
}

/// How fetching an issuer's keys goes.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IssuerKeysView {
    /// Where they come from: the `jwksUri`, or the issuer, whose `OpenID` configuration says where they are.
    #[schema(example = "https://id.example.com")]
    source: String,
    /// The names (`kid`) of the keys that were found last.
    kids: Vec<String>,
    /// When they were last fetched; null before the first time.
    fetched_at: Option<DateTime<Utc>>,
    /// Until when they count, should no later fetch succeed.
    good_until: Option<DateTime<Utc>>,
    /// Why the last fetch failed; null if it did not.
    error: Option<String>,
}

impl From<IssuerKeysState> for IssuerKeysView {
    fn from(state: IssuerKeysState) -> Self {
        Self {
            source: state.source.url().to_owned(),
            kids: state.kids,
            fetched_at: state.fetched_at,
            good_until: state.good_until,
            error: state.error,
        }
    }
}

impl ConfigView {
    /// What was set; a value that is encrypted only with `opened`.
    pub(super) fn of_tenant(entry: &ConfigEntry, opened: Option<Value>) -> Self {
        let (value, is_encrypted) = match &entry.value {
            ConfigValue::Plain(value) => (value.clone(), false),
            ConfigValue::Sealed(_) => (opened.unwrap_or_default(), true),
        };
        Self {
            config_key: entry.key.to_string(),
            config_value: value,
            is_encrypted,
            source: "tenant",
            updated_at: Some(entry.updated_at),
            issuer_keys: Vec::new(),
        }
    }

    fn of_plan(key: String, value: Value) -> Self {
        Self {
            config_key: key,
            config_value: value,
            is_encrypted: false,
            source: "plan",
            updated_at: None,
            issuer_keys: Vec::new(),
        }
    }

    /// The same, with how fetching keys goes, if it is what says whose.
    async fn with_issuer_keys(mut self, registry: &Registry) -> Result<Self, Refusal> {
        if self.config_key == ISSUERS {
            let states = registry.issuer_keys_of(&self.config_value).await?;
            self.issuer_keys = states.into_iter().map(Into::into).collect();
        }
        Ok(self)
    }
}

/// All that holds for a tenant, by key; what is encrypted is opened with the vault, if it is given.
pub(super) async fn all(
    registry: &Registry,
    tenant: &Tenant,
    vault: Option<&Vault>,
) -> Result<Vec<ConfigView>, Refusal> {
    let mut all = BTreeMap::new();
    for (key, value) in defaults(registry, &tenant.plan).await? {
        all.insert(key.clone(), ConfigView::of_plan(key, value));
    }
    for entry in registry.config_list(tenant.id).await?.iter().chain(&switches(tenant)) {
        let opened = match vault {
            Some(vault) => opened(registry, vault, tenant.id, entry).await?,
            None => None,
        };
        all.insert(entry.key.to_string(), ConfigView::of_tenant(entry, opened));
    }
    Ok(all.into_values().collect())
}

/// What holds for a tenant and a key, if anything does.
pub(super) async fn one(
    registry: &Registry,
    tenant: &Tenant,
    key: &ConfigKey,
    vault: Option<&Vault>,
) -> Result<Option<ConfigView>, Refusal> {
    let set = match key.feature() {
        Some(_) => switches(tenant).into_iter().find(|entry| entry.key == *key),
        None => registry.config_get(tenant.id, key).await?,
    };
    if let Some(entry) = set {
        let opened = match vault {
            Some(vault) => opened(registry, vault, tenant.id, &entry).await?,
            None => None,
        };
        return Ok(Some(ConfigView::of_tenant(&entry, opened).with_issuer_keys(registry).await?));
    }
    match defaults(registry, &tenant.plan).await?.remove(key.as_str()) {
        Some(value) => {
            Ok(Some(ConfigView::of_plan(key.to_string(), value).with_issuer_keys(registry).await?))
        }
        None => Ok(None),
    }
}

/// The plan's defaults, its features and its requests per day among them.
async fn defaults(registry: &Registry, plan: &PlanName) -> Result<BTreeMap<String, Value>, Refusal> {
    let Some(plan) = registry.plan_get(plan).await? else { return Ok(BTreeMap::new()) };
    let mut all: BTreeMap<_, _> = plan.default_config.into_iter().collect();
    all.extend(plan.limits.api_requests_per_day.map(|most| (RATE_LIMIT.to_owned(), most.into())));
    for (feature, on) in plan.features {
        all.entry(format!("{FEATURES}{feature}")).or_insert(on.into());
    }
    Ok(all)
}

/// The switches of its own that a tenant has: `features` of the tenant and `features.*` of its configuration are one.
fn switches(tenant: &Tenant) -> Vec<ConfigEntry> {
    let entry = |(feature, on): (&String, &bool)| {
        let key = ConfigKey::parse(&format!("{FEATURES}{feature}")).ok()?;
        Some(ConfigEntry { key, value: ConfigValue::Plain((*on).into()), updated_at: tenant.updated_at })
    };
    tenant.features.iter().filter_map(entry).collect()
}

async fn opened(
    registry: &Registry,
    vault: &Vault,
    tenant: TenantId,
    entry: &ConfigEntry,
) -> Result<Option<Value>, Refusal> {
    let ConfigValue::Sealed(sealed) = &entry.value else { return Ok(None) };
    let key = registry.tenant_data_key(tenant).await?.ok_or_else(|| Refusal::not_found("tenant"))?;
    let text =
        vault.open_config(tenant, &key, &entry.key, sealed).map_err(|error| Refusal::internal(&error))?;
    let value = serde_json::from_str(text.expose_secret()).map_err(|error| Refusal::internal(&error))?;
    Ok(Some(value))
}

/// Seals a value for a tenant and a key.
pub(super) async fn sealed(
    registry: &Registry,
    vault: &Vault,
    tenant: TenantId,
    key: &ConfigKey,
    value: &Value,
) -> Result<ConfigValue, Refusal> {
    let data_key = registry.tenant_data_key(tenant).await?.ok_or_else(|| Refusal::not_found("tenant"))?;
    let sealed = vault.seal_config(tenant, &data_key, key, &value.to_string());
    Ok(ConfigValue::Sealed(sealed.map_err(|error| Refusal::internal(&error))?))
}
