//! `tenantry tenants domains`: host names of a tenant's own.

use clap::{Args, Subcommand};

use super::TenantArg;
use crate::client::{
    Client,
    list::{self, ListArgs},
    output::{Column, Shown, note},
};

/// What to do with a tenant's domains.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  tenantry tenants domains add acme-inc app.acme.com
  tenantry tenants domains verify acme-inc app.acme.com
  tenantry tenants domains list acme-inc")]
pub(in crate::client) enum DomainsCommand {
    /// List a tenant's domains and the TXT records that prove them.
    List(DomainListArgs),
    /// Add a domain. It is served once the TXT record that this prints is seen.
    Add(DomainArgs),
    /// Look for a domain's TXT record now, and say what is there.
    Verify(DomainArgs),
    /// Remove a domain; it is no longer served.
    Remove(DomainArgs),
}

/// Whose domains.
#[derive(Debug, Args)]
pub(in crate::client) struct DomainListArgs {
    #[command(flatten)]
    tenant: TenantArg,
    #[command(flatten)]
    list: ListArgs,
}

/// A tenant and a domain.
#[derive(Debug, Args)]
pub(in crate::client) struct DomainArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// The host name, e.g. app.acme.com.
    #[arg(value_name = "DOMAIN")]
    domain: String,
}

const COLUMNS: &[Column] = &[
    ("domain", Shown::Text("/domain")),
    ("served", Shown::Text("/verified")),
    ("last looked", Shown::Time("/checkedAt")),
    ("record", Shown::Text("/record/name")),
    ("text", Shown::Text("/record/value")),
];

const RECORD: &[Column] = &[
    ("type", Shown::Text("/record/type")),
    ("name", Shown::Text("/record/name")),
    ("text", Shown::Text("/record/value")),
];

pub(super) async fn run(client: &Client, command: DomainsCommand) -> anyhow::Result<()> {
    match command {
        DomainsCommand::List(args) => {
            list::print(client, &["tenants", &args.tenant.tenant, "domains"], Vec::new(), &args.list, COLUMNS)
                .await
        }
        DomainsCommand::Add(args) => {
            let body = serde_json::json!({ "domain": args.domain });
            let domain = client.api.post(&["tenants", &args.tenant.tenant, "domains"], Some(&body)).await?;
            if !client.output.is_json() {
                note(&format!(
                    "{} is served once this DNS record is seen, a minute or so after it is set:\n",
                    args.domain
                ));
            }
            client.output.one(&domain, RECORD)
        }
        DomainsCommand::Verify(args) => {
            let path = ["tenants", &args.tenant.tenant, "domains", &args.domain, "verify"];
            let domain = client.api.post(&path, None).await?;
            client.output.done(&domain, &format!("{} is proven, and served", args.domain))
        }
        DomainsCommand::Remove(args) => {
            let path = ["tenants", &args.tenant.tenant, "domains", &args.domain];
            let answer = client.api.delete(&path, &[]).await?;
            client.output.done(&answer, &format!("{} is removed", args.domain))
        }
    }
}
