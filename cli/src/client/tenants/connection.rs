//! `tenantry tenants connection`: where a tenant's data is.

use anyhow::Context;
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

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
    fn uri(&self) -> String {
        let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
        let password =
            self.password.as_ref().map(|password| format!(":{}", escaped(password.expose_secret())));
        // An IPv6 address stands in brackets.
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!(
            "postgres://{}{}@{host}:{}/{}",
            escaped(&self.role),
            password.unwrap_or_default(),
            self.port,
            escaped(&self.database)
        )
    }
}

/// All but what a URI never gives a meaning to (RFC 3986, 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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
    let uri = connection.uri();
    client.output.done(&json!({ "uri": uri }), &uri)
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
        connection.uri()
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
