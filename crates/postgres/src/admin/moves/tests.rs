//! Transfers between two databases of one server.

use std::{
    fmt::Write as _,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use tenantry_domain::{app::App, names::ObjectName};

use super::{
    KeepPatience, MoveError, PublicationId, Site, Transfer,
    session::{one, run},
};
use crate::{
    admin::{AdminLimits, ServerAdmin, connections::AdminConnection},
    embedded::{EmbeddedConfig, EmbeddedPostgres, SearchPath},
    fixture::{Bench, admin, app, mark, name, notes, owner, server},
};

const PATIENCE: KeepPatience =
    KeepPatience { tables: Duration::from_secs(1), transactions: Duration::from_secs(30) };

/// A tenant at two places of one server, of which the first has rows.
struct Both {
    name: ObjectName,
    mark: String,
    here: Bench,
    there: Bench,
}

impl Both {
    async fn on(server: &EmbeddedPostgres, tenant: &str, app: &App) -> Self {
        let here = Bench::on(server, &format!("{tenant}_here")).await;
        let there = Bench::on(server, &format!("{tenant}_there")).await;
        let name = here.tenant(tenant, app).await;
        there.tenant(tenant, app).await;
        Self { mark: mark(&name), name, here, there }
    }

    fn id(&self) -> PublicationId {
        PublicationId(self.name.as_str().bytes().fold(0, |id, byte| id << 8 | u128::from(byte)))
    }

    /// A slot keeps the log of the whole server.
    async fn end(self) {
        let owner = owner(&self.name, &self.mark);
        self.here.admin.forget_changes(&self.here.database, owner, self.id()).await.unwrap();
    }

    async fn session(&self) -> AdminConnection {
        self.here.admin.session(&self.here.database, "test").await.unwrap()
    }

    async fn connect(&self) -> Transfer<'_> {
        self.connect_by(&self.here.admin, &self.there.admin).await
    }

    async fn connect_by<'a>(&'a self, here: &'a ServerAdmin, there: &'a ServerAdmin) -> Transfer<'a> {
        let source = Site { admin: here, database: &self.here.database };
        let target = Site { admin: there, database: &self.there.database };
        Transfer::connect(source, target, owner(&self.name, &self.mark), self.id()).await.unwrap()
    }

    async fn count_there(&self, table: &str) -> i64 {
        let mut reader = self.there.admin.session(&self.there.database, "test").await.unwrap();
        run(&mut reader, "SET ROLE tenantry_reader").await.unwrap();
        let count = format!("SELECT count(*) FROM {}.{table}", self.name.quoted());
        one(&mut reader, &count).await.unwrap()
    }
}

/// `wal_writer_delay`: the WAL writer writes whole pages, and the record that goes on in the next one waits for its next turn.
#[tokio::test]
async fn the_last_changes_do_not_wait_for_records_of_others_that_are_not_on_the_disk() {
    let dir = std::env::temp_dir().join(format!("tenantry-postgres-lazy-{}", std::process::id()));
    let mut config = EmbeddedConfig::throwaway(dir, SearchPath::default());
    config.parameters.insert("wal_writer_delay".into(), "10s".into());
    let server = EmbeddedPostgres::start(config).await.unwrap();
    let both = Both::on(&server, "tenant_near", &notes()).await;
    let mut transfer = both.connect().await;
    let slot = transfer.keep_changes(PATIENCE, 0).await.unwrap();
    transfer.copy_tables(&slot, None, |_| {}).await.unwrap();
    let mut writer = both.session().await;
    let write =
        "CREATE TABLE public.others (word text); ALTER TABLE public.others ALTER word SET STORAGE PLAIN;
        INSERT INTO tenant_near.notes (word) SELECT 'word ' || n FROM generate_series(1, 100) n";
    run(&mut writer, write).await.unwrap();
    // Somebody whose commits do not wait writes more than the WAL writer leaves for later.
    let mut write_of_others = async || {
        let others = "SET synchronous_commit = off;
            INSERT INTO public.others SELECT repeat('x', 7000) FROM generate_series(1, 400)";
        run(&mut writer, others).await.unwrap();
        let within_a_record = "SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()
            AND (pg_current_wal_flush_lsn() - '0/0') % 8192 = 0";
        while !one::<bool>(&mut writer, within_a_record).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let began = Instant::now();
    write_of_others().await;
    transfer.come_near(&slot).await.unwrap();
    let closed = transfer.close_writes(Duration::from_secs(1)).await.unwrap();
    write_of_others().await;
    transfer.finish(&slot, closed, None).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(both.count_there("notes").await, 100);
    server.stop().await.unwrap();
}

/// A slot waits for them by locks.
#[tokio::test]
async fn transactions_of_others_are_waited_for_longer_than_locks_are_and_who_is_waited_for_in_vain_is_named()
{
    let both = Both::on(server().await, "tenant_wait", &notes()).await;
    let limits = AdminLimits { lock_timeout: Duration::from_millis(100), ..AdminLimits::default() };
    let here = admin(server().await, &both.here.database, limits);
    let mut transfer = both.connect_by(&here, &both.there.admin).await;
    let mut other = both.session().await;
    run(&mut other, "BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    let short = KeepPatience { transactions: Duration::from_millis(500), ..PATIENCE };
    let blocked = transfer.keep_changes(short, 0).await.unwrap_err();
    assert!(matches!(&blocked, MoveError::Blocked(who) if who.contains("process")), "{blocked}");
    let ends = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        run(&mut other, "COMMIT").await.unwrap();
    };
    let (kept, ()) = tokio::join!(transfer.keep_changes(PATIENCE, 0), ends);
    kept.unwrap();
    drop(transfer);
    both.end().await;
}

#[tokio::test]
async fn a_move_comes_near_however_much_was_written_at_once() {
    let both = Both::on(server().await, "tenant_much", &notes()).await;
    let mut transfer = both.connect().await;
    let slot = transfer.keep_changes(PATIENCE, 0).await.unwrap();
    transfer.copy_tables(&slot, None, |_| {}).await.unwrap();
    let write = "INSERT INTO tenant_much.notes (word) SELECT 'word ' || n FROM generate_series(1, 25000) n";
    let mut writer = both.session().await;
    run(&mut writer, write).await.unwrap();
    run(&mut writer, "INSERT INTO tenant_much.notes (word) VALUES ('last')").await.unwrap();
    transfer.come_near(&slot).await.unwrap();
    assert_eq!(both.count_there("notes").await, 25_001);
    drop(transfer);
    both.end().await;
}

#[tokio::test]
async fn a_table_without_a_key_is_as_it_was_also_after_an_attempt_that_died() {
    let both =
        Both::on(server().await, "tenant_twice", &app(&[("CREATE TABLE docs (word text)", None)])).await;
    for _ in 0..2 {
        both.connect().await.keep_changes(PATIENCE, 0).await.unwrap();
    }
    let mut session = both.session().await;
    both.end().await;
    let identity = "SELECT relreplident = 'd' FROM pg_class WHERE oid = 'tenant_twice.docs'::regclass";
    assert!(one::<bool>(&mut session, identity).await.unwrap());
}

/// Its parts are of the size that a table's rows have on average.
#[tokio::test]
async fn a_row_that_takes_longer_at_its_pace_than_a_transaction_may_idle_is_copied() {
    let both =
        Both::on(server().await, "tenant_slow", &app(&[("CREATE TABLE docs (word text)", None)])).await;
    let limits =
        AdminLimits { idle_in_transaction_timeout: Duration::from_millis(200), ..AdminLimits::default() };
    let (here, there) = (
        admin(server().await, &both.here.database, limits),
        admin(server().await, &both.there.database, limits),
    );
    let mut transfer = both.connect_by(&here, &there).await;
    let slot = transfer.keep_changes(PATIENCE, 0).await.unwrap();
    let write = "ALTER TABLE tenant_slow.docs ALTER word SET STORAGE EXTERNAL;
        INSERT INTO tenant_slow.docs (word) VALUES ('first'), (repeat('x', 2000000)), ('last')";
    run(&mut *both.session().await, write).await.unwrap();
    let rate = NonZeroU64::new(2_000_000);
    transfer.copy_tables(&slot, rate, |_| {}).await.unwrap();
    assert_eq!(both.count_there("docs").await, 3);
    drop(transfer);
    both.end().await;
}

#[tokio::test]
async fn a_row_without_a_key_is_found_by_the_text_that_its_values_have_there() {
    let made = app(&[("CREATE TABLE docs (of regclass, word text)", None)]);
    let both = Both::on(server().await, "tenant_names", &App { seed: None, ..made }).await;
    let mut writer = both.session().await;
    let write = "SET search_path = tenant_names; INSERT INTO docs SELECT 'docs', n::text FROM generate_series(1, 10) n";
    run(&mut writer, write).await.unwrap();
    let mut transfer = both.connect().await;
    let slot = transfer.keep_changes(PATIENCE, 0).await.unwrap();
    transfer.copy_tables(&slot, None, |_| {}).await.unwrap();
    for change in ["UPDATE docs SET word = 'a' WHERE word = '1'", "DELETE FROM docs WHERE word = '2'"] {
        run(&mut writer, change).await.unwrap();
        transfer.come_near(&slot).await.unwrap();
    }
    run(&mut writer, "DELETE FROM docs WHERE word = '3'").await.unwrap();
    transfer.compare(&slot, None).await.unwrap();
    assert_eq!(both.count_there("docs").await, 8);
    drop(transfer);
    both.end().await;
}

#[tokio::test]
async fn an_app_s_sql_is_never_run_as_the_admin() {
    let functions = [
        ("quote_ident(name)", "text", "$1::text"),
        ("starts_with(name, text)", "boolean", "pg_catalog.starts_with($1::text, $2)"),
        ("concat(text, text)", "text", "$1 || $2"),
        ("concat(docs)", "text", "'docs'"),
        ("docs_text(docs)", "text", "'docs'"),
        ("format(text, text, bigint, integer, text)", "text", "'a'"),
        ("format(text, regclass, name)", "text", "'b'"),
        ("is_same(oid, regnamespace)", "boolean", "$1 = $2::oid"),
        ("is_same(oid, regclass)", "boolean", "$1 = $2::oid"),
        ("is_fine(bigint)", "boolean", "true"),
    ];
    let mut hostile =
        "CREATE TABLE docs (id int PRIMARY KEY, name text CHECK (name <> 'x') DEFAULT 'a');".to_owned();
    for (function, returns, value) in functions {
        let _ = write!(
            hostile,
            "CREATE FUNCTION {function} RETURNS {returns} IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN
                IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN RAISE EXCEPTION 'it runs as the admin'; END IF;
                RETURN {value}; END $f$;"
        );
    }
    hostile.push_str(
        "CREATE OPERATOR = (FUNCTION = is_same, LEFTARG = oid, RIGHTARG = regnamespace);
        CREATE OPERATOR = (FUNCTION = is_same, LEFTARG = oid, RIGHTARG = regclass);
        CREATE CAST (docs AS text) WITH FUNCTION docs_text(docs);
        CREATE INDEX ON docs (id) WHERE is_fine(1); CREATE STATISTICS fine ON (is_fine(2)), (is_fine(id)) FROM docs;
        CREATE INDEX ON tenantry_migrations (version) WHERE is_fine(3);
        ALTER TABLE docs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY fine ON docs USING (is_fine(4))",
    );
    let hostile = App { seed: None, ..app(&[(&hostile, None)]) };
    let both = Both::on(server().await, "tenant_hostile", &hostile).await;
    let write = "SET ROLE tenantry_owner; INSERT INTO tenant_hostile.docs SELECT n, 'name' || n FROM generate_series(1, 100) n";
    run(&mut *both.session().await, write).await.unwrap();
    let Both { here, name: tenant, .. } = &both;
    here.admin.schema_shape(&here.database, tenant).await.unwrap();
    here.admin.schema_catalog(&here.database, tenant).await.unwrap();
    here.admin.survey(&here.database, tenant).await.unwrap();
    here.admin.fenced_version(&here.database, owner(tenant, &both.mark)).await.unwrap();
    for rate in [None, NonZeroU64::new(50_000_000)] {
        let mut transfer = both.connect().await;
        transfer.shape().await.unwrap();
        let slot = transfer.keep_changes(PATIENCE, 0).await.unwrap();
        transfer.copy_tables(&slot, rate, |_| {}).await.unwrap();
        run(
            &mut *both.session().await,
            "SET ROLE tenantry_owner; UPDATE tenant_hostile.docs SET name = 'b' WHERE id < 10",
        )
        .await
        .unwrap();
        transfer.catch_up(&slot).await.unwrap();
        transfer.compare(&slot, rate).await.unwrap();
        transfer.come_near(&slot).await.unwrap();
        let closed = transfer.close_writes(Duration::from_secs(1)).await.unwrap();
        transfer.finish(&slot, closed, None).await.unwrap();
        here.admin.open_writes(&here.database, owner(tenant, &both.mark)).await.unwrap();
    }
    both.connect().await.copy(|_| {}).await.unwrap();
    assert_eq!(both.count_there("docs").await, 100);
    let secret = "pw".into();
    let warm = here.admin.add_warm_tenant(&hostile, "hostile", &here.role(&secret)).await;
    assert!(warm.is_ok(), "{warm:?}");
    let database = name("tenant_hostile_own");
    here.admin
        .create_database(owner(&database, &mark(&database)), &here.role(&secret), &hostile, "hostile")
        .await
        .unwrap();
    here.admin.drop_outdated_templates("hostile", &[]).await.unwrap();
    both.end().await;
}
