//! `tenantry rollouts`: versions of apps, carried to all tenants.

mod start;
mod watch;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Client,
    connection::ConnectionArgs,
    human::text,
    list::{self, ListArgs},
    member,
    output::{Column, Shown},
};

const EXAMPLES: &str = "Examples:
  tenantry rollouts start crm
  tenantry rollouts start crm --canary acme --soak 300 --wave 10 --max-failures 1%
  tenantry rollouts start crm --dry-run
  tenantry rollouts watch 0199b0de-0000-7000-8000-000000000000
  tenantry rollouts tenants 0199b0de-0000-7000-8000-000000000000 --state failed
  tenantry rollouts resume 0199b0de-0000-7000-8000-000000000000 --target 20261120093100
  tenantry rollouts rollback 0199b0de-0000-7000-8000-000000000000";

/// `tenantry rollouts`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RolloutsArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: RolloutsCommand,
}

/// What to do with rollouts.
#[derive(Debug, Subcommand)]
pub(super) enum RolloutsCommand {
    /// Carry a version of an app to all of its tenants, and follow it.
    Start(start::StartArgs),
    /// List rollouts, newest first.
    List(RolloutListArgs),
    /// Show a rollout, and which versions tenants have.
    Show(RolloutArg),
    /// Follow a rollout, with one bar per wave, until it is over or halts; the exit code is 0 only if it succeeded.
    Watch(RolloutArg),
    /// List a rollout's tenants, and how far each is.
    Tenants(TenantsArgs),
    /// Stop a rollout for a while. Tenants that are being migrated come to their end.
    Pause(RolloutArg),
    /// Go on with a rollout that is paused or halted. Tenants that failed are tried again.
    Resume(ResumeArgs),
    /// End a rollout where it is. Tenants that have the version keep it.
    Abort(RolloutArg),
    /// Take all tenants back to the version that they had, and follow that.
    Rollback(start::FollowArgs),
}

/// One rollout.
#[derive(Debug, Args)]
pub(super) struct RolloutArg {
    /// The rollout's id.
    #[arg(value_name = "ROLLOUT")]
    id: String,
}

/// Which rollouts.
#[derive(Debug, Args)]
pub(super) struct RolloutListArgs {
    /// Of this app.
    #[arg(long, value_name = "APP")]
    app: Option<String>,

    /// In this state: running, paused, halted, succeeded, `rolled_back` or aborted.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    #[command(flatten)]
    list: ListArgs,
}

/// Which tenants of a rollout.
#[derive(Debug, Args)]
pub(super) struct TenantsArgs {
    #[command(flatten)]
    rollout: RolloutArg,

    /// In this state: pending, migrating, done, failed or skipped.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    #[command(flatten)]
    list: ListArgs,
}

/// How a rollout goes on.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    rollout: RolloutArg,

    /// The version that all tenants are to have from now on: one that mends what failed.
    #[arg(long, value_name = "VERSION")]
    target: Option<u64>,
}

const COLUMNS: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("app", Shown::Text("/app")),
    ("version", Shown::Text("/targetVersion")),
    ("state", Shown::Text("/state")),
    ("wave", Shown::Text("/wave")),
    ("done", Shown::Text("/tenants/done")),
    ("failed", Shown::Text("/tenants/failed")),
    ("of", Shown::Text("/tenants/total")),
    ("created", Shown::Time("/createdAt")),
    ("because", Shown::Text("/reason")),
];

const LINES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("app", Shown::Text("/app")),
    ("version", Shown::Text("/targetVersion")),
    ("former version", Shown::Text("/formerVersion")),
    ("state", Shown::Text("/state")),
    ("direction", Shown::Text("/direction")),
    ("because", Shown::Text("/reason")),
    ("wave", Shown::Text("/wave")),
    ("watched until", Shown::Time("/soakUntil")),
    ("tenants", Shown::Text("/tenants/total")),
    ("done", Shown::Text("/tenants/done")),
    ("pending", Shown::Text("/tenants/pending")),
    ("failed", Shown::Text("/tenants/failed")),
    ("skipped", Shown::Text("/tenants/skipped")),
    ("tenants per minute", Shown::Text("/tenantsPerMinute")),
    ("seconds left", Shown::Text("/secondsLeft")),
    ("failures allowed", Shown::Text("/maxFailures")),
    ("created", Shown::Time("/createdAt")),
    ("finished", Shown::Time("/finishedAt")),
];

const VERSION_COLUMNS: &[Column] =
    &[("version", Shown::Text("/version")), ("tenants", Shown::Text("/tenants"))];

const TENANT_COLUMNS: &[Column] = &[
    ("tenant", Shown::Text("/slug")),
    ("state", Shown::Text("/state")),
    ("wave", Shown::Text("/wave")),
    ("had", Shown::Text("/fromVersion")),
    ("has", Shown::Text("/version")),
    ("tries", Shown::Text("/tries")),
    ("finished", Shown::Time("/finishedAt")),
    ("error", Shown::Text("/error")),
];

pub(super) async fn run(client: &Client, command: RolloutsCommand) -> anyhow::Result<()> {
    match command {
        RolloutsCommand::Start(args) => start::start(client, args).await,
        RolloutsCommand::List(args) => {
            let filters = vec![("app", args.app), ("state", args.state)];
            list::print(client, &["rollouts"], filters, &args.list, COLUMNS).await
        }
        RolloutsCommand::Show(args) => show(client, &args.id).await,
        RolloutsCommand::Watch(args) => {
            let ended = watch::follow(client, &args.id).await?;
            watch::verdict(client, &ended, "succeeded")
        }
        RolloutsCommand::Tenants(args) => {
            let path = ["rollouts", &args.rollout.id, "tenants"];
            list::print(client, &path, vec![("state", args.state)], &args.list, TENANT_COLUMNS).await
        }
        RolloutsCommand::Pause(args) => steer(client, &args.id, "pause", None).await,
        RolloutsCommand::Resume(args) => {
            let body = args.target.map_or_else(|| json!({}), |target| json!({ "targetVersion": target }));
            steer(client, &args.rollout.id, "resume", Some(&body)).await
        }
        RolloutsCommand::Abort(args) => steer(client, &args.id, "abort", None).await,
        RolloutsCommand::Rollback(args) => start::roll_back(client, args).await,
    }
}

async fn show(client: &Client, id: &str) -> anyhow::Result<()> {
    let rollout = client.api.get(&["rollouts", id], &[]).await?;
    client.output.one(&rollout, LINES)?;
    if client.output.is_json() {
        return Ok(());
    }
    client.output.done_in_words("")?;
    client.output.list(&json!({ "items": rollout["versions"] }), VERSION_COLUMNS)
}

async fn steer(client: &Client, id: &str, what: &str, body: Option<&Value>) -> anyhow::Result<()> {
    let rollout = client.api.post(&["rollouts", id, what], body).await?;
    let (id, state) = (member(&rollout, "/id")?, text(&rollout["state"]));
    let next = match state.as_str() {
        "running" => format!("; tenantry rollouts watch {id}"),
        "paused" => format!("; tenantry rollouts resume {id}"),
        _ => String::new(),
    };
    client.output.done(&rollout, &format!("the rollout is {state}{next}"))
}
