//! The story: sign up, load, read in four ways, try to cross, suspend, resume, move.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use eventsource_stream::Eventsource;
use futures::{StreamExt, future::try_join_all};
use indicatif::ProgressBar;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    cast::{CAST, Role},
    http::{By, Client},
    report::{Report, human},
};

/// A tenant that has signed up.
struct Player {
    role: &'static Role,
    label: String,
    key: SecretString,
}

pub(super) async fn tell(client: &Client, report: &mut Report, rows: usize) -> anyhow::Result<()> {
    let mut players = Vec::new();
    for role in CAST {
        let bar = report.bar(role.slug);
        let player = report.phase(&format!("Sign up {}", role.slug), sign_up(client, role, bar)).await?;
        report.held(2);
        players.push(player);
    }
    report.phase("Load rows", load(client, &players, rows)).await?;
    report.held(players.len());
    let reads = report.phase("Read them back", read(client, &players, rows)).await?;
    report.held(reads);
    let refusals = report.phase("Try to cross tenants", cross(client, &players)).await?;
    report.held(refusals);
    report.phase("Suspend a tenant", change(client, &players[0], "suspend", 403)).await?;
    report.phase("Resume it", change(client, &players[0], "resume", 200)).await?;
    report.held(2 * players.len());
    report.phase("Move it while it is written to", upgrade(client, &players[0], rows)).await?;
    report.held(4);
    Ok(())
}

async fn sign_up(client: &Client, role: &'static Role, bar: ProgressBar) -> anyhow::Result<(Player, String)> {
    let mut body = json!({ "name": role.name, "slug": role.slug, "plan": role.plan, "app": role.app });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, (role.more)()) {
        body.extend(more);
    }
    let started = Instant::now();
    let answer = client.send(client.api(Method::POST, "/tenants").json(&body)).await?.expect(202)?;
    let operation = answer["operation"]["id"].as_str().context("an operation")?;
    follow(client, operation, &bar).await?;
    let ready = started.elapsed();
    bar.finish_and_clear();

    let label = role.label();
    let tenant = client.send(client.api(Method::GET, &format!("/tenants/{label}"))).await?.expect(200)?;
    ensure!(tenant["status"] == "active", "the tenant is {}", tenant["status"]);
    let path = format!("/tenants/{label}/keys");
    let made =
        client.send(client.api(Method::POST, &path).json(&json!({ "name": "demo" }))).await?.expect(201)?;
    let key = made["key"].as_str().context("a key")?.to_owned().into();
    let tier = tenant["placement"]["tier"].as_str().unwrap_or("schema");
    let said = format!(
        "{} ({}.md) has its own {tier} with the tables of `{}`, ready after {}",
        role.name,
        role.document,
        role.app,
        human(ready)
    );
    Ok((Player { role, label, key }, said))
}

/// Follows an operation's event stream to its end.
async fn follow(client: &Client, operation: &str, bar: &ProgressBar) -> anyhow::Result<()> {
    let request = client.api(Method::GET, &format!("/operations/{operation}/events"));
    let mut events = request.send().await?.bytes_stream().eventsource();
    let mut last = String::new();
    while let Some(event) = events.next().await {
        let event = event?;
        let data: Value = serde_json::from_str(&event.data)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1")]
        bar.set_position((data["progress"].as_f64().unwrap_or(0.0) * 100.0) as u64);
        bar.set_message(data["message"].as_str().unwrap_or_default().to_owned());
        last = event.event;
        if matches!(last.as_str(), "succeeded" | "failed" | "cancelled") {
            break;
        }
    }
    ensure!(last == "succeeded", "the operation {last}");
    Ok(())
}

async fn load(client: &Client, players: &[Player], rows: usize) -> anyhow::Result<((), String)> {
    let load = async |player: &Player| {
        let role = player.role;
        let body: Vec<Value> = (0..rows).map(role.row).collect();
        let request = client.data(Method::POST, By::Subdomain, &player.label, &player.key, role.table);
        client
            .send(request.json(&body))
            .await?
            .expect(201)
            .with_context(|| format!("{} of {}", role.table, role.slug))
    };
    try_join_all(players.iter().map(load)).await?;
    Ok(((), format!("{rows} rows for each of {} tenants, in one request each", players.len())))
}

async fn read(client: &Client, players: &[Player], rows: usize) -> anyhow::Result<(usize, String)> {
    let mut checks = 0;
    for player in players {
        let role = player.role;
        let wanted = (role.row)(rows / 2)[role.column].as_str().context("a text column")?.to_owned();
        for by in By::ALL {
            let all = format!("{}?select={}&limit=1000", role.table, role.column);
            let found = client
                .send(client.data(Method::GET, by, &player.label, &player.key, &all))
                .await?
                .expect(200)?;
            let count = found.as_array().map_or(0, Vec::len);
            ensure!(count == rows, "{} by {by:?} found {count} rows instead of {rows}", role.slug);
            // Encoded by hand: the values are letters, digits, spaces, dots and @.
            let one = format!("{}?{}=eq.{}", role.table, role.column, wanted.replace(' ', "%20"));
            let found = client
                .send(client.data(Method::GET, by, &player.label, &player.key, &one))
                .await?
                .expect(200)?;
            ensure!(
                found.as_array().map_or(0, Vec::len) == 1,
                "{} by {by:?} did not find {wanted}",
                role.slug
            );
            checks += 2;
        }
    }
    Ok((
        checks,
        format!("{checks} reads by subdomain, header, path and query: each tenant finds its own rows only"),
    ))
}

async fn cross(client: &Client, players: &[Player]) -> anyhow::Result<(usize, String)> {
    let mut refusals = 0;
    for (player, other) in players.iter().zip(players.iter().cycle().skip(1)) {
        let (table, label) = (player.role.table, &player.label);
        let get = |by, label: &str, key, rest: &str| client.data(Method::GET, by, label, key, rest);
        let theirs = format!("tenant_{}.{}", other.label.replace('-', "_"), other.role.table);
        let attempts = [
            ("another tenant's key", get(By::Subdomain, label, &other.key, table), 403, "tenant_mismatch"),
            (
                "a header that contradicts the subdomain",
                get(By::Subdomain, label, &player.key, table).header("x-tenant-id", &other.label),
                400,
                "tenant_conflict",
            ),
            (
                "a query that contradicts the path",
                get(By::Path, label, &player.key, &format!("{table}?tenant={}", other.label)),
                400,
                "tenant_conflict",
            ),
            ("a table of another schema", get(By::Header, label, &player.key, &theirs), 404, "unknown_table"),
            (
                "the catalog",
                get(By::Header, label, &player.key, "pg_catalog.pg_authid"),
                404,
                "unknown_table",
            ),
            (
                "a table of Tenantry's own",
                get(By::Header, label, &player.key, "tenantry_migrations"),
                404,
                "unknown_table",
            ),
        ];
        for (what, request, status, code) in attempts {
            let answer = client.send(request).await?;
            let got = (answer.status.as_u16(), answer.code());
            ensure!(got == (status, code), "{what} was answered {got:?} instead of {:?}", (status, code));
            refusals += 1;
        }
    }
    Ok((refusals, format!("{refusals} attempts in 6 ways, {refusals} refused")))
}

async fn change(client: &Client, player: &Player, verb: &str, status: u16) -> anyhow::Result<((), String)> {
    let path = format!("/tenants/{}/{verb}", player.label);
    let request = client.api(Method::POST, &path).header("prefer", "wait=30");
    client.send(request.json(&json!({}))).await?.expect(200)?;
    // The data plane hears of it by the change feed.
    let told = Instant::now();
    loop {
        let request = client.data(Method::GET, By::Subdomain, &player.label, &player.key, player.role.table);
        let answer = client.send(request).await?;
        if answer.status.as_u16() == status {
            return Ok(((), format!("{}'s data is answered with {status}", player.label)));
        }
        ensure!(
            told.elapsed() < Duration::from_secs(1),
            "still answered with {} a second later",
            answer.status
        );
    }
}

/// Upgrades a tenant twice, to a database and to a server of its own, and undoes the last one, while somebody writes all the
/// time: every row is there in the end.
async fn upgrade(client: &Client, player: &Player, rows: usize) -> anyhow::Result<((), String)> {
    let (role, label) = (player.role, &player.label);
    let done = AtomicBool::new(false);
    let write = async {
        let mut written = 0;
        while !done.load(Ordering::Relaxed) {
            let row = (role.row)(rows + written);
            let request = client.data(Method::POST, By::Subdomain, label, &player.key, role.table);
            client.send(request.json(&row)).await?.expect(201)?;
            written += 1;
            // The plan that it comes from has 1,000 requests a day, and a slow machine takes a while.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(written)
    };
    let moves = async {
        let mut pauses = Vec::new();
        for (path, body, tier) in [
            ("migrate", json!({ "targetPlan": "premium" }), "database"),
            ("migrate", json!({ "targetPlan": "enterprise" }), "instance"),
            ("move/undo", json!({}), "database"),
        ] {
            let request =
                client.api(Method::POST, &format!("/tenants/{label}/{path}")).header("prefer", "wait=60");
            let moved = client.send(request.json(&body)).await?.expect(200)?;
            let now = &moved["tenant"]["placement"]["tier"];
            ensure!(*now == tier, "the tenant is in tier {now} instead of {tier}");
            let pause = moved["operation"]["report"]["pauseMs"].as_f64().context("a pause")?;
            pauses.push(format!("{pause:.0}"));
        }
        done.store(true, Ordering::Relaxed);
        anyhow::Ok(pauses)
    };
    let (written, pauses) = tokio::try_join!(write, moves)?;
    let path = format!("{}?select=count()", role.table);
    let request = client.data(Method::GET, By::Subdomain, label, &player.key, &path);
    let count = client.send(request).await?.expect(200)?[0]["count"].as_u64().context("a count")?;
    let expected = u64::try_from(rows + written)?;
    ensure!(count == expected, "{count} rows are there instead of {expected}");
    Ok((
        (),
        format!(
            "{} goes to a database, to a server of its own, and back by an undo: writes waited {} ms; all {written} rows \
             written meanwhile are there",
            role.name,
            pauses.join(", ")
        ),
    ))
}
