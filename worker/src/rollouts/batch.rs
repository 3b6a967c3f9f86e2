//! Some tenants of one server: migrated, and what came of each noted.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tenantry_domain::{
    app::{App, AppVersion},
    names::ObjectName,
    rollout::Direction,
};
use tenantry_postgres::admin::{
    AdminError, BatchEnd, BatchItem, BatchLimits, Fence, MigrationReport, Owner, fits_in_batch,
};
use tenantry_registry::{ClaimedTenant, Migrated, RolloutBatch};
use tokio_util::sync::CancellationToken;

use crate::{Resources, servers::Server, step_error::StepError};

/// After this long no further tenant is begun: claims are short, so that operations wait for none, and every worker has its share.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// Tries to note what came of a claim; the tenants are taken over otherwise, and found to be done.
const NOTE_TRIES: u32 = 10;
const NOTE_PAUSE: Duration = Duration::from_millis(300);

/// Migrates the tenants of a claim. Returns when that is noted, or another worker has them.
pub(super) async fn run(resources: &Resources, batch: RolloutBatch, stop: &CancellationToken) {
    let started = Instant::now();
    let lease = resources.settings.lease;
    let keep = async {
        loop {
            tokio::time::sleep(lease / 3).await;
            if matches!(resources.registry.rollout_claim_renew(&batch, lease).await, Ok(false)) {
                return;
            }
        }
    };
    let ends = tokio::select! {
        ends = migrate(resources, &batch, stop) => ends,
        () = keep => {
            tracing::warn!(rollout.id = %batch.rollout.id, "another worker has taken over tenants of rollout {}", batch.rollout.id);
            return;
        }
    };
    let ends: Vec<_> = batch.tenants.iter().map(|tenant| tenant.tenant).zip(ends).collect();
    for (tenant, end) in &ends {
        if let Migrated::Failed(error) = end {
            tracing::warn!(rollout.id = %batch.rollout.id, tenant.id = %tenant, "tenant {tenant} was not migrated: {error}");
        }
        let outcome = match end {
            Migrated::To(_) => "done",
            Migrated::Later { .. } => "later",
            Migrated::Failed(_) => "failed",
            Migrated::Untouched => continue,
        };
        metrics::counter!("tenantry_rollout_tenants_total", "outcome" => outcome).increment(1);
    }
    metrics::histogram!("tenantry_rollout_batch_duration_seconds").record(started.elapsed().as_secs_f64());
    for _ in 0..NOTE_TRIES {
        match resources.registry.rollout_claim_end(&batch, &ends).await {
            Ok(()) => return,
            Err(error) => {
                tracing::debug!(%error, rollout.id = %batch.rollout.id, "what came of tenants cannot be noted");
                tokio::time::sleep(NOTE_PAUSE).await;
            }
        }
    }
}

/// What became of each tenant of a claim, in its order.
async fn migrate(resources: &Resources, batch: &RolloutBatch, stop: &CancellationToken) -> Vec<Migrated> {
    let all = |end: Migrated| vec![end; batch.tenants.len()];
    let app = match resources.registry.app_get(&batch.rollout.app).await {
        Ok(Some(app)) => app,
        Ok(None) => return all(Migrated::Failed("the app is gone".to_owned())),
        Err(error) => return all(Migrated::Later { error: error.to_string(), counts: false }),
    };
    let server = match resources.servers.get(batch.server, batch.server_revision).await {
        Ok(server) => server,
        Err(error) => return all(of_error(resources, batch, &error).await),
    };
    let at = At { resources, batch, app: &app, server: &server, stop };
    let mut ends: Vec<Option<Migrated>> = vec![None; batch.tenants.len()];
    let deadline = Instant::now() + LONG_ENOUGH;
    for (database, numbers) in at.by_database() {
        if Instant::now() >= deadline || stop.is_cancelled() {
            break;
        }
        at.in_database(database, &numbers, deadline, &mut ends).await;
        let is_over = |end: &Option<Migrated>| matches!(end, Some(Migrated::Failed(_)));
        if ends.iter().any(is_over) {
            break;
        }
    }
    ends.into_iter().map(|end| end.unwrap_or(Migrated::Untouched)).collect()
}

struct At<'a> {
    resources: &'a Resources,
    batch: &'a RolloutBatch,
    app: &'a App,
    server: &'a Arc<Server>,
    stop: &'a CancellationToken,
}

impl At<'_> {
    /// The tenants' places in the claim, by the database that their tables are in.
    fn by_database(&self) -> BTreeMap<&ObjectName, Vec<usize>> {
        let mut databases: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (number, tenant) in self.batch.tenants.iter().enumerate() {
            databases.entry(&tenant.database).or_default().push(number);
        }
        databases
    }

    /// The version that a tenant is to have.
    fn target(&self, tenant: &ClaimedTenant) -> AppVersion {
        match self.batch.rollout.direction {
            Direction::Up => self.batch.rollout.target,
            Direction::Down => tenant.from,
        }
    }

    fn fence(&self, tenant: &ClaimedTenant) -> Fence {
        Fence { subject: tenant.tenant.as_uuid().as_u128(), token: self.batch.fence }
    }

    async fn in_database(
        &self,
        database: &ObjectName,
        numbers: &[usize],
        deadline: Instant,
        ends: &mut [Option<Migrated>],
    ) {
        let marks: Vec<String> =
            numbers.iter().map(|number| Resources::owner_mark(self.batch.tenants[*number].tenant)).collect();
        let owner = |number: usize, mark: &str| -> (usize, String) { (number, mark.to_owned()) };
        let (together, mut alone): (Vec<_>, Vec<_>) =
            numbers.iter().zip(&marks).map(|(number, mark)| owner(*number, mark)).partition(|(number, _)| {
                let tenant = &self.batch.tenants[*number];
                !self.batch.taken_over && fits_in_batch(self.app, tenant.version, self.target(tenant))
            });
        let items: Vec<BatchItem<'_>> = together
            .iter()
            .map(|(number, mark)| {
                let tenant = &self.batch.tenants[*number];
                BatchItem {
                    owner: Owner { name: &tenant.schema, mark, fence: Some(self.fence(tenant)) },
                    from: tenant.version,
                    to: self.target(tenant),
                }
            })
            .collect();
        let limits = self.limits(deadline);
        let migrated =
            self.server.call(self.server.admin.migrate_batch(database, self.app, &items, limits)).await;
        match migrated {
            Ok(found) => {
                for ((number, mark), end) in together.iter().zip(found) {
                    ends[*number] = match end {
                        BatchEnd::Migrated => Some(Migrated::To(self.target(&self.batch.tenants[*number]))),
                        BatchEnd::Failed(error) => Some(self.of_admin_error(&error).await),
                        BatchEnd::Unlike => {
                            alone.push((*number, mark.clone()));
                            None
                        }
                        BatchEnd::Untouched => None,
                    };
                }
            }
            Err(error) => {
                let end = of_error(self.resources, self.batch, &error).await;
                for (number, _) in &together {
                    ends[*number] = Some(end.clone());
                }
                return;
            }
        }
        for (number, mark) in alone {
            if Instant::now() >= deadline || self.stop.is_cancelled() {
                return;
            }
            ends[number] = Some(self.alone(database, &self.batch.tenants[number], &mark).await);
        }
    }

    fn limits(&self, until: Instant) -> BatchLimits {
        let settings = &self.batch.rollout.settings;
        BatchLimits {
            lock_timeout: Duration::from_millis(settings.lock_timeout_ms.into()),
            statement_timeout: Duration::from_millis(settings.statement_timeout_ms.into()),
            until,
        }
    }

    /// A tenant of which it is not known what its schema has, or whose versions need more than a transaction.
    async fn alone(&self, database: &ObjectName, tenant: &ClaimedTenant, mark: &str) -> Migrated {
        let owner = Owner { name: &tenant.schema, mark, fence: Some(self.fence(tenant)) };
        let (admin, target) = (&self.server.admin, self.target(tenant));
        let limits = self.limits(Instant::now());
        let work = async {
            match self.batch.rollout.direction {
                Direction::Up => admin.migrate_to(database, owner, self.app, target, limits).await,
                Direction::Down => admin.roll_back_to(database, owner, self.app, target, limits).await,
            }
        };
        match self.server.call(work).await {
            Ok(MigrationReport { to: Some(version), .. }) => Migrated::To(version),
            Ok(_) => Migrated::Failed("the tenant's schema has no version".to_owned()),
            Err(error) => of_error(self.resources, self.batch, &error).await,
        }
    }

    async fn of_admin_error(&self, error: &AdminError) -> Migrated {
        of_error(self.resources, self.batch, &StepError::on_server(self.server.id, error)).await
    }
}

/// What is noted of a tenant whose migration met an error.
async fn of_error(resources: &Resources, batch: &RolloutBatch, error: &StepError) -> Migrated {
    let message = error.to_string();
    match error {
        StepError::ServerAway { server, .. } => {
            if let Some(server) = server {
                resources.note_away(*server, &message, false).await;
                resources.servers.doubt(*server);
            }
            Migrated::Later { error: message, counts: false }
        }
        StepError::Unprepared { .. } => {
            resources.servers.doubt(batch.server);
            Migrated::Later { error: message, counts: true }
        }
        StepError::RegistryAway { .. }
        | StepError::ServerBusy(_)
        | StepError::ServerFull { .. }
        | StepError::ProviderAway { .. }
        | StepError::Stopping
        // Another worker has the tenant; what is noted of it is not noted.
        | StepError::LeaseLost => Migrated::Later { error: message, counts: false },
        StepError::Transient { .. } | StepError::DiskFull { .. } => {
            Migrated::Later { error: message, counts: true }
        }
        StepError::Permanent { .. } => Migrated::Failed(message),
    }
}
