//! Drift: what was changed by hand in tenants' schemas is found, named and mended.

mod fleet;

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tenantry_tests::{TestApp, cli::Cli};

use self::fleet::{APP, Fleet, size};

/// What somebody does by hand, with the schema first on the search path; and how each difference that it makes is called.
const BY_HAND: [(&str, &[&str]); 5] = [
    ("DROP INDEX items_price", &["index items_price on items"]),
    ("ALTER TABLE items ADD COLUMN hack text; CREATE TABLE backup AS TABLE items", &["column items.hack", "table backup"]),
    (
        "ALTER TABLE items ALTER COLUMN price SET DEFAULT 8, ALTER COLUMN name DROP NOT NULL",
        &["column items.name", "column items.price"],
    ),
    (
        "ALTER TABLE notes DROP CONSTRAINT notes_item_fkey; DROP TRIGGER items_touched ON items; DROP VIEW dear",
        &["constraint notes_item_fkey on notes", "trigger items_touched on items", "view dear"],
    ),
    // In a database of its own.
    (
        "CREATE OR REPLACE FUNCTION total() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 7::bigint'; DROP TABLE notes;
         GRANT TRUNCATE ON items TO PUBLIC; ALTER SEQUENCE tickets INCREMENT BY 5",
        &["function total()", "sequence tickets", "table items", "table notes"],
    ),
];

async fn verify(app: &TestApp) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/apps/{APP}/verify?limit=20{cursor}");
        let page = app.api.get(&path).await.expect(200).json();
        let next = page["nextCursor"].as_str().map(|next| format!("&cursor={next}"));
        pages.push(page);
        match next {
            Some(next) => cursor = next,
            None => return pages,
        }
    }
}

/// Tenants that differ: by slug, what differs and the SQL that mends it.
fn drifted(pages: &[Value]) -> BTreeMap<String, (Vec<String>, String)> {
    let items = pages.iter().flat_map(|page| page["items"].as_array().unwrap());
    let items = items.map(|item| {
        let differences = item["differences"].as_array().unwrap().iter();
        let mut objects: Vec<_> =
            differences.map(|difference| difference["object"].as_str().unwrap().to_owned()).collect();
        objects.sort();
        objects.dedup();
        (item["slug"].as_str().unwrap().to_owned(), (objects, item["mend"].as_str().unwrap().to_owned()))
    });
    items.collect()
}

fn compared(pages: &[Value]) -> u64 {
    pages.iter().map(|page| page["compared"].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_made_by_hand_is_found_named_and_mended() {
    let mut fleet = Fleet::of(TestApp::start().await, size(30) - 1).await;
    fleet.sign_up("d", "premium", 1).await;
    let all = fleet.tenants.len() as u64;
    let started = std::time::Instant::now();
    let pages = verify(&fleet.app).await;
    println!("{all} tenants were verified in {:?}", started.elapsed());
    assert_eq!((drifted(&pages), compared(&pages)), (BTreeMap::new(), all), "{pages:?}");

    let mut victims = fleet.tenants[..4].to_vec();
    victims.extend(fleet.tenants.last().cloned());
    let mut before = Vec::new();
    let mut expected = BTreeMap::new();
    for (slug, (sql, objects)) in victims.iter().zip(BY_HAND) {
        before.push(fleet.catalog(slug).await);
        fleet.run(slug, sql).await;
        expected.insert(slug.clone(), objects.iter().map(|object| (*object).to_owned()).collect::<Vec<_>>());
    }
    let found = drifted(&verify(&fleet.app).await);
    let named: BTreeMap<_, _> =
        found.iter().map(|(slug, (objects, _))| (slug.clone(), objects.clone())).collect();
    assert_eq!(named, expected, "{found:#?}");

    // What holds data is dropped by nobody but a person.
    let (_, mend) = &found[&victims[1]];
    assert!(mend.lines().all(|line| line.starts_with("-- ")), "{mend}");
    assert!(mend.contains("DROP TABLE backup") && mend.contains("DROP COLUMN hack"), "{mend}");

    // The command line says the same, and its file mends it.
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", fleet.app.api.address().to_string())
        .env("TENANTRY_API_KEY", fleet.app.key.expose_secret());
    let ran = cli.run(&["apps", "verify", APP, "--sql", "mend.sql"]).await;
    for (slug, (_, objects)) in victims.iter().zip(BY_HAND) {
        assert!(
            ran.out.contains(slug) && objects.iter().all(|object| ran.out.contains(object)),
            "{}",
            ran.out
        );
    }
    let refused = ran.failed();
    assert!(refused.contains(&format!("5 of {all} tenants of {APP} differ from their version")), "{refused}");
    let file = std::fs::read_to_string(cli.home().join("mend.sql")).unwrap();
    fleet.run_file(&file).await;
    let left = drifted(&verify(&fleet.app).await);
    assert_eq!(left.keys().collect::<Vec<_>>(), [&victims[1]], "{left:#?}");
    let uncommented: String =
        left[&victims[1]].1.lines().filter_map(|line| line.strip_prefix("--     ")).collect();
    fleet.run(&victims[1], &uncommented).await;
    for (slug, before) in victims.iter().zip(&before) {
        assert_eq!(&fleet.catalog(slug).await, before, "{slug}");
    }
    let said = cli.run(&["apps", "verify", APP]).await.succeeded();
    assert_eq!(said, format!("{all} tenants of {APP}: each is as its version says\n"));
    let ran = cli.run(&["apps", "verify", APP, "-o", "json"]).await;
    let found: Value = serde_json::from_str(&ran.succeeded()).unwrap();
    assert_eq!(found, json!({ "compared": all, "items": [], "notCompared": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_replace_others_or_run_outside_of_transactions_are_no_drift() {
    let mut fleet = Fleet::of(TestApp::start().await, 1).await;
    // The first has version 2, the others get version 3 in its place.
    fleet.push(2, "ALTER TABLE items ADD COLUMN extra text").await;
    fleet.roll_out().await;
    fleet.app.api.post(&format!("/api/v1/apps/{APP}/versions/1/promote"), json!({})).await.expect(200);
    fleet.sign_up("more", "basic", 2).await;
    fleet.push(3, "-- replaces 2\nALTER TABLE items ADD COLUMN IF NOT EXISTS extra text").await;
    fleet.push(4, "-- no-transaction\nCREATE INDEX CONCURRENTLY items_extra ON items (extra)").await;
    // A text with the schema's name.
    let named = "ALTER TABLE items ALTER COLUMN extra SET DEFAULT %L";
    let named = format!("DO $$ BEGIN EXECUTE format('{named}', current_schema() || '.items'); END $$");
    fleet.push(5, &named).await;
    fleet.roll_out().await;
    fleet.app.api.post(&format!("/api/v1/apps/{APP}/versions/1/promote"), json!({})).await.expect(200);
    // Of another version; moved to a database of its own; suspended.
    fleet.sign_up("late", "basic", 1).await;
    let moved = format!("/api/v1/tenants/{}/migrate", fleet.tenants[1]);
    fleet.app.api.post_and_wait(&moved, json!({ "targetPlan": "premium" })).await.expect(200);
    let suspended = format!("/api/v1/tenants/{}/suspend", fleet.tenants[2]);
    fleet.app.api.post_and_wait(&suspended, json!({ "reason": "unpaid" })).await.expect(200);
    let pages = verify(&fleet.app).await;
    assert_eq!((drifted(&pages), compared(&pages)), (BTreeMap::new(), 4), "{pages:?}");
    let scratch = "SELECT count(*) FROM pg_database WHERE starts_with(datname, 'tenantry_trial_')";
    assert_eq!(fleet.ask(&fleet.tenants[0], scratch).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_cannot_be_compared_are_named_with_the_reason() {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    let slug = &fleet.tenants[0];
    fleet.run(slug, "DROP INDEX items_price").await;
    let owner = fleet.app.owner();
    // As if an operation were at it.
    let begun = format!(
        "INSERT INTO operations (id, subject_kind, subject_id, subject_name, kind, lane, state, input, run_after, created_at)
         SELECT gen_random_uuid(), 'tenant', id, slug, 'suspend', 'interactive', 'waiting', '{{}}', now() + interval '1 hour', now()
         FROM tenants WHERE slug = '{slug}'"
    );
    sqlx::query(AssertSqlSafe(begun)).execute(owner).await.unwrap();
    let pages = verify(&fleet.app).await;
    assert_eq!((drifted(&pages), compared(&pages)), (BTreeMap::new(), 1), "{pages:?}");
    let reason = pages[0]["notCompared"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("worked on"), "{reason}");
    sqlx::query("UPDATE servers SET unreachable_since = now(), unreachable_error = 'it is away'")
        .execute(owner)
        .await
        .unwrap();
    let pages = verify(&fleet.app).await;
    assert_eq!(pages[0]["notCompared"].as_array().unwrap().len(), 2, "{pages:?}");
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", fleet.app.api.address().to_string())
        .env("TENANTRY_API_KEY", fleet.app.key.expose_secret());
    let ran = cli.run(&["apps", "verify", APP]).await;
    assert!(
        ran.out.contains(&format!("{slug} could not be compared: its server main is away")),
        "{}",
        ran.out
    );
    assert!(ran.failed().contains("2 could not be compared"));
    fleet.app.api.get("/api/v1/apps/nothing/verify").await.expect_problem(404, "app_not_found");
    fleet.app.api.get(&format!("/api/v1/apps/{APP}/verify?limit=201")).await.expect(400);
}
