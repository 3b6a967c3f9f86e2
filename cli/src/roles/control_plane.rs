//! `tenantry control-plane`.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tenantry_control_plane::{ControlPlane, Settings, SignupSettings, TrustedProxy};
use tenantry_domain::{SystemClock, app::AppName, plan::PlanName};
use tenantry_registry::{Part, Registry};

use super::serve_admin;
use crate::{
    platform::{apps_in, bind, load_apps, registry_check},
    settings::{AdminArgs, DomainArgs, KekArgs, RegistryArgs},
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

    /// Proxies (addresses or CIDRs) whose `Forwarded` and `X-Forwarded-For` say who signs up; without any,
    /// it is who connects.
    #[arg(long, env = "TENANTRY_TRUSTED_PROXIES", value_delimiter = ',', value_name = "ADDRESS|CIDR,...")]
    trusted_proxies: Vec<TrustedProxy>,
}

impl ApiArgs {
    pub(crate) fn settings(&self, base_domain: &str) -> Settings {
        let signup = self.signup_plan.clone().map(|plan| SignupSettings {
            per_minute: self.signup_rate,
            plan,
            app: self.signup_app.clone(),
        });
        Settings {
            signup,
            trusted_proxies: self.trusted_proxies.clone(),
            base_domain: base_domain.to_owned(),
            default_app: self.default_app.clone(),
            ..Settings::default()
        }
    }
}

pub(crate) async fn run(args: ControlPlaneArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let clock = SystemClock::shared();
    let url = args.registry.database_url.expose_secret();
    let registry = Registry::connect_lazy(url, Part::ControlPlane, args.registry.registry_connections)?;
    let settings = args.api.settings(&args.domain.base_domain);
    let plane = ControlPlane::new(registry.clone(), args.kek.required()?, clock.clone(), settings);
    plane.install_built_in_plans().await?;
    if let Some(key) = &args.bootstrap_key {
        plane.install_bootstrap_key(key).await?;
    }
    load_apps(&registry, &apps_in(args.apps_dir)?, &*clock).await?;
    serve_admin(args.admin.admin_addr, vec![registry_check(registry)], stop.clone()).await?;
    let (listener, addr) = bind(args.control_plane_addr, "control plane").await?;
    tracing::info!("the control plane listens on http://{addr}");
    Ok(plane.serve(listener, stop).await?)
}
