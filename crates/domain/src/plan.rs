//! What a tenant has bought.

use std::{collections::BTreeMap, num::NonZeroU32};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{database_share::DatabaseShare, server_class::ServerClassName};

/// How a tenant's data is isolated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// A schema in a database shared with other tenants.
    Schema,
    /// A database of its own on a shared server.
    Database,
    /// A database on a server of its own.
    Instance,
}

crate::names_of! { Tier { Schema = "schema", Database = "database", Instance = "instance" } }

/// The name of a plan or of an app: `[a-z0-9]` with inner `-` and `_`, 1 to 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanName(Box<str>);

crate::lower_case_name! { PlanName }

/// Ceilings of a plan; `None` is unlimited. A tenant may have its own in [`LimitOverrides`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Users that the tenant may have.
    pub max_users: Option<u32>,
    /// Bytes of data and files.
    pub max_storage_bytes: Option<u64>,
    /// Requests to the data plane per day.
    pub api_requests_per_day: Option<u64>,
    /// Requests to one data plane per second, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests that may come at once, after a pause; as many as per second, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Requests that one data plane serves at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_requests: Option<NonZeroU32>,
    /// Seconds that the database may work in a minute for requests to one data plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_seconds_per_minute: Option<NonZeroU32>,
}

/// A tenant's own ceilings, each in place of the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitOverrides {
    /// Users that the tenant may have.
    pub max_users: Option<u32>,
    /// Bytes of data and files.
    pub max_storage_bytes: Option<u64>,
}

impl LimitOverrides {
    /// The limits that hold for the tenant.
    pub fn over(self, plan: Limits) -> Limits {
        Limits {
            max_users: self.max_users.or(plan.max_users),
            max_storage_bytes: self.max_storage_bytes.or(plan.max_storage_bytes),
            ..plan
        }
    }
}

/// Feature switches by name, e.g. `biometric_auth`.
pub type Features = BTreeMap<String, bool>;

/// A plan: tier, limits, features and the configuration underneath a tenant's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Its name, e.g. `premium`.
    pub name: PlanName,
    /// Where its tenants' data goes.
    pub tier: Tier,
    /// Ceilings.
    pub limits: Limits,
    /// What a tenant may take of its database server.
    pub database: DatabaseShare,
    /// Features that its tenants have unless switched off for one.
    pub features: Features,
    /// Default configuration by key, e.g. `session.timeout`. Where `api.rate_limit` stands here, it is what the limits say.
    pub default_config: BTreeMap<String, Value>,
    /// Days between a tenant's deletion and the purge of its data.
    pub retention_days: u16,
    /// Hours in which a move of its tenants can be undone; none: as long as the installation says.
    pub undo_moves_hours: Option<u16>,
    /// What a server of a tenant's own is made from, in tier `instance`; none: the provider's default.
    #[serde(default)]
    pub server_class: Option<ServerClassName>,
}

/// Bytes of a gibibyte (the documents' "10 GB" is 10737418240).
const GIB: u64 = 1 << 30;

impl Plan {
    /// The four plans of `seeds/mis.md`, which a new registry starts with.
    pub fn built_in() -> Vec<Plan> {
        let policy = |min_length: u8, special: bool| {
            serde_json::json!({
                "minLength": min_length,
                "requireUppercase": true,
                "requireLowercase": true,
                "requireNumbers": true,
                "requireSpecialChars": special,
            })
        };
        let features = |on: &[&str]| -> Features {
            let all = [
                "biometric_auth",
                "ai_verification",
                "advanced_analytics",
                "custom_branding",
                "priority_support",
            ];
            all.into_iter().map(|name| (name.to_owned(), on.contains(&name))).collect()
        };
        let config = |entries: &[(&str, Value)]| -> BTreeMap<String, Value> {
            entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
        };
        let plan = |name: &str, tier, limits, features, default_config, retention_days| Plan {
            name: PlanName::parse(name).expect("the built-in names are valid"),
            tier,
            limits,
            database: DatabaseShare::of_tier(tier),
            features,
            default_config,
            retention_days,
            undo_moves_hours: None,
            server_class: None,
        };
        let limits = |users, storage, requests| Limits {
            max_users: Some(users),
            max_storage_bytes: Some(storage),
            api_requests_per_day: requests,
            ..Limits::default()
        };
        let enterprise_config = |rate: Option<u64>| {
            let mut entries = vec![
                ("security.password_policy", policy(12, true)),
                ("session.timeout", 14_400.into()),
                // Not 1 TiB: the document's own figure, 1000 GiB.
                ("file_upload.max_size", 1_073_741_824_000_u64.into()),
                ("features.biometric_auth", true.into()),
                ("features.ai_verification", true.into()),
                ("features.advanced_analytics", true.into()),
            ];
            entries.extend(rate.map(|rate| ("api.rate_limit", rate.into())));
            config(&entries)
        };
        let everything = [
            "biometric_auth",
            "ai_verification",
            "advanced_analytics",
            "custom_branding",
            "priority_support",
        ];
        vec![
            plan(
                "basic",
                Tier::Schema,
                limits(100, 10 * GIB, Some(1_000)),
                features(&[]),
                config(&[
                    ("security.password_policy", policy(8, false)),
                    ("session.timeout", 3_600.into()),
                    ("file_upload.max_size", 10_737_418_240_u64.into()),
                    ("api.rate_limit", 1_000.into()),
                ]),
                30,
            ),
            plan(
                "premium",
                Tier::Database,
                limits(1_000, 100 * GIB, Some(10_000)),
                features(&["biometric_auth", "custom_branding"]),
                config(&[
                    ("security.password_policy", policy(10, true)),
                    ("session.timeout", 7_200.into()),
                    ("file_upload.max_size", 107_374_182_400_u64.into()),
                    ("api.rate_limit", 10_000.into()),
                    ("features.biometric_auth", true.into()),
                ]),
                30,
            ),
            plan(
                "enterprise",
                Tier::Instance,
                limits(10_000, 1_000 * GIB, Some(100_000)),
                features(&everything),
                enterprise_config(Some(100_000)),
                90,
            ),
            plan(
                "custom",
                Tier::Instance,
                limits(100_000, 10_000 * GIB, None),
                features(&everything),
                enterprise_config(None),
                90,
            ),
        ]
    }

    /// The features of a tenant: the plan's, each replaced by the tenant's own switch.
    pub fn features_with(&self, own: &Features) -> Features {
        let mut features = self.features.clone();
        features.extend(own.iter().map(|(name, on)| (name.clone(), *on)));
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_plans_are_the_documents() {
        let plans = Plan::built_in();
        let tiers: Vec<_> = plans.iter().map(|p| (p.name.as_str(), p.tier)).collect();
        assert_eq!(
            tiers,
            [
                ("basic", Tier::Schema),
                ("premium", Tier::Database),
                ("enterprise", Tier::Instance),
                ("custom", Tier::Instance)
            ]
        );
        assert_eq!(plans[1].limits.max_users, Some(1_000));
        assert_eq!(plans[1].default_config["file_upload.max_size"], 107_374_182_400_u64);
        assert_eq!(plans[3].limits.api_requests_per_day, None);
        assert!(!plans[0].features["biometric_auth"] && plans[2].features["priority_support"]);
    }

    #[test]
    fn a_tenant_s_own_switches_win() {
        let plan = &Plan::built_in()[0];
        let own = Features::from([("biometric_auth".to_owned(), true)]);
        assert!(plan.features_with(&own)["biometric_auth"]);
        let limits = LimitOverrides { max_users: Some(7), max_storage_bytes: None }.over(plan.limits);
        assert_eq!((limits.max_users, limits.max_storage_bytes), (Some(7), Some(10 * GIB)));
    }
}
