//! What a rollout would do, as clients see it.

use serde::Serialize;
use tenantry_domain::{
    app::AppVersion,
    inquiry::{RolloutTrial, StatementTrial},
};
use tenantry_lint::Finding;
use utoipa::ToSchema;

/// Something in a version that is unsafe, or may be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FindingView {
    /// The version.
    version: i64,
    /// What was broken; all rules are in `docs/migrations.md`.
    #[schema(example = "require-concurrent-index-creation")]
    rule: &'static str,
    /// The line, counted from 1.
    line: u32,
    /// What is wrong.
    message: String,
    /// What to write instead.
    help: Option<String>,
    /// `unsafe`: it begins only if it is forced; or `warning`.
    #[schema(example = "unsafe")]
    weight: &'static str,
}

impl From<(AppVersion, Finding)> for FindingView {
    fn from((version, finding): (AppVersion, Finding)) -> Self {
        Self {
            version: version.number(),
            rule: finding.rule.name(),
            line: finding.line,
            message: finding.message,
            help: finding.help,
            weight: finding.weight.as_str(),
        }
    }
}

/// A statement that was run at a tenant and rolled back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatementTrialView {
    /// The tenant's slug.
    tenant: String,
    /// The version that it is of.
    version: i64,
    /// Its first line, counted from 1.
    line: u32,
    /// How long it took.
    milliseconds: f64,
    /// Locks on the tenant's tables that it was the first to take.
    #[schema(example = json!(["AccessExclusiveLock on contacts"]))]
    locks: Vec<String>,
    /// Why it failed, or was not run.
    error: Option<String>,
}

impl From<StatementTrial> for StatementTrialView {
    fn from(trial: StatementTrial) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a time for people")]
        let milliseconds = (trial.microseconds as f64 / 10.0).round() / 100.0;
        Self {
            tenant: trial.tenant,
            version: trial.version.number(),
            line: trial.line,
            milliseconds,
            locks: trial.locks,
            error: trial.error,
        }
    }
}

/// What a rollout would do, tried on the largest, the median and the smallest tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RolloutTrialView {
    /// The version that all would have.
    target_version: i64,
    /// What guard rails found.
    findings: Vec<FindingView>,
    /// What each statement took, tenant by tenant.
    items: Vec<StatementTrialView>,
}

impl RolloutTrialView {
    pub(super) fn new(target: AppVersion, trial: RolloutTrial, findings: Vec<(AppVersion, Finding)>) -> Self {
        Self {
            target_version: target.number(),
            findings: findings.into_iter().map(Into::into).collect(),
            items: trial.statements.into_iter().map(Into::into).collect(),
        }
    }
}
