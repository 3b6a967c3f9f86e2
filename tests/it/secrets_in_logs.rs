//! Nothing secret is in any line that a process writes, however much it logs, whatever is done with the secret, and
//! also where somebody sends it that it does not belong.

use std::{fmt::Write, process::Stdio};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_domain::{api_key::NewKey, envelope::Key};
use tenantry_tests::{Answer, Api, TestApp, app::random_suffix, local_servers, process::RoleProcess};
use tokio::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

/// All that we have to say; of the rest, what operators ask for who look for an error.
const LOG: &str = "debug,tenantry=trace";

/// What must be in no log, with what it is.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// Keeps one that somebody gave us.
    fn keep(&mut self, what: &str, secret: &str) {
        assert!(secret.len() >= 12, "{what} is so short that it may be anywhere");
        self.0.push((what.to_owned(), secret.to_owned()));
    }

    /// A new one. What must be escaped in JSON and in URLs is among its characters, since who forgets to hide a secret seldom
    /// escapes it either.
    fn make(&mut self, what: &str) -> String {
        let secret = format!("Aa1 \"+\\/{}", random_suffix());
        self.keep(what, &secret);
        secret
    }

    /// Keeps a key or token by the end of it: the beginning says whose it is, which may be logged.
    fn keep_token(&mut self, what: &str, token: &str) {
        self.keep(what, &token[token.len() - 24..]);
    }

    /// Keeps what somebody gets who logs in.
    fn keep_tokens(&mut self, tokens: &Value) {
        self.keep_token("an access token", tokens["accessToken"].as_str().unwrap());
        self.keep_token("a refresh token", tokens["refreshToken"].as_str().unwrap());
    }

    /// All that are somewhere in a text, in whatever form.
    fn found_in<'a>(&'a self, text: &str) -> Vec<&'a str> {
        let is_in = |secret: &str| forms(secret).iter().any(|form| text.contains(form));
        self.0.iter().filter(|(_, secret)| is_in(secret)).map(|(what, _)| &**what).collect()
    }
}

/// A secret as it may stand in a log: as it is, as JSON, Rust or a URL has it, in base64 wherever it begins there, in
/// hexadecimal, as bytes.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let json = Value::from(secret).to_string();
    let url: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let mut forms = vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        // JSON within JSON: a text that quotes a body, in a line of JSON.
        Value::from(json).to_string().trim_matches(['"', '\\']).to_owned(),
        url.replace('+', "%20"),
        url,
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        }),
        format!("{bytes:?}").trim_matches(['[', ']']).to_owned(),
    ];
    for before in 0..3 {
        let shifted = [&b"xx"[..before], bytes].concat();
        for engine in [STANDARD, URL_SAFE] {
            let encoded = engine.encode(&shifted);
            // Without the ends, which depend on what is around it.
            forms.push(encoded[[0, 2, 3][before]..encoded.trim_end_matches('=').len() - 1].to_owned());
        }
    }
    forms
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let mut secrets = Secrets::default();
    let secret = secrets.make("it");
    let basic = |user: &str| STANDARD.encode(format!("{user}:{secret} and more"));
    let in_json = json!({ "password": secret }).to_string();
    for text in [
        format!("password={secret}"),
        format!("{secret:?}"),
        json!({ "message": in_json }).to_string(),
        in_json,
        format!("?p={}", url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()),
        basic("a"),
        basic("ab"),
        basic("abc"),
        format!("{:?}", secret.as_bytes()),
    ] {
        assert_eq!(secrets.found_in(&text), ["it"], "{text}");
    }
    assert!(secrets.found_in("password=…").is_empty());
}

/// A role that logs everything, as people read it or as machines do.
async fn start(app: &TestApp, role: &str, format: &str, more: &[(&str, &str)]) -> RoleProcess {
    let mut command = Command::new(BINARY);
    command
        .args([role, "--admin-addr", "127.0.0.1:0", "--log-format", format])
        .env("TENANTRY_LOG", LOG)
        .env("TENANTRY_DATABASE_URL", app.registry_url().expose_secret())
        .env("TENANTRY_KEK", app.kek.to_base64().expose_secret())
        .env("TENANTRY_LOCAL_SERVERS", local_servers::folder(app.label()))
        .envs(more.iter().copied())
        // It logs to standard error; whatever else it says is said there too.
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    match role {
        "worker" => command.args(["--label", app.label(), "--warm-databases", "0", "--warm-tenants", "0"]),
        "control-plane" => command.args(["--control-plane-addr", "127.0.0.1:0", "--access-log", "all"]),
        _ => command.args(["--data-plane-addr", "127.0.0.1:0", "--access-log", "all"]),
    };
    if role != "worker" {
        command.args(["--drain", "0"]);
    }
    RoleProcess::follow(command).await
}

async fn send(api: &Api, method: Method, path: &str, body: &str) -> Answer {
    let request = api.request(method, path).header("content-type", "application/json");
    api.send(request.body(body.to_owned())).await
}

/// Bodies that are wrong in each way in which a body can be, with a secret in all of them.
fn wrong_bodies(field: &str, secret: &str) -> Vec<String> {
    let text = Value::from(secret);
    vec![
        format!("{{\"{field}\": {text}"),
        format!("{{\"{field}\": {text}}} {text}"),
        format!("{text}"),
        format!("[{text}]"),
        format!("{{\"{field}\": [{text}]}}"),
        format!("{{\"{field}\": {{\"is\": {text}}}}}"),
        format!("{{\"{field}\": {text}, \"{field}\": {text}}}"),
        format!("{{\"unknown\": {text}}}"),
        format!("{{\"{field}\": {text}, \"tenantSlug\": {text}, \"name\": {text}, \"email\": {text}}}"),
        format!("{{\"{field}\": \"\\u0000{}\"}}", &text.to_string()[1..text.to_string().len() - 1]),
        format!("{field}={secret}"),
    ]
}

/// Keys and servers, at the control plane.
async fn operate(app: &TestApp, api: &Api, secrets: &mut Secrets) {
    let made = api.post("/api/v1/keys", json!({ "name": "one", "scopes": ["tenants:read"] })).await;
    let made = made.expect(201).json();
    let key = made["key"].as_str().unwrap();
    secrets.keep_token("an operator's key", key);
    let holder = api.with_key(key.to_owned());
    holder.get("/api/v1/tenants").await.expect(200);
    holder.get("/api/v1/servers").await.expect(403);
    api.delete(&format!("/api/v1/keys/{}", made["id"].as_str().unwrap())).await.expect(204);
    holder.get("/api/v1/tenants").await.expect(401);
    // Where keys do not belong.
    api.get(&format!("/api/v1/tenants?apikey={key}")).await;
    api.send(api.without_key().request(Method::GET, "/api/v1/tenants").basic_auth("me", Some(key))).await;

    let server = |password: &str, change: Value| {
        let mut body = json!({
            "name": "second", "host": "localhost", "port": app.server().port(), "adminUser": app.server().user(),
            "adminPassword": password, "capacity": 10, "maxConnections": 16,
            "sharedDatabase": format!("second_{}", app.suffix),
        });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    let wrong = secrets.make("a server's wrong password");
    api.post("/api/v1/servers", server(&wrong, json!({}))).await.expect_problem(422, "server_unusable");
    for change in [
        json!({ "host": "nowhere.invalid" }),
        json!({ "port": 1 }),
        json!({ "port": "x" }),
        json!({ "sslMode": "verify-full", "sslRootCert": wrong }),
        json!({ "adminUser": wrong }),
        json!({ "password": wrong }),
    ] {
        let answer = api.post("/api/v1/servers", server(&wrong, change.clone())).await;
        assert!(answer.status.is_client_error(), "{change}: {answer:?}");
    }
    let right = app.server().password().expose_secret();
    api.post("/api/v1/servers", server(right, json!({}))).await.expect(201);
    let path = "/api/v1/servers/second";
    api.patch(path, json!({ "adminPassword": wrong })).await.expect(422);
    api.patch(path, json!({ "adminPassword": right })).await.expect(200);
    for body in wrong_bodies("adminPassword", &wrong) {
        let answer = send(api, Method::PATCH, path, &body).await;
        assert!(answer.status.is_client_error(), "{body}: {answer:?}");
    }
    // Nobody asks before, so that the worker meets it at work.
    api.patch(&format!("{path}?check=false"), json!({ "adminPassword": wrong })).await.expect(200);
    api.post(&format!("{path}/check"), json!({})).await.expect(200);
    api.post(&format!("{path}/audit"), json!({})).await;
    api.delete(path).await.expect(204);
}

/// A tenant's configuration, with values that nobody else may see.
async fn configure(api: &Api, tenant: &str, secrets: &mut Secrets) {
    let path = format!("/api/v1/tenants/{tenant}/config");
    for value in ["a value to encrypt", "another"] {
        let value = json!({ "user": "mail", "password": secrets.make(value) });
        let body = json!({ "configKey": "smtp.login", "configValue": value, "isEncrypted": true });
        api.post(&path, body).await;
        let shown = api.get(&format!("{path}/smtp.login?reveal=true")).await.expect(200).json();
        assert_eq!(shown["configValue"], value);
        api.get(&path).await.expect(200);
    }
    let misplaced = secrets.make("a value in the wrong place");
    for (key, encrypted) in
        [("session.timeout", false), ("session.timeout", true), ("auth.issuers", false), (&*misplaced, true)]
    {
        let body = json!({ "configKey": key, "configValue": misplaced, "isEncrypted": encrypted });
        api.post(&path, body).await.expect(400);
    }
    for body in wrong_bodies("configValue", &misplaced) {
        // Any JSON is a value, but it is to be named too.
        let answer = send(api, Method::POST, &path, &body).await;
        assert!(answer.status.is_client_error(), "{body}: {answer:?}");
    }
    api.delete(&format!("{path}/smtp.login")).await.expect(204);
}

/// Users come, go, and get it wrong.
async fn log_in_and_out(data: &Api, other: &Api, secrets: &mut Secrets) {
    let open = data.without_key();
    let password = secrets.make("a password");
    let user = |name: &str, password: &str| json!({ "username": name, "email": format!("{name}@example.com"), "password": password });
    open.post("/api/auth/register", user("ada", &password)).await.expect(201);
    open.post("/api/auth/register", user("ada", &password)).await.expect(409);
    let weak = format!("weak{}", random_suffix());
    secrets.keep("a password that is too weak", &weak);
    open.post("/api/auth/register", user("bob", &weak)).await.expect(400);
    let login = |password: &str| json!({ "username": "ada", "password": password });
    let wrong = secrets.make("a wrong password");
    open.post("/api/auth/login", login(&wrong)).await.expect(401);
    let nobody = json!({ "username": "nobody", "password": wrong });
    open.post("/api/auth/login", nobody).await.expect(401);
    // A password where the name belongs is a classic.
    let answer = open.post("/api/auth/login", json!({ "username": wrong, "password": "x" })).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    for path in ["login", "register", "refresh"] {
        let field = if path == "refresh" { "refreshToken" } else { "password" };
        for body in wrong_bodies(field, &wrong) {
            let answer = send(&open, Method::POST, &format!("/api/auth/{path}"), &body).await;
            assert!(answer.status.is_client_error(), "{path}: {body}: {answer:?}");
        }
    }

    let tokens = open.post("/api/auth/login", login(&password)).await.expect(200).json();
    secrets.keep_tokens(&tokens);
    let access = tokens["accessToken"].as_str().unwrap();
    let ada = data.with_key(access.to_owned());
    ada.get("/api/contacts").await.expect(200);
    ada.get("/api/auth/validate").await.expect(200);
    // Another tenant's, altered, cut off, and where it does not belong.
    other.with_key(access.to_owned()).get("/api/contacts").await.expect(403);
    let at = access.len() - 60;
    let other_letter = if access.as_bytes()[at] == b'A' { 'B' } else { 'A' };
    let altered = format!("{}{other_letter}{}", &access[..at], &access[at + 1..]);
    data.with_key(altered).get("/api/contacts").await.expect(401);
    data.with_key(access[1..].to_owned()).get("/api/contacts").await.expect(401);
    open.get(&format!("/api/contacts?access_token={access}")).await.expect(401);
    for header in ["x-tenant-id", "x-tenant-slug", "x-request-id", "accept", "prefer", "range"] {
        ada.send(ada.request(Method::GET, "/api/contacts").header(header, access)).await;
    }
    for body in wrong_bodies("currentPassword", &wrong) {
        send(&ada, Method::POST, "/api/auth/password", &body).await.expect(400);
    }
    let changed = secrets.make("a new password");
    let change = |from: &str, to: &str| json!({ "currentPassword": from, "newPassword": to });
    ada.post("/api/auth/password", change(&wrong, &changed)).await.expect(401);
    ada.post("/api/auth/password", change(&password, &weak)).await.expect(400);
    ada.post("/api/auth/password", change(&password, &changed)).await.expect(204);

    let tokens = open.post("/api/auth/login", login(&changed)).await.expect(200).json();
    secrets.keep_tokens(&tokens);
    let refresh = json!({ "refreshToken": tokens["refreshToken"] });
    let next = open.post("/api/auth/refresh", refresh.clone()).await.expect(200).json();
    secrets.keep_tokens(&next);
    open.post("/api/auth/refresh", refresh).await.expect(401);
    let unknown = format!("{}{}", tokens["refreshToken"].as_str().unwrap(), "x");
    open.post("/api/auth/refresh", json!({ "refreshToken": unknown })).await.expect(401);
    let tokens = open.post("/api/auth/login", login(&changed)).await.expect(200).json();
    secrets.keep_tokens(&tokens);
    let ada = data.with_key(tokens["accessToken"].as_str().unwrap().to_owned());
    ada.post("/api/auth/logout", json!({})).await.expect(204);
    ada.get("/api/contacts").await.expect(401);
}

/// Rows, with what must not be in a log in them, and refused by the database for it.
async fn write_rows(data: &Api, secrets: &mut Secrets) {
    let row = secrets.make("a row's value");
    let contact = |email: &str| json!({ "firstName": "Ann", "email": email });
    data.post("/api/contacts", contact(&row)).await;
    data.post("/api/tags", json!({ "name": row })).await.expect(201);
    // Not unique, not of its type, no row, no column.
    data.post("/api/tags", json!({ "name": row })).await.expect(409);
    data.post("/api/contacts", json!({ "id": row, "firstName": "x" })).await.expect(400);
    let quoted: String = url::form_urlencoded::byte_serialize(row.as_bytes()).collect();
    for query in
        ["id=eq.", "createdAt=gt.", "email=match.(", "email=", "email=in.(\"", "select=", "order=", "or=("]
    {
        data.get(&format!("/api/contacts?{query}{quoted}")).await;
    }
    for body in wrong_bodies("firstName", &row) {
        send(data, Method::POST, "/api/contacts", &body).await;
    }
    data.get(&format!("/api/contacts?email=eq.{quoted}")).await.expect(200);
}

/// What processes say that cannot begin.
async fn start_wrongly(app: &TestApp, secrets: &mut Secrets) -> Vec<String> {
    let key = Key::generate(&mut rand::rng()).to_base64().expose_secret().to_owned();
    secrets.keep("a key-encryption key that is not the registry's", &key);
    let mut said = start(app, "data-plane", "pretty", &[("TENANTRY_KEK", &key)]).await;
    said.logged("key").await;
    let mut logs = said.stopped().await;
    let url = app.registry_url().expose_secret();
    let password = random_suffix() + &random_suffix();
    secrets.keep("a wrong password of the registry", &password);
    let wrong =
        url.replace(&format!(":{}@", app.server().password().expose_secret()), &format!(":{password}@"));
    assert_ne!(url, wrong);
    let no_key = secrets.make("what is no key-encryption key");
    let guessable = "qwertqwertqwertqwertqwertqwertqwertqwert";
    secrets.keep("a bootstrap key that can be guessed", guessable);
    let no_url = format!("postgres://me:{password}@localhost:99999/registry");
    for (command, variable, value) in [
        ("migrate", "TENANTRY_DATABASE_URL", &*wrong),
        ("migrate", "TENANTRY_DATABASE_URL", &no_url),
        ("worker", "TENANTRY_KEK", &no_key),
        ("control-plane", "TENANTRY_BOOTSTRAP_KEY", guessable),
    ] {
        let output = Command::new(BINARY)
            .arg(command)
            .env("TENANTRY_LOG", LOG)
            .env("TENANTRY_DATABASE_URL", url)
            .env("TENANTRY_KEK", app.kek.to_base64().expose_secret())
            .env("TENANTRY_ADMIN_ADDR", "127.0.0.1:0")
            .env("TENANTRY_CONTROL_PLANE_ADDR", "127.0.0.1:0")
            .env(variable, value)
            .kill_on_drop(true)
            .output();
        let output = tenantry_tests::within::in_time(command, output).await.unwrap();
        assert!(!output.status.success(), "{command} with a wrong {variable}");
        logs.extend([output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()));
    }
    logs
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_logs_a_password_a_key_a_token_or_a_value_that_is_encrypted() {
    let app = TestApp::build().without_worker().start().await;
    let mut secrets = Secrets::default();
    secrets.keep("the key-encryption key", app.kek.to_base64().expose_secret());
    secrets.keep("the server's password", app.server().password().expose_secret());
    let bootstrap = NewKey::operator(&mut rand::rng()).key;
    let bootstrap = bootstrap.expose_secret();
    secrets.keep_token("the bootstrap key", bootstrap);
    let mut logs = start_wrongly(&app, &mut secrets).await;

    let mut control = start(&app, "control-plane", "json", &[("TENANTRY_BOOTSTRAP_KEY", bootstrap)]).await;
    let worker = start(&app, "worker", "pretty", &[]).await;
    let mut plane = start(&app, "data-plane", "pretty", &[]).await;
    let api = Api::new(control.serving().await).with_key(bootstrap.to_owned());
    let data = Api::new(plane.serving().await);
    operate(&app, &api, &mut secrets).await;

    let (mut tenants, mut id) = (Vec::new(), String::new());
    for (name, plan) in [("acme", "basic"), ("globex", "premium")] {
        let slug = app.slug(name);
        let body = json!({ "name": name, "slug": slug, "plan": plan, "app": "salesflow" });
        let made = api.post_and_wait("/api/v1/tenants", body).await.expect(201).json();
        made["tenant"]["id"].as_str().unwrap().clone_into(&mut id);
        let path = format!("/api/v1/tenants/{slug}");
        let connection = api.get(&format!("{path}/connection?reveal=true")).await.expect(200).json();
        secrets.keep("a tenant's database password", connection["password"].as_str().unwrap());
        let made = api.post(&format!("{path}/keys"), json!({ "name": "test" })).await.expect(201).json();
        let key = made["key"].as_str().unwrap();
        secrets.keep_token("a tenant's key", key);
        tenants.push((path, data.with_host(format!("{slug}.localhost")).with_key(key.to_owned()), made));
    }
    for (nth, (path, of_tenant, _)) in tenants.iter().enumerate() {
        let other = &tenants[1 - nth].1;
        log_in_and_out(of_tenant, other, &mut secrets).await;
        write_rows(of_tenant, &mut secrets).await;
        configure(&api, &path["/api/v1/tenants/".len()..], &mut secrets).await;
        api.send(api.request(Method::POST, &format!("{path}/signing-keys")).header("prefer", "wait=30"))
            .await;
    }
    let (path, of_tenant, made) = &tenants[0];
    tenants[1].1.with_key(made["key"].as_str().unwrap().to_owned()).get("/api/contacts").await.expect(403);
    // To a database of its own, with its users and their passwords.
    let moved = api.post_and_wait(&format!("{path}/migrate"), json!({ "targetPlan": "premium" })).await;
    assert!(moved.status.is_success(), "{moved:?}");
    let connection = api.get(&format!("{path}/connection?reveal=true")).await.expect(200).json();
    secrets.keep("a moved tenant's database password", connection["password"].as_str().unwrap());
    of_tenant.get("/api/contacts").await.expect(200);
    api.delete(&format!("{path}/keys/{}", made["id"].as_str().unwrap())).await.expect(204);
    of_tenant.get("/api/contacts").await;
    api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200);

    // What is logged, to be found by the same search.
    let mut known = Secrets::default();
    known.keep("a tenant's id", &id);
    for (role, process) in [("control-plane", control), ("worker", worker), ("data-plane", plane)] {
        let log = process.stopped().await;
        assert!(log.iter().any(|line| line.contains("DEBUG")), "{role} does not say all: {log:#?}");
        assert!(log.iter().any(|line| !known.found_in(line).is_empty()), "{role}: {log:#?}");
        logs.extend(log);
    }
    let leaks: Vec<_> = logs
        .iter()
        .map(|line| (secrets.found_in(line), line))
        .filter(|(found, _)| !found.is_empty())
        .collect();
    assert!(
        leaks.is_empty(),
        "of {} lines {} leak: {:#?}",
        logs.len(),
        leaks.len(),
        &leaks[..leaks.len().min(40)]
    );
}
