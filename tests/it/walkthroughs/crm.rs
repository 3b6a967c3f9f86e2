//! `seeds/crm.md`.
//!
//! | the document | ours | |
//! |---|---|---|
//! | tenant creation, "via API", atomic | `POST /api/v1/tenants` `{name, plan, app}` | covered |
//! | schema `tenant_<sanitized_name>`, e.g. `tenant_acme_corp` | the slug is derived from the name, the schema from the slug | covered |
//! | tenant migrations run automatically (contacts, conversations, messages) | the three versions of the app `crm` | covered |
//! | "Index Strategy", `idx_contacts_email_pattern` | the same names and definitions | covered |
//! | tenant-scoped queries of contacts, conversations, messages | `/api/contacts`, `/api/conversations`, `/api/messages` | covered |
//! | `CREATE ROLE tenant_acme_corp`, `GRANT`s, `REVOKE ... FROM` | one role per tenant; it may change rows, not tables | covered |
//! | tenant deletion, `DROP SCHEMA ... CASCADE` | `DELETE /api/v1/tenants/{tenant}?purge=now` | covered |
//! | `db:migrate:status`, `db:rollback` on existing tenants | rollouts | later issue |
//! | backups, schema sizes | | later issues |

use serde_json::{Value, json};
use sqlx::Row;
use tenantry_tests::{Api, TestApp, server};

use super::{as_the_tenant_s_role, assert_refused_by_postgres, create, object_name};

const TABLES: [&str; 3] = ["contacts", "conversations", "messages"];

/// Creates a tenant by its name alone; answers its slug.
async fn create_tenant(app: &TestApp, name: &str) -> String {
    let body = json!({ "name": format!("{name} {}", app.suffix), "plan": "basic", "app": "crm" });
    let made = app.api.post_and_wait("/api/v1/tenants", body).await.expect(201).json();
    made["tenant"]["slug"].as_str().unwrap().to_owned()
}

async fn data_of(app: &TestApp, slug: &str) -> Api {
    app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(slug).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_schema_is_named_after_it_and_has_every_migration_and_every_index() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let slug = create_tenant(&app, "Acme, Corp!").await;
    assert_eq!(slug, format!("acme-corp-{}", app.suffix));
    let schema = format!("tenant_acme_corp_{}", app.suffix);
    assert_eq!(app.on_server().await.schemas, [schema.clone()].into());

    // The migrations ran by themselves, all three, in their order.
    let versions = app.api.get("/api/v1/apps/crm").await.expect(200).json()["versions"].clone();
    let names: Vec<&str> =
        versions.as_array().unwrap().iter().map(|version| version["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["contacts", "conversations", "search"]);
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let applied: Vec<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT version FROM {schema}.tenantry_migrations ORDER BY version"
    )))
    .fetch_all(&mut shared)
    .await
    .unwrap();
    assert_eq!(
        json!(applied),
        versions.as_array().unwrap().iter().map(|version| version["version"].clone()).collect::<Value>()
    );
    let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
    assert_eq!(tenant["placement"]["schema"], schema);
    assert_eq!(tenant["placement"]["schemaVersion"], versions[2]["version"]);

    // The document's indexes, word for word.
    let indexes = sqlx::query("SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = $1")
        .bind(&schema)
        .fetch_all(&mut shared)
        .await
        .unwrap();
    for (name, table, columns) in [
        ("idx_contacts_email", "contacts", "btree (email)"),
        ("idx_contacts_phone", "contacts", "btree (phone)"),
        ("idx_contacts_created_at", "contacts", "btree (created_at DESC)"),
        ("idx_conversations_contact_status", "conversations", "btree (contact_id, status)"),
        ("idx_messages_conversation_created", "messages", "btree (conversation_id, created_at DESC)"),
        ("idx_contacts_metadata", "contacts", "gin (metadata)"),
        ("idx_messages_content", "messages", "gin (to_tsvector('english'::regconfig, content))"),
        ("idx_contacts_email_pattern", "contacts", "btree (email text_pattern_ops)"),
    ] {
        let definition = format!("CREATE INDEX {name} ON {schema}.{table} USING {columns}");
        let found = indexes.iter().find(|row| row.get::<String, _>(0) == name);
        assert_eq!(found.map(|row| row.get::<String, _>(1)), Some(definition));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_conversations_and_messages_are_scoped_to_their_tenant() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let (acme, startup) = (create_tenant(&app, "Acme Corp").await, create_tenant(&app, "Tech Startup").await);
    let (acme, startup) = (data_of(&app, &acme).await, data_of(&app, &startup).await);
    let contact =
        json!({ "first_name": "Ann", "email": "ann@company.com", "metadata": { "source": "fair" } });
    let contact = create(&acme, "/api/contacts", &contact).await;
    let conversation = json!({ "contact_id": contact["id"], "subject": "Offer" });
    let conversation = create(&acme, "/api/conversations", &conversation).await;
    let message = json!({ "conversation_id": conversation["id"], "content": "Here is our offer" });
    create(&acme, "/api/messages", &message).await;

    // The query of the troubleshooting guide, and a contact with all that was said.
    let read = acme.get("/api/contacts?email=like.*@company.com&select=first_name").await.expect(200).json();
    assert_eq!(read, json!([{ "first_name": "Ann" }]));
    let read = acme.get("/api/contacts?select=first_name,conversations(subject,messages(content))").await;
    assert_eq!(
        read.expect(200).json(),
        json!([{
            "first_name": "Ann",
            "conversations": [{ "subject": "Offer", "messages": [{ "content": "Here is our offer" }] }],
        }])
    );
    for table in TABLES {
        assert_eq!(startup.get(&format!("/api/{table}")).await.expect(200).json(), json!([]), "{table}");
    }
    // Not even by the id of what is the other tenant's.
    let path = format!("/api/contacts/{}", contact["id"].as_str().unwrap());
    startup.get(&path).await.expect(404);
    let stolen = startup.post("/api/conversations", json!({ "contact_id": contact["id"] })).await;
    stolen.expect_problem(409, "foreign_key_violation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_role_has_its_own_schema_and_no_other() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let (acme, other) = (create_tenant(&app, "Acme Corp").await, create_tenant(&app, "Other Company").await);
    let (role, foreign) = (object_name(&acme), object_name(&other));
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    for (schema, has) in [(&role, true), (&foreign, false)] {
        let usage: bool = sqlx::query_scalar("SELECT has_schema_privilege($1, $2, 'USAGE')")
            .bind(&role)
            .bind(schema)
            .fetch_one(&mut shared)
            .await
            .unwrap();
        assert_eq!(usage, has, "USAGE on {schema}");
        for table in TABLES {
            for privilege in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
                let granted: bool = sqlx::query_scalar("SELECT has_table_privilege($1, $2, $3)")
                    .bind(&role)
                    .bind(format!("{schema}.{table}"))
                    .bind(privilege)
                    .fetch_one(&mut shared)
                    .await
                    .unwrap();
                assert_eq!(granted, has, "{privilege} on {schema}.{table}");
            }
        }
    }

    // And so it is for who logs in as the role.
    let mut own = as_the_tenant_s_role(&app, &acme).await;
    sqlx::raw_sql("INSERT INTO contacts (email) VALUES ('a@example.com')").execute(&mut own).await.unwrap();
    for table in TABLES {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SELECT * FROM {table}"))).execute(&mut own).await.unwrap();
        assert_refused_by_postgres(&mut own, format!("SELECT * FROM {foreign}.{table}")).await;
        assert_refused_by_postgres(&mut own, format!("DELETE FROM {foreign}.{table}")).await;
    }
    assert_refused_by_postgres(&mut own, format!("SET ROLE {foreign}")).await;
    assert_refused_by_postgres(&mut own, "CREATE SCHEMA mine".to_owned()).await;
    assert_refused_by_postgres(&mut own, format!("CREATE TABLE {role}.mine (id int)")).await;
    assert_refused_by_postgres(&mut own, "CREATE TABLE public.mine (id int)".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_leaves_no_schema_and_the_name_is_free_again() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let slug = create_tenant(&app, "Acme Corp").await;
    app.api.delete_and_wait(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(200);
    app.assert_nothing_left().await;
    // No `schema "tenant_name" already exists`.
    assert_eq!(create_tenant(&app, "Acme Corp").await, slug);
    assert_eq!(data_of(&app, &slug).await.get("/api/contacts").await.expect(200).json(), json!([]));
}
