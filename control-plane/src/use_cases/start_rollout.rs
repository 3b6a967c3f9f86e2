//! Starting a rollout, and steering one that is there.

use std::sync::Arc;

use tenantry_domain::{
    Clock,
    app::{App, AppName, AppVersion},
    ids::{OperationId, RolloutId, uuid_v7},
    inquiry::{Answer, Question, RolloutTrial},
    operation::{OperationInput, Subject},
    rollout::RolloutSettings,
};
use tenantry_lint::{Finding, Known, ViewColumn, Weight, lint_versions};
use tenantry_registry::{
    NewOperation, NewRollout, Registry, RegistryError, RolloutControl, RolloutControlError, RolloutStartError,
};

use super::{
    Started,
    ask_worker::{AskWorker, Unanswered},
};
use crate::{catalogue::Catalogue, claim::Claim, operation_watch::OperationWatch};

/// A rollout cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    /// The app has no version.
    #[error("the app has no version")]
    NoVersion,
    /// A version that takes something away is not to be carried yet.
    #[error(
        "version {version} is marked as a contract: it takes away what {behind} tenants may still use; first carry the version \
         before it to all, then ask for this one with `contract`"
    )]
    Contract {
        /// Which.
        version: AppVersion,
        /// Tenants that have an older version than the one before it; none if it was only not asked for.
        behind: u64,
    },
    /// Guard rails found what is unsafe.
    #[error("{} statements may stop traffic, break clients or leave tenants half-way; ask for it with `force` all the same", .0.len())]
    Unsafe(Vec<(AppVersion, Finding)>),
    /// No worker could be asked.
    #[error("no worker could be asked")]
    Unanswered(Unanswered),
    /// The registry refused.
    #[error(transparent)]
    Start(#[from] RolloutStartError),
}

impl From<RegistryError> for NotReady {
    fn from(error: RegistryError) -> Self {
        Self::Start(error.into())
    }
}

/// A rollout cannot be steered so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSteered {
    /// It cannot go on to that version.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The registry refused.
    #[error(transparent)]
    Refused(#[from] RolloutControlError),
}

impl From<RegistryError> for NotSteered {
    fn from(error: RegistryError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<RolloutStartError> for NotSteered {
    fn from(error: RolloutStartError) -> Self {
        Self::NotReady(error.into())
    }
}

/// What guard rails find in versions that are carried out together.
async fn findings(
    app: App,
    lowest: Option<AppVersion>,
    target: AppVersion,
    trial: RolloutTrial,
) -> Vec<(AppVersion, Finding)> {
    // Long files take a while, in which other requests go on.
    let lint = tokio::task::spawn_blocking(move || {
        let mut known = Known::nothing();
        known.rows = trial.tables.iter().map(|(table, rows)| (table.as_str(), *rows)).collect();
        known.views =
            trial.views.iter().map(|(view, table, column)| ViewColumn { view, table, column }).collect();
        lint_versions(&app, lowest, target, &known)
    });
    // It is cancelled only as the process ends.
    lint.await.unwrap_or_default()
}

/// Starts and steers rollouts.
#[derive(Clone)]
pub(crate) struct StartRollout {
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watch: OperationWatch,
    pub(crate) catalogue: Catalogue,
    pub(crate) ask: AskWorker,
}

impl StartRollout {
    /// Starts one.
    pub(crate) async fn start(
        &self,
        app: AppName,
        target: Option<AppVersion>,
        settings: RolloutSettings,
        claim: Claim,
    ) -> Result<Started, NotReady> {
        let start = Box::pin(self.begin(app, target, settings, claim));
        Started::once(claim, &self.registry, &self.watch, start).await
    }

    async fn begin(
        &self,
        name: AppName,
        target: Option<AppVersion>,
        settings: RolloutSettings,
        claim: Claim,
    ) -> Result<Started, NotReady> {
        let app = self.registry.app_get(&name).await?.ok_or(RolloutStartError::UnknownApp)?;
        let target = self.target(&app, target, settings.contract).await?;
        if !settings.force {
            let found = self.look(&app, target).await?;
            if !found.is_empty() {
                return Err(NotReady::Unsafe(found));
            }
        }
        let now = self.clock.now();
        let id = RolloutId::generate(now, &mut rand::rng());
        let operation = NewOperation {
            id: OperationId::from_uuid(claim.id_or_new(now)),
            subject: Subject::Rollout(id),
            subject_name: format!("{name}@{target}"),
            input: OperationInput::Rollout,
            created_at: now,
        };
        let subscription = self.watch.subscribe(operation.id);
        let new = NewRollout { id, app: name, target, settings };
        let (_, operation) = self.registry.rollout_start(&new, operation).await?;
        Ok(Started { tenant: None, operation, subscription })
    }

    /// What a rollout would do at some tenants: each statement is run there, and rolled back.
    pub(crate) async fn try_out(
        &self,
        name: AppName,
        target: Option<AppVersion>,
        settings: &RolloutSettings,
    ) -> Result<(AppVersion, RolloutTrial, Vec<(AppVersion, Finding)>), NotReady> {
        let app = self.registry.app_get(&name).await?.ok_or(RolloutStartError::UnknownApp)?;
        let target = self.target(&app, target, settings.contract).await?;
        let question =
            Question::TryRollout { app: name, target, lock_timeout_ms: Some(settings.lock_timeout_ms) };
        let answer = self.ask.ask(&question).await.map_err(NotReady::Unanswered)?;
        let Answer::RolloutTried(trial) = answer else {
            return Err(NotReady::Unanswered(Unanswered::foreign()));
        };
        let lowest = self.registry.app_version_counts(&app.name).await?.first().map(|count| count.version);
        let findings = findings(app, lowest, target, trial.clone()).await;
        Ok((target, trial, findings))
    }

    /// What guard rails find unsafe in what tenants do not have yet.
    async fn look(&self, app: &App, target: AppVersion) -> Result<Vec<(AppVersion, Finding)>, NotReady> {
        let lowest = self.registry.app_version_counts(&app.name).await?.first().map(|count| count.version);
        if lowest.is_none_or(|lowest| lowest >= target) {
            return Ok(Vec::new());
        }
        let is_unsafe = |found: Vec<(AppVersion, Finding)>| -> Vec<_> {
            found.into_iter().filter(|(_, finding)| finding.weight == Weight::Unsafe).collect()
        };
        // Most files need no look at tables.
        let found = is_unsafe(findings(app.clone(), lowest, target, RolloutTrial::default()).await);
        if found.is_empty() {
            return Ok(found);
        }
        let question = Question::TryRollout { app: app.name.clone(), target, lock_timeout_ms: None };
        match self.ask.ask(&question).await {
            Ok(Answer::RolloutTried(trial)) => {
                Ok(is_unsafe(findings(app.clone(), lowest, target, trial).await))
            }
            // Nothing is known of the tables: they may be large.
            Ok(_) | Err(Unanswered::NoWorker | Unanswered::Failed(_)) => Ok(found),
            Err(error) => Err(NotReady::Unanswered(error)),
        }
    }

    /// The version to carry: what was asked for, or the newest before the next contract.
    async fn target(
        &self,
        app: &App,
        asked: Option<AppVersion>,
        contract: bool,
    ) -> Result<AppVersion, NotReady> {
        if let Some(asked) = asked.filter(|asked| !app.migrations.iter().any(|known| known.version == *asked))
        {
            return Err(RolloutStartError::UnknownVersion(asked).into());
        }
        let counts = self.registry.app_version_counts(&app.name).await?;
        let lowest = counts.first().map(|count| count.version);
        let mut before: Option<AppVersion> = None;
        let mut target = None;
        for migration in &app.migrations {
            if asked.is_some_and(|asked| migration.version > asked) {
                break;
            }
            if migration.is_contract() && lowest.is_some_and(|lowest| lowest < migration.version) {
                let behind = counts
                    .iter()
                    .filter(|count| Some(count.version) < before)
                    .map(|count| count.tenants)
                    .sum();
                if asked.is_none() && (!contract || behind > 0) {
                    break;
                }
                if !contract || behind > 0 {
                    return Err(NotReady::Contract { version: migration.version, behind });
                }
            }
            before = Some(migration.version);
            target = before;
        }
        asked.or(target).ok_or(NotReady::NoVersion)
    }

    /// Steers one; the operation that drives it from now on.
    pub(crate) async fn control(
        &self,
        id: RolloutId,
        control: &RolloutControl,
    ) -> Result<Started, NotSteered> {
        let now = self.clock.now();
        let known = self.registry.rollout_get(id).await?.ok_or(RolloutControlError::NotFound)?;
        if let RolloutControl::Resume(Some(target)) = control {
            let app = self.registry.app_get(&known.app).await?.ok_or(RolloutStartError::UnknownApp)?;
            self.target(&app, Some(*target), known.settings.contract).await?;
            let found = if known.settings.force { Vec::new() } else { self.look(&app, *target).await? };
            if !found.is_empty() {
                return Err(NotReady::Unsafe(found).into());
            }
        }
        let new = NewOperation {
            id: OperationId::from_uuid(uuid_v7(now, &mut rand::rng())),
            subject: Subject::Rollout(id),
            subject_name: format!("{}@{}", known.app, known.target),
            input: OperationInput::Rollout,
            created_at: now,
        };
        self.registry.rollout_control(id, control, new).await?;
        self.catalogue.forget_app(&known.app);
        let last = self.registry.operation_last(Subject::Rollout(id)).await?;
        let operation = last.ok_or(RolloutControlError::NotFound)?;
        let subscription = self.watch.subscribe(operation.id);
        // It may have ended before it was watched.
        let operation = self.registry.operation_get(operation.id).await?.unwrap_or(operation);
        Ok(Started { tenant: None, operation, subscription })
    }
}
