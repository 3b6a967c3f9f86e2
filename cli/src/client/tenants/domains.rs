//! `tenantry tenants domains`: host names of a tenant's own.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::TenantArg;
use crate::client::{
    Client,
    human::text,
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
    /// Look for a domain's TXT record now; the exit code is 0 only if it is there.
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
            client.output.done_as_json(&domain)?;
            match proven(&args.domain, &domain) {
                Ok(sentence) => client.output.done_in_words(&sentence),
                Err(missing) => bail!(missing),
            }
        }
        DomainsCommand::Remove(args) => {
            let path = ["tenants", &args.tenant.tenant, "domains", &args.domain];
            let answer = client.api.delete(&path, &[]).await?;
            client.output.done(&answer, &format!("{} is removed", args.domain))
        }
    }
}

/// That a domain is proven, or the record that is still to be set.
fn proven(name: &str, domain: &Value) -> Result<String, String> {
    if domain["verified"] == true {
        return Ok(format!("{name} is proven, and served"));
    }
    let record = &domain["record"];
    Err(format!(
        "{name} is not proven: this {} record is not seen yet\n  name: {}\n  text: {}",
        text(&record["type"]),
        text(&record["name"]),
        text(&record["value"])
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unproven_domain_shows_the_record_that_is_missing() {
        let mut domain = json!({
            "domain": "a.example.com", "verified": false,
            "record": {"type": "TXT", "name": "_tenantry.a.example.com", "value": "v=1"},
        });
        assert_eq!(
            proven("a.example.com", &domain).unwrap_err(),
            "a.example.com is not proven: this TXT record is not seen yet\n  \
             name: _tenantry.a.example.com\n  text: v=1"
        );
        domain["verified"] = true.into();
        assert_eq!(proven("a.example.com", &domain).unwrap(), "a.example.com is proven, and served");
    }
}
