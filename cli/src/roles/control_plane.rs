//! `tenantry control-plane`.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf, time::Duration};

use clap::Args;
use secrecy::SecretString;
use tenantry_control_plane::{
    OperatorIssuerUrl, OperatorRole, OperatorSettings, Settings, SignupSettings, TrustedProxy,
};
use tenantry_domain::{SystemClock, app::AppName, plan::PlanName};
use tokio_util::sync::CancellationToken;

use crate::{
    app_folder,
    compose::{self, Patience, Process, control_plane::ControlPlaneConfig},
    settings::{AdminArgs, DomainArgs, EdgeArgs, KekArgs, ListenerArgs, RegistryArgs},
    shutdown,
};

/// Settings of `tenantry control-plane`.
#[derive(Debug, Args)]
pub struct ControlPlaneArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    kek: KekArgs,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    domain: DomainArgs,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    edge: EdgeArgs,

    /// Where the API listens; port 0 picks a free one.
    #[arg(long, env = "TENANTRY_CONTROL_PLANE_ADDR", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    control_plane_addr: SocketAddr,

    /// The first API key, with all scopes.
    #[arg(long, env = "TENANTRY_BOOTSTRAP_KEY", hide_env_values = true, value_name = "KEY")]
    bootstrap_key: Option<SecretString>,

    /// A folder of apps to load at start.
    #[arg(long, env = "TENANTRY_APPS_DIR", value_name = "DIR")]
    apps_dir: Option<PathBuf>,
}

/// Settings of the API itself.
#[derive(Debug, Clone, Args)]
pub(crate) struct ApiArgs {
    /// The app of a sign-up that names none.
    #[arg(long, env = "TENANTRY_DEFAULT_APP", value_name = "APP")]
    default_app: Option<AppName>,

    /// Open `POST /api/v1/signup` to the public, with this plan.
    #[arg(long, env = "TENANTRY_SIGNUP_PLAN", value_name = "PLAN")]
    signup_plan: Option<PlanName>,

    /// The app of public sign-ups; else the default app.
    #[arg(long, env = "TENANTRY_SIGNUP_APP", value_name = "APP", requires = "signup_plan")]
    signup_app: Option<AppName>,

    /// Public sign-ups per minute from one address.
    #[arg(long, env = "TENANTRY_SIGNUP_RATE", default_value = "5", value_name = "COUNT")]
    signup_rate: NonZeroU32,

    /// Hours in which a tenant's last move can be undone, and in which what was moved live is kept up to date where it was; 0:
    /// not at all. A plan may say otherwise (undoMovesHours).
    #[arg(long, env = "TENANTRY_UNDO_MOVES_FOR", default_value_t = 24, value_name = "HOURS")]
    undo_moves_for: u16,

    /// Proxies (addresses or CIDRs) whose `Forwarded` and `X-Forwarded-For` say who signs up; without any,
    /// it is who connects.
    #[arg(long, env = "TENANTRY_TRUSTED_PROXIES", value_delimiter = ',', value_name = "ADDRESS|CIDR,...")]
    trusted_proxies: Vec<TrustedProxy>,

    /// The identity provider (OIDC) whose tokens open the API as API keys do: its `iss`, a URL.
    #[arg(long, env = "TENANTRY_OPERATOR_ISSUER", value_name = "URL")]
    operator_issuer: Option<OperatorIssuerUrl>,

    /// The `aud` that its tokens for Tenantry have.
    #[arg(long, env = "TENANTRY_OPERATOR_AUDIENCE", value_name = "AUDIENCE")]
    operator_audience: Option<String>,

    /// The claim with an operator's roles: its name, or a path such as `/realm_access/roles`.
    #[arg(long, env = "TENANTRY_OPERATOR_ROLES_CLAIM", default_value = "roles", value_name = "CLAIM")]
    operator_roles_claim: String,

    /// What roles may do: the scopes of each, or * for all, e.g. `admin=*;support=tenants:read,tenants:impersonate`.
    #[arg(long, env = "TENANTRY_OPERATOR_ROLES", value_delimiter = ';', value_name = "ROLE=SCOPES;...")]
    operator_roles: Vec<OperatorRole>,
}

impl ApiArgs {
    /// Whose tokens count beside API keys, if anybody's do.
    fn operators(&self) -> anyhow::Result<Option<OperatorSettings>> {
        let Self { operator_issuer, operator_audience, operator_roles_claim, operator_roles, .. } = self;
        match (operator_issuer, operator_audience) {
            (None, None) if operator_roles.is_empty() => Ok(None),
            (Some(issuer), Some(audience)) if !audience.is_empty() && !operator_roles.is_empty() => {
                Ok(Some(OperatorSettings {
                    issuer: issuer.clone(),
                    audience: audience.clone(),
                    roles_claim: operator_roles_claim.clone(),
                    roles: operator_roles.clone(),
                }))
            }
            _ => anyhow::bail!(
                "operators sign in with all of TENANTRY_OPERATOR_ISSUER, TENANTRY_OPERATOR_AUDIENCE and TENANTRY_OPERATOR_ROLES, or none"
            ),
        }
    }

    pub(crate) fn settings(&self, base_domain: &str, listener: &ListenerArgs) -> anyhow::Result<Settings> {
        let signup = self.signup_plan.clone().map(|plan| SignupSettings {
            per_minute: self.signup_rate,
            plan,
            app: self.signup_app.clone(),
        });
        Ok(Settings {
            signup,
            operators: self.operators()?,
            trusted_proxies: self.trusted_proxies.clone(),
            base_domain: base_domain.to_owned(),
            default_app: self.default_app.clone(),
            access_log: listener.access_log,
            connections: listener.connections(),
            undo_moves_for: Duration::from_hours(self.undo_moves_for.into()),
            ..Settings::default()
        })
    }
}

pub(crate) async fn run(args: ControlPlaneArgs) -> anyhow::Result<()> {
    let told = shutdown::on_signal()?;
    let config = ControlPlaneConfig {
        registry: args.registry.config()?,
        kek: args.kek.required().await?,
        addr: args.control_plane_addr,
        api_key: args.bootstrap_key,
        apps: app_folder::read_all_of(args.apps_dir.as_deref())?,
        tenant_server: None,
        settings: args.api.settings(&args.domain.base_domain, &args.edge.listener)?,
        resolver: None,
    };
    let process = Process::new(SystemClock::shared(), Patience::UntilReady)?;
    let stop = process.stop_after(told, args.edge.drain()?);
    let ended = CancellationToken::new();
    let _admin = ended.clone().drop_guard();
    process.serve_admin(args.admin.admin_addr, ended).await?;
    let starting = Box::pin(compose::control_plane::start(&process, config, stop.clone()));
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let started = started?;
    tracing::info!("the control plane listens on http://{}", started.address);
    started.task.await?
}
