//! Servers that end a connection: noticed before it is used, or told as the reason.

use super::*;

/// A connection whose server process was ended, and is gone.
async fn terminated(bench: &Bench, tenant: &str) -> TenantConnection {
    let mut connection = bench.connect(&bench.database).await;
    let pid = ask(&mut connection, tenant, "SELECT pg_backend_pid()::text", &[]).await.unwrap();
    assert!(!connection.is_closed());
    let kill = format!("SELECT pg_terminate_backend({}, 10000)", pid.unwrap());
    bench.admin.execute(&kill).await.unwrap();
    connection
}

#[tokio::test]
async fn a_server_that_hung_up_is_noticed_by_looking() {
    let bench = Bench::new("hung_up").await;
    bench.tenant("tenant_hung_up", &notes()).await;
    let mut connection = terminated(&bench, "tenant_hung_up").await;
    while !connection.is_closed() {
        connection.readable().await;
    }
    let error = ask(&mut connection, "tenant_hung_up", "SELECT '1'", &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Connection);
}

#[tokio::test]
async fn a_server_s_farewell_is_the_answer_to_who_did_not_look() {
    let bench = Bench::new("farewell").await;
    bench.tenant("tenant_farewell", &notes()).await;
    let mut connection = terminated(&bench, "tenant_farewell").await;
    let error = ask(&mut connection, "tenant_farewell", "SELECT '1'", &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Connection);
    assert_eq!(error.code.as_deref(), Some("57P01"), "{error}");
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_server_that_ends_during_a_query_is_a_lost_connection() {
    let bench = Bench::new("midway").await;
    bench.tenant("tenant_midway", &notes()).await;
    let mut connection = bench.connect(&bench.database).await;
    // Who waits for lock 1 gets it once the query runs.
    let lock = "SELECT pg_backend_pid()::text FROM pg_advisory_lock(1)";
    let pid = ask(&mut connection, "tenant_midway", lock, &[]).await.unwrap().unwrap();
    let kill = format!("SELECT pg_advisory_lock(1); SELECT pg_terminate_backend({pid})");
    let (answer, killed) = tokio::join!(
        ask(&mut connection, "tenant_midway", "SELECT pg_advisory_unlock(1)::text || pg_sleep(30)", &[]),
        bench.admin.execute(&kill),
    );
    killed.unwrap();
    let error = answer.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (QueryErrorKind::Connection, Some("57P01")), "{error}");
    assert!(connection.is_closed());
}
