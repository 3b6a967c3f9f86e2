//! `tenantry servers remove`

use clap::Args;

use super::ServerArg;
use crate::client::{
    Client,
    confirm::confirm,
    human::text,
    member,
    progress::{WaitArgs, finish},
};

/// What to remove.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry servers remove eu-1
  tenantry servers remove eu-1 --lost --yes")]
pub(in crate::client) struct RemoveArgs {
    #[command(flatten)]
    server: ServerArg,

    /// The server will never come back: give up the tenants that it holds, with their data.
    #[arg(long)]
    lost: bool,

    /// Do not ask; only --lost asks.
    #[arg(long, short, requires = "lost")]
    yes: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(client: &Client, args: RemoveArgs) -> anyhow::Result<()> {
    let given = &args.server.server;
    if !args.lost {
        let answer = client.api.delete(&["servers", given], &[]).await?;
        if answer.get("operation").is_some() {
            let Some(ended) = finish(client, answer, &args.wait).await? else { return Ok(()) };
            return client.output.done(&ended, &format!("the server {given} is deleted"));
        }
        let sentence = format!("the server {given} is forgotten; nothing on it was touched");
        return client.output.done(&answer, &sentence);
    }
    // What was confirmed is what is removed.
    let server = client.api.get(&["servers", given], &[]).await?;
    let (name, tenants) = (member(&server, "/name")?, text(&server["tenants"]));
    let question = format!("Give up the server {name} and the data of its {tenants} tenants, for good?");
    confirm(question, args.yes).await?;
    let begun = client.api.delete(&["servers", name], &[("lost", "true".to_owned())]).await?;
    let Some(ended) = finish(client, begun, &args.wait).await? else { return Ok(()) };
    client.output.done(&ended, &format!("the server {name} is given up with what it held"))
}
