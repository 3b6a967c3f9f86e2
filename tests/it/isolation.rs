//! Tries to reach one tenant's data as another, on both tiers, in every way that HTTP has room for.
//!
//! The attempts are tables, one file each: a name, what must come of it, and the request, byte for byte. Whatever
//! comes of it, the answer must not hold a word of the victim's, and the victim's rows must stay as they were.

mod bodies;
mod hostile_app;
mod hosts;
mod keys;
mod names;
mod paths;
mod queries;
mod tables;
mod wire;

use std::collections::BTreeMap;

use futures::future::join_all;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_tests::{Answer, Signup, TestApp, app::random_suffix, raw::RawRequest};

/// One way to try: its name, what must come of it, and the request.
type Attempt = (&'static str, Outcome, fn(&Pair<'_>) -> RawRequest);

/// What must come of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The attacker is served what is its own.
    Served,
    /// A problem document with this code.
    Refused(&'static str),
    /// It is no HTTP, so that the connection ends before there is a request to answer.
    NoHttp,
}

/// A tenant in the game.
struct Party {
    id: String,
    slug: String,
    host: String,
    key: String,
    /// Its schema and role.
    schema: String,
    /// The word that is in its rows, its name and its settings, and nowhere else.
    marker: String,
    /// The row that holds it.
    row: String,
    signup: Signup,
}

/// An attacker, who knows everything of its victim but the key.
struct Pair<'a> {
    attacker: &'a Party,
    victim: &'a Party,
    port: u16,
}

impl Pair<'_> {
    /// A request with the attacker's key to a host that names nobody.
    fn get(&self, target: impl Into<String>) -> RawRequest {
        RawRequest::new("GET", target)
            .header("Host", format!("127.0.0.1:{}", self.port))
            .header("Authorization", format!("Bearer {}", self.attacker.key))
    }

    /// The same to a host.
    fn at(&self, host: impl Into<String>) -> RawRequest {
        self.get("/api/contacts").without("Host").header("Host", host)
    }

    /// A request with the attacker's key to its own subdomain.
    fn own(&self, target: impl Into<String>) -> RawRequest {
        self.get(target).without("Host").header("Host", self.attacker.host.clone())
    }

    /// A write of the attacker's to its own subdomain.
    fn write(&self, method: &str, target: impl Into<String>, body: impl Into<String>) -> RawRequest {
        self.own(target).method(method).header("Prefer", "return=representation").body(body)
    }

    /// A request to the victim's subdomain with whatever stands behind `Authorization:`.
    fn with_authorization(&self, value: impl Into<String>) -> RawRequest {
        self.at(self.victim.host.clone()).without("Authorization").header("Authorization", value)
    }

    /// What the victim itself would send.
    fn victims_own(&self) -> RawRequest {
        self.with_authorization(format!("Bearer {}", self.victim.key))
    }

    /// Whether it is the victim's own request, which may be answered with what is its own.
    fn is_victims_own(&self, request: &RawRequest) -> bool {
        request.says("Authorization", &format!("Bearer {}", self.victim.key))
    }
}

/// Percent-encodes all but letters, digits and what a path or a query may hold as it is.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~*,()!:".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_reaches_another_s_data_in_any_way() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let (control_plane, data_plane) = (app.api.address(), app.data.address());
    let mut parties = BTreeMap::new();
    for role in ["victim", "attacker"] {
        for plan in ["basic", "premium"] {
            parties.insert((role, plan), party(&app, role, plan).await);
        }
    }
    let ways: Vec<Attempt> = [
        names::ATTEMPTS,
        keys::ATTEMPTS,
        hosts::ATTEMPTS,
        paths::ATTEMPTS,
        tables::ATTEMPTS,
        queries::ATTEMPTS,
        bodies::ATTEMPTS,
        wire::ATTEMPTS,
    ]
    .concat();
    let disagreeing = names::disagreeing();

    let (mut attempts, mut crossings, mut wrong) = (0, 0, Vec::new());
    for (of_attacker, of_victim) in
        [("basic", "basic"), ("premium", "premium"), ("basic", "premium"), ("premium", "basic")]
    {
        let (attacker, victim) = (&parties[&("attacker", of_attacker)], &parties[&("victim", of_victim)]);
        let pair = Pair { attacker, victim, port: data_plane.port() };
        let mut behind = PgConnection::connect(&database_of(&app, victim, of_victim)).await.unwrap();
        let before = fingerprint(&mut behind, victim).await;
        let mut judge = async |name: &str, expected: Outcome, request: &RawRequest, answers: &[Answer]| {
            attempts += 1;
            let name = format!("{name} ({of_attacker} tries {of_victim})");
            if answers_hold(&pair, request, answers) {
                crossings += 1;
                wrong.push(format!("{name}: the victim's data is in {answers:?}"));
            }
            if fingerprint(&mut behind, victim).await != before {
                crossings += 1;
                wrong.push(format!("{name}: the victim's rows were changed; {answers:?}"));
            }
            // Of several on one connection the last one counts, but none may be our fault.
            let came = answers.iter().try_fold(None, |_, answer| outcome(answer).map(Some));
            if came.as_ref() != Ok(&Some(shown(expected))) {
                let text = answers.last().map(|answer| answer.text.as_str());
                wrong.push(format!("{name}: expected {expected:?}, came {came:?}: {text:?}"));
            }
        };

        for (name, expected, build) in &ways {
            let request = build(&pair);
            let to = if request.says("Host", "control-plane") { control_plane } else { data_plane };
            let answers = request.send(to).await;
            judge(name, *expected, &request, &answers).await;
        }
        for (name, request) in disagreeing.iter().map(|(name, build)| (name, build(&pair))) {
            let answers = request.send(data_plane).await;
            judge(name, Outcome::Refused("tenant_conflict"), &request, &answers).await;
        }

        // Both at once over the same pool: each reads its own word, and nothing else.
        let mixed = join_all((0..200).map(|n| {
            let party = if n % 2 == 0 { attacker } else { victim };
            async move { (party, party.signup.data.get("/api/contacts?select=company").await) }
        }))
        .await;
        attempts += 1;
        for (party, answer) in mixed {
            let other = if party.id == victim.id { attacker } else { victim };
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert!(answer.text.contains(&party.marker), "{}", answer.text);
            crossings += u32::from(answer.text.contains(&other.marker));
        }

        // The word can be found, by whom it belongs to: the attempts looked for something that is there.
        let own = victim.signup.data.get("/api/contacts").await.expect(200);
        assert!(own.text.contains(&victim.marker));
        assert_eq!(fingerprint(&mut behind, victim).await, before);
    }

    let different = ways.len() + disagreeing.len() + 1;
    println!("{different} ways, {attempts} attempts over four pairs of tiers, {crossings} crossings");
    assert!(wrong.is_empty(), "{} of {attempts} attempts:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ways.len() >= 60 && different >= 90, "{different} ways");
    assert_eq!(attempts, different * 4);
    assert_eq!(crossings, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_own_login_to_the_database_reaches_no_other_tenant() {
    let app = TestApp::build().without_daily_quotas().start().await;
    for (of_attacker, of_victim) in
        [("basic", "basic"), ("premium", "premium"), ("basic", "premium"), ("premium", "basic")]
    {
        let victim = party(&app, &format!("victim-of-{of_attacker}"), of_victim).await;
        let attacker = party(&app, &format!("attacker-of-{of_victim}"), of_attacker).await;
        let path = format!("/api/v1/tenants/{}/connection?reveal=true", attacker.id);
        let connection = app.api.get(&path).await.expect(200).json();
        let url = |database: &str| {
            let text = |name: &str| connection[name].as_str().unwrap().to_owned();
            format!(
                "postgres://{}:{}@{}:{}/{database}",
                text("role"),
                text("password"),
                text("host"),
                connection["port"]
            )
        };
        let mut own = PgConnection::connect(&url(connection["database"].as_str().unwrap())).await.unwrap();
        sqlx::raw_sql("SELECT * FROM contacts").execute(&mut own).await.unwrap();
        let schema = &victim.schema;
        let database = if of_victim == "basic" { app.shared_database() } else { schema.as_str() };
        for statement in [
            format!("SELECT * FROM {schema}.contacts"),
            format!("DELETE FROM {schema}.contacts"),
            format!("SET ROLE {schema}"),
            format!("SET SESSION AUTHORIZATION {schema}"),
            format!("GRANT {schema} TO CURRENT_USER"),
            format!("ALTER ROLE {schema} PASSWORD 'x'"),
            format!("CREATE TABLE {schema}.mine (id int)"),
            format!("SET search_path = {schema}; SELECT * FROM contacts"),
            "SELECT * FROM pg_authid".to_owned(),
            "CREATE ROLE mine".to_owned(),
            "CREATE TABLE public.mine (id int)".to_owned(),
            "CREATE SCHEMA mine".to_owned(),
            "COPY contacts TO PROGRAM 'cat'".to_owned(),
            "SELECT pg_read_file('/etc/passwd')".to_owned(),
            "SELECT * FROM tenantry_migrations".to_owned(),
        ] {
            // In a transaction of its own, so that a changed path does not help the next.
            let tried = format!("BEGIN; {statement}; COMMIT");
            let answer = sqlx::raw_sql(AssertSqlSafe(tried)).execute(&mut own).await;
            sqlx::raw_sql("ROLLBACK; RESET ALL").execute(&mut own).await.unwrap();
            assert!(answer.is_err(), "{of_attacker} did with {of_victim}: {statement}");
        }
        if connection["database"] != database {
            let refused = PgConnection::connect(&url(database)).await;
            assert!(refused.is_err(), "{of_attacker} may connect to the database of {of_victim}");
        }
    }
}

/// A tenant with a word of its own in two rows, its name and its settings.
async fn party(app: &TestApp, role: &str, plan: &str) -> Party {
    let name = format!("{role}-{plan}");
    let signup = app.sign_up(&name, plan, "crm").await;
    let marker = random_suffix();
    let path = format!("/api/v1/tenants/{}", signup.id);
    let change =
        json!({ "name": format!("Company {marker}"), "settings": { "branding": { "logo": marker } } });
    app.api.patch(&path, change).await.expect(200);
    let request = signup
        .data
        .request(reqwest::Method::POST, "/api/contacts")
        .header("prefer", "return=representation")
        .json(&json!({
            "first_name": marker, "email": format!("{marker}@example.com"), "company": marker,
            "metadata": { "secret": marker },
        }));
    let made = signup.data.send(request).await.expect(201).json();
    let row = made[0]["id"].as_str().unwrap().to_owned();
    let thread = json!({ "contact_id": row, "subject": marker });
    signup.data.post("/api/conversations", thread).await.expect(201);
    Party {
        id: signup.id.clone(),
        host: format!("{}.localhost", signup.slug),
        schema: format!("tenant_{}", signup.slug.replace('-', "_")),
        slug: signup.slug.clone(),
        key: signup.key.expose_secret().to_owned(),
        marker,
        row,
        signup,
    }
}

/// The URL of the database that holds a tenant, as superuser.
fn database_of(app: &TestApp, party: &Party, plan: &str) -> String {
    let database = if plan == "basic" { app.shared_database() } else { &party.schema };
    tenantry_cli::embedded::database_url(app.server(), database).expose_secret().to_owned()
}

/// Everything that the tenant has, in one text.
async fn fingerprint(behind: &mut PgConnection, of: &Party) -> String {
    let rows = |table: &str| {
        format!(
            "(SELECT coalesce(string_agg(r::text, '|' ORDER BY r.id), '') FROM {}.{table} AS r)",
            of.schema
        )
    };
    let all = ["contacts", "conversations", "messages"].map(rows).join(" || '#' || ");
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT {all}"))).fetch_one(behind).await.unwrap()
}

/// Whether an answer to one of the attacker's requests holds the victim's word.
fn answers_hold(pair: &Pair<'_>, request: &RawRequest, answers: &[Answer]) -> bool {
    let before = request.before().len();
    answers.iter().enumerate().any(|(at, answer)| {
        let victims = at < before && pair.is_victims_own(&request.before()[at]);
        let head = format!("{:?}", answer.headers);
        !victims && (answer.text.contains(&pair.victim.marker) || head.contains(&pair.victim.marker))
    })
}

/// What came, as the tables say it; panics on a refusal that is no problem document.
fn outcome(answer: &Answer) -> Result<String, String> {
    if answer.status.is_server_error() {
        return Err(format!("{} is our fault", answer.status));
    }
    if answer.status.is_success() {
        return Ok(shown(Outcome::Served));
    }
    if answer.status == 400 && answer.text.contains("\"malformed_request\"") {
        return Ok(shown(Outcome::NoHttp));
    }
    if answer.text.is_empty() {
        // HEAD: the head of a problem document.
        let code = if answer.status == 403 { "tenant_mismatch" } else { "?" };
        return Ok(format!("{:?}", Outcome::Refused(code)));
    }
    answer.assert_problem();
    Ok(format!("Refused({:?})", answer.problem_name().unwrap_or_default()))
}

fn shown(outcome: Outcome) -> String {
    format!("{outcome:?}")
}
