//! An app's manifest over the wire.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tenantry_domain::{
    app::{JsonCase, Manifest},
    connection::Connection,
    user::Registration,
};
use utoipa::ToSchema;

use crate::vocabulary;

/// What an app asks for besides its tables.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schema(example = json!({
    "description": "Contacts and activities", "jsonCase": "camel", "extensions": ["pg_trgm"],
    "features": { "treatment_tracking": ["treatments"] },
}))]
pub(crate) struct ManifestView {
    /// What the app is, in a line.
    description: String,
    /// How JSON names the columns: snake (as they are) or camel.
    #[schema(value_type = vocabulary::JsonCase)]
    json_case: JsonCase,
    /// As whom the data plane logs in: shared (a login of many tenants, which becomes one for a transaction) or own (a
    /// login that can become nobody else). By default own where the SQL may run what a tenant wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<vocabulary::Connection>)]
    connection: Option<Connection>,
    /// Extensions, installed once per database.
    extensions: BTreeSet<String>,
    /// Tables and functions that only tenants with a feature have: feature -> their names.
    features: BTreeMap<String, BTreeSet<String>>,
    /// The functions that clients can call; by default all of the app's schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    functions: Option<BTreeSet<String>>,
    /// Whether tenants have users who log in, and who may register as one: open (anybody, as a member) or invited (whom a
    /// key of the tenant, or one of its owners or admins, registers). By default they have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<vocabulary::Registration>)]
    registration: Option<Registration>,
    /// Whether clients may ask for `count()`, `sum()` and the like; true by default.
    aggregates: bool,
    /// Whether PATCH and DELETE without a filter change all rows; by default they are refused.
    unfiltered_writes: bool,
}

impl Default for ManifestView {
    fn default() -> Self {
        Manifest::default().into()
    }
}

impl From<Manifest> for ManifestView {
    fn from(manifest: Manifest) -> Self {
        Self {
            description: manifest.description,
            json_case: manifest.json_case,
            connection: manifest.connection,
            extensions: manifest.extensions,
            features: manifest.features,
            functions: manifest.functions,
            registration: manifest.registration,
            aggregates: manifest.aggregates,
            unfiltered_writes: manifest.unfiltered_writes,
        }
    }
}

impl From<ManifestView> for Manifest {
    fn from(manifest: ManifestView) -> Self {
        Self {
            description: manifest.description,
            json_case: manifest.json_case,
            connection: manifest.connection,
            extensions: manifest.extensions,
            features: manifest.features,
            functions: manifest.functions,
            registration: manifest.registration,
            aggregates: manifest.aggregates,
            unfiltered_writes: manifest.unfiltered_writes,
        }
    }
}
