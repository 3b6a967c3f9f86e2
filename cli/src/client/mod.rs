//! The operator's commands: a client of the control plane's API, over HTTP like any other.
//!
//! One file per resource. [`http`] sends, [`problem`] says what was refused, [`progress`] follows
//! operations, [`output`] prints. Results go to standard output, everything else to standard error.
//! No command touches the registry or a tenant server.

mod apps;
mod audit;
mod confirm;
mod connection;
mod events;
mod failure;
mod http;
mod human;
mod keys;
mod list;
mod login;
mod operations;
mod output;
mod plans;
mod problem;
mod profiles;
mod progress;
mod rollouts;
mod server_classes;
mod servers;
mod tenants;
mod types;
mod values;
mod watch;
mod webhooks;
mod wording;

#[cfg(test)]
mod requests;

use anyhow::Context;
use clap::Subcommand;
use serde_json::Value;

use connection::ConnectionArgs;
use http::Api;
use output::Output;
use profiles::Profiles;

pub(crate) use failure::{ErrorDocument, of_usage};

/// Commands that talk to a control plane.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Keep a control plane's address and key for later commands.
    Login(Box<login::LoginArgs>),
    /// Forget what `login` kept.
    Logout(Box<login::LogoutArgs>),
    /// Sign tenants up, list, suspend, restore and delete them.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Tenants(Box<tenants::TenantsArgs>),
    /// Follow, retry, cancel or abandon the work on tenants and servers.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Operations(Box<operations::OperationsArgs>),
    /// Manage plans: the tier, limits and features that tenants buy.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Plans(Box<plans::PlansArgs>),
    /// Manage the templates from which providers make servers.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    ServerClasses(Box<server_classes::ServerClassesArgs>),
    /// Manage the PostgreSQL servers that hold tenants.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Servers(Box<servers::ServersArgs>),
    /// Manage apps: the tables that tenants get.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Apps(Box<apps::AppsArgs>),
    /// Carry versions of apps to all tenants, in waves.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Rollouts(Box<rollouts::RolloutsArgs>),
    /// Print an app's tables and functions as TypeScript types, for postgrest-js.
    #[command(arg_required_else_help = true)]
    Types(Box<types::TypesArgs>),
    /// Manage the API keys of operators and SaaS back ends.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Keys(Box<keys::KeysArgs>),
    /// Manage the endpoints that are told of what happens.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Webhooks(Box<webhooks::WebhooksArgs>),
    /// Show what has happened.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Events(Box<events::EventsArgs>),
    /// Show who did what, and find out whether that was altered afterwards.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Audit(Box<audit::AuditArgs>),
}

impl ClientCommand {
    fn connection(&self) -> &ConnectionArgs {
        match self {
            Self::Login(args) => &args.connection,
            Self::Logout(args) => &args.connection,
            Self::Tenants(args) => &args.connection,
            Self::Operations(args) => &args.connection,
            Self::Plans(args) => &args.connection,
            Self::ServerClasses(args) => &args.connection,
            Self::Servers(args) => &args.connection,
            Self::Apps(args) => &args.connection,
            Self::Rollouts(args) => &args.connection,
            Self::Types(args) => &args.connection,
            Self::Keys(args) => &args.connection,
            Self::Webhooks(args) => &args.connection,
            Self::Events(args) => &args.connection,
            Self::Audit(args) => &args.connection,
        }
    }
}

/// Runs a command; with `--output json` its error is an [`ErrorDocument`].
pub(crate) async fn run(command: ClientCommand) -> anyhow::Result<()> {
    let output = command.connection().output();
    dispatch(command)
        .await
        .map_err(|error| if output.is_json() { ErrorDocument::of(&error).into() } else { error })
}

async fn dispatch(command: ClientCommand) -> anyhow::Result<()> {
    match command {
        ClientCommand::Login(args) => login::login(&args.connection).await,
        ClientCommand::Logout(args) => login::logout(&args.connection),
        ClientCommand::Tenants(args) => tenants::run(&Client::new(&args.connection)?, args.command).await,
        ClientCommand::Operations(args) => {
            operations::run(&Client::new(&args.connection)?, args.command).await
        }
        ClientCommand::Plans(args) => plans::run(&Client::new(&args.connection)?, args.command).await,
        ClientCommand::ServerClasses(args) => {
            server_classes::run(&Client::new(&args.connection)?, args.command).await
        }
        ClientCommand::Servers(args) => servers::run(&Client::new(&args.connection)?, args.command).await,
        // Some of these need no control plane.
        ClientCommand::Apps(args) => apps::run(&args.connection, args.command).await,
        ClientCommand::Types(args) => types::run(&Client::new(&args.connection)?, &args).await,
        ClientCommand::Keys(args) => keys::run(&Client::new(&args.connection)?, args.command).await,
        ClientCommand::Rollouts(args) => rollouts::run(&Client::new(&args.connection)?, args.command).await,
        ClientCommand::Webhooks(args) => webhooks::run(&Client::new(&args.connection)?, args.command).await,
        ClientCommand::Audit(args) => audit::run(&Client::new(&args.connection)?, args.command).await,
        ClientCommand::Events(args) => events::run(&Client::new(&args.connection)?, args.command).await,
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
        // Who gives everything needs no profile, nor a home to keep it in.
        let profiles = if args.needs_profile() { Some(Profiles::load()?) } else { None };
        let profile =
            profiles.as_ref().map(|profiles| profiles.chosen(args.profile())).transpose()?.flatten();
        let url = args.url(profile);
        let key = args.api_key(&url, profile);
        Ok(Self { api: Api::new(url, key)?, output: args.output() })
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
