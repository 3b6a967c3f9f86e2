//! What warm tenants of an app are alike in.

use tenantry_domain::app::App;
use tenantry_postgres::admin::Template;

use crate::step_error::StepError;

/// Differs when anything does that an app's tenants are made from.
pub(crate) fn fingerprint(app: &App, label: &str) -> Result<String, StepError> {
    let template = Template::of(app, label).map_err(|error| StepError::permanent(error.to_string()))?;
    Ok(template.fingerprint().to_owned())
}
