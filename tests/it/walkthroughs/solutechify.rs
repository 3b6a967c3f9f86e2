//! `seeds/solutechify.md`.
//!
//! | the document | ours | |
//! |---|---|---|
//! | each organization gets its own schema: `CREATE SCHEMA tenant_{id}`, clone, grants | `POST /api/v1/tenants` | covered |
//! | `{tenant}.solutechify.com` | subdomain of the base domain | covered |
//! | `events.customersite.com` | `POST /api/v1/tenants/{tenant}/domains`, proven by a TXT record | covered |
//! | `solutechify.com/{tenant}/` | `/t/{tenant}/api/...` | covered |
//! | "cross-tenant queries are prevented at the database level" | one role per tenant | covered |
//! | tokens with separate signing keys, roles | | later issue |
//! | file storage, quotas, backups, migrations of all tenants | | later issues |

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tenantry_tests::{Signup, TestApp, app::TestAppBuilder};
use tenantry_worker::{
    dns::{DnsError, TxtResolver},
    reconcilers::verify_domains,
};

use super::{as_the_tenant_s_role, assert_refused_by_postgres, create, object_name};

/// DNS as the test wants it.
#[derive(Default)]
struct Records(Mutex<HashMap<String, Vec<String>>>);

impl Records {
    fn set(&self, name: &Value, text: &str) {
        self.0
            .lock()
            .unwrap()
            .insert(name.as_str().unwrap().to_owned(), vec!["v=spf1 -all".to_owned(), text.to_owned()]);
    }
}

#[async_trait]
impl TxtResolver for Records {
    async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        Ok(self.0.lock().unwrap().get(name).cloned().unwrap_or_default())
    }
}

fn solutechify() -> TestAppBuilder {
    TestApp::build()
        .with_apps(&["solutechify"])
        .data_plane(|settings| "solutechify.com".clone_into(&mut settings.base_domain))
}

async fn two_organizations(app: &TestApp) -> (Signup, Signup) {
    let with_host = |tenant: Signup| Signup {
        data: tenant.data.with_host(format!("{}.solutechify.com", tenant.slug)),
        ..tenant
    };
    let one = with_host(app.sign_up("one", "basic", "solutechify").await);
    let two = with_host(app.sign_up("two", "basic", "solutechify").await);
    (one, two)
}

fn event(name: &str) -> Value {
    json!({ "name": name, "starts_at": "2027-01-15T10:30:00Z" })
}

#[tokio::test(flavor = "multi_thread")]
async fn organizations_are_found_by_subdomain_and_by_path_and_see_their_own_events_only() {
    let app = solutechify().start().await;
    let (one, two) = two_organizations(&app).await;
    let expected: BTreeSet<String> = [&one, &two].map(|tenant| object_name(&tenant.slug)).into();
    assert_eq!(app.on_server().await.schemas, expected, "a schema per organization");

    create(&one.data, "/api/events", &event("Conference")).await;
    create(&two.data, "/api/events", &event("Concert")).await;
    for (tenant, name) in [(&one, "Conference"), (&two, "Concert")] {
        let expected = json!([{ "name": name }]);
        let by_subdomain = tenant.data.get("/api/events?select=name").await.expect(200);
        assert_eq!(by_subdomain.json(), expected);
        assert_eq!(by_subdomain.header("x-tenant"), Some(tenant.slug.clone()));
        let apex = app.data.with_host("solutechify.com").with_key(tenant.key.clone());
        let path = format!("/t/{}/api/events?select=name", tenant.slug);
        assert_eq!(apex.get(&path).await.expect(200).json(), expected);
        // By path too, links lead back to the path.
        let made =
            apex.post(&format!("/t/{}/api/venues", tenant.slug), json!({ "name": "Hall" })).await.expect(201);
        let location = made.header("location");
        assert!(
            location.as_ref().is_none_or(|at| at.starts_with(&format!("/t/{}/api/", tenant.slug))),
            "{location:?}"
        );
    }
    // The path of one with the key of the other.
    let crossing = app.data.with_host("solutechify.com").with_key(two.key.clone());
    crossing.get(&format!("/t/{}/api/events", one.slug)).await.expect_problem(403, "tenant_mismatch");
    // The path of one at the host of the other.
    one.data.get(&format!("/t/{}/api/events", two.slug)).await.expect_problem(400, "tenant_conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_domain_serves_its_organization_once_its_record_is_seen() {
    let records = Arc::new(Records::default());
    let app = solutechify().with_resolver(records.clone()).start().await;
    let (one, two) = two_organizations(&app).await;
    create(&one.data, "/api/events", &event("Conference")).await;
    let path = format!("/api/v1/tenants/{}/domains", one.slug);
    let added = app.api.post(&path, json!({ "domain": "Events.CustomerSite.com" })).await.expect(201).json();
    assert_eq!((&added["domain"], &added["verified"]), (&json!("events.customersite.com"), &json!(false)));
    assert_eq!(added["record"]["type"], "TXT");
    assert_eq!(added["record"]["name"], "_tenantry.events.customersite.com");
    // Another may claim it too, until it is proven.
    let other = format!("/api/v1/tenants/{}/domains", two.slug);
    app.api.post(&other, json!({ "domain": "events.customersite.com" })).await.expect(201);

    let visitor = app.data.with_host("events.customersite.com");
    let worker = app.worker.as_ref().unwrap();
    for wrong in ["tenantry-verification=", "tenantry-verification=0", "hello"] {
        records.set(&added["record"]["name"], wrong);
        verify_domains::run(worker.resources()).await.unwrap();
        visitor.get("/api/events").await.expect_problem(404, "tenant_not_found");
    }

    records.set(&added["record"]["name"], added["record"]["value"].as_str().unwrap());
    verify_domains::run(worker.resources()).await.unwrap();
    assert_eq!(app.api.get(&path).await.expect(200).json()["items"][0]["verified"], true);
    // Now it is one organization's.
    app.api
        .post(&other, json!({ "domain": "events.customersite.com" }))
        .await
        .expect_problem(409, "domain_taken");
    app.routes_caught_up().await;
    visitor.get("/api/events").await.expect_problem(401, "key_required");
    let read = visitor.with_key(one.key.clone()).get("/api/events?select=name").await.expect(200);
    assert_eq!(read.json(), json!([{ "name": "Conference" }]));
    visitor.with_key(two.key.clone()).get("/api/events").await.expect_problem(403, "tenant_mismatch");
    let path_of_two = format!("/t/{}/api/events", two.slug);
    visitor.with_key(two.key.clone()).get(&path_of_two).await.expect_problem(400, "tenant_conflict");

    app.api.delete(&format!("{path}/events.customersite.com")).await.expect(204);
    app.routes_caught_up().await;
    visitor.get("/api/events").await.expect_problem(404, "tenant_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_across_organizations_is_refused_by_the_database() {
    let app = solutechify().start().await;
    let (one, two) = two_organizations(&app).await;
    create(&two.data, "/api/events", &event("Concert")).await;
    let foreign = object_name(&two.slug);
    let mut own = as_the_tenant_s_role(&app, &one.slug).await;
    // Its own schema comes first on its path, as the document's `SET search_path` has it.
    let first: String =
        sqlx::query_scalar("SELECT current_schema()::text").fetch_one(&mut own).await.unwrap();
    assert_eq!(first, object_name(&one.slug));
    for table in ["events", "venues", "tickets", "registrations"] {
        assert_refused_by_postgres(&mut own, format!("SELECT * FROM {foreign}.{table}")).await;
        assert_refused_by_postgres(
            &mut own,
            format!("SELECT 1 FROM {table} JOIN {foreign}.{table} AS other USING (id)"),
        )
        .await;
        let path = format!("/api/{foreign}.{table}");
        one.data.get(&path).await.expect(404).assert_problem();
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SET search_path TO {foreign}, public")))
        .execute(&mut own)
        .await
        .unwrap();
    let error = sqlx::raw_sql("SELECT * FROM events").execute(&mut own).await.unwrap_err();
    assert!(
        error.to_string().contains("does not exist"),
        "a schema that may not be used is not looked into: {error}"
    );
}
