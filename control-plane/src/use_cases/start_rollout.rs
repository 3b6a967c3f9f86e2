//! Starting a rollout, and steering one that is there.

use std::sync::Arc;

use tenantry_domain::{
    Clock,
    app::{App, AppName, AppVersion},
    ids::{OperationId, RolloutId, uuid_v7},
    operation::{OperationInput, Subject},
    rollout::RolloutSettings,
};
use tenantry_registry::{
    NewOperation, NewRollout, OperationStartError, Registry, RegistryError, RolloutControl,
    RolloutControlError, RolloutStartError,
};

use super::Started;
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
    /// The registry refused.
    #[error(transparent)]
    Start(#[from] RolloutStartError),
}

impl From<RegistryError> for NotReady {
    fn from(error: RegistryError) -> Self {
        Self::Start(error.into())
    }
}

/// Starts and steers rollouts.
#[derive(Clone)]
pub(crate) struct StartRollout {
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watch: OperationWatch,
    pub(crate) catalogue: Catalogue,
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

    /// The version to carry: what was asked for, or the newest before the next contract.
    async fn target(
        &self,
        app: &App,
        asked: Option<AppVersion>,
        contract: bool,
    ) -> Result<AppVersion, NotReady> {
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
    ) -> Result<Started, RolloutControlError> {
        let now = self.clock.now();
        let known = self.registry.rollout_get(id).await?.ok_or(RolloutControlError::NotFound)?;
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
        let operation = last.ok_or(OperationStartError::UnknownSubject("rollout"))?;
        let subscription = self.watch.subscribe(operation.id);
        // It may have ended before it was watched.
        let operation = self.registry.operation_get(operation.id).await?.unwrap_or(operation);
        Ok(Started { tenant: None, operation, subscription })
    }
}
