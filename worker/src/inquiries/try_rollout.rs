//! What would a rollout meet? The tables of the largest tenant; and, where that is asked, what each statement takes at some
//! tenants, in a transaction that is rolled back.

use std::time::Duration;

use tenantry_domain::{
    app::{App, AppName, AppVersion},
    inquiry::{RolloutTrial, StatementTrial},
};
use tenantry_postgres::admin::{Attempted, carried, needs_no_transaction};
use tenantry_registry::SampledTenant;

use crate::{Resources, step_error::StepError};

/// How long one statement may take: the whole question has no more than some seconds.
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn run(
    resources: &Resources,
    name: &AppName,
    target: AppVersion,
    lock_timeout_ms: Option<u32>,
) -> Result<RolloutTrial, StepError> {
    let registry = &resources.registry;
    let app = registry.app_get(name).await?;
    let app = app.ok_or_else(|| StepError::permanent(format!("there is no app {name}")))?;
    let samples = registry.rollout_samples(name, target).await?;
    let Some(largest) = samples.first() else { return Ok(RolloutTrial::default()) };
    let server = resources.servers.get(largest.server, largest.server_revision).await?;
    let (tables, views) =
        server.call(server.admin.describe_tables(&largest.database, &largest.schema)).await?;
    let mut trial = RolloutTrial { tables, views, statements: Vec::new() };
    if let Some(lock_timeout_ms) = lock_timeout_ms {
        let lock_timeout = Duration::from_millis(lock_timeout_ms.into());
        for sample in &samples {
            trial.statements.extend(at_tenant(resources, &app, target, sample, lock_timeout).await?);
        }
    }
    Ok(trial)
}

async fn at_tenant(
    resources: &Resources,
    app: &App,
    target: AppVersion,
    sample: &SampledTenant,
    lock_timeout: Duration,
) -> Result<Vec<StatementTrial>, StepError> {
    let mut texts = Vec::new();
    let mut statements = Vec::new();
    for migration in carried(app, sample.version, target) {
        if needs_no_transaction(&migration.up) {
            // What comes after it may need what it makes.
            statements.push((migration.version, 1));
            break;
        }
        for statement in tenantry_lint::split(&migration.up) {
            statements.push((migration.version, statement.line));
            texts.push(statement.sql);
        }
    }
    let server = resources.servers.get(sample.server, sample.server_revision).await?;
    let attempt = server.admin.attempt_statements(
        &sample.database,
        &sample.schema,
        &texts,
        lock_timeout,
        STATEMENT_LIMIT,
    );
    let attempted = server.call(attempt).await?;
    let of = |((version, line), attempted): ((AppVersion, u32), Option<Attempted>)| {
        let Attempted { microseconds, locks, error } = attempted.unwrap_or_else(|| Attempted {
            error: Some(
                "was not tried: it runs outside of transactions, or comes after what failed".to_owned(),
            ),
            ..Attempted::default()
        });
        StatementTrial { tenant: sample.slug.clone(), version, line, microseconds, locks, error }
    };
    let attempted = attempted.into_iter().map(Some).chain(std::iter::repeat(None));
    Ok(statements.into_iter().zip(attempted).map(of).collect())
}
