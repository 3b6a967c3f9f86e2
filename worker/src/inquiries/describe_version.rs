//! What are an app's tables and functions in a version, as TypeScript types?
//!
//! Looked up in a scratch schema that has all versions up to it, so that it needs no tenant.

use tenantry_domain::app::{AppName, AppVersion, JsonCase};
use tenantry_query::Catalog;

use super::try_version::{FILE_LIMIT, any_server};
use crate::{Resources, step_error::StepError};

pub(super) async fn run(
    resources: &Resources,
    name: &AppName,
    version: AppVersion,
) -> Result<String, StepError> {
    let mut app = resources
        .registry
        .app_get(name)
        .await?
        .ok_or_else(|| StepError::permanent("the app is not there any more"))?;
    app.migrations.retain(|migration| migration.version <= version);
    app.seed = None;
    let server = any_server(resources).await?;
    let access = resources.servers.get(server.id, server.revision).await?;
    let looked = access.admin.look_at_version(&app, Catalog::INTROSPECTION_SQL, FILE_LIMIT);
    let found = access.call(looked).await?.map_err(|fault| StepError::permanent(fault.to_string()))?;
    let catalog = Catalog::from_json(&found).map_err(|error| StepError::permanent(error.to_string()))?;
    let case = match app.manifest.json_case {
        JsonCase::Snake => tenantry_query::JsonCase::Snake,
        JsonCase::Camel => tenantry_query::JsonCase::Camel,
    };
    Ok(catalog.typescript(case, app.manifest.functions.as_ref()))
}
