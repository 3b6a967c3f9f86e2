//! `POST /api/v1/apps/{app}/versions`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::{Deserialize, Serialize};
use tenantry_domain::{
    Clock,
    app::{App, AppName, AppVersion, Manifest, Migration},
    inquiry::VersionFault,
};
use tenantry_http::Problem;
use tenantry_lint::Finding;
use tenantry_registry::{PushVersionError, Registry};
use utoipa::ToSchema;

use super::{get::VersionView, manifest::ManifestView};
use crate::{
    auth::{Authorized, scopes::AppsWrite},
    catalogue::Catalogue,
    input::{Fields, InPath, JsonBody, QueryParams, fields},
    refusal::Refusal,
    use_cases::{
        ask_worker::AskWorker,
        lint_version::lint_version,
        try_version::{Trial, TrialError, try_version},
    },
};

/// A migration to push.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "version": 20_261_120_093_000_i64, "name": "create_contacts",
    "up": "CREATE TABLE contacts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);",
    "down": "DROP TABLE contacts;",
}))]
pub(crate) struct PushVersionBody {
    /// Its place in the order: a positive integer, by custom a time.
    #[schema(value_type = i64)]
    version: AppVersion,
    /// What it does.
    name: String,
    /// The SQL that applies it.
    up: String,
    /// The SQL that takes it back.
    down: Option<String>,
    /// In a dry run, the manifest that the app is to have; without it, the one that it has.
    manifest: Option<ManifestView>,
    /// In a dry run, the default data that the app is to have; without it, what it has.
    seed: Option<String>,
}

/// A version that was pushed, or may be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PushedVersionView {
    #[serde(flatten)]
    version: VersionView,
    /// How it was tried; null if it was there already.
    trial: Option<TrialView>,
    /// What in its `up` may stop traffic, break clients or leave a tenant half-way once tenants are brought to it, in the
    /// order of its lines; empty if it was there already. It is accepted all the same.
    findings: Vec<MigrationFindingView>,
}

/// Something in a migration that is unsafe, or may be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MigrationFindingView {
    /// What was broken; all rules are in `docs/migrations.md`.
    #[schema(example = "require-concurrent-index-creation")]
    rule: &'static str,
    /// The line, counted from 1.
    #[schema(example = 3)]
    line: u32,
    /// What is wrong.
    #[schema(example = "`contacts`: building an index blocks writes to its table until it is built")]
    message: String,
    /// What to write instead.
    help: Option<String>,
    /// `unsafe`: a rollout of it begins only if it is forced; or `warning`.
    #[schema(example = "unsafe")]
    weight: &'static str,
}

impl From<Finding> for MigrationFindingView {
    fn from(finding: Finding) -> Self {
        Self {
            rule: finding.rule.name(),
            line: finding.line,
            message: finding.message,
            help: finding.help,
            weight: finding.weight.as_str(),
        }
    }
}

/// How a version was tried: it, its down SQL, and it again, after all versions before it; and then the seed, which
/// only gives a warning, since it can be replaced.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrialView {
    /// False where no server is registered yet: then it was accepted as it is.
    tried: bool,
    /// The server on which it was tried; nothing of it stayed.
    #[schema(example = "eu-1")]
    server: Option<String>,
    /// What to know about it.
    warnings: Vec<String>,
}

impl TrialView {
    fn of(trial: Trial) -> Option<Self> {
        match trial {
            Trial::Known => None,
            Trial::Untried => Some(Self {
                tried: false,
                server: None,
                warnings: vec!["it was not tried: no server is registered yet".to_owned()],
            }),
            Trial::Passed(server, warnings) => {
                Some(Self { tried: true, server: Some(server.to_string()), warnings })
            }
        }
    }
}

/// Push a version of an app
///
/// It is tried first, on a server, as a new tenant gets it; nothing of that stays. Versions never change: the same
/// version with the same SQL answers 200, with other SQL 409.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/versions", tag = "apps",
    params(
        ("app" = String, Path, description = "The app's name", example = "crm"),
        ("dryRun" = Option<bool>, Query, description = "`true`: only try it"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = PushVersionBody,
    responses(
        (status = 201, description = "It was pushed", body = PushedVersionView),
        (status = 200, description = "It was there already, or can be pushed", body = PushedVersionView),
        (status = 409, description = "`version_differs` or `version_out_of_order`", body = Problem),
        (status = 422, description = "`version_invalid`, with `part`, `version` and `line`", body = Problem),
        (status = 503, description = "`no_worker` or `inquiry_failed`: it could not be tried", body = Problem),
    ),
    security(("apiKey" = ["apps:write"])),
)]
#[expect(clippy::too_many_arguments, reason = "extractors")]
pub(crate) async fn push_version(
    _: Authorized<AppsWrite>,
    InPath(name): InPath<AppName>,
    mut query: QueryParams,
    State(registry): State<Registry>,
    State(catalogue): State<Catalogue>,
    State(clock): State<Arc<dyn Clock>>,
    State(ask): State<AskWorker>,
    JsonBody(body): JsonBody<PushVersionBody>,
) -> Result<impl IntoResponse, Refusal> {
    let dry_run = query.take("dryRun").unwrap_or(false);
    query.finish()?;
    let (planned, migration) = read(body, dry_run)?;
    let mut app = match registry.app_get(&name).await? {
        Some(app) => app,
        // What is only tried need not be there yet.
        None if dry_run => App::new(name.clone()),
        None => return Err(Refusal::not_found("app")),
    };
    app.manifest = planned.manifest.unwrap_or(app.manifest);
    app.seed = planned.seed.or(app.seed);
    let trial = try_version(&registry, &ask, &app, &migration).await?;
    let findings = match trial {
        Trial::Known => Vec::new(),
        Trial::Untried | Trial::Passed(..) => lint_version(&app, &migration).await,
    };
    let mut status = StatusCode::OK;
    if !dry_run && !matches!(trial, Trial::Known) {
        if registry.app_version_push(&name, &migration, clock.now()).await? {
            status = StatusCode::CREATED;
        }
        catalogue.forget_app(&name);
    }
    let view = PushedVersionView {
        version: VersionView::from(&migration),
        trial: TrialView::of(trial),
        findings: findings.into_iter().map(MigrationFindingView::from).collect(),
    };
    Ok((status, Json(view)))
}

/// What a dry run takes instead of what the app has.
struct Planned {
    manifest: Option<Manifest>,
    seed: Option<String>,
}

fn read(body: PushVersionBody, dry_run: bool) -> Result<(Planned, Migration), Refusal> {
    let mut fields = Fields::default();
    for (field, given) in [("manifest", body.manifest.is_some()), ("seed", body.seed.is_some())] {
        fields.check(field, dry_run || !given, "goes with `dryRun=true` only; PUT changes the app's own");
    }
    let manifest = body.manifest.map(Manifest::from);
    if let Some(manifest) = &manifest {
        fields.take("manifest.extensions", manifest.validate());
    }
    let name = fields.take("name", fields::label(&body.name));
    fields.check("up", !body.up.trim().is_empty(), "must hold SQL");
    fields.finish()?;
    let migration = Migration {
        version: body.version,
        name: name.unwrap_or_default(),
        up: body.up,
        down: body.down.filter(|down| !down.trim().is_empty()),
    };
    Ok((Planned { manifest, seed: body.seed }, migration))
}

impl From<PushVersionError> for Refusal {
    fn from(error: PushVersionError) -> Self {
        match error {
            PushVersionError::UnknownApp => Self::not_found("app"),
            PushVersionError::Differs(_) => Self::conflict(
                "version_differs",
                "this version was pushed with other SQL; versions never change, push a new one",
            ),
            PushVersionError::OutOfOrder { latest, .. } => {
                Problem::new(StatusCode::CONFLICT, "version_out_of_order", error.to_string())
                    .with("latestVersion", latest.number())
                    .into()
            }
            PushVersionError::Registry(error) => error.into(),
        }
    }
}

impl From<TrialError> for Refusal {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Push(error) => error.into(),
            TrialError::Unanswered(error) => error.into(),
            TrialError::Invalid(fault) => invalid(&fault).into(),
        }
    }
}

fn invalid(fault: &VersionFault) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "version_invalid", fault.to_string())
        .with("part", serde_json::to_value(fault.part).unwrap_or_default())
        .with("version", fault.version.map(AppVersion::number))
        .with("line", fault.line)
}
