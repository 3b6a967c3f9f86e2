//! `tenantry plans`: what tenants buy.

use std::{
    num::NonZeroU8,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::{
    Client,
    connection::ConnectionArgs,
    list::{self, ListArgs},
    output::{Column, Shown},
    values::{Setting, Size, Switch, settings, switches},
};

const EXAMPLES: &str = "Examples:
  tenantry plans list
  tenantry plans create starter --tier schema --max-users 20 --max-storage 1GiB
  tenantry plans show starter --output json > starter.json
  tenantry plans update starter --file starter.json
  tenantry plans update starter --feature custom_branding --default-config session.timeout=7200";

/// `tenantry plans`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PlansArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: PlansCommand,
}

/// What to do with plans.
#[derive(Debug, Subcommand)]
pub(super) enum PlansCommand {
    /// List plans.
    List(ListArgs),
    /// Show a plan.
    Show(PlanArg),
    /// Make a plan.
    Create(PlanChangeArgs),
    /// Change a plan: what is not named stays. With --file, all of it is replaced.
    Update(PlanChangeArgs),
    /// Delete a plan that no tenant has.
    Delete(PlanArg),
}

/// One plan.
#[derive(Debug, Args)]
pub(super) struct PlanArg {
    /// The plan's name, or the id of one that exists.
    #[arg(value_name = "PLAN")]
    plan: String,
}

/// What a plan is to be.
#[derive(Debug, Args)]
pub(super) struct PlanChangeArgs {
    #[command(flatten)]
    plan: PlanArg,

    /// A JSON file with the whole plan, as `show --output json` prints it; flags win over it. `-` is
    /// standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Where its tenants' data goes: schema, database or instance.
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,

    /// Users that a tenant may have, or `unlimited`.
    #[arg(long, value_name = "COUNT", value_parser = ceiling::<u32>)]
    max_users: Option<Ceiling>,

    /// Room for a tenant's data and files, e.g. 10GiB, or `unlimited`.
    #[arg(long, value_name = "SIZE", value_parser = storage)]
    max_storage: Option<Ceiling>,

    /// A tenant's requests to the data plane per day, or `unlimited`.
    #[arg(long, value_name = "COUNT", value_parser = ceiling::<u64>)]
    requests_per_day: Option<Ceiling>,

    /// Requests to one data plane per second, on average, or `unlimited`.
    #[arg(long, value_name = "NUMBER", value_parser = ceiling::<u32>)]
    requests_per_second: Option<Ceiling>,

    /// Requests that may come at once, after a pause; or `unlimited`: as many as per second.
    #[arg(long, value_name = "NUMBER", value_parser = ceiling::<u32>)]
    burst: Option<Ceiling>,

    /// Requests that one data plane serves at a time, or `unlimited`.
    #[arg(long, value_name = "COUNT", value_parser = ceiling::<u32>)]
    concurrent_requests: Option<Ceiling>,

    /// Seconds that the database may work in a minute for requests to one data plane, or `unlimited`.
    #[arg(long, value_name = "SECONDS", value_parser = ceiling::<u32>)]
    database_seconds_per_minute: Option<Ceiling>,

    /// A tenant with weight 2 gets twice the connections of one with weight 1 when both wait; 1 to 255.
    #[arg(long, value_name = "WEIGHT")]
    weight: Option<NonZeroU8>,

    /// Sessions of a tenant's own on its server at a time, or `default`: as many as the workers' setting says.
    #[arg(long, value_name = "COUNT", value_parser = or_default)]
    max_connections: Option<Ceiling>,

    /// Seconds until a statement of a tenant's own session is cancelled, or `unlimited`.
    #[arg(long, value_name = "SECONDS", value_parser = ceiling::<u32>)]
    statement_timeout: Option<Ceiling>,

    /// Seconds that a statement of a tenant's own session waits for a lock, or `unlimited`.
    #[arg(long, value_name = "SECONDS", value_parser = ceiling::<u32>)]
    lock_timeout: Option<Ceiling>,

    /// Seconds until a tenant's own session that leaves a transaction open is ended, or `unlimited`.
    #[arg(long, value_name = "SECONDS", value_parser = ceiling::<u32>)]
    idle_in_transaction_timeout: Option<Ceiling>,

    /// As whom the data plane logs in for its tenants: `own`, a login of each one's own; `shared`, as their app and tier say.
    #[arg(long, value_name = "LOGIN", value_parser = ["shared", "own"])]
    connection: Option<String>,

    /// Switch a feature on or off; may be given several times.
    #[arg(long = "feature", value_name = "KEY[=true|false]")]
    features: Vec<Switch>,

    /// Default configuration; the value is JSON, or else a text. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    default_config: Vec<Setting>,

    /// Days between a tenant's deletion and the purge of its data.
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<u16>,

    /// Hours in which a move of its tenants can be undone, 0: not at all; or `default`: as many as the control
    /// plane's --undo-moves-for says.
    #[arg(long, value_name = "HOURS", value_parser = or_default)]
    undo_moves_for: Option<Ceiling>,

    /// The server class that a server of a tenant's own is made from, for tier instance; or `default`: the provider's.
    #[arg(long, value_name = "CLASS")]
    server_class: Option<String>,
}

/// A limit; `null` is none.
#[derive(Debug, Clone)]
struct Ceiling(Value);

fn ceiling<T: std::str::FromStr<Err: std::fmt::Display> + Into<Value>>(
    text: &str,
) -> Result<Ceiling, String> {
    number_or::<T>("unlimited", text)
}

fn or_default(text: &str) -> Result<Ceiling, String> {
    number_or::<u32>("default", text)
}

/// A number, or the word for `null`.
fn number_or<T: std::str::FromStr<Err: std::fmt::Display> + Into<Value>>(
    word: &str,
    text: &str,
) -> Result<Ceiling, String> {
    if text == word {
        return Ok(Ceiling(Value::Null));
    }
    text.parse().map(|number: T| Ceiling(number.into())).map_err(|error| format!("{error}; or `{word}`"))
}

fn storage(text: &str) -> Result<Ceiling, String> {
    if text == "unlimited" {
        Ok(Ceiling(Value::Null))
    } else {
        text.parse().map(|Size(bytes)| Ceiling(bytes.into()))
    }
}

impl PlanChangeArgs {
    /// A whole plan: what the file says, and the flags over it.
    fn whole(&self) -> anyhow::Result<Map<String, Value>> {
        self.over(self.file.as_deref().map_or_else(|| Ok(Map::new()), read)?)
    }

    /// The members that the flags change. Features and default configuration are whole: the API replaces each as one.
    fn change(&self, plan: &Value) -> anyhow::Result<Value> {
        let nested = ["features", "defaultConfig"];
        let base = nested.into_iter().filter_map(|name| Some((name.to_owned(), plan.get(name)?.clone())));
        let mut change = self.over(base.collect())?;
        change.retain(|name, value| plan.get(name) != Some(value));
        Ok(change.into())
    }

    /// A plan, or a part of one, with what the flags say.
    fn over(&self, base: Map<String, Value>) -> anyhow::Result<Map<String, Value>> {
        let mut plan = base;
        if let Some(tier) = &self.tier {
            plan.insert("tier".into(), tier.clone().into());
        }
        if let Some(days) = self.retention_days {
            plan.insert("retentionDays".into(), days.into());
        }
        plan.extend(given(&[("undoMovesHours", &self.undo_moves_for)]));
        if let Some(class) = &self.server_class {
            let class = (class != "default").then_some(class);
            plan.insert("serverClass".into(), class.cloned().into());
        }
        let ceilings = [
            ("maxUsers", &self.max_users),
            ("maxStorage", &self.max_storage),
            ("apiRequestsPerDay", &self.requests_per_day),
            ("requestsPerSecond", &self.requests_per_second),
            ("burst", &self.burst),
            ("concurrentRequests", &self.concurrent_requests),
            ("databaseSecondsPerMinute", &self.database_seconds_per_minute),
        ];
        let sessions = [
            ("maxConnections", &self.max_connections),
            ("statementTimeoutSeconds", &self.statement_timeout),
            ("lockTimeoutSeconds", &self.lock_timeout),
            ("idleInTransactionTimeoutSeconds", &self.idle_in_transaction_timeout),
        ];
        let weight = self.weight.map(|weight| ("weight".to_owned(), weight.get().into()));
        extend(&mut plan, "limits", given(&ceilings).collect())?;
        let connection =
            self.connection.as_ref().map(|login| ("connection".to_owned(), login.clone().into()));
        let share = weight.into_iter().chain(connection).chain(given(&sessions));
        extend(&mut plan, "database", share.collect())?;
        extend(&mut plan, "features", switches(&self.features))?;
        extend(&mut plan, "defaultConfig", settings(&self.default_config))?;
        Ok(plan)
    }

    fn changes_something(&self) -> bool {
        let Self {
            plan: _,
            file,
            tier,
            max_users,
            max_storage,
            requests_per_day,
            requests_per_second,
            burst,
            concurrent_requests,
            database_seconds_per_minute,
            weight,
            max_connections,
            statement_timeout,
            lock_timeout,
            idle_in_transaction_timeout,
            connection,
            features,
            default_config,
            retention_days,
            undo_moves_for,
            server_class,
        } = self;
        let sizes = [max_users, max_storage, concurrent_requests];
        let rates = [requests_per_day, requests_per_second, burst, database_seconds_per_minute];
        let sessions = [max_connections, statement_timeout, lock_timeout, idle_in_transaction_timeout];
        let ceilings =
            sizes.into_iter().chain(rates).chain(sessions).chain([undo_moves_for]).any(Option::is_some);
        let rest = file.is_some() || tier.is_some() || weight.is_some() || retention_days.is_some();
        ceilings
            || rest
            || connection.is_some()
            || server_class.is_some()
            || !features.is_empty()
            || !default_config.is_empty()
    }
}

/// The members whose flags are there.
fn given<'a>(ceilings: &'a [(&str, &'a Option<Ceiling>)]) -> impl Iterator<Item = (String, Value)> + 'a {
    ceilings.iter().filter_map(|(name, given)| Some(((*name).to_owned(), (*given).clone()?.0)))
}

fn extend(plan: &mut Map<String, Value>, member: &str, more: Map<String, Value>) -> anyhow::Result<()> {
    if more.is_empty() {
        return Ok(());
    }
    match plan.entry(member).or_insert_with(|| Map::new().into()) {
        Value::Object(members) => members.extend(more),
        _ => bail!("`{member}` in the file must be an object"),
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON object", file.display()))
}

const COLUMNS: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("tier", Shown::Text("/tier")),
    ("users", Shown::Limit("/limits/maxUsers")),
    ("storage", Shown::Size("/limits/maxStorage")),
    ("requests a day", Shown::Limit("/limits/apiRequestsPerDay")),
    ("retention days", Shown::Text("/retentionDays")),
    ("features", Shown::Text("/features")),
];

const LINES: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("tier", Shown::Text("/tier")),
    ("max. users", Shown::Limit("/limits/maxUsers")),
    ("max. storage", Shown::Size("/limits/maxStorage")),
    ("requests a day", Shown::Limit("/limits/apiRequestsPerDay")),
    ("requests a second", Shown::Limit("/limits/requestsPerSecond")),
    ("burst", Shown::Text("/limits/burst")),
    ("requests at a time", Shown::Limit("/limits/concurrentRequests")),
    ("database s a minute", Shown::Limit("/limits/databaseSecondsPerMinute")),
    ("weight", Shown::Text("/database/weight")),
    ("max. connections", Shown::Text("/database/maxConnections")),
    ("statement timeout (s)", Shown::Limit("/database/statementTimeoutSeconds")),
    ("lock timeout (s)", Shown::Limit("/database/lockTimeoutSeconds")),
    ("idle in transaction (s)", Shown::Limit("/database/idleInTransactionTimeoutSeconds")),
    ("connection", Shown::Text("/database/connection")),
    ("features", Shown::Text("/features")),
    ("retention days", Shown::Text("/retentionDays")),
    ("undo moves for (h)", Shown::Text("/undoMovesHours")),
    ("server class", Shown::Text("/serverClass")),
    ("default config", Shown::Text("/defaultConfig")),
];

pub(super) async fn run(client: &Client, command: PlansCommand) -> anyhow::Result<()> {
    match command {
        PlansCommand::List(list) => list::print(client, &["plans"], Vec::new(), &list, COLUMNS).await,
        PlansCommand::Show(args) => {
            let plan = client.api.get(&["plans", &args.plan], &[]).await?;
            client.output.one(&plan, LINES)
        }
        PlansCommand::Create(args) => {
            let mut plan = args.whole()?;
            plan.insert("name".into(), args.plan.plan.clone().into());
            let plan = client.api.post(&["plans"], Some(&plan.into())).await?;
            client.output.one(&plan, LINES)
        }
        PlansCommand::Update(args) => {
            ensure!(args.changes_something(), "nothing to change was given; see --help");
            let path = ["plans", &args.plan.plan];
            let plan = if args.file.is_some() {
                let mut plan = args.whole()?;
                // The file may be another plan's; the path names the one that is meant.
                plan.remove("name");
                client.api.put(&path, &plan.into()).await?
            } else {
                let before = client.api.get(&path, &[]).await?;
                client.api.patch(&path, &args.change(&before)?).await?
            };
            client.output.one(&plan, LINES)
        }
        PlansCommand::Delete(args) => {
            let answer = client.api.delete(&["plans", &args.plan], &[]).await?;
            client.output.done(&answer, &format!("the plan {} is deleted", args.plan))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};
    use serde_json::json;

    use super::*;

    fn args(line: &[&str]) -> PlanChangeArgs {
        let matches =
            PlanChangeArgs::augment_args(Command::new("plan")).no_binary_name(true).get_matches_from(line);
        PlanChangeArgs::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn only_what_changes_is_sent() {
        let plan = json!({
            "name": "p", "tier": "schema", "limits": {"maxUsers": 5, "maxStorage": 6, "apiRequestsPerDay": 7},
            "features": {"x": true}, "defaultConfig": {"a": 1}, "retentionDays": 30, "createdAt": "later",
        });
        let args = args(&[
            "p",
            "--max-users=unlimited",
            "--max-storage=1KiB",
            "--default-config=a=2",
            "--weight=2",
            "--max-connections=default",
            "--lock-timeout=3",
        ]);
        assert_eq!(
            args.change(&plan).unwrap(),
            json!({
                "limits": {"maxUsers": null, "maxStorage": 1024},
                "database": {"weight": 2, "maxConnections": null, "lockTimeoutSeconds": 3},
                "defaultConfig": {"a": 2},
            })
        );
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), r#"{"name": "old", "tier": "schema", "features": {"x": true}}"#).unwrap();
        let args = args(&["p", "--file", file.path().to_str().unwrap(), "--tier=database", "--feature=y"]);
        assert_eq!(
            Value::from(args.whole().unwrap()),
            json!({"name": "old", "tier": "database", "features": {"x": true, "y": true}})
        );
    }

    #[test]
    fn a_change_without_a_change_is_noticed() {
        assert!(!args(&["p"]).changes_something());
        assert!(args(&["p", "--retention-days=1"]).changes_something());
    }

    #[test]
    fn a_file_that_is_not_a_plan_is_refused_by_name() {
        let base = Map::from_iter([("limits".to_owned(), json!(7))]);
        let error = args(&["p", "--max-users=1"]).over(base).unwrap_err();
        assert!(error.to_string().contains("`limits`"));
    }
}
