mod at_the_end;
mod left_behind;
mod one_transaction;
mod strange_servers;

use std::time::Duration;

use secrecy::ExposeSecret;

use super::*;
use crate::fixture::{Bench, name, notes, server};

async fn ask(
    connection: &mut TenantConnection,
    tenant: &str,
    sql: &str,
    params: &[&str],
) -> Result<Option<String>, TenantQueryError> {
    let params: Vec<_> = params.iter().map(|param| Some((*param).to_owned())).collect();
    let row = connection.query_one_text(&name(tenant), Access::ReadWrite, sql, &params).await?;
    Ok(row.body.map(|body| String::from_utf8(body.to_vec()).unwrap()))
}

#[tokio::test]
async fn a_connection_is_one_tenant_at_a_time_and_nobody_between() {
    let bench = Bench::new("alternate").await;
    for tenant in ["tenant_alternate_a", "tenant_alternate_b"] {
        bench.tenant(tenant, &notes()).await;
    }
    let mut connection = bench.connect(&bench.database).await;
    let insert = "INSERT INTO notes (word) VALUES ($1) RETURNING current_user::text";
    for tenant in ["tenant_alternate_a", "tenant_alternate_b"] {
        assert_eq!(ask(&mut connection, tenant, insert, &[tenant]).await.unwrap().unwrap(), tenant);
    }
    // More rounds than it takes to prepare the statement and to choose a generic plan.
    for _ in 0..8 {
        for tenant in ["tenant_alternate_a", "tenant_alternate_b"] {
            let words = "SELECT string_agg(word, ',') FROM notes WHERE word <> $1";
            assert_eq!(ask(&mut connection, tenant, words, &["-"]).await.unwrap().unwrap(), tenant);
        }
    }
    assert_eq!(connection.tenants_touched(), 2);
    let outside = connection.outside("SELECT current_user::text || current_setting('search_path')").await;
    assert_eq!(outside, "login_alternate\"$user\", public");
}

#[tokio::test]
async fn crossing_to_another_tenant_is_refused_however_it_is_tried() {
    let bench = Bench::new("cross").await;
    for tenant in ["tenant_cross_a", "tenant_cross_b"] {
        bench.tenant(tenant, &notes()).await;
    }
    let mut connection = bench.connect(&bench.database).await;
    for crossing in [
        "SELECT word FROM tenant_cross_b.notes",
        "SELECT description FROM tenantry_migrations",
        "DELETE FROM tenant_cross_b.notes",
        "CREATE TABLE public.t ()",
    ] {
        // Three times: unprepared, prepared alongside, prepared.
        for _ in 0..3 {
            let error = ask(&mut connection, "tenant_cross_a", crossing, &[]).await.unwrap_err();
            assert_eq!(error.kind, QueryErrorKind::Permission, "{crossing}: {error}");
        }
    }
    let error = ask(&mut connection, "tenant_not_there", "SELECT '1'", &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Gone, "{error}");
    // A role that this login was not given.
    let error = ask(&mut connection, "tenantry_owner", "SELECT '1'", &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Gone, "{error}");
    // What its own SQL names is the tenant's own fault.
    let own = "SELECT set_config('role', 'tenantry_owner', true)";
    let error = ask(&mut connection, "tenant_cross_a", own, &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Permission, "{error}");
    assert_eq!(ask(&mut connection, "tenant_cross_b", "SELECT '1'", &[]).await.unwrap().unwrap(), "1");
}

#[tokio::test]
async fn a_failed_statement_leaves_nothing_and_the_connection_usable() {
    let bench = Bench::new("failure").await;
    bench.tenant("tenant_failure", &notes()).await;
    let mut connection = bench.connect(&bench.database).await;
    let tenant = name("tenant_failure");
    let insert = "INSERT INTO notes (word) VALUES ($1) RETURNING word";
    for round in 0..4 {
        let word = format!("word {round}");
        assert_eq!(ask(&mut connection, "tenant_failure", insert, &[&word]).await.unwrap().unwrap(), word);
        let error = ask(&mut connection, "tenant_failure", insert, &[&word]).await.unwrap_err();
        assert_eq!(error.kind, QueryErrorKind::Data);
        assert_eq!(error.constraint.as_deref(), Some("notes_word_key"));
        assert_eq!(error.code.as_deref(), Some("23505"));
    }
    let word = [Some("read only".to_owned())];
    let error = connection.query_one_text(&tenant, Access::ReadOnly, insert, &word).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("25006"));
    for (sql, kind) in [
        ("SELECT nothing FROM notes", QueryErrorKind::Data),
        ("SELECT word FROM nowhere", QueryErrorKind::Gone),
        ("SELECT 'x'::int::text", QueryErrorKind::Data),
        ("SELEC", QueryErrorKind::Internal),
    ] {
        let error = ask(&mut connection, "tenant_failure", sql, &[]).await.unwrap_err();
        assert_eq!(error.kind, kind, "{sql}: {error}");
    }
    let page = "SELECT count(*), 40::bigint, json_agg(n) FROM notes n WHERE $1 = 'x'";
    let row = connection.query_one_text(&tenant, Access::ReadOnly, page, &[Some("x".into())]).await.unwrap();
    assert!(row.body.unwrap().starts_with(b"[{\"id\":"));
    assert_eq!((row.page_count, row.total_count), (4, Some(40)));
}

#[tokio::test]
async fn a_query_that_is_given_up_closes_the_connection_and_ends_on_the_server() {
    let bench = Bench::new("dropped").await;
    bench.tenant("tenant_dropped", &notes()).await;
    let mut connection = bench.connect(&bench.database).await;
    // Locks tell what the server is at: 1 is free once it has begun, 2 once it has ended.
    let lock = "SELECT pg_advisory_lock(1)::text";
    ask(&mut connection, "tenant_dropped", lock, &[]).await.unwrap();
    let server = server().await;
    let watch = bench.log_in(server.user(), server.password().expose_secret(), &bench.database);
    let watch = watch.await.unwrap();
    let long = "WITH i AS (INSERT INTO notes (word) VALUES ('half') RETURNING 1) \
                SELECT pg_advisory_xact_lock(2)::text || pg_advisory_unlock(1) || pg_sleep(30) FROM i";
    tokio::select! {
        ended = ask(&mut connection, "tenant_dropped", long, &[]) => panic!("{ended:?}"),
        begun = watch.simple_query("SELECT pg_advisory_lock(1)") => drop(begun.unwrap()),
    }
    assert!(connection.is_closed());
    let error = ask(&mut connection, "tenant_dropped", "SELECT '1'", &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Connection);
    drop(connection);

    let ended = watch.simple_query("SELECT pg_advisory_lock(2)");
    tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap().unwrap();
    let mut next = bench.connect(&bench.database).await;
    let left = ask(&mut next, "tenant_dropped", "SELECT count(*)::text FROM notes", &[]).await.unwrap();
    assert_eq!(left.unwrap(), "0");
}

#[tokio::test]
async fn a_slow_statement_is_stopped_and_the_connection_goes_on() {
    let bench = Bench::new("timeout").await;
    bench.tenant("tenant_timeout", &notes()).await;
    let options =
        ConnectOptions { statement_timeout: Duration::from_millis(50), ..ConnectOptions::default() };
    let mut connection = TenantConnection::connect(&bench.target(&bench.database), &options).await.unwrap();
    let error = ask(&mut connection, "tenant_timeout", "SELECT pg_sleep(5)::text", &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Timeout);
    assert!(!connection.is_closed());
    assert_eq!(ask(&mut connection, "tenant_timeout", "SELECT '1'", &[]).await.unwrap().unwrap(), "1");
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database_are_refusals() {
    let bench = Bench::new("refused").await;
    let wrong = LoginTarget { password: "wrong".into(), ..bench.target(&bench.database) };
    for target in [wrong, bench.target(&name("postgres"))] {
        let error = TenantConnection::connect(&target, &ConnectOptions::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    }
}
