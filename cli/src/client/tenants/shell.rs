//! `tenantry tenants shell`: psql on a tenant's data, as the tenant's own role.

use std::{ffi::OsString, io, os::unix::process::CommandExt, process::Command};

use anyhow::Context;
use clap::Args;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{TenantArg, connection::Connection};
use crate::client::Client;

/// Whose data.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry tenants shell acme-inc
  tenantry tenants shell acme-inc -- -c 'SELECT count(*) FROM contacts'

The exit code is psql's.")]
pub(in crate::client) struct ShellArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// Arguments for psql, after `--`.
    #[arg(last = true, value_name = "PSQL-ARG")]
    psql_args: Vec<OsString>,
}

pub(super) async fn run(client: &Client, args: ShellArgs) -> anyhow::Result<()> {
    let path = ["tenants", &args.tenant.tenant, "connection"];
    let answer = client.api.get(&path, &[("reveal", "true".to_owned())]).await?;
    let connection = Connection::deserialize(&answer).context("the answer is no connection")?;
    // psql takes this process's place, and with it the terminal and its signals.
    let error = psql(&connection, &args.psql_args).exec();
    let advice = if error.kind() == io::ErrorKind::NotFound {
        "psql is not on the path; install PostgreSQL's client: `apt install postgresql-client` or \
         `brew install libpq`"
    } else {
        "psql cannot be run"
    };
    Err(error).context(advice)
}

/// psql, told by its environment where to go: arguments are seen by every user of the machine.
fn psql(connection: &Connection, args: &[OsString]) -> Command {
    let mut psql = Command::new("psql");
    psql.args(args)
        .env("PGHOST", &connection.host)
        .env("PGPORT", connection.port.to_string())
        .env("PGDATABASE", &connection.database)
        .env("PGUSER", &connection.role);
    if let Some(password) = &connection.password {
        psql.env("PGPASSWORD", password.expose_secret());
    }
    // Of the caller's own connections; each would win over the above.
    for variable in ["PGHOSTADDR", "PGSERVICE"] {
        psql.env_remove(variable);
    }
    psql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_the_environment_and_in_no_argument() {
        let connection = Connection {
            host: "h".into(),
            port: 1,
            database: "d".into(),
            role: "r".into(),
            password: Some("secret".to_owned().into()),
        };
        let psql = psql(&connection, &["-c".into(), "SELECT 1".into()]);
        let args: Vec<_> = psql.get_args().collect();
        assert_eq!(args, ["-c", "SELECT 1"]);
        let password = psql.get_envs().find(|(name, _)| *name == "PGPASSWORD");
        assert_eq!(password.unwrap().1.unwrap(), "secret");
    }
}
