//! `tenantry keys`: keys of the control plane. Tenants' keys are the same but for where they are.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use tenantry_domain::{Clock, SystemClock, api_key::Scope};

use super::{
    Client,
    connection::ConnectionArgs,
    list::{self, ListArgs},
    member,
    output::{Column, Shown, note},
    values::Expiry,
};

const EXAMPLES: &str = "Examples:
  tenantry keys create billing --scope tenants:read --scope tenants:write
  tenantry keys create ci --scope apps:write --expires 90d
  tenantry keys list
  tenantry keys rotate 0199b0de-0000-7000-8000-000000000000 --overlap 86400
  tenantry keys revoke 0199b0de-0000-7000-8000-000000000000";

/// `tenantry keys`
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct KeysArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: KeysCommand,
}

/// The examples and the scopes that there are.
fn help() -> String {
    let scopes: Vec<_> = Scope::operator().into_iter().map(Scope::as_str).collect();
    format!("{EXAMPLES}\n\nScopes: {}", scopes.join(", "))
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// List keys; never the keys themselves.
    List(ListArgs),
    /// Make a key. It is shown this once.
    Create(NewKeyArgs),
    /// Put a new key in a key's place; both count for a while. The new one is shown this once.
    Rotate(RotateArgs),
    /// Make a key useless.
    Revoke(RevokeArgs),
}

/// A key to make.
#[derive(Debug, Args)]
pub(super) struct NewKeyArgs {
    /// What it is for.
    #[arg(value_name = "NAME")]
    name: String,

    /// What it may do; may be given several times.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,

    /// When it stops working: in 12h, 90d, 8w, or at 2027-01-31T00:00:00Z. [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,

    /// Print the key alone, e.g. for KEY=$(...).
    #[arg(long, short)]
    quiet: bool,
}

impl NewKeyArgs {
    fn body(&self, clock: &dyn Clock) -> Value {
        let mut body = Map::from_iter([("name".to_owned(), self.name.clone().into())]);
        if !self.scopes.is_empty() {
            body.insert("scopes".into(), self.scopes.clone().into());
        }
        if let Some(expires) = self.expires {
            body.insert("expiresAt".into(), expires.from(clock.now()).to_rfc3339().into());
        }
        body.into()
    }
}

/// A key to replace.
#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The key's id, as in the list.
    #[arg(value_name = "KEY-ID")]
    id: String,
    #[command(flatten)]
    to: SuccessorArgs,
}

/// How a key is replaced.
#[derive(Debug, Args)]
pub(super) struct SuccessorArgs {
    /// Seconds for which the old key counts beside the new one, up to 30 days. [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    overlap: Option<u32>,

    /// When the new key stops working: in 12h, 90d, 8w, or at 2027-01-31T00:00:00Z. [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<Expiry>,

    /// Print the key alone, e.g. for KEY=$(...).
    #[arg(long, short)]
    quiet: bool,
}

/// A key to revoke.
#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The key's id, as in the list.
    #[arg(value_name = "KEY-ID")]
    id: String,
}

const COLUMNS: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("name", Shown::Text("/name")),
    ("expires", Shown::Time("/expiresAt")),
    ("created", Shown::Time("/createdAt")),
    ("scopes", Shown::Text("/scopes")),
];

const LINES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("name", Shown::Text("/name")),
    ("scopes", Shown::Text("/scopes")),
    ("expires", Shown::Time("/expiresAt")),
    ("key", Shown::Text("/key")),
];

pub(super) async fn run(client: &Client, command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::List(list) => list_at(client, &["keys"], &list).await,
        KeysCommand::Create(key) => create_at(client, &["keys"], &key).await,
        KeysCommand::Rotate(args) => rotate_at(client, &["keys", &args.id, "rotate"], &args.to).await,
        KeysCommand::Revoke(args) => revoke_at(client, &["keys", &args.id], &args.id).await,
    }
}

/// Lists the keys that are at a path.
pub(super) async fn list_at(client: &Client, path: &[&str], list: &ListArgs) -> anyhow::Result<()> {
    list::print(client, path, Vec::new(), list, COLUMNS).await
}

/// Makes a key at a path, and shows it.
pub(super) async fn create_at(client: &Client, path: &[&str], key: &NewKeyArgs) -> anyhow::Result<()> {
    let answer = client.api.post(path, Some(&key.body(&SystemClock))).await?;
    show_once(client, &answer, key.quiet)
}

/// Puts a new key in the place of the one at a path, and shows it.
pub(super) async fn rotate_at(client: &Client, path: &[&str], to: &SuccessorArgs) -> anyhow::Result<()> {
    let overlap = to.overlap.map(|seconds| ("overlapSeconds".to_owned(), seconds.into()));
    let expires =
        to.expires.map(|end| ("expiresAt".to_owned(), end.from(SystemClock.now()).to_rfc3339().into()));
    let body = Value::Object(overlap.into_iter().chain(expires).collect());
    let answer = client.api.post(path, Some(&body)).await?;
    show_once(client, &answer, to.quiet)
}

fn show_once(client: &Client, answer: &Value, quiet: bool) -> anyhow::Result<()> {
    if quiet && !client.output.is_json() {
        return client.output.done_in_words(member(answer, "/key")?);
    }
    client.output.one(answer, LINES)?;
    if !client.output.is_json() {
        note("\nThe key is shown this once: keep it now.");
    }
    Ok(())
}

/// Revokes the key at a path.
pub(super) async fn revoke_at(client: &Client, path: &[&str], id: &str) -> anyhow::Result<()> {
    let answer = client.api.delete(path, &[]).await?;
    client.output.done(&answer, &format!("the key {id} is revoked"))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use clap::{Command, FromArgMatches};
    use serde_json::json;

    use super::*;

    #[derive(Debug)]
    struct Epoch;

    impl Clock for Epoch {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }
    }

    #[test]
    fn a_key_s_end_is_sent_as_a_time() {
        let line = ["ci", "--scope=apps:read", "--scope=apps:write", "--expires=1d"];
        let matches = NewKeyArgs::augment_args(Command::new("x")).no_binary_name(true).get_matches_from(line);
        let args = NewKeyArgs::from_arg_matches(&matches).unwrap();
        assert_eq!(
            args.body(&Epoch),
            json!({"name": "ci", "scopes": ["apps:read", "apps:write"], "expiresAt": "1970-01-02T00:00:00+00:00"})
        );
    }
}
