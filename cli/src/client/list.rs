//! Lists, page by page.

use clap::Args;
use serde_json::{Value, json};

use super::{
    Client,
    output::{Column, note, table_of},
    watch::{self, WatchArgs},
};

/// The most that the API gives in a page.
const PAGE: usize = 200;
/// What is shown when nobody says.
const SHOWN: usize = 50;

/// How much of a list to show.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListArgs {
    /// Show at most this many. [default: 50]
    #[arg(long, value_name = "COUNT", conflicts_with = "all")]
    limit: Option<usize>,

    /// Show all of them.
    #[arg(long)]
    all: bool,

    /// Continue an earlier list: the `nextCursor` that it printed with --output json.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl ListArgs {
    /// All of a list.
    pub(crate) const fn all() -> Self {
        Self { limit: None, all: true, cursor: None }
    }
}

/// Prints a list with its filters; those without a value are left out.
pub(crate) async fn print(
    client: &Client,
    path: &[&str],
    filters: Vec<(&'static str, Option<String>)>,
    list: &ListArgs,
    columns: &[Column],
) -> anyhow::Result<()> {
    let answer = read(client, path, &given(filters), list).await?;
    client.output.list(&answer, columns)?;
    if !client.output.is_json() {
        note_more(&answer);
    }
    Ok(())
}

/// Says where a list goes on.
pub(crate) fn note_more(answer: &Value) {
    if !answer["nextCursor"].is_null() {
        note("there are more: --all shows them, --limit some");
    }
}

/// As [`print`], again and again if that is asked for.
pub(crate) async fn print_or_watch(
    client: &Client,
    path: &[&str],
    filters: Vec<(&'static str, Option<String>)>,
    list: &ListArgs,
    watch: WatchArgs,
    columns: &[Column],
) -> anyhow::Result<()> {
    let Some(interval) = watch.interval() else { return print(client, path, filters, list, columns).await };
    let filters = given(filters);
    let read = async || read(client, path, &filters, list).await;
    watch::run(client.output, interval, columns, |answer, now| table_of(answer, columns, now), read).await
}

/// The filters that have a value.
fn given(filters: Vec<(&'static str, Option<String>)>) -> Vec<(&'static str, String)> {
    filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The items of a list, as many as are wanted.
pub(crate) async fn read(
    client: &Client,
    path: &[&str],
    filters: &[(&'static str, String)],
    list: &ListArgs,
) -> anyhow::Result<Value> {
    let wanted = if list.all { usize::MAX } else { list.limit.unwrap_or(SHOWN) };
    let mut cursor = list.cursor.clone();
    let mut items = Vec::new();
    loop {
        let mut query = filters.to_vec();
        query.push(("limit", (wanted - items.len()).min(PAGE).to_string()));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page = client.api.get(path, &query).await?;
        if let Value::Array(more) = page["items"].take() {
            items.extend(more);
        }
        cursor = page["nextCursor"].as_str().map(ToOwned::to_owned);
        if cursor.is_none() || items.len() >= wanted {
            return Ok(json!({ "items": items, "nextCursor": cursor }));
        }
    }
}
