//! Whoever alters the audit log, with all rights on the registry, is found out.

use sqlx::AssertSqlSafe;
use tenantry_tests::cli::Cli;

use super::*;

/// Appends so many rows to each of a tenant's next blocks, and seals them.
async fn sealed_blocks(app: &TestApp, tenant: TenantId, blocks: &[usize]) {
    let resources = sealing(app);
    let registry = Registry::connect_lazy(app.registry_url().expose_secret(), Part::DataPlane, 2).unwrap();
    for rows in blocks {
        let entries: Vec<_> =
            (0..*rows).map(|number| log_in(Some(tenant), &format!("user-{number}"))).collect();
        registry.audit_append(&entries).await.unwrap();
        seal_audit::run(&resources).await.unwrap();
    }
    registry.close().await;
}

async fn verdict(app: &TestApp, query: &str) -> Value {
    let answer = app.api.get(&format!("/api/v1/audit/verify?{query}")).await.expect(200).json();
    assert_eq!(answer["items"].as_array().unwrap().len(), 1, "{answer}");
    answer["items"][0].clone()
}

/// Does something to the log, as who administers its database can.
async fn by_force(app: &TestApp, statement: &str) {
    for table in ["audit_log", "audit_blocks"] {
        let off = format!("ALTER TABLE {table} DISABLE TRIGGER USER");
        sqlx::query(AssertSqlSafe(off)).execute(app.owner()).await.unwrap();
    }
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(app.owner()).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_altered_removed_or_put_in_is_found_and_named() {
    let app = TestApp::build().without_worker().start().await;
    // The second row of the second block, by its place.
    let second = "(SELECT rows[2] FROM audit_blocks WHERE chain = $1 AND number = 2)";
    let columns = "tenant_id, at, actor_kind, actor_name, action, outcome";
    let cases: &[(&str, &str, i64, bool)] = &[
        (&format!("UPDATE audit_log SET actor_name = 'nobody' WHERE id = {second}"), "row_altered", 2, true),
        (&format!("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE id = {second}"), "row_altered", 2, true),
        (&format!("UPDATE audit_log SET after = '{{ }}' WHERE id = {second}"), "row_altered", 2, true),
        (&format!("UPDATE audit_log SET block = NULL WHERE id = {second}"), "row_altered", 2, true),
        (&format!("UPDATE audit_log SET tenant_id = NULL WHERE id = {second}"), "row_altered", 2, true),
        (&format!("DELETE FROM audit_log WHERE id = {second}"), "row_missing", 2, true),
        (
            &format!("INSERT INTO audit_log (id, {columns}, block) SELECT gen_random_uuid(), {columns}, 2 FROM audit_log WHERE id = {second}"),
            "row_put_in",
            2,
            true,
        ),
        // Two that change places.
        (
            "UPDATE audit_log AS one SET actor_name = other.actor_name, target_id = other.target_id FROM audit_log AS other
             WHERE one.tenant_id = $1 AND other.tenant_id = $1 AND one.block = 2 AND other.block = 2 AND one.id <> other.id
                 AND one.actor_name IN ('user-0', 'user-1') AND other.actor_name IN ('user-0', 'user-1')",
            "row_altered",
            2,
            true,
        ),
        ("UPDATE audit_blocks SET hash = sha256('x') WHERE chain = $1 AND number = 2", "block_altered", 2, false),
        ("UPDATE audit_blocks SET rows = rows[1:2] WHERE chain = $1 AND number = 2", "block_altered", 2, false),
        ("DELETE FROM audit_blocks WHERE chain = $1 AND number = 2", "block_missing", 2, false),
        ("DELETE FROM audit_blocks WHERE chain = $1 AND number = 3", "block_missing", 3, false),
    ];
    for (statement, kind, block, names_row) in cases {
        let tenant = TenantId::generate(SystemClock.now(), &mut rand::rng());
        sealed_blocks(&app, tenant, &[1, 3, 2]).await;
        let query = format!("tenant={tenant}");
        let whole = verdict(&app, &query).await;
        assert_eq!(
            (&whole["ok"], &whole["blocks"], &whole["rows"], &whole["fault"]),
            (&json!(true), &json!(3), &json!(6), &Value::Null)
        );
        by_force(&app, &statement.replace("$1", &format!("'{tenant}'"))).await;
        let found = verdict(&app, &query).await;
        let fault = &found["fault"];
        assert_eq!(
            (&found["ok"], &fault["kind"], &fault["block"]),
            (&json!(false), &json!(kind), &json!(block)),
            "{statement}\n{found}"
        );
        assert_eq!(fault["row"].is_string(), *names_row, "{statement}\n{found}");
        let head = &found["head"];
        assert!(head.as_str().is_some_and(|head| head.starts_with(&format!("{}:", block - 1))), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_was_cut_off_or_made_anew_differs_from_the_head_that_was_kept() {
    let app = TestApp::build().without_worker().start().await;
    let tenant = TenantId::generate(SystemClock.now(), &mut rand::rng());
    sealed_blocks(&app, tenant, &[2, 2]).await;
    let head = verdict(&app, &format!("tenant={tenant}")).await["head"].as_str().unwrap().to_owned();
    sealed_blocks(&app, tenant, &[1]).await;
    let with_head = format!("tenant={tenant}&head={head}");
    assert_eq!(verdict(&app, &with_head).await["ok"], true);
    // The last blocks go with their rows: what is left is whole.
    by_force(&app, &format!("DELETE FROM audit_blocks WHERE chain = '{tenant}' AND number > 1")).await;
    by_force(&app, &format!("DELETE FROM audit_log WHERE tenant_id = '{tenant}' AND block > 1")).await;
    assert_eq!(verdict(&app, &format!("tenant={tenant}")).await["ok"], true);
    let found = verdict(&app, &with_head).await;
    assert_eq!(
        (&found["ok"], &found["fault"]["kind"], &found["fault"]["block"]),
        (&json!(false), &json!("head_differs"), &json!(2))
    );
    // Made anew with other rows.
    sealed_blocks(&app, tenant, &[2]).await;
    assert_eq!(verdict(&app, &format!("tenant={tenant}")).await["ok"], true);
    assert_eq!(verdict(&app, &with_head).await["fault"]["kind"], "head_differs");
    for query in ["head=1:00", &format!("head={head}"), "chain=all", &format!("chain=none&tenant={tenant}")] {
        app.api.get(&format!("/api/v1/audit/verify?{query}")).await.expect_problem(400, "invalid_field");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_cannot_be_changed_by_any_part_and_is_sealed_once() {
    let app = TestApp::build().without_worker().start().await;
    let tenant = TenantId::generate(SystemClock.now(), &mut rand::rng());
    let registry = Registry::connect_lazy(app.registry_url().expose_secret(), Part::ControlPlane, 2).unwrap();
    // One whose process died before it said what came of it.
    let begun = AuditEntry { outcome: AuditOutcome::Pending, status: None, ..log_in(Some(tenant), "ada") };
    registry.audit_begin(&begun, false).await.unwrap();
    registry.close().await;
    let (one, other) = (sealing(&app), sealing(&app));
    let (sealed, also) = tokio::join!(seal_audit::run(&one), seal_audit::run(&other));
    let _ = (sealed.unwrap(), also.unwrap());
    seal_audit::run(&one).await.unwrap();
    assert_eq!(app.count("SELECT count(*) FROM audit_log WHERE block IS NULL").await, 0);
    let row = &rows(&app, "actor=ada").await[0];
    assert_eq!((&row["outcome"], &row["block"]), (&json!("unknown"), &json!(1)));
    let all = app.api.get("/api/v1/audit/verify").await.expect(200).json();
    assert!(all["items"].as_array().unwrap().iter().all(|chain| chain["ok"] == true), "{all}");
    for statement in [
        "UPDATE audit_log SET action = 'x'",
        "DELETE FROM audit_log",
        "UPDATE audit_blocks SET hash = ''",
        "DELETE FROM audit_blocks",
    ] {
        let refused = sqlx::query(statement).execute(app.owner()).await.expect_err(statement);
        assert!(refused.to_string().contains("is sealed"), "{statement}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_seals_by_itself_and_the_command_line_verifies_and_exports() {
    let app = TestApp::build().worker(|settings| settings.seal_after.done = Duration::ZERO).start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    let sealed = async || app.count("SELECT count(*) FROM audit_log WHERE block IS NULL").await == 0;
    within(Duration::from_mins(1), "all is sealed", sealed).await;
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret());
    let listed =
        cli.run(&["audit", "list", "--tenant", &acme.slug, "--action", "tenants.*"]).await.succeeded();
    assert!(listed.contains("tenants.create") && listed.contains("tenants.keys.create"), "{listed}");
    let exported = cli.run(&["audit", "export", "--tenant", &acme.id]).await.succeeded();
    assert_eq!(exported.lines().count(), rows(&app, &format!("tenant={}", acme.id)).await.len());
    let verified = cli.run(&["audit", "verify"]).await.succeeded();
    assert!(verified.contains(&acme.id), "{verified}");
    let one = cli.run(&["audit", "verify", "--tenant", &acme.id, "--output", "json"]).await.succeeded();
    let one: Value = serde_json::from_str(&one).unwrap();
    let head = one["items"][0]["head"].as_str().unwrap();
    cli.run(&["audit", "verify", "--tenant", &acme.slug, "--head", head]).await.succeeded();
    cli.run(&["audit", "verify", "--no-tenant"]).await.succeeded();
    by_force(&app, &format!("UPDATE audit_log SET actor_name = 'x' WHERE tenant_id = '{}'", acme.id)).await;
    let failed = cli.run(&["audit", "verify"]).await.failed();
    assert!(failed.contains("was altered") && failed.contains(&acme.id), "{failed}");
}
