//! An app that was written to let its tenants cross: it runs their text, keeps settings and locks for the session, and
//! has columns and embeddings that do the same. The functions, views, computed columns and relationships, and CSV.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_tests::{Answer, Signup, TestApp};

const APP: &str = include_str!("hostile_app.sql");

/// The word in the victim's rows.
const SECRET: &str = "the victim's word";

/// A form in which tenants are connected, and what it promises.
struct Form {
    name: &'static str,
    plan: &'static str,
    manifest: Value,
    /// Not even SQL that a tenant chose reaches another's rows.
    holds_against_dynamic_sql: bool,
}

fn forms() -> [Form; 5] {
    let form = |name, plan, manifest, holds_against_dynamic_sql| Form {
        name,
        plan,
        manifest,
        holds_against_dynamic_sql,
    };
    [
        form("a schema each, a login each", "basic", json!({}), true),
        form("a database each, a login each", "premium", json!({}), true),
        form("a database each, whatever the app says", "premium", json!({ "connection": "shared" }), true),
        form("a schema each, as the plan says", "alone", json!({ "connection": "shared" }), true),
        // The login may become any of its tenants: said in docs/isolation.md.
        form("a schema each, a login for all", "basic", json!({ "connection": "shared" }), false),
    ]
}

/// An attempt: the method, the path below `/api`, the body. `{victim}` and `{role}` are filled in.
const READS: &[(&str, &str, &str)] = &[
    ("POST", "/rpc/run", r#"{"code":"SELECT word FROM {victim}.notes"}"#),
    ("GET", "/rpc/run?code=SELECT word FROM {victim}.notes", ""),
    ("POST", "/rpc/read_as", r#"{"role":"{role}","code":"SELECT word FROM {victim}.notes"}"#),
    ("GET", "/rpc/read_as?role={role}&code=SELECT word FROM {victim}.notes", ""),
    (
        "POST",
        "/rpc/run",
        r#"{"code":"SELECT query_to_xml('SELECT * FROM {victim}.notes', true, true, '')::text"}"#,
    ),
    ("POST", "/rpc/perform", r#"{"code":"SET ROLE {role}"}"#),
    ("POST", "/rpc/perform", r#"{"code":"RESET ROLE"}"#),
    ("POST", "/rpc/run", r#"{"code":"SELECT word FROM notes"}"#),
    ("POST", "/rpc/perform", r#"{"code":"SET SESSION AUTHORIZATION {role}"}"#),
    ("POST", "/rpc/keep", r#"{"name":"role","value":"{role}"}"#),
    ("POST", "/rpc/keep", r#"{"name":"search_path","value":"{victim}"}"#),
    ("GET", "/notes", ""),
    ("GET", "/note_list", ""),
    ("GET", "/everything?select=*", ""),
    ("GET", "/rpc/search?notes_of={victim}", ""),
    ("GET", "/rpc/search?notes_of={victim}&select=id,word,tags(*)", ""),
    ("POST", "/rpc/search", r#"{"notes_of":"{victim}"}"#),
    ("POST", "/notes", r#"{"word":"SELECT word FROM {victim}.notes LIMIT 1"}"#),
    ("GET", "/notes?select=ran&order=id.desc&limit=1", ""),
    ("GET", "/notes?select=id&ran=eq.x", ""),
    ("POST", "/notes", r#"{"word":"SELECT * FROM {victim}.notes"}"#),
    ("GET", "/notes?select=id,related(*)&order=id.desc&limit=1", ""),
    ("GET", "/notes?select=id,...related(word)&order=id.desc&limit=1", ""),
    ("GET", "/notes?select=related(word.max())&order=id.desc&limit=1", ""),
    ("POST", "/notes", r#"{"word":"SELECT set_config('role', '{role}', true)"}"#),
    ("GET", "/notes?select=ran,related(*)&order=id.desc&limit=1", ""),
    ("POST", "/rpc/run", r#"{"code":"COPY {victim}.notes TO STDOUT"}"#),
    ("POST", "/rpc/perform", r#"{"code":"COPY notes TO PROGRAM 'true'"}"#),
    ("POST", "/rpc/perform", r#"{"code":"CREATE TEMP TABLE notes (word text)"}"#),
    ("POST", "/rpc/perform", r#"{"code":"GRANT {role} TO CURRENT_USER"}"#),
    ("POST", "/rpc/perform", r#"{"code":"ALTER TABLE {victim}.notes OWNER TO CURRENT_USER"}"#),
    ("POST", "/rpc/perform", r#"{"code":"DELETE FROM {victim}.notes"}"#),
    ("POST", "/rpc/perform", r#"{"code":"UPDATE {victim}.notes SET word = 'taken'"}"#),
    ("POST", "/rpc/perform", r#"{"code":"DROP SCHEMA {victim} CASCADE"}"#),
    ("POST", "/rpc/run", r#"{"code":"SELECT pg_read_file('/etc/passwd')"}"#),
    ("POST", "/rpc/run", r#"{"code":"SELECT rolpassword FROM pg_authid"}"#),
    (
        "POST",
        "/rpc/run",
        r#"{"code":"SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE usename = '{role}'"}"#,
    ),
    ("POST", "/rpc/run", r#"{"code":"SELECT lo_import('/etc/passwd')::text"}"#),
    ("POST", "/rpc/run", r#"{"code":"SELECT query FROM pg_stat_activity"}"#),
    ("PATCH", "/notes?id=gt.0", r#"{"word":"SELECT 1"}"#),
];

/// What a tenant does to leave something behind on its connection.
const LEAVES: &[(&str, &str)] = &[
    ("/rpc/keep", r#"{"name":"app.secret","value":"left behind"}"#),
    ("/rpc/keep", r#"{"name":"request.jwt.claims","value":"left behind"}"#),
    ("/rpc/keep", r#"{"name":"statement_timeout","value":"0"}"#),
    ("/rpc/keep", r#"{"name":"search_path","value":"pg_temp"}"#),
    ("/rpc/lock_on", r#"{"key":42}"#),
    ("/rpc/perform", r#"{"code":"PREPARE left_behind AS SELECT 1"}"#),
    ("/rpc/perform", r#"{"code":"LISTEN left_behind"}"#),
    ("/rpc/perform", r#"{"code":"SET default_transaction_read_only = on"}"#),
];

const CSV: &str = "text/csv";

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_runs_its_tenants_text_crosses_in_no_form_that_promises_it() {
    let app = TestApp::build().without_daily_quotas().with_apps(&[]).start().await;
    let alone = json!({ "name": "alone", "tier": "schema", "database": { "connection": "own" } });
    app.api.post("/api/v1/plans", alone).await.expect(201);
    let mut attempts = 0;
    for (number, form) in forms().into_iter().enumerate() {
        let name = format!("hostile{number}");
        app.api.put(&format!("/api/v1/apps/{name}"), json!({ "manifest": form.manifest })).await.expect(200);
        let version = json!({ "version": 1, "name": "hostile", "up": APP });
        app.api.post(&format!("/api/v1/apps/{name}/versions"), version).await.expect(201);
        let victim = app.sign_up(&format!("victim{number}"), form.plan, &name).await;
        let attacker = app.sign_up(&format!("attacker{number}"), form.plan, &name).await;
        for word in [SECRET, "another word"] {
            victim.data.post("/api/notes", json!({ "word": word })).await.expect(201);
        }
        victim.data.post("/api/tags", json!({ "note_id": 1, "label": SECRET })).await.expect(201);
        let role = format!("tenant_{}", victim.slug.replace('-', "_"));
        let fill = |text: &str| text.replace("{victim}", &role).replace("{role}", &role);

        if form.holds_against_dynamic_sql {
            for (method, path, body) in READS {
                for accept in ["application/json", CSV] {
                    let answer = ask(&attacker, method, &fill(path), &fill(body), accept).await;
                    attempts += 1;
                    assert!(
                        !answer.text.contains(SECRET),
                        "{}: {method} {path} {body}: {}",
                        form.name,
                        answer.text
                    );
                    assert!(
                        !answer.status.is_server_error() || answer.status == 500,
                        "{}: {method} {path}",
                        form.name
                    );
                }
            }
        }
        for (path, body) in LEAVES {
            attempts += 1;
            ask(&attacker, "POST", path, body, "application/json").await;
            let kept = victim.data.get("/api/kept").await.expect(200).json();
            let kept = &kept[0];
            assert!(kept["secret"].as_str().is_none_or(str::is_empty), "{}: {kept}", form.name);
            assert!(kept["claims"].as_str().is_none_or(str::is_empty), "{}: {kept}", form.name);
            assert_ne!(kept["statement_timeout"], "0", "{}: {kept}", form.name);
            assert!(kept["path"].as_str().unwrap().contains(&role), "{}: {kept}", form.name);
            for count in ["locks", "prepared", "channels", "cursors"] {
                assert_eq!(kept[count], 0, "{}: {count} after {path} {body}: {kept}", form.name);
            }
            victim.data.post("/api/tags", json!({ "note_id": 2, "label": "mine" })).await.expect(201);
        }
        let words = victim.data.get("/api/notes?select=word&order=id").await.expect(200).json();
        assert_eq!(words, json!([{ "word": SECRET }, { "word": "another word" }]), "{}", form.name);
    }
    assert!(attempts >= 250, "{attempts}");
}

async fn ask(tenant: &Signup, method: &str, path: &str, body: &str, accept: &str) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = tenant.data.request(method, &format!("/api{path}")).header("accept", accept);
    let request = match body {
        "" => request,
        body => request.header("content-type", "application/json").body(body.to_owned()),
    };
    tenant.data.send(request).await
}
