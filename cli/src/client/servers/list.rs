//! `tenantry servers list`: the servers, and those that are being made.

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::COLUMNS;
use crate::client::{
    Client,
    list::{self, ListArgs},
    output::{Column, Shown, table_of},
    watch::{self, WatchArgs},
};

/// Which servers.
#[derive(Debug, Args)]
pub(in crate::client) struct ServerListArgs {
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

const ORDERS: &[Column] = &[
    ("being made", Shown::Text("/name")),
    ("state", Shown::Text("/state")),
    ("class", Shown::Text("/class")),
    ("message", Shown::Text("/message")),
    ("ordered", Shown::Time("/orderedAt")),
    ("operation", Shown::Text("/operation")),
];

pub(super) async fn run(client: &Client, args: ServerListArgs) -> anyhow::Result<()> {
    let read = async || {
        let mut answer = list::read(client, &["servers"], &[], &args.list).await?;
        let mut orders = client.api.get(&["server-orders"], &[("limit", "200".to_owned())]).await?;
        answer["orders"] = orders["items"].take();
        Ok(answer)
    };
    if let Some(interval) = args.watch.interval() {
        return watch::run(client.output, interval, COLUMNS, tables, read).await;
    }
    let answer = read().await?;
    client.output.list(&answer, COLUMNS)?;
    if client.output.is_json() {
        return Ok(());
    }
    if let Some(orders) = orders(&answer) {
        client.output.list(&orders, ORDERS)?;
    }
    list::note_more(&answer);
    Ok(())
}

/// The orders of an answer as a list, if there are any.
fn orders(answer: &Value) -> Option<Value> {
    let orders = &answer["orders"];
    orders.as_array().is_some_and(|orders| !orders.is_empty()).then(|| json!({ "items": orders }))
}

fn tables(answer: &Value, now: DateTime<Utc>) -> String {
    let servers = table_of(answer, COLUMNS, now);
    match orders(answer) {
        Some(orders) => format!("{servers}\n{}", table_of(&orders, ORDERS, now)),
        None => servers,
    }
}
