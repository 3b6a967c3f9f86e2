//! The operator's commands: a client of the control plane's API, over HTTP like any other.
//!
//! One file per resource. [`http`] sends, [`problem`] says what was refused, [`progress`] follows
//! operations, [`output`] prints. Results go to standard output, everything else to standard error.
//! No command touches the registry or a tenant server.

mod apps;
mod confirm;
mod connection;
mod http;
mod human;
mod keys;
mod list;
mod operations;
mod output;
mod plans;
mod problem;
mod progress;
mod servers;
mod tenants;
mod values;

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;

use connection::ConnectionArgs;
use http::Api;
use output::Output;

/// Commands that talk to a control plane.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Sign tenants up, look at them, stop, restore and delete them.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Tenants(Box<tenants::TenantsArgs>),
    /// Look at the work on tenants, follow it, retry or cancel it.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Operations(Box<operations::OperationsArgs>),
    /// What tenants buy: tier, limits, features.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Plans(Box<plans::PlansArgs>),
    /// The PostgreSQL servers that hold tenants.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Servers(Box<servers::ServersArgs>),
    /// The applications whose tables tenants get.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Apps(Box<apps::AppsArgs>),
    /// The API keys of operators and SaaS back ends.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Keys(Box<keys::KeysArgs>),
}

pub(crate) async fn run(command: ClientCommand) -> anyhow::Result<()> {
    match command {
        ClientCommand::Tenants(args) => {
            let client = Client::new(&args.connection)?;
            tenants::run(&client, args.command).await
        }
        ClientCommand::Operations(args) => {
            let client = Client::new(&args.connection)?;
            operations::run(&client, args.command).await
        }
        ClientCommand::Plans(args) => {
            let client = Client::new(&args.connection)?;
            plans::run(&client, args.command).await
        }
        ClientCommand::Servers(args) => {
            let client = Client::new(&args.connection)?;
            servers::run(&client, args.command).await
        }
        ClientCommand::Apps(args) => {
            let client = Client::new(&args.connection)?;
            apps::run(&client, args.command).await
        }
        ClientCommand::Keys(args) => {
            let client = Client::new(&args.connection)?;
            keys::run(&client, args.command).await
        }
    }
}

/// What every command is given: the API and the way to answer.
#[derive(Debug)]
struct Client {
    api: Api,
    output: Output,
}

impl Client {
    fn new(args: &ConnectionArgs) -> anyhow::Result<Self> {
        Ok(Self { api: args.api()?, output: args.output() })
    }
}

/// The text of a member that every answer of its kind has.
fn member<'a>(answer: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("the control plane's answer has no `{pointer}`; is it of another version?"))
}

#[cfg(test)]
mod tests {
    use clap::{Command, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "tenantry")]
    struct Line {
        #[command(subcommand)]
        command: ClientCommand,
    }

    #[test]
    fn the_commands_are_well_formed() {
        ClientCommand::augment_subcommands(Command::new("tenantry")).debug_assert();
    }

    #[test]
    fn the_connection_s_flags_stand_anywhere_after_the_resource() {
        for line in [
            "tenantry tenants --output json list --status active",
            "tenantry tenants list --status active --output json --url http://api.internal:8080",
            "tenantry tenants keys list acme --output json",
        ] {
            let line = Line::try_parse_from(line.split(' ')).unwrap();
            let ClientCommand::Tenants(args) = line.command else { panic!("{line:?}") };
            assert!(matches!(args.connection.output(), Output::Json), "{args:?}");
        }
    }
}
