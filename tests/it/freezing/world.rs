//! What happens while a worker is frozen, and what must still be so when it has woken up.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};
use tenantry_domain::{operation::OperationKind, slug::Slug};
use tenantry_tests::{Answer, Api, TestApp, server};

use super::{MOVED, stage::Frozen};

/// The tenant that has the slug now.
pub(super) struct Live {
    tenant: String,
    slug: String,
    status: String,
    operation: String,
    /// The operation as it ended.
    record: String,
    /// The server that has the name of the one that was given up.
    server: Option<Value>,
    /// It was moved, or was to be.
    moves: bool,
    data: Api,
}

/// The world moves on: what was undone is tried again, or a new tenant takes the slug; what was suspended is
/// resumed, and so on.
pub(super) async fn moved_on(app: &TestApp, frozen: &Frozen, ended: &Value) -> Live {
    let (api, slug, kind) = (&app.api, frozen.slug.as_str(), frozen.point.case.kind);
    let over = ["succeeded", "failed", "cancelled"].contains(&ended["state"].as_str().unwrap());
    assert!(over, "{} at {:?}: {ended}", frozen.point.case, frozen.point.freeze);
    let plan = frozen.point.case.plan();
    let path = format!("/api/v1/tenants/{slug}");
    // Both ways to go on are taken, by turns.
    let other_way = frozen.point.freeze.is_some_and(|(at, _)| at % 2 == 1);
    let found = api.get(&path).await;
    let status = found.status.is_success().then(|| found.json()["status"].as_str().unwrap().to_owned());
    // However long it takes: what frozen workers hold is waited for.
    let finished = async |answer: Answer| {
        if answer.status == 202 {
            let operation = answer.json()["operation"]["id"].as_str().unwrap().to_owned();
            let ended = app.operation_ended(&operation).await;
            assert_eq!(ended["state"], "succeeded", "{ended}");
        } else {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    };
    let call = async |verb: &str| finished(api.post(&format!("{path}/{verb}"), json!({})).await).await;
    let purge = async || finished(api.delete(&format!("{path}?purge=now")).await).await;
    let sign_up = async || {
        let body = json!({ "name": slug, "slug": slug, "plan": plan, "app": "crm" });
        finished(api.post("/api/v1/tenants", body).await).await;
    };
    // It was repaired, or another has its name now.
    let mut server = None;
    if let Some(mut body) = frozen.server.clone() {
        body["state"] = "cordoned".into();
        server = Some(api.post("/api/v1/servers?check=false", body).await.expect(201).json());
    }
    match (kind, status.as_deref()) {
        (OperationKind::Purge | OperationKind::RemoveLostServer, None) => sign_up().await,
        (OperationKind::Provision, Some("failed")) if !other_way => {
            let retry = format!("/api/v1/operations/{}/retry", frozen.operation);
            api.post(&retry, json!({})).await.expect(202);
            let again = app.operation_ended(&frozen.operation).await;
            assert_eq!(again["state"], "succeeded", "{again}");
        }
        (OperationKind::Provision, Some("failed" | "active")) if other_way => {
            purge().await;
            sign_up().await;
        }
        (OperationKind::Provision | OperationKind::Purge, Some("active")) if !other_way => {
            call("suspend").await;
            call("resume").await;
        }
        (OperationKind::Purge, Some("active")) => {
            purge().await;
            sign_up().await;
        }
        (OperationKind::Restore, Some("active")) => finished(api.delete(&path).await).await,
        (_, Some("active")) => {
            call("suspend").await;
            if other_way {
                call("resume").await;
            }
        }
        (_, Some("suspended")) => call("resume").await,
        (_, Some("deactivated")) => call("restore").await,
        (kind, status) => panic!("{kind} left the tenant {status:?}: {ended}"),
    }
    let tenant = api.get(&path).await.expect(200).json();
    let text = |field: &str| tenant[field].as_str().unwrap().to_owned();
    Live {
        tenant: text("id"),
        slug: slug.to_owned(),
        status: text("status"),
        operation: frozen.operation.clone(),
        record: String::new(),
        server,
        moves: kind == OperationKind::Move,
        data: app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(&text("id")).await),
    }
}

impl Live {
    /// Writes a row, where the tenant is served, and notes how the operation ended.
    pub(super) async fn settle(&mut self, app: &TestApp) {
        if self.status == "active" {
            self.data.post("/api/contacts", json!({ "email": "before@example.com" })).await.expect(201);
        }
        self.record = record(app, &self.operation).await;
    }

    /// What is not as it was, or not as it must be.
    pub(super) async fn losses(&self, app: &TestApp) -> Vec<String> {
        let mut losses = Vec::new();
        let record = record(app, &self.operation).await;
        if record != self.record {
            losses.push(format!("the operation was {}\nand is {record}", self.record));
        }
        let tenant = app.api.get(&format!("/api/v1/tenants/{}", self.slug)).await;
        let now = tenant.status.is_success().then(|| tenant.json());
        let same = now.is_some_and(|now| now["id"] == *self.tenant && now["status"] == *self.status);
        if !same {
            losses.push(format!("the tenant was {} ({}) and is {}", self.tenant, self.status, tenant.text));
        }
        if let Some(server) = &self.server {
            let now = app.api.get(&format!("/api/v1/servers/{}", server["name"].as_str().unwrap())).await;
            if !now.status.is_success()
                || now.json()["id"] != server["id"]
                || now.json()["state"] != "cordoned"
            {
                losses.push(format!("the server was {server} and is {}", now.text));
            }
        }
        let served = self.status == "active";
        let read = self.data.get("/api/contacts?select=email&email=eq.before@example.com").await;
        let expected = if served { 200 } else { 403 };
        if read.status != expected || (served && read.json() != json!([{ "email": "before@example.com" }])) {
            losses.push(format!("its row: {read:?}"));
        }
        if served && self.moves {
            let read = self.data.get(&format!("/api/contacts?select=email&email=eq.{MOVED}")).await;
            if read.status != 200 || read.json() != json!([{ "email": MOVED }]) {
                losses.push(format!("the row that it had before it moved: {read:?}"));
            }
        }
        let write = self.data.post("/api/contacts", json!({ "email": "after@example.com" })).await;
        if write.status != if served { 201 } else { 403 } {
            losses.push(format!("another row: {write:?}"));
        }
        let url = app.own_url(&self.slug).await;
        let logged_in = PgConnection::connect(&url).await;
        if logged_in.is_ok() != served {
            losses.push(format!("its role, {}: {:?}", self.status, logged_in.err()));
        }
        losses
    }
}

/// An operation as it is stored, and how many events it has.
async fn record(app: &TestApp, operation: &str) -> String {
    let query = "SELECT to_jsonb(operations)::text || ' events: ' || (
                     SELECT count(*) FROM operation_events WHERE operation_id = operations.id)
                 FROM operations WHERE id = $1::uuid";
    sqlx::query_scalar(query).bind(operation).fetch_one(app.owner()).await.unwrap()
}

/// Names with the marks on them.
type Marked = BTreeMap<String, Option<String>>;

async fn marked(connection: &mut PgConnection, query: &'static str, like: &str) -> Marked {
    let rows = sqlx::query(query).bind(like).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Where server and registry do not agree about all tenants: whether each has one role and one schema or
/// database, with its mark; whether nobody else has any; and whether the counters count.
pub(super) async fn imbalances(app: &TestApp) -> Vec<String> {
    let placed = sqlx::query(
        "SELECT slug, tenants.id::text, tier, placements.state FROM placements
         JOIN tenants ON tenants.id = tenant_id JOIN servers ON servers.id = server_id WHERE servers.name = 'main'",
    )
    .fetch_all(app.owner())
    .await
    .unwrap();
    let (mut roles, mut schemas, mut databases) = (Marked::new(), Marked::new(), Marked::new());
    let mut found = Vec::new();
    for row in placed {
        let (slug, id, tier, state): (String, String, String, String) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let name = Slug::parse(&slug).unwrap().object_name().to_string();
        let mark = Some(format!("tenantry:{id}"));
        if state != "serving" {
            found.push(format!("a placement of {slug} is {state}"));
        }
        let of_tier = if tier == "schema" { &mut schemas } else { &mut databases };
        for objects in [of_tier, &mut roles] {
            if objects.insert(name.clone(), mark.clone()).is_some() {
                found.push(format!("{slug} is placed twice"));
            }
        }
    }
    let like = format!("tenant\\_%\\_{}", app.suffix);
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let mut look = async |what: &str, expected: Marked, query: &'static str| {
        let there = marked(&mut shared, query, &like).await;
        if there != expected {
            found.push(format!("{what} are {there:?} instead of {expected:?}"));
        }
    };
    let of_roles =
        "SELECT rolname::text, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname LIKE $1";
    look("roles", roles, of_roles).await;
    let of_schemas =
        "SELECT nspname::text, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname LIKE $1";
    look("schemas", schemas, of_schemas).await;
    let of_databases =
        "SELECT datname::text, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname LIKE $1";
    look("databases", databases, of_databases).await;
    let of_slots = "SELECT slot_name::text, NULL FROM pg_replication_slots WHERE database LIKE replace($1, 'tenant\\_%', '%')";
    look("replication slots", Marked::new(), of_slots).await;

    let of_gone =
        "SELECT datname::text, NULL FROM pg_database WHERE datname LIKE 'tenantry\\_gone\\_%' AND $1 <> ''";
    let gone = marked(&mut shared, of_gone, &like).await;
    for name in gone.into_keys() {
        let subject = name.split('_').nth(2).unwrap_or_default().to_owned();
        let own = "SELECT count(*) FROM tenants WHERE replace(id::text, '-', '') = $1";
        let own: i64 = sqlx::query_scalar(own).bind(subject).fetch_one(app.owner()).await.unwrap();
        if own > 0 {
            found.push(format!("database {name} was not dropped"));
        }
    }
    let wrong = [
        "SELECT count(*) FROM servers WHERE tenants <> (SELECT count(*) FROM placements WHERE server_id = servers.id)",
        "SELECT count(*) FROM server_logins l WHERE tenants <>
             (SELECT count(*) FROM placements p WHERE p.server_id = l.server_id AND login = l.name)
             + (SELECT count(*) FROM warm_tenants w WHERE w.server_id = l.server_id AND w.login = l.name)",
        "SELECT count(*) FROM operations WHERE finished_at IS NULL",
        "SELECT count(*) FROM servers WHERE unreachable_since IS NOT NULL AND state <> 'lost' AND state <> 'cordoned'",
    ];
    for query in wrong {
        if app.count(query).await != 0 {
            found.push(format!("not 0: {query}"));
        }
    }
    found
}

/// Warm tenants on the server that the registry does not know.
pub(super) async fn forgotten_warm_tenants(app: &TestApp) -> Vec<String> {
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let there: Vec<String> = sqlx::query_scalar(
        "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'tenantry\\_warm\\_t\\_%'
             AND shobj_description(oid, 'pg_authid') = $1
         UNION SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'tenantry\\_warm\\_t\\_%'",
    )
    .bind(format!("tenantry:warm:{}", app.label()))
    .fetch_all(&mut shared)
    .await
    .unwrap();
    let known: Vec<String> =
        sqlx::query_scalar("SELECT name FROM warm_tenants").fetch_all(app.owner()).await.unwrap();
    there.into_iter().filter(|name| !known.contains(name)).collect()
}
