//! `POST /api/v1/rollouts`

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tenantry_domain::{
    app::{AppName, AppVersion},
    ids::TenantId,
    rollout::{FailureBudget, RolloutSettings, Wave, WaveShare},
};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::{
    answer::{RolloutWorkView, answer},
    trial::{FindingView, RolloutTrialView},
};
use crate::{
    auth::{Authorized, scopes::RolloutsWrite},
    claim::Claim,
    input::{Fields, JsonBody, Prefer, QueryParams, TenantRef},
    refusal::Refusal,
    use_cases::start_rollout::{NotReady, NotSteered, StartRollout},
};

/// Tenants that are migrated before the next ones are: named ones, or a share of all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WaveBody {
    /// Ids or slugs of tenants.
    tenants: Option<Vec<String>>,
    /// Percent of all tenants that are to be through after it, 1 to 100.
    #[schema(minimum = 1, maximum = 100)]
    percent: Option<i64>,
    /// How long they are watched before the next wave begins, 0 to 604800; 0 when absent.
    #[schema(minimum = 0, maximum = 604_800)]
    soak_seconds: Option<i64>,
}

/// A number of tenants, or percent of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be a number of tenants, or percent such as 5%")]
pub(crate) enum MaxFailuresBody {
    /// So many.
    Count(u32),
    /// Such as `5%`.
    Percent(String),
}

/// A rollout to start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "app": "crm", "waves": [{ "tenants": ["my-org"], "soakSeconds": 300 }, { "percent": 10 }, { "percent": 100 }],
    "maxFailures": "1%",
}))]
pub(crate) struct RolloutBody {
    /// The app.
    #[schema(value_type = String)]
    app: AppName,
    /// The version that all tenants are to have; the newest one when absent, but none that is marked as `-- contract`.
    #[schema(value_type = Option<i64>)]
    target_version: Option<AppVersion>,
    /// At most 20, the last of which takes all tenants; 1, 10 and 100 percent when absent.
    waves: Option<Vec<WaveBody>>,
    /// Tenants migrated at a time on one server, each on a connection, by all workers together, 1 to 64; 2 when absent.
    #[schema(minimum = 1, maximum = 64)]
    parallelism: Option<i64>,
    /// How many tenants may fail before it halts; none when absent.
    max_failures: Option<MaxFailuresBody>,
    /// Milliseconds that a statement waits for a lock, in which the tenant's requests wait behind it, 10 to 60000; 2000 when absent.
    #[schema(minimum = 10, maximum = 60_000)]
    lock_timeout_ms: Option<i64>,
    /// Milliseconds that a statement may take, up to a day; 0: for ever; 300000 when absent.
    #[schema(minimum = 0, maximum = 86_400_000)]
    statement_timeout_ms: Option<i64>,
    /// How often a tenant is tried that is locked, 1 to 1000; 20 when absent.
    #[schema(minimum = 1, maximum = 1000)]
    tries: Option<i64>,
    /// `true`: carry versions too that guard rails hold to be unsafe.
    #[serde(default)]
    force: bool,
    /// `true`: carry versions too that are marked as `-- contract`; every tenant must have the version before.
    #[serde(default)]
    contract: bool,
}

/// Canaries that a rollout names at most.
const MOST_CANARIES: usize = 1000;

/// Carry a version of an app to all tenants
///
/// In waves: each begins when the one before it is through, and was watched for its soak time. A tenant is held only while it
/// is migrated; one that is being moved has its turn afterwards, a deleted one when it is restored. When too many fail it halts
/// (`resume`, `abort`, `rollback`). In the end the version is promoted: new tenants get it.
#[utoipa::path(
    post, path = "/api/v1/rollouts", tag = "rollouts",
    params(
        ("dryRun" = Option<bool>, Query, description = "`true`: only try it on the largest, the median and the smallest tenant"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = RolloutBody,
    responses(
        (status = 202, description = "It has begun", body = RolloutWorkView),
        (status = 200, description = "It was done within the wait; or what it would do", body = RolloutTrialView),
        (status = 409, description = "`rollout_in_progress` or `contract_too_early`", body = Problem),
        (status = 422, description = "`unknown_app`, `unknown_version`, `version_unsafe` with its `findings`; within the wait, `operation_failed`", body = Problem),
        (status = 503, description = "Of a dry run, `no_worker` or `inquiry_failed`", body = Problem),
    ),
    security(("apiKey" = ["rollouts:write"])),
)]
pub(crate) async fn create_rollout(
    _: Authorized<RolloutsWrite>,
    mut query: QueryParams,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(start): State<StartRollout>,
    JsonBody(body): JsonBody<RolloutBody>,
) -> Result<Response, Refusal> {
    let dry_run = query.take("dryRun").unwrap_or(false);
    query.finish()?;
    let (app, target) = (body.app.clone(), body.target_version);
    let settings = body.read(&registry).await?;
    if dry_run {
        let (target, trial, findings) = start.try_out(app, target, &settings).await?;
        return Ok(Json(RolloutTrialView::new(target, trial, findings)).into_response());
    }
    let started = start.start(app, target, settings, claim).await?;
    answer(&registry, started, prefer).await
}

impl RolloutBody {
    async fn read(self, registry: &Registry) -> Result<RolloutSettings, Refusal> {
        let mut fields = Fields::default();
        let mut settings =
            RolloutSettings { force: self.force, contract: self.contract, ..RolloutSettings::default() };
        let mut number = |field: &str, given: Option<i64>, most: i64, least: i64, into: &mut u32| {
            let Some(given) = given else { return };
            match u32::try_from(given) {
                Ok(number) if (least..=most).contains(&given) => *into = number,
                _ => fields.wrong(field, format!("must be a number from {least} to {most}")),
            }
        };
        let (mut parallelism, mut tries) = (u32::from(settings.parallelism), u32::from(settings.tries));
        number("parallelism", self.parallelism, 64, 1, &mut parallelism);
        number("lockTimeoutMs", self.lock_timeout_ms, 60_000, 10, &mut settings.lock_timeout_ms);
        number(
            "statementTimeoutMs",
            self.statement_timeout_ms,
            86_400_000,
            0,
            &mut settings.statement_timeout_ms,
        );
        number("tries", self.tries, 1000, 1, &mut tries);
        settings.parallelism = u16::try_from(parallelism).unwrap_or(1);
        settings.tries = u16::try_from(tries).unwrap_or(1);
        if let Some(budget) = self.max_failures {
            let budget = match budget {
                MaxFailuresBody::Count(count) => Ok(FailureBudget::Count(count)),
                MaxFailuresBody::Percent(text) => text.parse(),
            };
            settings.max_failures = fields.take("maxFailures", budget).unwrap_or(settings.max_failures);
        }
        if let Some(waves) = self.waves {
            settings.waves.clear();
            for (number, wave) in waves.into_iter().enumerate() {
                let field = format!("waves[{number}]");
                let soak = u32::try_from(wave.soak_seconds.unwrap_or(0)).ok();
                let soak = soak.filter(|soak| *soak <= 604_800);
                fields.check(
                    &format!("{field}.soakSeconds"),
                    soak.is_some(),
                    "must be a number from 0 to 604800",
                );
                let share = match (wave.tenants, wave.percent) {
                    (Some(tenants), None) if !tenants.is_empty() && tenants.len() <= MOST_CANARIES => {
                        canaries(registry, &self.app, &tenants, &field, &mut fields).await?
                    }
                    (None, Some(percent)) if (1..=100).contains(&percent) => {
                        WaveShare::Percent(u8::try_from(percent).unwrap_or(100))
                    }
                    _ => {
                        fields.wrong(
                            &field,
                            "must have either 1 to 1000 `tenants`, or `percent` from 1 to 100",
                        );
                        continue;
                    }
                };
                settings.waves.push(Wave { share, soak_seconds: soak.unwrap_or(0) });
            }
            fields.take("waves", settings.complete_waves());
        }
        fields.finish()?;
        Ok(settings)
    }
}

async fn canaries(
    registry: &Registry,
    app: &AppName,
    names: &[String],
    field: &str,
    fields: &mut Fields,
) -> Result<WaveShare, Refusal> {
    let mut tenants: Vec<TenantId> = Vec::with_capacity(names.len());
    for (number, name) in names.iter().enumerate() {
        let found = match TenantRef::parse(name) {
            Some(tenant) => tenant.find(registry).await.ok(),
            None => None,
        };
        match found {
            Some(found) if found.tenant.app == *app => tenants.push(found.tenant.id),
            Some(_) => fields.wrong(&format!("{field}.tenants[{number}]"), "is a tenant of another app"),
            None => fields.wrong(&format!("{field}.tenants[{number}]"), "there is no such tenant"),
        }
    }
    Ok(WaveShare::Tenants(tenants))
}

impl From<NotSteered> for Refusal {
    fn from(error: NotSteered) -> Self {
        match error {
            NotSteered::NotReady(error) => error.into(),
            NotSteered::Refused(error) => error.into(),
        }
    }
}

impl From<NotReady> for Refusal {
    fn from(error: NotReady) -> Self {
        match error {
            NotReady::NoVersion => Self::unprocessable(
                "unknown_version",
                "targetVersion",
                "the app has no version; push one first",
            ),
            NotReady::Contract { .. } => Self::conflict("contract_too_early", error.to_string()),
            NotReady::Unsafe(ref found) => {
                let found: Vec<FindingView> = found.iter().cloned().map(FindingView::from).collect();
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "version_unsafe", error.to_string())
                    .with("findings", serde_json::to_value(found).unwrap_or_default())
                    .into()
            }
            NotReady::Unanswered(error) => error.into(),
            NotReady::Start(error) => error.into(),
        }
    }
}
