//! A request is one transaction: all of it happens or nothing, and nothing of it is left.

use super::{super::statements::CAPACITY, *};
use crate::fixture::app;

const STATE: &str = "SELECT concat_ws(' ', current_user, current_setting('search_path'), \
                     current_setting('transaction_read_only'), current_setting('role'))";

#[tokio::test]
async fn an_error_at_the_commit_is_the_answer_and_nothing_was_written() {
    let bench = Bench::new("deferred").await;
    let seats = "CREATE TABLE seats (id bigint PRIMARY KEY, \
                 beside bigint REFERENCES seats DEFERRABLE INITIALLY DEFERRED)";
    bench.tenant("tenant_deferred", &app(&[(seats, None)])).await;
    let mut connection = bench.connect(&bench.database).await;
    let insert = "INSERT INTO seats VALUES ($1::bigint, $2::bigint) RETURNING id::text";
    // Unprepared, as it is prepared, and prepared.
    for id in ["1", "2", "3"] {
        assert_eq!(ask(&mut connection, "tenant_deferred", insert, &[id, id]).await.unwrap().unwrap(), id);
    }
    for id in ["4", "5", "6"] {
        let error = ask(&mut connection, "tenant_deferred", insert, &[id, "99"]).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("23503"), "{error}");
        assert_eq!(error.kind, QueryErrorKind::Data);
        assert_eq!(error.constraint.as_deref(), Some("seats_beside_fkey"));
        assert!(!connection.is_closed());
    }
    let ids = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM seats";
    assert_eq!(ask(&mut connection, "tenant_deferred", ids, &[]).await.unwrap().unwrap(), "1 2 3");
}

#[tokio::test]
async fn nothing_of_a_tenant_is_left_after_a_request_nor_after_an_error() {
    let bench = Bench::new("left").await;
    let tenant = bench.tenant("tenant_left", &notes()).await;
    let mut connection = bench.connect(&bench.database).await;
    let nobody = "login_left \"$user\", public off none";
    assert_eq!(connection.outside(STATE).await, nobody);
    for (access, inside) in [
        (Access::ReadOnly, "tenant_left \"tenant_left\", extensions on tenant_left"),
        (Access::ReadWrite, "tenant_left \"tenant_left\", extensions off tenant_left"),
    ] {
        for sql in [
            STATE,
            "SELECT nothing",
            "SELECT (1 / (length($1) - 1))::text",
            "SELECT set_config('role', 'x', false)",
        ] {
            for _ in 0..3 {
                let params: &[Option<String>] = if sql.contains("$1") { &[Some("x".into())] } else { &[] };
                let row = connection.query_one_text(&tenant, access, sql, params).await;
                if sql == STATE {
                    assert_eq!(row.unwrap().body.unwrap(), inside);
                } else {
                    row.unwrap_err();
                }
                assert_eq!(connection.outside(STATE).await, nobody, "{sql}");
            }
        }
    }
}

#[tokio::test]
async fn a_read_only_request_writes_nothing() {
    let bench = Bench::new("reader").await;
    let tenant = bench.tenant("tenant_reader", &notes()).await;
    let mut connection = bench.connect(&bench.database).await;
    let word = [Some("word".to_owned())];
    let write_anyway = "WITH off AS (SELECT set_config('transaction_read_only', 'off', true) AS now) \
                        INSERT INTO notes (word) SELECT $1 FROM off RETURNING word";
    let off = "SELECT set_config('transaction_read_only', 'off', true) WHERE $1 <> ''";
    for (sql, code) in [
        ("INSERT INTO notes (word) VALUES ($1) RETURNING word", "25006"),
        ("CREATE TABLE t AS SELECT $1", "25006"),
        (write_anyway, "25006"),
        (off, "25001"),
    ] {
        let error = connection.query_one_text(&tenant, Access::ReadOnly, sql, &word).await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some(code), "{sql}: {error}");
    }
    let count = ask(&mut connection, "tenant_reader", "SELECT count(*)::text FROM notes", &[]).await;
    assert_eq!(count.unwrap().unwrap(), "0");
}

#[tokio::test]
async fn a_server_that_only_reads_answers_requests_that_may_write() {
    let bench = Bench::new("standby").await;
    bench.tenant("tenant_standby", &notes()).await;
    let only = "ALTER ROLE login_standby SET default_transaction_read_only = on";
    bench.admin.execute(only).await.unwrap();
    let mut connection = bench.connect(&bench.database).await;
    assert_eq!(ask(&mut connection, "tenant_standby", "SELECT '1'", &[]).await.unwrap().unwrap(), "1");
    let insert = "INSERT INTO notes (word) VALUES ('word') RETURNING word";
    let error = ask(&mut connection, "tenant_standby", insert, &[]).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("25006"), "{error}");
}

#[tokio::test]
async fn a_statement_that_is_dropped_is_closed_on_the_server() {
    let bench = Bench::new("closed").await;
    bench.tenant("tenant_closed", &notes()).await;
    let mut connection = bench.connect(&bench.database).await;
    let held = "SELECT count(*)::text FROM pg_prepared_statements WHERE statement LIKE 'SELECT /* dropped%'";
    for sql in ["SELECT /* dropped */ 'first'", "SELECT /* dropped */ count(*)::text FROM notes"] {
        for _ in 0..3 {
            ask(&mut connection, "tenant_closed", sql, &[]).await.unwrap();
        }
    }
    assert_eq!(connection.outside(held).await, "2");
    for n in 0..CAPACITY - 1 {
        ask(&mut connection, "tenant_closed", &format!("SELECT '{n}'"), &[]).await.unwrap();
    }
    assert_eq!(connection.outside(held).await, "1");
    // One that fails is dropped too: it goes along with the next request.
    let gone = "ALTER TABLE tenant_closed.notes RENAME TO letters";
    bench.admin.execute(gone).await.unwrap();
    let count = "SELECT /* dropped */ count(*)::text FROM notes";
    let error = ask(&mut connection, "tenant_closed", count, &[]).await.unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::Gone, "{error}");
    ask(&mut connection, "tenant_closed", "SELECT '1'", &[]).await.unwrap();
    assert_eq!(connection.outside(held).await, "0");
}

#[tokio::test]
async fn an_answer_larger_than_the_buffer_arrives_whole() {
    let bench = Bench::new("large").await;
    let tenant = bench.tenant("tenant_large", &notes()).await;
    let mut connection = bench.connect(&bench.database).await;
    let echo = "SELECT 7::bigint, length($1)::bigint, $1 || '.' FROM generate_series(1, 2)";
    let mut bodies = Vec::new();
    for size in [10, 5_000, 16_300, 16_384, 3_000_000, 70_000, 3_000_000, 10] {
        let sent: String = ('a'..='z').cycle().take(size).collect();
        let params = [Some(sent.clone())];
        let row = connection.query_one_text(&tenant, Access::ReadOnly, echo, &params).await.unwrap();
        assert_eq!((row.page_count, row.total_count), (7, Some(size.try_into().unwrap())));
        bodies.push((sent + ".", row.body.unwrap()));
    }
    // None was written over by a later one.
    for (sent, body) in bodies {
        assert!(body == sent, "{} bytes", sent.len());
    }
}
