//! Trying a version of an app before it is accepted.

use tenantry_domain::{
    app::{App, Migration},
    inquiry::{Answer, Question, VersionFault, VersionTrial},
    server::ServerName,
};
use tenantry_registry::{PushVersionError, Registry};

use super::ask_worker::{AskWorker, Unanswered};

/// What became of a version.
#[derive(Debug)]
pub(crate) enum Trial {
    /// It is there already, with the same SQL.
    Known,
    /// There is no server yet on which it could be tried.
    Untried,
    /// It can be applied.
    Passed(ServerName, Vec<String>),
}

/// A version that cannot be accepted.
#[derive(Debug)]
pub(crate) enum TrialError {
    /// It does not go with those that are there.
    Push(PushVersionError),
    /// It cannot be applied.
    Invalid(VersionFault),
    /// It could not be found out.
    Unanswered(Unanswered),
}

/// Tries a version, unless it is there already, or there is no server yet.
pub(crate) async fn try_version(
    registry: &Registry,
    ask: &AskWorker,
    app: &App,
    migration: &Migration,
) -> Result<Trial, TrialError> {
    if is_known(app, migration).map_err(TrialError::Push)? {
        return Ok(Trial::Known);
    }
    let servers = registry.server_list().await.map_err(|error| TrialError::Unanswered(error.into()))?;
    if servers.is_empty() {
        return Ok(Trial::Untried);
    }
    let question = Question::TryVersion {
        app: app.name.clone(),
        manifest: app.manifest.clone(),
        seed: app.seed.clone(),
        migration: migration.clone(),
    };
    match ask.ask(&question).await.map_err(TrialError::Unanswered)? {
        Answer::VersionTried(VersionTrial::Passed { server, warnings }) => {
            Ok(Trial::Passed(server, warnings))
        }
        Answer::VersionTried(VersionTrial::Refused(fault)) => Err(TrialError::Invalid(fault)),
        _ => Err(TrialError::Unanswered(Unanswered::foreign())),
    }
}

/// Whether an app has a version with the same SQL; an error if it cannot be pushed.
fn is_known(app: &App, migration: &Migration) -> Result<bool, PushVersionError> {
    let version = migration.version;
    if let Some(known) = app.migrations.iter().find(|known| known.version == version) {
        let same = known.checksum() == migration.checksum();
        return if same { Ok(true) } else { Err(PushVersionError::Differs(version)) };
    }
    match app.version() {
        Some(latest) if latest > version => Err(PushVersionError::OutOfOrder { pushed: version, latest }),
        _ => Ok(false),
    }
}
