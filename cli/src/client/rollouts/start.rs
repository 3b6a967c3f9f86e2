//! `tenantry rollouts start` and `rollback`: what begins, and is followed.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{RolloutArg, watch};
use crate::client::{
    Client, member,
    output::{Column, Shown},
    progress::WaitArgs,
};

/// What to carry, and how.
#[derive(Debug, Args)]
pub(in crate::client) struct StartArgs {
    /// The app.
    #[arg(value_name = "APP")]
    app: String,

    /// The version that all tenants are to have; the newest one if not given, but none that is marked as `-- contract`.
    #[arg(long, value_name = "VERSION")]
    target: Option<u64>,

    /// A tenant (slug or id) that goes first, before all others. May be given several times.
    #[arg(long = "canary", value_name = "TENANT")]
    canaries: Vec<String>,

    /// Percent of all tenants that the next wave brings it to. May be given several times; the last wave takes all.
    #[arg(long = "wave", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    waves: Vec<u8>,

    /// Seconds that each wave but the last is watched before the next one begins.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=604_800))]
    soak: u32,

    /// Tenants migrated at a time on one server, each on a connection.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64))]
    parallelism: Option<u16>,

    /// How many tenants may fail before it halts: a number, or percent such as 1%. None if not given.
    #[arg(long, value_name = "COUNT|PERCENT")]
    max_failures: Option<String>,

    /// Milliseconds that a statement waits for a lock; the tenant's requests wait behind it.
    #[arg(long, value_name = "MILLISECONDS")]
    lock_timeout: Option<u32>,

    /// Milliseconds that a statement may take; 0: for ever.
    #[arg(long, value_name = "MILLISECONDS")]
    statement_timeout: Option<u32>,

    /// How often a tenant is tried that is locked.
    #[arg(long, value_name = "COUNT")]
    tries: Option<u16>,

    /// Carry versions too that guard rails hold to be unsafe.
    #[arg(long)]
    force: bool,

    /// Carry versions too that take something away (`-- contract`), once every tenant has the version before.
    #[arg(long)]
    contract: bool,

    /// Only try it on a sample of tenants, in transactions that are rolled back: locks, and time per statement.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

/// What to take back.
#[derive(Debug, Args)]
pub(in crate::client) struct FollowArgs {
    #[command(flatten)]
    rollout: RolloutArg,
    #[command(flatten)]
    wait: WaitArgs,
}

impl StartArgs {
    fn body(&self) -> Value {
        let mut body = Map::from_iter([("app".to_owned(), json!(self.app))]);
        let mut waves = Vec::new();
        if !self.canaries.is_empty() {
            waves.push(json!({ "tenants": self.canaries, "soakSeconds": self.soak }));
        }
        waves.extend(self.waves.iter().map(|percent| {
            let soak = if *percent == 100 { 0 } else { self.soak };
            json!({ "percent": percent, "soakSeconds": soak })
        }));
        if !waves.is_empty() {
            body.insert("waves".to_owned(), json!(waves));
        }
        // As the API has it: a number, or text.
        let max_failures = self.max_failures.as_ref().map(|text| match text.parse::<u32>() {
            Ok(count) => json!(count),
            Err(_) => json!(text),
        });
        let members = [
            ("targetVersion", self.target.map(Value::from)),
            ("parallelism", self.parallelism.map(Value::from)),
            ("maxFailures", max_failures),
            ("lockTimeoutMs", self.lock_timeout.map(Value::from)),
            ("statementTimeoutMs", self.statement_timeout.map(Value::from)),
            ("tries", self.tries.map(Value::from)),
            ("force", self.force.then_some(json!(true))),
            ("contract", self.contract.then_some(json!(true))),
        ];
        body.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Value::Object(body)
    }
}

const STATEMENTS: &[Column] = &[
    ("tenant", Shown::Text("/tenant")),
    ("version", Shown::Text("/version")),
    ("line", Shown::Text("/line")),
    ("ms", Shown::Text("/milliseconds")),
    ("locks", Shown::Text("/locks")),
    ("error", Shown::Text("/error")),
];

pub(super) async fn start(client: &Client, args: StartArgs) -> anyhow::Result<()> {
    let query: &[(&str, String)] = if args.dry_run { &[("dryRun", "true".to_owned())] } else { &[] };
    let begun = client.api.post_with(&["rollouts"], query, Some(&args.body())).await?;
    if args.dry_run {
        return client.output.list(&begun, STATEMENTS);
    }
    watch(client, &begun, &args.wait, "succeeded").await
}

pub(super) async fn roll_back(client: &Client, args: FollowArgs) -> anyhow::Result<()> {
    let begun = client.api.post(&["rollouts", &args.rollout.id, "rollback"], None).await?;
    watch(client, &begun, &args.wait, "rolled_back").await
}

async fn watch(client: &Client, begun: &Value, wait: &WaitArgs, wanted: &str) -> anyhow::Result<()> {
    let id = member(begun, "/rollout/id")?;
    if wait.no_wait() {
        return client.output.done(begun, &format!("the rollout goes on; tenantry rollouts watch {id}"));
    }
    let ended = watch::follow(client, id).await?;
    watch::verdict(client, &ended, wanted)
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn body(line: &[&str]) -> Value {
        let command = StartArgs::augment_args(Command::new("x")).no_binary_name(true);
        StartArgs::from_arg_matches(&command.try_get_matches_from(line).unwrap()).unwrap().body()
    }

    #[test]
    fn what_is_not_given_is_the_api_s_default() {
        assert_eq!(body(&["crm"]), json!({ "app": "crm" }));
    }

    #[test]
    fn canaries_come_first_and_all_waves_but_the_last_are_watched() {
        let line = [
            "crm",
            "--canary=acme",
            "--canary=other",
            "--soak=60",
            "--wave=10",
            "--wave=100",
            "--max-failures=5%",
        ];
        assert_eq!(
            body(&line),
            json!({
                "app": "crm", "maxFailures": "5%",
                "waves": [{ "tenants": ["acme", "other"], "soakSeconds": 60 }, { "percent": 10, "soakSeconds": 60 },
                    { "percent": 100, "soakSeconds": 0 }],
            })
        );
        assert_eq!(body(&["crm", "--max-failures=3"])["maxFailures"], 3);
    }
}
