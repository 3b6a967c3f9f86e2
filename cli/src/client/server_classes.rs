//! `tenantry server-classes`: templates from which providers make servers.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    Client,
    connection::ConnectionArgs,
    list::{self, ListArgs},
    output::{Column, Shown},
};

const EXAMPLES: &str = "Examples:
  tenantry server-classes create standard --provider local --capacity 1000 --min-free 200
  tenantry server-classes create large --provider kubernetes --capacity 2000 --cpu 4 --memory 16Gi --storage 500Gi
  tenantry server-classes update standard --max-servers 20
  tenantry server-classes list
  tenantry servers list";

/// `tenantry server-classes`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServerClassesArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: ServerClassesCommand,
}

/// What to do with server classes.
#[derive(Debug, Subcommand)]
pub(super) enum ServerClassesCommand {
    /// List server classes.
    List(ListArgs),
    /// Show a server class.
    Show(ClassArg),
    /// Make a server class; with --min-free, its first servers are ordered at once.
    Create(ChangeArgs),
    /// Change a server class, for servers that are ordered from now on: what is not named stays.
    Update(ChangeArgs),
    /// Delete a server class of which there is no server.
    Delete(ClassArg),
}

/// One server class.
#[derive(Debug, Args)]
pub(super) struct ClassArg {
    /// The class's name.
    #[arg(value_name = "CLASS")]
    class: String,
}

/// What a server class is to be.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    #[command(flatten)]
    class: ClassArg,

    /// Who makes its servers. It cannot change.
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,

    /// Where they run, e.g. eu-central.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// The tiers that a server may hold: schema and database, or instance. [default: schema,database]
    #[arg(long, value_name = "TIERS", value_delimiter = ',')]
    tiers: Vec<String>,

    /// How many tenants a server may hold.
    #[arg(long, value_name = "COUNT")]
    capacity: Option<u32>,

    /// Connections that one data plane may open to a server. [default: 50]
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<u32>,

    /// The room for tenants that is kept: the next server is ordered when there is less; 0: none is. [default: 0]
    #[arg(long, value_name = "TENANTS")]
    min_free: Option<u32>,

    /// So many servers at most. [default: 10]
    #[arg(long, value_name = "COUNT")]
    max_servers: Option<u32>,

    /// What a server costs each month, for whoever reads the list, e.g. '120 EUR'.
    #[arg(long, value_name = "TEXT")]
    cost: Option<String>,

    /// PostgreSQL's major version, e.g. 17. [default: the provider's choice]
    #[arg(long, value_name = "VERSION")]
    postgres_version: Option<u16>,

    #[command(flatten)]
    size: SizeArgs,

    /// With provider kubernetes: a file with members of the spec of a CloudNativePG cluster, as JSON.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,

    /// A setting of PostgreSQL; may be given several times. Replaces those that there are.
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
}

/// How large a server is. Replaces the size that there is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Size")]
struct SizeArgs {
    /// With provider rds: the machine, e.g. db.m7g.large.
    #[arg(long, value_name = "CLASS")]
    instance_class: Option<String>,

    /// With provider kubernetes: processors, e.g. 2 or 500m.
    #[arg(long, value_name = "QUANTITY")]
    cpu: Option<String>,

    /// With provider kubernetes: memory, e.g. 4Gi.
    #[arg(long, value_name = "QUANTITY")]
    memory: Option<String>,

    /// The disk, e.g. 100Gi.
    #[arg(long, value_name = "QUANTITY")]
    storage: Option<String>,

    /// The kind of disk, e.g. gp3, or a storage class of Kubernetes.
    #[arg(long, value_name = "NAME")]
    storage_class: Option<String>,

    /// How many there are of a server, the standbys included. [default: 1]
    #[arg(long, value_name = "COUNT")]
    instances: Option<u8>,
}

impl SizeArgs {
    fn body(&self) -> Map<String, Value> {
        let texts = [
            ("instanceClass", &self.instance_class),
            ("cpu", &self.cpu),
            ("memory", &self.memory),
            ("storage", &self.storage),
            ("storageClass", &self.storage_class),
        ];
        let texts =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
        texts.chain(self.instances.map(|count| ("instances".to_owned(), json!(count)))).collect()
    }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE, e.g. work_mem=16MB")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl ChangeArgs {
    /// The members that the flags give.
    fn body(&self) -> anyhow::Result<Map<String, Value>> {
        let texts = [("provider", &self.provider), ("region", &self.region), ("cost", &self.cost)];
        let counts = [
            ("capacity", self.capacity),
            ("maxConnections", self.max_connections),
            ("minFree", self.min_free),
            ("maxServers", self.max_servers),
        ];
        let texts =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
        let counts = counts.into_iter().filter_map(|(name, count)| Some((name.to_owned(), json!(count?))));
        let mut body: Map<String, Value> = texts.chain(counts).collect();
        if !self.tiers.is_empty() {
            body.insert("tiers".into(), json!(self.tiers));
        }
        if !self.parameters.is_empty() {
            let parameters = self.parameters.iter().map(|(name, value)| (name.clone(), json!(value)));
            body.insert("parameters".into(), Value::Object(parameters.collect()));
        }
        if let Some(version) = self.postgres_version {
            body.insert("version".into(), json!(version));
        }
        let size = self.size.body();
        if !size.is_empty() {
            body.insert("size".into(), size.into());
        }
        if let Some(path) = &self.spec {
            let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
            let spec: Map<String, Value> = serde_json::from_slice(&text)
                .with_context(|| format!("{} is no JSON object", path.display()))?;
            body.insert("spec".into(), spec.into());
        }
        Ok(body)
    }
}

const COLUMNS: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("provider", Shown::Text("/provider")),
    ("region", Shown::Text("/region")),
    ("tiers", Shown::Text("/tiers")),
    ("capacity", Shown::Text("/capacity")),
    ("min. free", Shown::Text("/minFree")),
    ("max. servers", Shown::Text("/maxServers")),
    ("cost", Shown::Text("/cost")),
];

const LINES: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("provider", Shown::Text("/provider")),
    ("region", Shown::Text("/region")),
    ("tiers", Shown::Text("/tiers")),
    ("capacity", Shown::Text("/capacity")),
    ("max. connections", Shown::Text("/maxConnections")),
    ("min. free", Shown::Text("/minFree")),
    ("max. servers", Shown::Text("/maxServers")),
    ("cost", Shown::Text("/cost")),
    ("version", Shown::Text("/version")),
    ("size", Shown::Text("/size")),
    ("parameters", Shown::Text("/parameters")),
    ("spec", Shown::Text("/spec")),
    ("added", Shown::Time("/createdAt")),
];

const PATH: &str = "server-classes";

pub(super) async fn run(client: &Client, command: ServerClassesCommand) -> anyhow::Result<()> {
    match command {
        ServerClassesCommand::List(list) => list::print(client, &[PATH], Vec::new(), &list, COLUMNS).await,
        ServerClassesCommand::Show(args) => {
            let class = client.api.get(&[PATH, &args.class], &[]).await?;
            client.output.one(&class, LINES)
        }
        ServerClassesCommand::Create(args) => {
            let mut body = args.body()?;
            body.insert("name".into(), args.class.class.clone().into());
            let class = client.api.post(&[PATH], Some(&body.into())).await?;
            client.output.one(&class, LINES)
        }
        ServerClassesCommand::Update(args) => {
            let change = args.body()?;
            ensure!(!change.is_empty(), "nothing to change was given; see --help");
            let path = [PATH, &args.class.class];
            let mut class = client.api.get(&path, &[]).await?;
            if let Some(members) = class.as_object_mut() {
                members.remove("createdAt");
                members.extend(change);
            }
            let class = client.api.put(&path, &class).await?;
            client.output.one(&class, LINES)
        }
        ServerClassesCommand::Delete(args) => {
            let answer = client.api.delete(&[PATH, &args.class], &[]).await?;
            client.output.done(&answer, &format!("the server class {} is deleted", args.class))
        }
    }
}
