//! `tenantry audit`: who did what.

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{
    Client,
    connection::ConnectionArgs,
    human::{indented, text},
    list::{self, ListArgs},
    output::{Column, Shown},
};

/// `tenantry audit`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry audit list --tenant acme-inc --action 'tenants.*'
  tenantry audit export --since 2026-12-01T00:00:00Z > december.jsonl
  tenantry audit verify
  tenantry audit verify --tenant acme-inc --head 17:9f86d081...")]
pub struct AuditArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: AuditCommand,
}

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// List who did what, the last first.
    List(ListAuditArgs),
    /// Print who did what as JSON lines, the oldest first.
    Export(FilterArgs),
    /// Find out whether the log is as it was sealed; the exit code is 0 only if it is.
    Verify(VerifyArgs),
}

/// Which rows.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Only about this tenant: id or slug.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,

    /// Only by this one: the id or name of a key or user.
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,

    /// Only this, or all that begin so: `tenants.*`.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,

    /// Not before this time.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl FilterArgs {
    fn filters(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("tenant", self.tenant),
            ("actor", self.actor),
            ("action", self.action),
            ("since", self.since),
            ("until", self.until),
        ]
    }
}

/// Which rows, and how many.
#[derive(Debug, Args)]
pub(super) struct ListAuditArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    list: ListArgs,
}

/// Which chains.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Only the chain of this tenant: its id, or its slug while it has one.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,

    /// Only the chain of what is no tenant's.
    #[arg(long, conflicts_with = "tenant")]
    no_tenant: bool,

    /// The head that an earlier run printed for that chain: it must still be in it.
    #[arg(long, value_name = "HEAD")]
    head: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("when", Shown::Time("/at")),
    ("actor", Shown::Either("/actor/name", "/actor/id")),
    ("action", Shown::Text("/action")),
    ("target", Shown::Text("/target/id")),
    ("outcome", Shown::Text("/outcome")),
    ("status", Shown::Text("/statusCode")),
    ("address", Shown::Text("/address")),
    ("tenant", Shown::Text("/tenantId")),
];

const CHAINS: &[Column] = &[
    ("tenant", Shown::Text("/tenantId")),
    ("ok", Shown::Text("/ok")),
    ("blocks", Shown::Text("/blocks")),
    ("rows", Shown::Text("/rows")),
    ("unsealed", Shown::Text("/unsealed")),
    ("head", Shown::Text("/head")),
];

pub(super) async fn run(client: &Client, command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::List(args) => {
            list::print(client, &["audit"], args.filter.filters(), &args.list, COLUMNS).await
        }
        AuditCommand::Export(filter) => {
            let query: Vec<_> =
                filter.filters().into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let mut answer = client.api.stream(&["audit", "export"], &query).await?;
            while let Some(chunk) = answer.chunk().await? {
                client.output.raw(&chunk)?;
            }
            Ok(())
        }
        AuditCommand::Verify(args) => verify(client, args).await,
    }
}

async fn verify(client: &Client, args: VerifyArgs) -> anyhow::Result<()> {
    let chain = args.no_tenant.then(|| "none".to_owned());
    let filters = [("tenant", args.tenant), ("chain", chain), ("head", args.head)];
    let filters: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let answer = list::read(client, &["audit", "verify"], &filters, &ListArgs::all()).await?;
    client.output.list(&answer, CHAINS)?;
    let chains = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let faults = chains.iter().filter(|chain| chain["ok"] != true).map(|chain| {
        let whose = if chain["tenantId"].is_null() {
            "of no tenant".to_owned()
        } else {
            format!("of tenant {}", text(&chain["tenantId"]))
        };
        format!("{whose}: {}", text(&chain["fault"]["message"]))
    });
    let faults: Vec<_> = faults.collect();
    if !faults.is_empty() {
        bail!("the audit log is not as it was sealed:{}", indented(faults.into_iter()));
    }
    Ok(())
}
