//! Custom domains: proven by a TXT record, served by host, gone when they are removed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tenantry_data_plane::Method as By;
use tenantry_tests::{Signup, TestApp, clock::MovedClock, within::within};
use tenantry_worker::{
    dns::{DnsError, TxtResolver},
    reconcilers::{forget_domains, verify_domains},
};

/// The part of the world's DNS that the test writes.
#[derive(Debug, Default)]
struct Zone(Mutex<HashMap<String, Vec<String>>>);

impl Zone {
    fn set(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), texts);
    }
}

#[async_trait]
impl TxtResolver for Zone {
    async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        if name.ends_with("broken.example") {
            return Err(DnsError("no server answers".into()));
        }
        Ok(self.0.lock().unwrap().get(name).cloned().unwrap_or_default())
    }
}

/// A Tenantry whose data plane does not take a key's word for its tenant, so that a host alone decides.
async fn start(zone: &Arc<Zone>) -> TestApp {
    TestApp::build()
        .with_resolver(zone.clone())
        .data_plane(|settings| {
            settings.methods = [By::CustomDomain, By::Subdomain, By::Header].into_iter().collect();
            settings.unknown_ttl = Duration::from_hours(1);
        })
        .start()
        .await
}

async fn look_for_records(app: &TestApp) {
    verify_domains::run(app.worker.as_ref().unwrap().resources()).await.unwrap();
}

async fn add(app: &TestApp, tenant: &Signup, domain: &str) -> Value {
    let path = format!("/api/v1/tenants/{}/domains", tenant.slug);
    app.api.post(&path, json!({ "domain": domain })).await.expect(201).json()
}

async fn list(app: &TestApp, tenant: &Signup) -> Value {
    app.api.get(&format!("/api/v1/tenants/{}/domains", tenant.slug)).await.expect(200).json()
}

/// Shows the world that the domain is the tenant's, and waits until it is served.
async fn prove(app: &TestApp, zone: &Zone, tenant: &Signup, added: &Value) {
    let text = |of: &Value| of.as_str().unwrap().to_owned();
    zone.set(&text(&added["record"]["name"]), &[&text(&added["record"]["value"])]);
    look_for_records(app).await;
    let host = text(&added["domain"]);
    within(Duration::from_millis(100), "the domain is served", async || {
        tenant.data.with_host(&*host).get("/api/contacts").await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_served_once_its_record_is_there_and_not_before() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    for plan in ["basic", "premium"] {
        let tenant = app.sign_up(plan, plan, "crm").await;
        tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
        let domain = format!("{plan}.customersite.example");
        let here = tenant.data.with_host(&*domain);
        here.get("/api/contacts").await.expect_problem(404, "tenant_not_found");

        let added = add(&app, &tenant, &domain).await;
        assert_eq!((&added["verified"], &added["record"]["type"]), (&json!(false), &json!("TXT")));
        let name = added["record"]["name"].as_str().unwrap();
        assert_eq!(name, format!("_tenantry.{domain}"));
        // Neither no record nor another's proves anything.
        look_for_records(&app).await;
        here.get("/api/contacts").await.expect_problem(404, "tenant_not_found");
        zone.set(name, &["tenantry-verification=somebody-else", "v=spf1 -all"]);
        look_for_records(&app).await;
        here.get("/api/contacts").await.expect_problem(404, "tenant_not_found");
        assert_eq!(list(&app, &tenant).await["items"][0]["verified"], false);

        prove(&app, &zone, &tenant, &added).await;
        let item = &list(&app, &tenant).await["items"][0];
        assert_eq!((&item["domain"], &item["verified"]), (&json!(domain), &json!(true)));
        assert!(item["verifiedAt"].is_string(), "{item}");
        for host in [
            domain.clone(),
            domain.to_uppercase(),
            format!("{domain}."),
            format!("{domain}:8443"),
            format!("{domain}.:1"),
        ] {
            let found = tenant.data.with_host(&*host).get("/api/contacts?select=email").await.expect(200);
            assert_eq!(found.json(), json!([{ "email": "a@example.com" }]), "{host}");
        }
        // Only itself: not what is above, below or beside it.
        for host in [format!("www.{domain}"), format!("x{domain}"), "customersite.example".into()] {
            let answer = tenant.data.with_host(host).get("/api/contacts").await;
            answer.expect_problem(404, "tenant_not_found");
        }
        // A domain opens nothing without the key.
        here.without_key().get("/api/contacts").await.expect_problem(401, "key_required");
        // The record is not needed any more once it was seen.
        zone.set(name, &[]);
        look_for_records(&app).await;
        here.get("/api/contacts").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_domain_is_gone_at_once() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let domain = "shop.customersite.example";
    let added = add(&app, &tenant, domain).await;
    prove(&app, &zone, &tenant, &added).await;

    let path = format!("/api/v1/tenants/{}/domains/{domain}", tenant.slug);
    app.api.delete(&path).await.expect(204);
    let here = tenant.data.with_host(domain);
    within(Duration::from_millis(100), "the domain is not served", async || {
        here.get("/api/contacts").await.status == 404
    })
    .await;
    here.get("/api/contacts").await.expect_problem(404, "tenant_not_found");
    app.api.delete(&path).await.expect_problem(404, "domain_not_found");
    assert_eq!(list(&app, &tenant).await["items"], json!([]));
    tenant.data.get("/api/contacts").await.expect(200);

    // Whoever adds it next proves it anew: the old record holds the old token.
    let again = add(&app, &tenant, domain).await;
    assert_ne!(again["record"]["value"], added["record"]["value"]);
    look_for_records(&app).await;
    here.get("/api/contacts").await.expect_problem(404, "tenant_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_belongs_to_one_tenant() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let (first, second) =
        (app.sign_up("first", "basic", "crm").await, app.sign_up("second", "basic", "crm").await);
    let domain = "only.customersite.example";
    let added = add(&app, &first, domain).await;
    let path = |tenant: &Signup| format!("/api/v1/tenants/{}/domains", tenant.slug);
    for spelling in [domain, "ONLY.customersite.example", "only.customersite.example."] {
        let answer = app.api.post(&path(&second), json!({ "domain": spelling })).await;
        answer.expect_problem(409, "domain_taken");
    }
    prove(&app, &zone, &first, &added).await;
    app.api.post(&path(&second), json!({ "domain": domain })).await.expect_problem(409, "domain_taken");
    app.api.delete(&format!("{}/{domain}", path(&second))).await.expect_problem(404, "domain_not_found");

    // The domain names the first, whatever else is said.
    second.data.with_host(domain).get("/api/contacts").await.expect_problem(403, "tenant_mismatch");
    let both = first.data.with_host(domain);
    let request = both.request(reqwest::Method::GET, "/api/contacts").header("x-tenant-id", &second.id);
    both.send(request).await.expect_problem(400, "tenant_conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_that_nobody_can_have_are_refused() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}/domains", tenant.slug);
    for domain in ["acme.localhost", "a.b.localhost", "ACME.LocalHost."] {
        let answer = app.api.post(&path, json!({ "domain": domain })).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{domain}: {}", answer.text);
        answer.assert_problem();
        assert_eq!(answer.fields(), ["domain"], "{}", answer.text);
    }
    for domain in
        ["localhost", "", "10.0.0.1", "a b.example.com", "a_b.example.com", "-a.example.com", "a..b"]
    {
        let answer = app.api.post(&path, json!({ "domain": domain })).await;
        assert!(answer.status.is_client_error(), "{domain}: {}", answer.text);
        answer.assert_problem();
    }
    assert_eq!(list(&app, &tenant).await["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_domain_whose_dns_is_broken_does_not_keep_others_waiting() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    add(&app, &tenant, "www.broken.example").await;
    let sound = add(&app, &tenant, "www.sound.example").await;
    prove(&app, &zone, &tenant, &sound).await;
    let broken = tenant.data.with_host("www.broken.example");
    broken.get("/api/contacts").await.expect_problem(404, "tenant_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_is_not_proven_within_a_week_is_free_for_whoever_has_it() {
    let (zone, clock) = (Arc::new(Zone::default()), MovedClock::shared());
    let app = TestApp::build().with_resolver(zone.clone()).with_clock(clock.clone()).start().await;
    let squatter = app.sign_up("squatter", "basic", "crm").await;
    let owner = app.sign_up("owner", "basic", "crm").await;
    let proven = add(&app, &squatter, "mine.example").await;
    zone.set(proven["record"]["name"].as_str().unwrap(), &[proven["record"]["value"].as_str().unwrap()]);
    add(&app, &squatter, "theirs.example").await;
    look_for_records(&app).await;

    let resources = app.worker.as_ref().unwrap().resources();
    let (path, body) =
        (format!("/api/v1/tenants/{}/domains", owner.slug), json!({ "domain": "theirs.example" }));
    clock.put_ahead(chrono::Duration::days(6));
    forget_domains::run(resources).await.unwrap();
    app.api.post(&path, body.clone()).await.expect_problem(409, "domain_taken");
    clock.put_ahead(chrono::Duration::days(8));
    forget_domains::run(resources).await.unwrap();
    app.api.post(&path, body).await.expect(201);
    let kept = list(&app, &squatter).await;
    assert_eq!(kept["items"].as_array().unwrap().len(), 1, "{kept}");
}
