//! An app's manifest over the wire.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tenantry_domain::app::{Connection, JsonCase, Manifest};
use utoipa::ToSchema;

/// What an app asks for besides its tables.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schema(example = json!({
    "description": "Contacts and activities", "jsonCase": "camel", "extensions": ["pg_trgm"],
    "features": { "treatment_tracking": ["treatments"] },
}))]
pub(crate) struct ManifestView {
    /// What the app is, in a line.
    description: String,
    /// How JSON names the columns: snake (as they are) or camel.
    #[schema(value_type = String)]
    json_case: JsonCase,
    /// As whom the data plane logs in: shared (a login of many tenants, which becomes one for a transaction) or own (a
    /// login that can become nobody else). By default own where the SQL may run what a tenant wrote.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<Connection>,
    /// Extensions, installed once per database.
    extensions: BTreeSet<String>,
    /// Tables that only tenants with a feature have: feature -> tables.
    features: BTreeMap<String, BTreeSet<String>>,
}

impl From<Manifest> for ManifestView {
    fn from(manifest: Manifest) -> Self {
        Self {
            description: manifest.description,
            json_case: manifest.json_case,
            connection: manifest.connection,
            extensions: manifest.extensions,
            features: manifest.features,
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
        }
    }
}
