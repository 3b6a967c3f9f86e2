//! What SQL can leave behind in a session, and that the next tenant on it finds nothing of it.

use super::*;

/// What a tenant runs, and a query of the next that answers `clean` if it finds nothing of it.
const LEFT: &[(&str, &str, &str)] = &[
    (
        "a setting",
        "SELECT set_config('app.secret', 'mine', false)",
        "coalesce(nullif(current_setting('app.secret', true), ''), 'clean')",
    ),
    (
        "a time limit",
        "SET statement_timeout = 0",
        "replace(current_setting('statement_timeout'), '30s', 'clean')",
    ),
    (
        "a way to read",
        "SET default_transaction_read_only = on",
        "replace(current_setting('transaction_read_only'), 'off', 'clean')",
    ),
    (
        "an isolation level",
        "SET default_transaction_isolation = serializable",
        "replace(current_setting('transaction_isolation'), 'read committed', 'clean')",
    ),
    (
        "a search path",
        "SELECT set_config('search_path', 'tenant_left_a', false)",
        "CASE WHEN current_schema() = 'tenant_left_b' THEN 'clean' ELSE current_schema() END",
    ),
    (
        "a role",
        "SELECT set_config('role', 'tenant_left_a', false)",
        "CASE WHEN current_user = 'tenant_left_b' THEN 'clean' ELSE current_user::text END",
    ),
    (
        "a time zone",
        "SET timezone = 'Pacific/Fiji'",
        "CASE current_setting('timezone') WHEN 'Pacific/Fiji' THEN 'left' ELSE 'clean' END",
    ),
    (
        "an advisory lock",
        "SELECT pg_advisory_lock(7)",
        "(SELECT CASE count(*) WHEN 0 THEN 'clean' ELSE 'held' END FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())",
    ),
    (
        "a prepared statement",
        "PREPARE mine AS SELECT 'secret'",
        "(SELECT coalesce(max(name), 'clean') FROM pg_prepared_statements WHERE name = 'mine')",
    ),
    (
        "a cursor",
        "DECLARE mine CURSOR WITH HOLD FOR SELECT 'secret'",
        "(SELECT coalesce(max(name), 'clean') FROM pg_cursors WHERE is_holdable)",
    ),
    ("a channel", "LISTEN mine", "coalesce((SELECT max(c) FROM pg_listening_channels() c), 'clean')"),
    (
        "a seed",
        "SELECT setseed(0.25)",
        "CASE random() WHEN (SELECT value FROM tenant_left_b.seeded) THEN 'foreseen' ELSE 'clean' END",
    ),
];

#[tokio::test]
async fn nothing_that_sql_leaves_behind_is_seen_by_the_next_tenant() {
    let bench = Bench::new("left").await;
    for tenant in ["tenant_left_a", "tenant_left_b"] {
        bench.tenant(tenant, &notes()).await;
    }
    let server = server().await;
    let admin =
        bench.log_in(server.user(), server.password().expose_secret(), &bench.database).await.unwrap();
    let seeded = "SELECT setseed(0.25); CREATE TABLE tenant_left_b.seeded AS SELECT random() AS value;
                  GRANT SELECT ON tenant_left_b.seeded TO tenant_left_b;
                  GRANT TEMPORARY ON DATABASE shared_left TO tenant_left_a, tenant_left_b";
    admin.batch_execute(seeded).await.unwrap();
    let temporary = (
        "a temporary table",
        "CREATE TEMPORARY TABLE notes (word text)",
        "CASE to_regclass('notes')::oid WHEN 'tenant_left_b.notes'::regclass THEN 'clean' ELSE 'shadowed' END",
    );
    let value = ("a sequence's last value", "SELECT nextval('notes_id_seq')", "'clean'");
    let mut connection = bench.connect(&bench.database).await;
    for (what, leave, look) in LEFT.iter().chain([&temporary, &value]) {
        ask(&mut connection, "tenant_left_a", leave, &[]).await.unwrap();
        let found = ask(&mut connection, "tenant_left_b", &format!("SELECT {look}"), &[]).await.unwrap();
        assert_eq!(found.as_deref(), Some("clean"), "{what}");
        // Nor by itself, when it comes back after somebody else.
        if !what.contains("seed") {
            let look = look.replace("tenant_left_b", "tenant_left_a");
            let found = ask(&mut connection, "tenant_left_a", &format!("SELECT {look}"), &[]).await.unwrap();
            assert_eq!(found.as_deref(), Some("clean"), "{what}, again");
        }
    }
    let error = ask(&mut connection, "tenant_left_b", "SELECT lastval()::text", &[]).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("55000"), "{error}");
}

#[tokio::test]
async fn a_tenant_that_prepares_or_deallocates_ours_harms_only_its_own_connection() {
    let bench = Bench::new("ours").await;
    for tenant in ["tenant_ours_a", "tenant_ours_b"] {
        bench.tenant(tenant, &notes()).await;
    }
    let mut connection = bench.connect(&bench.database).await;
    ask(&mut connection, "tenant_ours_a", "DEALLOCATE ALL", &[]).await.unwrap();
    assert_eq!(
        ask(&mut connection, "tenant_ours_b", "SELECT current_user::text", &[]).await.unwrap().unwrap(),
        "tenant_ours_b"
    );
    ask(&mut connection, "tenant_ours_b", "DEALLOCATE ALL", &[]).await.unwrap();
    let error = ask(&mut connection, "tenant_ours_b", "SELECT '1'", &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::NotReset, "{error}");
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_session_that_cannot_be_reset_serves_nobody_else() {
    let bench = Bench::new("stubborn").await;
    for tenant in ["tenant_stubborn_a", "tenant_stubborn_b"] {
        bench.tenant(tenant, &notes()).await;
    }
    let mut connection = bench.connect(&bench.database).await;
    ask(&mut connection, "tenant_stubborn_a", "SELECT set_config('app.secret', 'mine', false)", &[])
        .await
        .unwrap();
    let server = server().await;
    let admin =
        bench.log_in(server.user(), server.password().expose_secret(), &bench.database).await.unwrap();
    // A lock that the reset waits for, and a time limit that ends it.
    admin.batch_execute("GRANT TEMPORARY ON DATABASE shared_stubborn TO tenant_stubborn_a").await.unwrap();
    ask(&mut connection, "tenant_stubborn_a", "CREATE TEMPORARY TABLE held ()", &[]).await.unwrap();
    let temporary = admin
        .query_one(
            "SELECT oid::regclass::text FROM pg_class WHERE relname = 'held' AND relpersistence = 't'",
            &[],
        )
        .await
        .unwrap();
    let lock = format!("BEGIN; LOCK TABLE {} IN ACCESS SHARE MODE", temporary.get::<_, String>(0));
    admin.batch_execute(&lock).await.unwrap();
    ask(&mut connection, "tenant_stubborn_a", "SET statement_timeout = 20", &[]).await.unwrap();
    let write = "INSERT INTO notes (word) VALUES (current_setting('app.secret')) RETURNING word";
    let error = ask(&mut connection, "tenant_stubborn_b", write, &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::NotReset, "{error}");
    assert!(connection.is_closed());
    let mut next = bench.connect(&bench.database).await;
    let left = ask(&mut next, "tenant_stubborn_b", "SELECT count(*)::text FROM notes", &[]).await.unwrap();
    assert_eq!(left.unwrap(), "0");
}

#[tokio::test]
async fn a_statement_ends_in_time_whatever_its_sql_makes_of_the_limit() {
    let bench = Bench::new("endless").await;
    bench.tenant("tenant_endless", &notes()).await;
    let options =
        ConnectOptions { statement_timeout: Duration::from_millis(50), ..ConnectOptions::default() };
    let mut connection = TenantConnection::connect(&bench.target(&bench.database), &options).await.unwrap();
    ask(&mut connection, "tenant_endless", "SET statement_timeout = 0", &[]).await.unwrap();
    let error = ask(&mut connection, "tenant_endless", "SELECT pg_sleep(60)::text", &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Timeout);
    assert!(connection.is_closed());
}
