//! Which requests the commands send, read from the wire.

use clap::Parser;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::client::{ClientCommand, dispatch};

#[derive(Debug, Parser)]
#[command(name = "tenantry")]
struct Line {
    #[command(subcommand)]
    command: ClientCommand,
}

/// What a command sends, as `METHOD /path body`, to a control plane that gives these answers in turn.
async fn requests(line: &[&str], answers: &[Value]) -> (Vec<String>, anyhow::Result<()>) {
    crate::choose_cryptography();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let line = [&["tenantry"], line, &["--url", &url, "--api-key", "k"]].concat();
    let command = Line::try_parse_from(line).unwrap().command;
    let serving = async {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            requests.push(read(&mut stream).await);
            let body = answer.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
        requests
    };
    tokio::join!(serving, dispatch(command))
}

async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let request = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
                let request = request.replace("/api/v1", "");
                return format!("{request} {body}").trim_end().to_owned();
            }
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "a whole request");
    }
}

#[tokio::test]
async fn changing_one_field_sends_that_field() {
    let (sent, ran) = requests(&["servers", "cordon", "eu-1"], &[json!({})]).await;
    ran.unwrap();
    assert_eq!(sent, [r#"PATCH /servers/eu-1 {"state":"cordoned"}"#]);
    let (sent, _) = requests(&["servers", "update", "eu-1", "--capacity", "9"], &[json!({})]).await;
    assert_eq!(sent, [r#"PATCH /servers/eu-1 {"capacity":9}"#]);
    let plan = json!({"name": "basic", "features": {"x": true}, "retentionDays": 30});
    let (sent, _) =
        requests(&["plans", "update", "basic", "--retention-days", "7"], &[plan, json!({})]).await;
    assert_eq!(sent, ["GET /plans/basic", r#"PATCH /plans/basic {"retentionDays":7}"#]);
}

#[tokio::test]
async fn a_server_class_is_made_whole_and_changed_where_it_is_named() {
    let line = ["server-classes", "create", "standard", "--provider", "local", "--capacity", "9"];
    let more = ["--tiers", "schema", "--parameter", "work_mem=8MB"];
    let (sent, ran) = requests(&[&line[..], &more[..]].concat(), &[json!({})]).await;
    ran.unwrap();
    let body = r#"{"capacity":9,"name":"standard","parameters":{"work_mem":"8MB"},"provider":"local","tiers":["schema"]}"#;
    assert_eq!(sent, [format!("POST /server-classes {body}")]);
    let class = json!({"name": "standard", "provider": "local", "capacity": 9, "createdAt": "then"});
    let line = ["server-classes", "update", "standard", "--min-free", "3"];
    let (sent, _) = requests(&line, &[class, json!({})]).await;
    let body = r#"{"capacity":9,"minFree":3,"name":"standard","provider":"local"}"#;
    assert_eq!(sent, ["GET /server-classes/standard", &format!("PUT /server-classes/standard {body}")]);
}

#[tokio::test]
async fn versions_are_tried_promoted_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("inventory");
    let path = folder.to_str().unwrap();
    requests(&["apps", "new", "inventory", "--folder", path], &[]).await.1.unwrap();
    let (sent, ran) =
        requests(&["apps", "push", path, "--dry-run"], &[json!({"versions": []}), json!({})]).await;
    ran.unwrap();
    assert_eq!(sent[0], "GET /apps/inventory");
    assert!(sent[1].starts_with("POST /apps/inventory/versions?dryRun=true {"), "{sent:?}");

    let app = json!({"versions": [], "latestVersion": 7, "promotedVersion": null});
    let (sent, ran) =
        requests(&["apps", "push", path, "--promote"], &[app.clone(), json!({}), app.clone(), app]).await;
    ran.unwrap();
    assert_eq!(sent[3], "POST /apps/inventory/versions/7/promote");

    let (sent, _) = requests(&["types", "inventory"], &[json!({ "typescript": "" })]).await;
    assert_eq!(sent, ["GET /apps/inventory/types"]);
    let tenant = json!({ "app": "inventory", "placement": { "schemaVersion": 7 } });
    let (sent, _) = requests(&["types", "--tenant", "acme"], &[tenant, json!({ "typescript": "" })]).await;
    assert_eq!(sent, ["GET /tenants/acme", "GET /apps/inventory/types?version=7"]);
    let pages = [json!({"compared": 2, "items": [], "nextCursor": "x"}), json!({"compared": 1, "items": []})];
    let (sent, ran) = requests(&["apps", "verify", "inventory"], &pages).await;
    ran.unwrap();
    assert_eq!(sent[1], "GET /apps/inventory/verify?limit=200&cursor=x");
    let (sent, _) = requests(&["apps", "promote", "inventory", "7"], &[json!({})]).await;
    assert_eq!(sent, ["POST /apps/inventory/versions/7/promote"]);
    let (sent, _) = requests(&["apps", "delete-version", "inventory", "7"], &[Value::Null]).await;
    assert_eq!(sent, ["DELETE /apps/inventory/versions/7"]);
}

#[tokio::test]
async fn servers_are_checked_audited_and_given_up() {
    let (sent, ran) = requests(&["servers", "check", "eu-1"], &[json!({"ok": true})]).await;
    ran.unwrap();
    assert_eq!(sent, ["POST /servers/eu-1/check"]);
    let (_, ran) = requests(&["servers", "check", "eu-1"], &[json!({"ok": false})]).await;
    assert!(ran.is_err(), "a server that cannot hold tenants is no success");
    let (sent, _) = requests(&["servers", "audit", "eu-1"], &[json!({})]).await;
    assert_eq!(sent, ["GET /servers/eu-1/audit"]);

    let server = json!({"name": "eu-1", "tenants": 3});
    let begun = json!({"operation": {"id": "o-1", "kind": "remove"}});
    let line = ["servers", "remove", "0199", "--lost", "--yes", "--no-wait"];
    let (sent, ran) = requests(&line, &[server, begun]).await;
    ran.unwrap();
    assert_eq!(sent, ["GET /servers/0199", "DELETE /servers/eu-1?lost=true"]);
}

#[tokio::test]
async fn work_is_given_up_with_a_reason() {
    let answer = json!({"operation": {"id": "o-1", "kind": "purge"}, "left": []});
    let (sent, ran) = requests(&["operations", "abandon", "o-1", "--reason", "lost"], &[answer]).await;
    ran.unwrap();
    assert_eq!(sent, [r#"POST /operations/o-1/abandon {"reason":"lost"}"#]);
}

#[tokio::test]
async fn a_domain_is_looked_for_at_once() {
    let line = ["tenants", "domains", "verify", "acme", "app.acme.com"];
    let (sent, ran) = requests(&line, &[json!({"verified": true})]).await;
    ran.unwrap();
    assert_eq!(sent, ["POST /tenants/acme/domains/app.acme.com/verify"]);
    assert!(requests(&line, &[json!({"verified": false})]).await.1.is_err(), "not proven is no success");
}

#[tokio::test]
async fn following_work_ends_when_it_is_stuck() {
    let stuck = json!({
        "id": "o-1", "kind": "purge", "state": "stuck", "error": "the server is away",
        "subject": {"kind": "tenant", "id": "t", "name": "acme"},
    });
    let (sent, ran) = requests(&["operations", "watch", "o-1"], &[stuck.clone(), Value::Null, stuck]).await;
    assert_eq!(sent, ["GET /operations/o-1", "GET /operations/o-1/events", "GET /operations/o-1"]);
    let error = ran.unwrap_err().to_string();
    assert!(error.starts_with("purge of acme is stuck: the server is away"), "{error}");
}
