//! `tenantry tenants connection`: where a tenant's data is.

use anyhow::Context;
use clap::Args;
use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

use super::TenantArg;
use crate::client::{
    Client,
    output::{Column, Shown},
};

/// What to show of the connection.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry tenants connection acme-inc
  psql \"$(tenantry tenants connection acme-inc --uri --reveal)\"")]
pub(in crate::client) struct ConnectionOfArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// Show the password too; needs a key with the scope `tenants:secrets`.
    #[arg(long)]
    reveal: bool,

    /// Print a connection URI, postgres://..., alone; with --reveal it holds the password.
    #[arg(long)]
    uri: bool,
}

/// The API's answer.
#[derive(Debug, Deserialize)]
pub(super) struct Connection {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) role: String,
    pub(super) password: Option<SecretString>,
}

impl Connection {
    /// As a connection URI. The role has its schema as search path, so that none is named.
    fn uri(&self) -> anyhow::Result<Url> {
        use secrecy::ExposeSecret;
        let mut uri = Url::parse("postgres://host").expect("a URL");
        // An IPv6 address stands in brackets.
        let host =
            self.host.parse().map_or_else(|_| self.host.clone(), |v6| Host::<&str>::Ipv6(v6).to_string());
        uri.set_host(Some(&host)).with_context(|| format!("{host} is no host"))?;
        uri.set_path(&self.database);
        let set = |done: Result<(), ()>| done.ok().context("the connection is no URI");
        set(uri.set_port(Some(self.port)))?;
        set(uri.set_username(&self.role))?;
        set(uri.set_password(self.password.as_ref().map(ExposeSecret::expose_secret)))?;
        Ok(uri)
    }
}

const LINES: &[Column] = &[
    ("host", Shown::Text("/host")),
    ("port", Shown::Text("/port")),
    ("database", Shown::Text("/database")),
    ("schema", Shown::Text("/schema")),
    ("role", Shown::Text("/role")),
    ("password", Shown::Text("/password")),
];

pub(super) async fn run(client: &Client, args: &ConnectionOfArgs) -> anyhow::Result<()> {
    let query: &[_] = if args.reveal { &[("reveal", "true".to_owned())] } else { &[] };
    let answer = client.api.get(&["tenants", &args.tenant.tenant, "connection"], query).await?;
    if !args.uri {
        return client.output.one(&answer, LINES);
    }
    let connection = Connection::deserialize(&answer).context("the answer is no connection")?;
    let uri = connection.uri()?;
    client.output.done(&serde_json::json!({ "uri": uri }), uri.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(host: &str, password: Option<&str>) -> String {
        let connection = Connection {
            host: host.into(),
            port: 5432,
            database: "tenants".into(),
            role: "tenant_acme".into(),
            password: password.map(|password| password.to_owned().into()),
        };
        connection.uri().unwrap().into()
    }

    #[test]
    fn a_connection_is_a_uri() {
        assert_eq!(uri("db.internal", None), "postgres://tenant_acme@db.internal:5432/tenants");
        assert_eq!(uri("::1", None), "postgres://tenant_acme@[::1]:5432/tenants");
        assert_eq!(
            uri("10.0.0.5", Some("p@s/s:w%")),
            "postgres://tenant_acme:p%40s%2Fs%3Aw%25@10.0.0.5:5432/tenants"
        );
    }
}
