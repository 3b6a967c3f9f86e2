//! What a version of an app holds that is unsafe for tenants with data, which trying it on empty tables does not show.

use tenantry_domain::app::{App, Migration};
use tenantry_lint::{Finding, Known, lint};

/// All findings in its up SQL, for tenants that have the versions before it.
pub(crate) async fn lint_version(app: &App, migration: &Migration) -> Vec<Finding> {
    let earlier = app.migrations.iter().filter(|earlier| earlier.version < migration.version);
    let (earlier, up) = (earlier.cloned().collect::<Vec<_>>(), migration.up.clone());
    // A long file takes a while, in which other requests go on.
    let findings = tokio::task::spawn_blocking(move || lint(&up, &Known::nothing().after(&earlier)));
    // It is cancelled only as the process ends.
    findings.await.unwrap_or_default()
}
