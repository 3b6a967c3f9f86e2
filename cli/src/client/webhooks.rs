//! `tenantry webhooks`: endpoints that are told of what happens.

use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};

use super::{
    Client,
    connection::ConnectionArgs,
    human::text,
    list::{self, ListArgs},
    member,
    output::{Column, Shown, note},
};

const EXAMPLES: &str = "Examples:
  tenantry webhooks create https://example.com/hooks --type 'tenant.*' --type user.invited
  tenantry webhooks test 0199b0de-0000-7000-8000-000000000000
  tenantry webhooks deliveries 0199b0de-0000-7000-8000-000000000000 --state dead
  tenantry webhooks replay 0199b0de-0000-7000-8000-000000000000";

/// `tenantry webhooks`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WebhooksArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: WebhooksCommand,
}

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub(super) enum WebhooksCommand {
    /// List webhooks.
    List(ListArgs),
    /// Make a webhook. Its secret is shown this once.
    Create(CreateArgs),
    /// Show one webhook.
    Show(WebhookArg),
    /// Change a webhook.
    Update(UpdateArgs),
    /// Give a webhook another secret, which is shown this once. The one before signs too for a day.
    RotateSecret(WebhookArg),
    /// Remove a webhook, with what was to be sent to it.
    Delete(WebhookArg),
    /// Send an event to a webhook and wait for what comes of it; the exit code is 0 only if it was taken.
    Test(WebhookArg),
    /// List what has become of events at a webhook.
    Deliveries(DeliveriesArgs),
    /// Send events to a webhook again: one, or all that are dead.
    Replay(ReplayArgs),
}

/// Which webhook.
#[derive(Debug, Args)]
pub(super) struct WebhookArg {
    /// The webhook's id, as in the list.
    #[arg(value_name = "WEBHOOK")]
    webhook: String,
}

/// A webhook to make.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Where to send events.
    #[arg(value_name = "URL")]
    endpoint: String,

    /// Which: `tenant.created`, `tenant.*`, ...; may be given several times. One-time tokens of users are sent only to who
    /// names the type.
    #[arg(long = "type", value_name = "TYPE", default_value = "*")]
    types: Vec<String>,

    /// Only events of this tenant: id or slug.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,

    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Print the secret alone, e.g. for SECRET=$(...).
    #[arg(long, short)]
    quiet: bool,
}

/// What to change.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    webhook: WebhookArg,

    /// Where to send events; also those that wait.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Which events, in place of those before; may be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,

    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// Whether it is told of events. What was to be sent when it was disabled is sent when it is enabled.
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum State {
    // No doc comments here: clap would show each value in a paragraph of its own.
    Pending,
    Delivered,
    Dead,
}

/// Which deliveries.
#[derive(Debug, Args)]
pub(super) struct DeliveriesArgs {
    #[command(flatten)]
    webhook: WebhookArg,

    /// Only those in this state.
    #[arg(long, value_name = "STATE")]
    state: Option<State>,

    #[command(flatten)]
    list: ListArgs,
}

/// What to send again.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    webhook: WebhookArg,

    /// The delivery's id, as in the list. [default: all that are dead]
    #[arg(value_name = "DELIVERY")]
    delivery: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("url", Shown::Text("/url")),
    ("types", Shown::Text("/types")),
    ("tenant", Shown::Text("/tenantId")),
    ("enabled", Shown::Text("/enabled")),
    ("created", Shown::Time("/createdAt")),
];

const LINES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("url", Shown::Text("/url")),
    ("types", Shown::Text("/types")),
    ("tenant", Shown::Text("/tenantId")),
    ("description", Shown::Text("/description")),
    ("enabled", Shown::Text("/enabled")),
    ("why not", Shown::Text("/disabledReason")),
    ("former secret until", Shown::Time("/formerSecretUntil")),
    ("created", Shown::Time("/createdAt")),
    ("secret", Shown::Text("/secret")),
];

const DELIVERIES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("type", Shown::Text("/type")),
    ("tenant", Shown::Text("/tenantId")),
    ("state", Shown::Text("/state")),
    ("attempts", Shown::Text("/attempts")),
    ("last", Shown::Time("/attemptedAt")),
    ("next", Shown::Time("/nextAttemptAt")),
    ("error", Shown::Text("/error")),
];

pub(super) async fn run(client: &Client, command: WebhooksCommand) -> anyhow::Result<()> {
    match command {
        WebhooksCommand::List(list) => list::print(client, &["webhooks"], Vec::new(), &list, COLUMNS).await,
        WebhooksCommand::Create(args) => {
            let answer = client.api.post(&["webhooks"], Some(&args.body())).await?;
            if args.quiet && !client.output.is_json() {
                return client.output.done_in_words(member(&answer, "/secret")?);
            }
            with_secret(client, &answer)
        }
        WebhooksCommand::Show(WebhookArg { webhook }) => {
            client.output.one(&client.api.get(&["webhooks", &webhook], &[]).await?, LINES)
        }
        WebhooksCommand::Update(args) => {
            let answer = client.api.patch(&["webhooks", &args.webhook.webhook], &args.body()).await?;
            client.output.one(&answer, LINES)
        }
        WebhooksCommand::RotateSecret(WebhookArg { webhook }) => {
            with_secret(client, &client.api.post(&["webhooks", &webhook, "rotate-secret"], None).await?)
        }
        WebhooksCommand::Delete(WebhookArg { webhook }) => {
            let answer = client.api.delete(&["webhooks", &webhook], &[]).await?;
            client.output.done(&answer, &format!("the webhook {webhook} is removed"))
        }
        WebhooksCommand::Test(WebhookArg { webhook }) => test(client, &webhook).await,
        WebhooksCommand::Deliveries(args) => {
            let state = args.state.and_then(|state| Some(state.to_possible_value()?.get_name().to_owned()));
            let path = ["webhooks", &args.webhook.webhook, "deliveries"];
            list::print(client, &path, vec![("state", state)], &args.list, DELIVERIES).await
        }
        WebhooksCommand::Replay(args) => replay(client, &args).await,
    }
}

impl CreateArgs {
    fn body(&self) -> Value {
        let mut body = Map::from_iter([
            ("url".to_owned(), self.endpoint.clone().into()),
            ("types".to_owned(), self.types.clone().into()),
        ]);
        for (name, value) in [("tenant", &self.tenant), ("description", &self.description)] {
            body.extend(value.clone().map(|value| (name.to_owned(), value.into())));
        }
        body.into()
    }
}

impl UpdateArgs {
    fn body(&self) -> Value {
        let mut body = Map::new();
        for (name, value) in [("url", &self.endpoint), ("description", &self.description)] {
            body.extend(value.clone().map(|value| (name.to_owned(), value.into())));
        }
        if !self.types.is_empty() {
            body.insert("types".into(), self.types.clone().into());
        }
        body.extend(self.enabled.map(|enabled| ("enabled".to_owned(), enabled.into())));
        body.into()
    }
}

fn with_secret(client: &Client, answer: &Value) -> anyhow::Result<()> {
    client.output.one(answer, LINES)?;
    if !client.output.is_json() {
        note("\nThe secret is shown this once: keep it now.");
    }
    Ok(())
}

async fn replay(client: &Client, args: &ReplayArgs) -> anyhow::Result<()> {
    let webhook = &args.webhook.webhook;
    if let Some(delivery) = &args.delivery {
        let answer = client.api.post(&["webhooks", webhook, "deliveries", delivery, "replay"], None).await?;
        return client.output.done(&answer, &format!("{delivery} is sent again"));
    }
    let answer = client.api.post(&["webhooks", webhook, "replay"], None).await?;
    client.output.done(&answer, &format!("{} events are sent again", text(&answer["replayed"])))
}

/// How long a receiver may take to answer, and a worker to begin.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

async fn test(client: &Client, webhook: &str) -> anyhow::Result<()> {
    let begun = client.api.post(&["webhooks", webhook, "test"], None).await?;
    let id = member(&begun, "/id")?;
    let started = Instant::now();
    loop {
        let delivery = client.api.get(&["webhooks", webhook, "deliveries", id], &[]).await?;
        if delivery["state"] == "delivered" {
            return client
                .output
                .done(&delivery, &format!("the webhook has taken it: {}", text(&delivery["statusCode"])));
        }
        if delivery["attempts"] != 0 {
            client.output.done_as_json(&delivery)?;
            bail!("the webhook has not taken it: {}", text(&delivery["error"]));
        }
        if started.elapsed() > PATIENCE {
            bail!("no worker has sent it within {} s; is one running?", PATIENCE.as_secs());
        }
        tokio::time::sleep(PAUSE).await;
    }
}
