use std::num::NonZeroU32;

use tenantry_domain::app::AppVersion;

use super::*;
use crate::fixture::{Bench, admin, app, mark, name, notes, owner, owner_at};

fn version(number: i64) -> AppVersion {
    AppVersion::try_from(number).unwrap()
}

#[tokio::test]
async fn many_workers_prepare_one_server_at_once() {
    let server = crate::fixture::server().await;
    let database = name("shared_crowd");
    let workers = (0..8).map(async |_| admin(server, &database, AdminLimits::default()).prepare().await);
    for result in futures::future::join_all(workers).await {
        result.unwrap();
    }
}

#[tokio::test]
async fn every_step_can_run_twice_and_dropping_leaves_nothing() {
    let bench = Bench::new("twice").await;
    let app = notes();
    for _ in 0..2 {
        bench.tenant("tenant_twice", &app).await;
    }
    let tenant = name("tenant_twice");
    let found = bench.admin.tenant_objects(&bench.database, r"tenant\_twice").await.unwrap();
    assert_eq!(found.roles[0].owner_mark.as_deref(), Some(&*mark(&tenant)));
    assert_eq!(found.schemas.len(), 1);
    for _ in 0..2 {
        bench.admin.drop_schema(owner(&tenant, &mark(&tenant))).await.unwrap();
        bench.admin.drop_role(owner(&tenant, &mark(&tenant))).await.unwrap();
    }
    assert!(bench.admin.tenant_objects(&bench.database, r"tenant\_twice").await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_noted_in_a_database_that_is_gone_is_gone() {
    let bench = Bench::new("gone").await;
    assert_eq!(bench.admin.data_changes(&name("gone_for_good"), None, 10).await.unwrap(), []);
}

#[tokio::test]
async fn another_tenant_s_objects_are_refused() {
    let bench = Bench::new("taken").await;
    let tenant = bench.tenant("tenant_taken", &notes()).await;
    let (admin, other) = (&bench.admin, owner(&tenant, "tenantry:other"));
    let secret = "pw".into();
    let refusals = [
        admin.create_schema(other, &bench.role(&secret), &notes()).await.map(drop),
        admin.create_database(other, &bench.role(&secret), &notes(), "taken").await.map(drop),
        admin.set_role_login(other, false).await,
        admin.drop_schema(other).await,
        admin.drop_role(other).await,
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert!(matches!(error, AdminError::Taken { .. }) && !error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn a_tenant_reads_and_writes_rows_and_nothing_else() {
    let bench = Bench::new("rights").await;
    let tenant = bench.tenant("tenant_rights", &notes()).await;
    bench.tenant("tenant_rights_other", &notes()).await;
    let client = bench.log_in("tenant_rights", "pw", &bench.database).await.unwrap();
    client
        .batch_execute("INSERT INTO notes (word) VALUES ('mine'); INSERT INTO tags (note) VALUES (1)")
        .await
        .unwrap();
    for forbidden in [
        "CREATE TABLE t ()",
        "CREATE TEMP TABLE t ()",
        "CREATE TABLE public.t ()",
        "DROP TABLE notes",
        "TRUNCATE notes",
        "ALTER TABLE notes ADD COLUMN x int",
        "SELECT * FROM tenantry_migrations",
        "SELECT * FROM tenant_rights_other.notes",
        "SET ROLE tenantry_owner",
        "SET ROLE tenant_rights_other",
        "CREATE EXTENSION hstore",
    ] {
        let refusal = client.batch_execute(forbidden).await.expect_err(forbidden);
        assert_eq!(refusal.code().unwrap().code(), "42501", "{forbidden}: {refusal:?}");
    }
    for database in ["postgres", "template1"] {
        assert!(bench.log_in("tenant_rights", "pw", &name(database)).await.is_err());
    }

    bench.admin.set_role_login(owner(&tenant, &mark(&tenant)), false).await.unwrap();
    assert!(client.simple_query("SELECT 1").await.is_err(), "its session was ended");
    assert!(bench.log_in("tenant_rights", "pw", &bench.database).await.is_err());
    // Running a step of provisioning again does not resume it.
    bench.tenant("tenant_rights", &notes()).await;
    assert!(bench.log_in("tenant_rights", "pw", &bench.database).await.is_err());
    bench.admin.set_role_login(owner(&tenant, &mark(&tenant)), true).await.unwrap();
    assert!(bench.log_in("tenant_rights", "pw", &bench.database).await.is_ok());

    let verifier = bench.admin.role_verifier(&tenant).await.unwrap().unwrap();
    let (role, mark) = (
        RoleSpec {
            limits: RoleLimits { connections: Some(3), ..RoleLimits::default() },
            ..bench.role(&verifier)
        },
        mark(&tenant),
    );
    bench.admin.create_schema(owner(&tenant, &mark), &role, &notes()).await.unwrap();
    assert!(bench.log_in("tenant_rights", "pw", &bench.database).await.is_ok());
}

#[tokio::test]
async fn a_schema_goes_up_and_down_through_the_versions() {
    let bench = Bench::new("versions").await;
    let tenant = bench.tenant("tenant_versions", &app(&[])).await;
    let (admin, database, app) = (&bench.admin, &bench.database, notes());
    let report =
        admin.migrate(database, owner(&tenant, &mark(&tenant)), &app, Some(version(1))).await.unwrap();
    assert_eq!(report, MigrationReport { from: None, to: Some(version(1)), applied: vec![version(1)] });
    let report = admin.migrate(database, owner(&tenant, &mark(&tenant)), &app, None).await.unwrap();
    assert_eq!(
        report,
        MigrationReport { from: Some(version(1)), to: Some(version(2)), applied: vec![version(2)] }
    );
    let report = admin.migrate(database, owner(&tenant, &mark(&tenant)), &app, None).await.unwrap();
    assert!(report.applied.is_empty() && report.from == report.to);
    let report =
        admin.rollback(database, owner(&tenant, &mark(&tenant)), &app, Some(version(1))).await.unwrap();
    assert_eq!(
        report,
        MigrationReport { from: Some(version(2)), to: Some(version(1)), applied: vec![version(2)] }
    );

    let mut edited = app.clone();
    edited.migrations[0].up.push(' ');
    let error = admin.migrate(database, owner(&tenant, &mark(&tenant)), &edited, None).await.unwrap_err();
    assert!(matches!(error, AdminError::History { .. }), "{error}");
    let mut stuck = app.clone();
    stuck.migrations[0].down = None;
    assert!(matches!(
        admin.rollback(database, owner(&tenant, &mark(&tenant)), &stuck, None).await.unwrap_err(),
        AdminError::History { .. }
    ));
}

#[tokio::test]
async fn a_failed_migration_leaves_the_schema_as_it_was() {
    let bench = Bench::new("failed").await;
    let tenant = bench.tenant("tenant_failed", &app(&[])).await;
    let broken = app(&[("CREATE TABLE notes (word text)", None), ("CREATE TABLE notes ()", None)]);
    let error = bench
        .admin
        .migrate(&bench.database, owner(&tenant, &mark(&tenant)), &broken, None)
        .await
        .unwrap_err();
    assert!(matches!(&error, AdminError::Migration { version: 2, code, .. } if code == "42P07"), "{error}");
    assert!(!error.is_transient());
    let report =
        bench.admin.migrate(&bench.database, owner(&tenant, &mark(&tenant)), &notes(), None).await.unwrap();
    assert_eq!(report.from, None);
}

#[tokio::test]
async fn of_migrations_that_are_sent_together_the_one_that_failed_is_named() {
    let bench = Bench::new("named").await;
    let tenant = bench.tenant("tenant_named", &app(&[])).await;
    let cases = [
        ("SELECT 1 / 0", "22012"),
        ("CREATE TABLE wörter (word text); SELEKT 1", "42601"),
        ("INSERT INTO first_one SELECT * FROM nowhere", "42P01"),
    ];
    for (broken, expected) in cases {
        let app = app(&[
            ("CREATE TABLE first_one (\"größe\" text) -- ends in a comment", None),
            (broken, None),
            ("CREATE TABLE third_one (word text)", None),
        ]);
        let error = bench
            .admin
            .migrate(&bench.database, owner(&tenant, &mark(&tenant)), &app, None)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, AdminError::Migration { version: 2, code, .. } if code == expected),
            "{broken}: {error}"
        );
    }
    // What one leaves open another must not close: its record would be a part of the comment.
    let open = app(&[
        ("CREATE TABLE first_one (word text)", None),
        ("/* SELECT 1", None),
        ("*/ CREATE TABLE third_one (word text)", None),
    ]);
    let error =
        bench.admin.migrate(&bench.database, owner(&tenant, &mark(&tenant)), &open, None).await.unwrap_err();
    assert!(matches!(&error, AdminError::Migration { version: 2, .. }), "{error}");
    let report =
        bench.admin.migrate(&bench.database, owner(&tenant, &mark(&tenant)), &notes(), None).await.unwrap();
    assert_eq!(report.from, None, "nothing is left of any of them");
}

#[tokio::test]
async fn a_transaction_that_cannot_begin_leaves_no_connection_in_it() {
    let bench = Bench::new("begin").await;
    let limits = AdminLimits { shared_connections: 1, ..AdminLimits::default() };
    let admin = admin(crate::fixture::server().await, &bench.database, limits);
    let (tenant, app) = (bench.tenant_without_tables("tenant_begin").await, notes());
    for micros in [100, 300, 1000, 3000] {
        let missing = admin.migrate(&bench.database, owner(&name("no_such_schema"), ""), &app, None).await;
        assert_eq!(missing.unwrap_err().code(), Some("3F000"));
        // Given up somewhere.
        let mark = mark(&tenant);
        let begun = admin.migrate(&bench.database, owner(&tenant, &mark), &app, None);
        let _ = tokio::time::timeout(Duration::from_micros(micros), begun).await;
    }
    let mark = mark(&tenant);
    let report = admin.migrate(&bench.database, owner(&tenant, &mark), &app, None).await.unwrap();
    assert_eq!(report.to, Some(version(2)));
}

#[tokio::test]
async fn a_migration_may_ask_for_no_transaction() {
    let bench = Bench::new("concurrently").await;
    let app = app(&[
        ("-- no-transaction\nCREATE TABLE notes (id int PRIMARY KEY, word text)", None),
        ("-- no-transaction\nCREATE INDEX CONCURRENTLY notes_word ON notes (word)", None),
        ("CREATE TABLE tags (id int)", None),
    ]);
    let tenant = bench.tenant_without_tables("tenant_concurrently").await;
    for applied in [3, 0] {
        let report =
            bench.admin.migrate(&bench.database, owner(&tenant, &mark(&tenant)), &app, None).await.unwrap();
        assert_eq!(report.applied.len(), applied);
        assert_eq!(report.to, Some(version(3)));
    }
    // The connection that changed its role was thrown away.
    bench.admin.prepare().await.unwrap();
    bench.tenant("tenant_concurrently_next", &notes()).await;
}

#[tokio::test]
async fn a_database_is_copied_from_a_template_and_adopted() {
    let bench = Bench::new("template").await;
    let (admin, app) = (&bench.admin, notes());
    let tenant = name("tenant_template_user");
    let mark = mark(&tenant);
    let templates = (0..3).map(|_| admin.ensure_template(&app, "test"));
    let templates = futures::future::try_join_all(templates).await.unwrap();
    assert!(templates.iter().all(|template| *template == templates[0]));
    let (own, secret) = (owner(&tenant, &mark), "pw".into());
    for _ in 0..2 {
        admin.create_database(own, &bench.role(&secret), &app, "test").await.unwrap();
        let report = admin.adopt_schema(own, &bench.login, &app).await.unwrap();
        assert_eq!((report.to, report.applied.len()), (Some(version(2)), 0));
    }

    let client = bench.log_in("tenant_template_user", "pw", &tenant).await.unwrap();
    client.batch_execute("INSERT INTO notes (word) VALUES ('mine')").await.unwrap();
    let words =
        client.query_one("SELECT count(*) FROM notes WHERE word IN ('seeded', 'mine')", &[]).await.unwrap();
    assert_eq!(words.get::<_, i64>(0), 2);
    assert!(client.simple_query("SELECT * FROM tenantry_migrations").await.is_err());
    assert!(bench.log_in("tenant_template_user", "pw", &templates[0].database).await.is_err());

    for _ in 0..2 {
        admin.drop_database(own).await.unwrap();
    }
    admin.drop_role(own).await.unwrap();
    assert!(admin.tenant_objects(&tenant, r"tenant\_template\_%").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_warm_copy_becomes_the_database_of_one_of_those_who_want_it() {
    let bench = Bench::new("warm").await;
    let (admin, app) = (&bench.admin, notes());
    let template = admin.ensure_template(&app, "warm").await.unwrap();
    let warm = async || {
        let like = format!(r"tenantry\_warm\_{}\_%", template.hash);
        admin.tenant_objects(&bench.database, &like).await.unwrap().databases.len()
    };
    assert_eq!(admin.fill_warm_pool(&template, 2).await.unwrap(), 2);
    assert_eq!(admin.fill_warm_pool(&template, 2).await.unwrap(), 0);
    // A new database is open to every role of the server.
    bench.tenant_without_tables("tenant_warm_stranger").await;
    let copies = format!(r"tenantry\_warm\_{}\_%", template.hash);
    for copy in admin.tenant_objects(&bench.database, &copies).await.unwrap().databases {
        let refused = bench.log_in("tenant_warm_stranger", "pw", &name(&copy.name)).await;
        assert!(refused.is_err(), "a stranger is in {}", copy.name);
    }

    let tenants: Vec<_> = (0..3).map(|n| name(&format!("tenant_warm_{n}"))).collect();
    let made = tenants.iter().map(async |tenant| {
        let (mark, secret) = (mark(tenant), "pw".into());
        let own = owner(tenant, &mark);
        admin.create_database(own, &bench.role(&secret), &app, "warm").await.unwrap();
        admin.adopt_schema(own, &bench.login, &app).await.unwrap();
    });
    futures::future::join_all(made).await;
    assert_eq!(warm().await, 0, "three tenants have the two warm copies and one more");

    for tenant in &tenants {
        admin.drop_database(owner(tenant, &mark(tenant))).await.unwrap();
        admin.drop_role(owner(tenant, &mark(tenant))).await.unwrap();
    }
}

#[tokio::test]
async fn templates_of_older_versions_are_dropped_with_their_warm_copies() {
    let bench = Bench::new("outdated").await;
    let (admin, new) = (&bench.admin, notes());
    let mut old = new.clone();
    old.migrations.pop();
    let outdated = admin.ensure_template(&old, "outdated").await.unwrap();
    admin.fill_warm_pool(&outdated, 1).await.unwrap();
    let current = admin.ensure_template(&new, "outdated").await.unwrap();
    admin.fill_warm_pool(&current, 1).await.unwrap();
    for dropped in [2, 0] {
        let found = admin.drop_outdated_templates("outdated", std::slice::from_ref(&current)).await.unwrap();
        assert_eq!(found, dropped);
    }
    // One that nobody finished.
    let unfinished = outdated.unfinished().unwrap();
    let comment = format!("COMMENT ON DATABASE {} IS 'tenantry:template:outdated'", unfinished.quoted());
    for statement in [format!("CREATE DATABASE {}", unfinished.quoted()), comment] {
        admin.run("test", statement).await.unwrap();
    }
    // Whoever began to drop it was interrupted.
    let invalid = format!(
        "UPDATE pg_database SET datconnlimit = -2 WHERE datname = {}",
        crate::sql::literal(unfinished.as_str())
    );
    admin.run("test", invalid).await.unwrap();
    assert_eq!(admin.drop_outdated_templates("outdated", std::slice::from_ref(&current)).await.unwrap(), 1);
    let left = admin.tenant_objects(&bench.database, &format!("%{}%", current.hash)).await.unwrap();
    assert_eq!(left.databases.len(), 2, "the newest template and its copy stay");
    let invalid = "UPDATE pg_database SET datconnlimit = -2 WHERE datname = ".to_owned();
    admin.run("test", invalid + &crate::sql::literal(current.database.as_str())).await.unwrap();
    assert_eq!(admin.ensure_template(&new, "outdated").await.unwrap().database, current.database);
    admin.fill_warm_pool(&current, 2).await.unwrap();
    assert_eq!(admin.drop_outdated_templates("outdated", &[]).await.unwrap(), 3);
}

#[tokio::test]
async fn a_template_that_was_dropped_is_made_again_with_its_extensions() {
    let bench = Bench::new("again").await;
    let mut app = notes();
    app.manifest.extensions = ["pg_trgm".into()].into();
    app.migrations[0].up += "; CREATE INDEX ON notes USING gin (word gin_trgm_ops)";
    for _ in 0..2 {
        bench.admin.ensure_template(&app, "again").await.unwrap();
        assert_eq!(bench.admin.drop_outdated_templates("again", &[]).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn a_schema_of_thousands_of_relations_is_dropped_in_batches() {
    let bench = Bench::new("large").await;
    let tables = "DO $$ BEGIN FOR i IN 1..900 LOOP
        EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, word text UNIQUE)', i); END LOOP; END $$";
    let tenant = bench.tenant("tenant_large", &app(&[(tables, None)])).await;
    bench.admin.drop_schema(owner(&tenant, &mark(&tenant))).await.unwrap();
    assert!(bench.admin.tenant_objects(&bench.database, r"tenant\_large").await.unwrap().schemas.is_empty());
}

#[tokio::test]
async fn large_objects_beyond_what_one_transaction_can_lock_end_with_their_tenant() {
    let bench = Bench::new("objects").await;
    let tenant = bench.tenant_without_tables("tenant_objects").await;
    let client = bench.log_in("tenant_objects", "pw", &bench.database).await.unwrap();
    // Making one takes no lock, so a tenant may have more than the server has locks.
    client.batch_execute("SELECT lo_create(0) FROM generate_series(1, 150000)").await.unwrap();
    bench.admin.drop_schema(owner(&tenant, &mark(&tenant))).await.unwrap();
    bench.admin.drop_role(owner(&tenant, &mark(&tenant))).await.unwrap();
}

#[tokio::test]
async fn what_other_tenants_grant_a_role_does_not_keep_it() {
    let bench = Bench::new("granted").await;
    let mut clients = Vec::new();
    for tenant in ["tenant_granted_1", "tenant_granted_2", "tenant_granted_3", "tenant_granted_4"] {
        bench.tenant_without_tables(tenant).await;
        clients.push(bench.log_in(tenant, "pw", &bench.database).await.unwrap());
    }
    let grants = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO tenant_granted_3;
        SELECT lo_create(71001), lo_create(71002);
        GRANT SELECT ON LARGE OBJECT 71001 TO tenant_granted_3;
        GRANT SELECT ON LARGE OBJECT 71002 TO tenant_granted_2 WITH GRANT OPTION";
    clients[0].batch_execute(grants).await.unwrap();
    clients[1].batch_execute("GRANT SELECT ON LARGE OBJECT 71002 TO tenant_granted_3").await.unwrap();
    let grants = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO tenant_granted_1";
    clients[2].batch_execute(grants).await.unwrap();
    // In a circle, and one way out of it.
    clients[0]
        .batch_execute(
            "SELECT lo_create(71004);
        GRANT SELECT ON LARGE OBJECT 71004 TO tenant_granted_2, tenant_granted_4 WITH GRANT OPTION",
        )
        .await
        .unwrap();
    clients[1]
        .batch_execute(
            "GRANT SELECT ON LARGE OBJECT 71004 TO tenant_granted_4 WITH GRANT OPTION;
        GRANT SELECT ON LARGE OBJECT 71004 TO tenant_granted_3",
        )
        .await
        .unwrap();
    clients[3]
        .batch_execute("GRANT SELECT ON LARGE OBJECT 71004 TO tenant_granted_2 WITH GRANT OPTION")
        .await
        .unwrap();
    // In a database that lets everybody in and make functions, as a managed service's own may.
    bench.admin.execute("CREATE DATABASE granted_elsewhere").await.unwrap();
    let mut open = bench.admin.session(&name("granted_elsewhere"), "test").await.unwrap();
    sqlx::raw_sql("GRANT CREATE ON SCHEMA public TO PUBLIC").execute(&mut *open).await.unwrap();
    drop(open);
    let elsewhere = bench.log_in("tenant_granted_1", "pw", &name("granted_elsewhere")).await.unwrap();
    let grants = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO tenant_granted_3;
        SELECT lo_create(71003); GRANT SELECT ON LARGE OBJECT 71003 TO tenant_granted_3;
        CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
            GRANT tenantry_owner TO tenant_granted_1; RETURN pg_catalog.format($1, $2); END $$";
    elsewhere.batch_execute(grants).await.unwrap();
    let third = name("tenant_granted_3");
    bench.admin.drop_schema(owner(&third, &mark(&third))).await.unwrap();
    bench.admin.drop_role(owner(&third, &mark(&third))).await.unwrap();
    let read = "SELECT loread(lo_open(71004, 262144), 1)";
    clients[3]
        .batch_execute(&format!("BEGIN; {read}; COMMIT"))
        .await
        .expect("the others keep what they have");
    let raised = clients[0].batch_execute("SET ROLE tenantry_owner").await.unwrap_err();
    assert_eq!(raised.code().unwrap().code(), "42501", "{raised:?}");
    for tenant in ["tenant_granted_2", "tenant_granted_1", "tenant_granted_4"] {
        let tenant = name(tenant);
        bench.admin.drop_schema(owner(&tenant, &mark(&tenant))).await.unwrap();
        bench.admin.drop_role(owner(&tenant, &mark(&tenant))).await.unwrap();
    }
    bench.admin.execute("DROP DATABASE granted_elsewhere WITH (FORCE)").await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_a_tenant_leaves_open_keeps_no_role_and_no_schema() {
    let bench = Bench::new("open").await;
    let limits = AdminLimits { lock_timeout: Duration::from_secs(2), ..AdminLimits::default() };
    let admin = admin(crate::fixture::server().await, &bench.database, limits);
    let (hostile, other) = (name("tenant_open"), name("tenant_open_other"));
    for tenant in [&hostile, &other] {
        bench.tenant(tenant.as_str(), &notes()).await;
    }
    let log_in = async || bench.log_in("tenant_open", "pw", &bench.database).await.unwrap();
    let session = log_in().await;
    let privileges =
        "ALTER DEFAULT PRIVILEGES IN SCHEMA tenant_open_other GRANT SELECT ON TABLES TO tenant_open;
        BEGIN; ALTER DEFAULT PRIVILEGES IN SCHEMA tenant_open_other GRANT INSERT ON TABLES TO tenant_open";
    session.batch_execute(privileges).await.unwrap();
    admin.drop_schema(owner(&other, &mark(&other))).await.unwrap();
    let session = log_in().await;
    let privileges = "BEGIN; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO tenant_open_other";
    session.batch_execute(privileges).await.unwrap();
    admin.drop_role(owner(&other, &mark(&other))).await.unwrap();
    // And not itself from being suspended.
    let session = log_in().await;
    session.batch_execute("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'another'").await.unwrap();
    admin.set_role_login(owner(&hostile, &mark(&hostile)), false).await.unwrap();
    assert!(session.simple_query("SELECT 1").await.is_err(), "its session was ended");
}

#[tokio::test]
async fn a_tenant_that_holds_advisory_locks_holds_up_nobody() {
    let bench = Bench::new("locks").await;
    let tenant = bench.tenant("tenant_locks", &notes()).await;
    let (mark, other) = (mark(&tenant), name("login_locks_other"));
    let subject = owner_at(&tenant, &mark, 1).fence.unwrap().subject;
    let hostile = bench.log_in("tenant_locks", "pw", &bench.database).await.unwrap();
    for lock in [
        &format!("session:{subject:032x}"),
        "prepare",
        "extensions",
        "connect",
        &format!("role:{other}"),
        &format!("template:{}", Template::of(&notes(), "locks").unwrap().fingerprint()),
    ] {
        let lock = format!("SELECT pg_advisory_lock(hashtextextended('tenantry:{lock}', 0))");
        hostile.batch_execute(&lock).await.unwrap();
    }
    let limits = AdminLimits { lock_timeout: Duration::from_millis(500), ..AdminLimits::default() };
    let admin = admin(crate::fixture::server().await, &bench.database, limits);
    admin.prepare().await.unwrap();
    admin.ensure_login(&other, &bench.password).await.unwrap();
    admin.ensure_extensions(&bench.database, [&"pg_trgm".to_owned()]).await.unwrap();
    admin.ensure_template(&notes(), "locks").await.unwrap();
    let role = RoleSpec { login: &other, ..bench.role(&bench.password) };
    let next = name("tenant_locks_next");
    admin.create_schema(owner(&next, "tenantry:next"), &role, &notes()).await.unwrap();
    // A later attempt on the hostile one.
    admin.set_role_login(owner_at(&tenant, &mark, 2), false).await.unwrap();
    assert!(hostile.simple_query("SELECT 1").await.is_err(), "its session was ended");
    admin.drop_outdated_templates("locks", &[]).await.unwrap();
}

#[tokio::test]
async fn a_tenant_that_holds_advisory_locks_does_not_keep_migrations_from_running_alone() {
    let bench = Bench::new("alone").await;
    let tenant = bench.tenant_without_tables("tenant_alone").await;
    let mark = mark(&tenant);
    let own = owner(&tenant, &mark);
    let hostile = bench.log_in("tenant_alone", "pw", &bench.database).await.unwrap();
    let lock = format!("tenantry:session:{:032x}", own.fence.unwrap().subject);
    let lock = format!("SELECT pg_advisory_lock(hashtextextended('{lock}', 0))");
    hostile.batch_execute(&lock).await.unwrap();
    let alone = app(&[("-- no-transaction\nCREATE TABLE notes (word text)", None)]);
    bench.admin.migrate(&bench.database, own, &alone, None).await.unwrap();
}

#[tokio::test]
async fn an_outage_is_transient() {
    let dir = std::env::temp_dir().join(format!("tenantry-postgres-outage-{}", std::process::id()));
    let search = crate::embedded::SearchPath::default();
    let config = crate::embedded::EmbeddedConfig::throwaway(dir, search);
    let mut server = crate::embedded::EmbeddedPostgres::start(config).await.unwrap();
    let limits = AdminLimits { probe_timeout: Duration::from_millis(300), ..AdminLimits::default() };
    let admin = admin(&server, &name("outage"), limits);
    admin.ping().await.unwrap();
    server.suspend_server().await.unwrap();
    let error = admin.ping().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    server.resume_server().await.unwrap();
    admin.ping().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_while_it_makes_a_schema_may_have_made_it() {
    let dir = std::env::temp_dir().join(format!("tenantry-postgres-sent-{}", std::process::id()));
    let search = crate::embedded::SearchPath::default();
    let config = crate::embedded::EmbeddedConfig::throwaway(dir, search);
    let server = crate::embedded::EmbeddedPostgres::start(config).await.unwrap();
    let pid = server.pid().unwrap().to_string();
    let signal = |name: &str| {
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    let bench = Bench::on(&server, "sent").await;
    let soon = Duration::from_millis(300);
    let limits = AdminLimits { probe_after: soon, probe_timeout: soon, ..AdminLimits::default() };
    let admin = admin(&server, &bench.database, limits);
    let (tenant, secret, slow) = (name("tenant_sent"), "pw".into(), app(&[("SELECT pg_sleep(60)", None)]));
    let mark = mark(&tenant);
    let role = bench.role(&secret);
    let made = admin.watch(admin.create_schema(owner(&tenant, &mark), &role, &slow));
    let hang = async {
        let it_sleeps = "DO $$ BEGIN
            WHILE NOT EXISTS (
                SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid <> pg_backend_pid())
            LOOP PERFORM pg_sleep(0.01), pg_stat_clear_snapshot(); END LOOP; END $$";
        bench.admin.execute(it_sleeps).await.unwrap();
        signal("STOP");
    };
    let (made, ()) = tokio::join!(made, hang);
    let error = made.unwrap_err();
    signal("CONT");
    assert!(error.is_unreachable() && !error.is_unsent(), "{error}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn versions_that_are_tried_in_databases_of_their_own_do_not_wait_for_each_other_s_sessions() {
    let bench = Bench::new("trials").await;
    let limits = AdminLimits { sessions: 2, ..AdminLimits::default() };
    let admin = admin(crate::fixture::server().await, &bench.database, limits);
    let alone = app(&[("-- no-transaction\nCREATE TABLE words (word text)", None)]);
    let trials = futures::future::join_all((0..2).map(|_| admin.try_version(&alone, Duration::from_secs(5))));
    for tried in tokio::time::timeout(Duration::from_mins(1), trials).await.expect("both are tried") {
        assert!(matches!(tried.unwrap(), Tried::Passed { .. }));
    }
}

#[tokio::test]
async fn a_late_twin_is_fenced_out_of_every_effect() {
    let bench = Bench::new("fence").await;
    let (admin, app, secret) = (&bench.admin, notes(), "pw".into());
    let (tenant, dedicated) = (name("tenant_fence"), name("tenant_fence_own"));
    let (mark, own_mark) = (mark(&tenant), mark(&dedicated));
    let (late, later) = (owner_at(&tenant, &mark, 7), owner_at(&tenant, &mark, 8));
    let (own_late, own_later) = (owner_at(&dedicated, &own_mark, 7), owner_at(&dedicated, &own_mark, 8));
    let role = bench.role(&secret);
    for owner in [late, later] {
        admin.create_schema(owner, &role, &app).await.unwrap();
    }
    for owner in [own_late, own_later] {
        admin.create_database(owner, &role, &app, "fence").await.unwrap();
        admin.adopt_schema(owner, &bench.login, &app).await.unwrap();
    }
    let limits = RoleLimits::default();
    let refusals = [
        admin.create_schema(late, &role, &app).await.map(drop),
        admin.migrate(&bench.database, late, &app, None).await.map(drop),
        admin.rollback(&bench.database, late, &app, None).await.map(drop),
        admin.set_role_login(late, false).await,
        admin.drop_schema(late).await,
        admin.drop_role(late).await,
        admin.name_warm_tenant(late, &limits, &name("tenantry_warm_t_0"), "fence").await.map(drop),
        admin.create_database(own_late, &role, &app, "fence").await.map(drop),
        admin.adopt_schema(own_late, &bench.login, &app).await.map(drop),
        admin.drop_database(own_late).await,
    ];
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert!(matches!(error, AdminError::Fenced { .. }) && !error.is_transient(), "{error}");
    }
    assert!(bench.log_in("tenant_fence", "pw", &bench.database).await.is_ok());
    assert!(bench.log_in("tenant_fence_own", "pw", &dedicated).await.is_ok());
    admin.drop_database(own_later).await.unwrap();
    admin.drop_role(own_later).await.unwrap();
}

#[tokio::test]
async fn a_frozen_worker_s_transaction_does_not_hold_the_fence_for_ever() {
    let bench = Bench::new("frozen").await;
    let limits =
        AdminLimits { idle_in_transaction_timeout: Duration::from_millis(200), ..AdminLimits::default() };
    let admin = admin(crate::fixture::server().await, &bench.database, limits);
    let tenant = bench.tenant("tenant_frozen", &notes()).await;
    let mark = mark(&tenant);
    // A worker that stands still in the middle of a transaction.
    let mut frozen = admin.connection("test").await.unwrap();
    let fence = owner_at(&tenant, &mark, 2).fence.unwrap();
    let begin = format!("BEGIN; DO $$ BEGIN {} END $$", fence.perform());
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *frozen).await.unwrap();
    admin.drop_schema(owner_at(&tenant, &mark, 3)).await.unwrap();
    frozen.close_on_drop();
}

#[tokio::test]
async fn a_statement_outside_of_transactions_ends_when_a_later_attempt_begins() {
    the_next_ends_the_session("tenant_session", 6).await;
}

#[tokio::test]
async fn a_statement_outside_of_transactions_ends_when_the_same_attempt_tries_again() {
    the_next_ends_the_session("tenant_session_again", 5).await;
}

/// While one with token 5 is in the middle of such a statement.
async fn the_next_ends_the_session(tenant: &str, token: i64) {
    let bench = Bench::new(tenant).await;
    let tenant = bench.tenant_without_tables(tenant).await;
    let mark = mark(&tenant);
    let app = app(&[("-- no-transaction\nSELECT pg_sleep(60)", None)]);
    let early = bench.admin.migrate(&bench.database, owner_at(&tenant, &mark, 5), &app, None);
    let later = async {
        // Once the early one sleeps.
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'
            AND datname = current_database() AND pid <> pg_backend_pid()";
        loop {
            let mut connection = bench.admin.connection("test").await.unwrap();
            let count: i64 =
                sqlx::query_scalar(asleep).persistent(false).fetch_one(&mut *connection).await.unwrap();
            if count > 0 {
                break;
            }
        }
        bench.admin.drop_schema(owner_at(&tenant, &mark, token)).await
    };
    let (early, later) = futures::future::join(early, later).await;
    assert!(early.is_err());
    later.unwrap();
}

#[tokio::test]
async fn nobody_goes_on_beside_a_session_of_an_earlier_attempt_that_does_not_end() {
    let bench = Bench::new("unending").await;
    let tenant = bench.tenant_without_tables("tenant_unending").await;
    let mark = mark(&tenant);
    // As a worker has it in a migration outside of transactions.
    let mut early = bench.admin.connection("test").await.unwrap();
    let fence = owner_at(&tenant, &mark, 5).fence.unwrap();
    let hold = format!("DO $$ BEGIN {} {} END $$", fence.perform(), fence.note_session());
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut *early).await.unwrap();
    let backend = "SELECT pg_backend_pid()";
    let backend: i32 = sqlx::query_scalar(backend).persistent(false).fetch_one(&mut *early).await.unwrap();
    let signal = |name: &str| {
        let kill = std::process::Command::new("kill").args(["-s", name, &backend.to_string()]).status();
        assert!(kill.unwrap().success());
    };
    signal("STOP");
    let refused = bench.admin.drop_schema(owner_at(&tenant, &mark, 6)).await;
    signal("CONT");
    let refused = refused.unwrap_err();
    assert!(refused.code() == Some("55P03") && refused.is_transient(), "{refused}");
    bench.admin.drop_schema(owner_at(&tenant, &mark, 6)).await.unwrap();
    early.close_on_drop();
}

#[tokio::test]
async fn a_server_is_prepared_while_a_move_holds_its_fence() {
    let bench = Bench::new("copying").await;
    let tenant = bench.tenant_without_tables("tenant_copying").await;
    let fence = owner(&tenant, &mark(&tenant)).fence.unwrap();
    // As a worker has it that copies a tenant's rows, for hours.
    let mut copying = bench.admin.connection("test").await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut *copying).await.unwrap();
    let hold = format!("DO $$ BEGIN {} END $$", fence.perform());
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut *copying).await.unwrap();
    let limits = AdminLimits { lock_timeout: Duration::from_millis(500), ..AdminLimits::default() };
    let of_another_worker = admin(crate::fixture::server().await, &bench.database, limits);
    of_another_worker.prepare().await.unwrap();
    copying.close_on_drop();
}

#[tokio::test]
async fn a_warm_copy_that_somebody_was_about_to_drop_can_be_taken() {
    let bench = Bench::new("closed").await;
    let (admin, app, tenant) = (&bench.admin, notes(), name("tenant_closed"));
    let template = admin.ensure_template(&app, "closed").await.unwrap();
    let copy = admin.add_warm(&template).await.unwrap();
    admin.execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", copy.quoted())).await.unwrap();
    let (mark, secret) = (mark(&tenant), "pw".into());
    let own = owner(&tenant, &mark);
    admin.create_database(own, &bench.role(&secret), &app, "closed").await.unwrap();
    assert!(!admin.database_exists(&copy, "test").await.unwrap(), "it was taken");
    admin.adopt_schema(own, &bench.login, &app).await.unwrap();
    assert!(bench.log_in("tenant_closed", "pw", &tenant).await.is_ok());
    admin.drop_database(own).await.unwrap();
    admin.drop_role(own).await.unwrap();
}

#[tokio::test]
async fn a_warm_tenant_is_named_once_and_works_as_one_that_was_made() {
    let bench = Bench::new("naming").await;
    let (admin, secret) = (&bench.admin, "pw".into());
    let warmed = admin.add_warm_tenant(&notes(), "naming", &bench.role(&secret)).await.unwrap();
    let Warmed::Ready(warm, made) = warmed else { panic!("{warmed:?}") };
    assert_eq!(made, version(2));
    assert!(bench.log_in(warm.as_str(), "pw", &bench.database).await.is_err(), "nobody has it yet");
    let tenant = name("tenant_naming");
    let mark = mark(&tenant);
    let limits =
        RoleLimits { connections: Some(2), statement_timeout: NonZeroU32::new(60), ..RoleLimits::default() };
    assert!(admin.name_warm_tenant(owner(&tenant, &mark), &limits, &warm, "naming").await.unwrap());
    let client = bench.log_in("tenant_naming", "pw", &bench.database).await.unwrap();
    client
        .batch_execute("INSERT INTO notes (word) VALUES ('mine'); INSERT INTO tags (note) VALUES (1)")
        .await
        .unwrap();
    assert!(client.batch_execute("SELECT * FROM tenantry_migrations").await.is_err());
    let setting = async |client: &tokio_postgres::Client, name: &str| -> String {
        client.query_one(&format!("SHOW {name}"), &[]).await.unwrap().get(0)
    };
    assert_eq!(setting(&client, "statement_timeout").await, "1min");
    let second = bench.log_in("tenant_naming", "pw", &bench.database).await.unwrap();
    assert!(bench.log_in("tenant_naming", "pw", &bench.database).await.is_err(), "it may have two sessions");
    drop(second);

    // Another plan, while the tenant keeps its role locked.
    let later =
        RoleLimits { connections: Some(5), lock_timeout: NonZeroU32::new(3), ..RoleLimits::default() };
    let role = LimitedRole { name: tenant.clone(), mark: mark.clone(), limits: later };
    let theirs = LimitedRole { mark: "tenantry:other".into(), ..role.clone() };
    let others = admin.roles_of_other_limits(vec![theirs, role.clone()]).await.unwrap();
    assert_eq!(others.iter().map(|role| &role.mark).collect::<Vec<_>>(), [&mark]);
    client.batch_execute("BEGIN; ALTER ROLE CURRENT_USER SET work_mem = '4MB'").await.unwrap();
    admin.limit_role(&role).await.unwrap();
    assert!(admin.roles_of_other_limits(vec![role]).await.unwrap().is_empty());
    let client = bench.log_in("tenant_naming", "pw", &bench.database).await.unwrap();
    assert_eq!(setting(&client, "statement_timeout").await, "0");
    assert_eq!(setting(&client, "lock_timeout").await, "3s");
    let report = admin.migrate(&bench.database, owner(&tenant, &mark), &notes(), None).await.unwrap();
    assert!(report.applied.is_empty());
    let other = name("tenant_naming_other");
    let taken =
        admin.name_warm_tenant(owner(&other, "tenantry:other"), &limits, &warm, "naming").await.unwrap();
    assert!(!taken, "it has a name already");
    assert!(admin.warm_tenants("naming").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_warm_tenant_does_not_take_the_place_of_what_an_earlier_try_has_made() {
    let bench = Bench::new("begun").await;
    let admin = &bench.admin;
    let warmed = admin.add_warm_tenant(&notes(), "begun", &bench.role(&"warm".into())).await.unwrap();
    let Warmed::Ready(warm, _) = warmed else { panic!("{warmed:?}") };
    let tenant = name("tenant_begun");
    let mark = mark(&tenant);
    let own = owner(&tenant, &mark);
    let early = "early".into();
    admin.create_schema(own, &bench.role(&early), &notes()).await.unwrap();
    // Its role has another password, and perhaps another login.
    assert!(!admin.name_warm_tenant(own, &RoleLimits::default(), &warm, "begun").await.unwrap());
    admin.drop_schema(own).await.unwrap();
    assert!(
        !admin.name_warm_tenant(own, &RoleLimits::default(), &warm, "begun").await.unwrap(),
        "there is a role still"
    );
    let late = "late".into();
    admin.create_schema(own, &bench.role(&late), &notes()).await.unwrap();
    assert!(bench.log_in("tenant_begun", "early", &bench.database).await.is_err());
    bench.log_in("tenant_begun", "late", &bench.database).await.unwrap();
    assert_eq!(admin.warm_tenants("begun").await.unwrap(), [warm]);
}

#[tokio::test]
async fn a_warm_tenant_that_is_being_dropped_is_not_named() {
    let bench = Bench::new("dropping").await;
    let admin = &bench.admin;
    let tables =
        "DO $$ BEGIN FOR i IN 1..400 LOOP EXECUTE format('CREATE TABLE t%s ()', i); END LOOP; END $$";
    let mut app = app(&[(tables, None)]);
    app.seed = None;
    let warmed = admin.add_warm_tenant(&app, "dropping", &bench.role(&"warm".into())).await.unwrap();
    let Warmed::Ready(warm, _) = warmed else { panic!("{warmed:?}") };
    // The drop is of several transactions, and ends in its middle.
    let mut busy = admin.connection("test").await.unwrap();
    let hold = format!("BEGIN; SELECT FROM {}.t300", warm.quoted());
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut *busy).await.unwrap();
    let limits = AdminLimits { lock_timeout: Duration::from_millis(200), ..AdminLimits::default() };
    let impatient = self::admin(crate::fixture::server().await, &bench.database, limits);
    impatient.drop_warm_tenant(&warm, "dropping").await.unwrap_err();
    sqlx::raw_sql("ROLLBACK").execute(&mut *busy).await.unwrap();
    let tenant = name("tenant_dropping");
    let mark = mark(&tenant);
    assert!(
        !admin
            .name_warm_tenant(owner(&tenant, &mark), &RoleLimits::default(), &warm, "dropping")
            .await
            .unwrap()
    );
    assert_eq!(
        admin.warm_tenants("dropping").await.unwrap(),
        std::slice::from_ref(&warm),
        "it is still to be dropped"
    );
    admin.drop_warm_tenant(&warm, "dropping").await.unwrap();
    assert!(admin.warm_tenants("dropping").await.unwrap().is_empty());
    assert!(admin.tenant_objects(&bench.database, warm.as_str()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_holds_its_schema_s_name_as_text_is_not_kept_warm() {
    let bench = Bench::new("unnamable").await;
    let secret = "pw".into();
    for text in [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT 1'",
        "DO $do$ BEGIN EXECUTE format('CREATE FUNCTION g() RETURNS text LANGUAGE sql AS %L',
             format('SELECT word FROM %I.notes', current_schema())); END $do$",
        "DO $do$ BEGIN EXECUTE format('CREATE FUNCTION h(a text DEFAULT %L) RETURNS text LANGUAGE sql AS ''SELECT a''',
             current_schema()); END $do$",
        "DO $do$ BEGIN EXECUTE format('CREATE POLICY own ON notes USING (word <> %L)', current_schema()); END $do$",
        "DO $do$ BEGIN EXECUTE format('CREATE RULE own AS ON DELETE TO notes WHERE old.word = %L DO INSTEAD NOTHING',
             current_schema()); END $do$",
        "DO $do$ BEGIN EXECUTE format('CREATE DOMAIN own AS text DEFAULT %L', current_schema()); END $do$",
        "DO $do$ BEGIN EXECUTE format('CREATE INDEX own ON notes (word) WHERE word <> %L', current_schema()); END $do$",
        "DO $do$ BEGIN EXECUTE format('CREATE INDEX own ON notes ((word || %L))', current_schema()); END $do$",
        "DO $do$ BEGIN EXECUTE format('CREATE TRIGGER own BEFORE UPDATE ON notes FOR EACH ROW WHEN (old.word <> %L)
             EXECUTE FUNCTION suppress_redundant_updates_trigger()', current_schema()); END $do$",
    ] {
        let app = app(&[("CREATE TABLE notes (word text PRIMARY KEY)", None), (text, None)]);
        let warmed = bench.admin.add_warm_tenant(&app, "unnamable", &bench.role(&secret)).await.unwrap();
        assert_eq!(warmed, Warmed::Unnamable, "{text}");
        // A copied database gets its tables when it has its name.
        let tenant = name("tenant_unnamable");
        let mark = mark(&tenant);
        let own = owner(&tenant, &mark);
        bench.admin.create_database(own, &bench.role(&secret), &app, "unnamable").await.unwrap();
        bench.admin.adopt_schema(own, &bench.login, &app).await.unwrap();
        let mut session = bench.admin.session(&tenant, "test").await.unwrap();
        let stale = "SELECT count(*) FROM pg_proc WHERE prosrc || coalesce(proconfig::text, '') LIKE '%tenantry_template%'
            AND pronamespace = 'tenant_unnamable'::regnamespace";
        let stale: i64 = sqlx::query_scalar(stale).fetch_one(&mut *session).await.unwrap();
        assert_eq!(stale, 0, "{text}");
        drop(session);
        bench.admin.drop_database(own).await.unwrap();
        bench.admin.drop_role(own).await.unwrap();
        bench.admin.drop_outdated_templates("unnamable", &[]).await.unwrap();
    }
    assert!(bench.admin.warm_tenants("unnamable").await.unwrap().is_empty());
}
