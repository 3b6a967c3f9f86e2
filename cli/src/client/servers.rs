//! `tenantry servers`: the PostgreSQL servers that hold tenants.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::{
    Client,
    connection::ConnectionArgs,
    list::{self, ListArgs},
    output::{Column, Shown},
};

const EXAMPLES: &str = "Examples:
  TENANTRY_SERVER_PASSWORD=... tenantry servers add eu-1 --host 10.0.0.5 --admin-user postgres --capacity 5000
  tenantry servers update eu-1 --capacity 8000 --max-connections 80
  tenantry servers cordon eu-1
  tenantry servers list";

/// `tenantry servers`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServersArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: ServersCommand,
}

/// What to do with servers.
#[derive(Debug, Subcommand)]
pub(super) enum ServersCommand {
    /// List servers.
    List(ListArgs),
    /// Show a server.
    Show(ServerArg),
    /// Register a PostgreSQL server that exists.
    Add(AddArgs),
    /// Change a server: what is not named stays.
    Update(UpdateArgs),
    /// Keep a server's tenants, give it no new ones.
    Cordon(ServerArg),
    /// Let a server take new tenants again.
    Uncordon(ServerArg),
    /// Mark a server as one whose tenants are to be moved away; it takes no new ones.
    Drain(ServerArg),
    /// Forget a server that holds no tenants; nothing on it is touched.
    Remove(ServerArg),
}

/// One server.
#[derive(Debug, Args)]
pub(super) struct ServerArg {
    /// The server's name.
    #[arg(value_name = "SERVER")]
    server: String,
}

/// A server to register.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    server: ServerArg,
    #[command(flatten)]
    change: ServerChangeArgs,

    /// The database that tenants of tier `schema` share. [default: tenantry]
    #[arg(long, value_name = "DATABASE")]
    shared_database: Option<String>,

    /// Who looks after it: static, local, rds or kubernetes. [default: static]
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
}

/// What to change of a server.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    server: ServerArg,
    #[command(flatten)]
    change: ServerChangeArgs,
}

/// What a server is to be.
#[derive(Debug, Args)]
struct ServerChangeArgs {
    /// Host name or address, without a port.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// TCP port. [default of a new one: 5432]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Where it runs, e.g. eu-central. [default of a new one: default]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// A login that may create roles and databases.
    #[arg(long, value_name = "USER")]
    admin_user: Option<String>,

    /// Its password.
    #[arg(long, env = "TENANTRY_SERVER_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    admin_password: Option<SecretString>,

    /// A file that holds its password; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "admin_password")]
    admin_password_file: Option<PathBuf>,

    /// A tier that it may hold; may be given several times. [default of a new one: schema and database]
    #[arg(long = "tier", value_name = "TIER")]
    tiers: Vec<String>,

    /// How many tenants it may hold.
    #[arg(long, value_name = "COUNT")]
    capacity: Option<u32>,

    /// Connections that one data plane may open to it. [default of a new one: 50]
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<u32>,
}

impl ServerChangeArgs {
    /// The server with what the flags say.
    fn over(&self, base: Map<String, Value>) -> anyhow::Result<Map<String, Value>> {
        let mut server = base;
        let given = [
            ("host", self.host.clone().into()),
            ("port", self.port.into()),
            ("region", self.region.clone().into()),
            ("adminUser", self.admin_user.clone().into()),
            ("adminPassword", self.password()?.map(|password| password.expose_secret().to_owned()).into()),
            ("tiers", if self.tiers.is_empty() { Value::Null } else { self.tiers.clone().into() }),
            ("capacity", self.capacity.into()),
            ("maxConnections", self.max_connections.into()),
        ];
        server.extend(
            given.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.into(), value)),
        );
        Ok(server)
    }

    fn password(&self) -> anyhow::Result<Option<SecretString>> {
        let Some(file) = &self.admin_password_file else { return Ok(self.admin_password.clone()) };
        let text = if file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(file)
        };
        let text = text.with_context(|| format!("the password in {} cannot be read", file.display()))?;
        // The line's end belongs to the file, not to the password.
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned().into()))
    }
}

const COLUMNS: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("state", Shown::Text("/state")),
    ("region", Shown::Text("/region")),
    ("host", Shown::Text("/host")),
    ("port", Shown::Text("/port")),
    ("tiers", Shown::Text("/tiers")),
    ("tenants", Shown::Text("/tenants")),
    ("capacity", Shown::Text("/capacity")),
    ("connections", Shown::Text("/maxConnections")),
];

const LINES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("name", Shown::Text("/name")),
    ("state", Shown::Text("/state")),
    ("provider", Shown::Text("/provider")),
    ("region", Shown::Text("/region")),
    ("host", Shown::Text("/host")),
    ("port", Shown::Text("/port")),
    ("tiers", Shown::Text("/tiers")),
    ("tenants", Shown::Text("/tenants")),
    ("capacity", Shown::Text("/capacity")),
    ("max. connections", Shown::Text("/maxConnections")),
    ("registered", Shown::Time("/createdAt")),
];

pub(super) async fn run(client: &Client, command: ServersCommand) -> anyhow::Result<()> {
    match command {
        ServersCommand::List(list) => list::print(client, &["servers"], Vec::new(), &list, COLUMNS).await,
        ServersCommand::Show(args) => {
            let server = client.api.get(&["servers", &args.server], &[]).await?;
            client.output.one(&server, LINES)
        }
        ServersCommand::Add(args) => add(client, &args).await,
        ServersCommand::Update(args) => update(client, &args).await,
        ServersCommand::Cordon(args) => set_state(client, &args.server, "cordoned").await,
        ServersCommand::Uncordon(args) => set_state(client, &args.server, "active").await,
        ServersCommand::Drain(args) => set_state(client, &args.server, "draining").await,
        ServersCommand::Remove(args) => {
            let answer = client.api.delete(&["servers", &args.server], &[]).await?;
            client
                .output
                .done(&answer, &format!("the server {} is forgotten; nothing on it was touched", args.server))
        }
    }
}

async fn add(client: &Client, args: &AddArgs) -> anyhow::Result<()> {
    let mut body = args.change.over(Map::new())?;
    body.insert("name".into(), args.server.server.clone().into());
    let more = [("sharedDatabase", &args.shared_database), ("provider", &args.provider)];
    body.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))));
    let server = client.api.post(&["servers"], Some(&body.into())).await?;
    client.output.one(&server, LINES)
}

async fn update(client: &Client, args: &UpdateArgs) -> anyhow::Result<()> {
    let change = args.change.over(Map::new())?;
    ensure!(!change.is_empty(), "nothing to change was given; see --help");
    let path = ["servers", &args.server.server];
    let mut body = as_body(&client.api.get(&path, &[]).await?);
    body.extend(change);
    let server = client.api.put(&path, &body.into()).await?;
    client.output.one(&server, LINES)
}

async fn set_state(client: &Client, server: &str, state: &str) -> anyhow::Result<()> {
    let path = ["servers", server];
    let mut body = as_body(&client.api.get(&path, &[]).await?);
    body.insert("state".into(), state.into());
    let answer = client.api.put(&path, &body.into()).await?;
    client.output.done(&answer, &format!("the server {server} is {state}"))
}

/// The members of a server that a client may set: the API refuses others, and keeps the admin's login
/// when it is left out.
fn as_body(server: &Value) -> Map<String, Value> {
    const SETTABLE: [&str; 9] =
        ["name", "region", "host", "port", "state", "provider", "tiers", "capacity", "maxConnections"];
    let member = |name: &str| server.get(name).map(|value| (name.to_owned(), value.clone()));
    SETTABLE.into_iter().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};
    use serde_json::json;

    use super::*;

    fn args(line: &[&str]) -> ServerChangeArgs {
        let matches =
            ServerChangeArgs::augment_args(Command::new("x")).no_binary_name(true).get_matches_from(line);
        ServerChangeArgs::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn what_is_not_named_stays() {
        let server =
            json!({"id": "1", "name": "s", "host": "h", "capacity": 5, "tenants": 2, "tiers": ["schema"]});
        let body =
            args(&["--capacity=9", "--tier=database", "--tier=schema"]).over(as_body(&server)).unwrap();
        assert_eq!(
            Value::from(body),
            json!({"name": "s", "host": "h", "capacity": 9, "tiers": ["database", "schema"]})
        );
    }

    #[test]
    fn a_password_may_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " secret \r\n").unwrap();
        let path = file.path().to_str().unwrap();
        let body = args(&["--admin-password-file", path]).over(Map::new()).unwrap();
        assert_eq!(body["adminPassword"], " secret ");
    }
}
