//! Custom domains: proven by a TXT record, served by host, gone when they are removed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tenantry_data_plane::Method as By;
use tenantry_tests::{Signup, TestApp};
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
    app.routes_caught_up().await;
    tenant.data.with_host(text(&added["domain"])).get("/api/contacts").await.expect(200);
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
    app.routes_caught_up().await;
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
async fn a_proven_domain_belongs_to_one_tenant() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let (first, second) =
        (app.sign_up("first", "basic", "crm").await, app.sign_up("second", "basic", "crm").await);
    let domain = "only.customersite.example";
    let added = add(&app, &first, domain).await;
    let path = |tenant: &Signup| format!("/api/v1/tenants/{}/domains", tenant.slug);
    prove(&app, &zone, &first, &added).await;
    for spelling in [domain, "ONLY.customersite.example", "only.customersite.example."] {
        let answer = app.api.post(&path(&second), json!({ "domain": spelling })).await;
        answer.expect_problem(409, "domain_taken");
    }
    let with_it = json!({
        "name": "Third", "slug": app.slug("third"), "plan": "basic", "app": "crm", "domain": domain
    });
    app.api.post("/api/v1/tenants", with_it).await.expect_problem(409, "domain_taken");
    // The owner may say it again.
    let again = app.api.post(&path(&first), json!({ "domain": domain })).await.expect(201).json();
    assert_eq!((&again["verified"], &again["record"]), (&json!(true), &added["record"]));
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
async fn a_claim_that_is_not_proven_within_a_week_is_forgotten() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let squatter = app.sign_up("squatter", "basic", "crm").await;
    let proven = add(&app, &squatter, "mine.example").await;
    zone.set(proven["record"]["name"].as_str().unwrap(), &[proven["record"]["value"].as_str().unwrap()]);
    add(&app, &squatter, "theirs.example").await;
    look_for_records(&app).await;

    let resources = app.worker.as_ref().unwrap().resources();
    for (days, kept) in [(6, 2), (2, 1)] {
        let pass = "UPDATE domains SET created_at = created_at - make_interval(days => $1)";
        sqlx::query(pass).bind(days).execute(app.owner()).await.unwrap();
        forget_domains::run(resources).await.unwrap();
        let listed = list(&app, &squatter).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), kept, "{listed}");
    }
    assert_eq!(list(&app, &squatter).await["items"][0]["verified"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tenants_that_claim_a_domain_the_one_that_proves_it_gets_it() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let (squatter, owner) =
        (app.sign_up("squatter", "basic", "crm").await, app.sign_up("owner", "basic", "crm").await);
    let domain = "mine.customersite.example";
    let (theirs, own) = (add(&app, &squatter, domain).await, add(&app, &owner, domain).await);
    assert_ne!(theirs["record"]["value"], own["record"]["value"]);
    // A claim alone serves nobody.
    squatter.data.with_host(domain).get("/api/contacts").await.expect_problem(404, "tenant_not_found");

    prove(&app, &zone, &owner, &own).await;
    assert_eq!(list(&app, &squatter).await["items"], json!([]));
    let verify = |tenant: &Signup| format!("/api/v1/tenants/{}/domains/{domain}/verify", tenant.slug);
    app.api.post(&verify(&squatter), json!({})).await.expect_problem(404, "domain_not_found");
    app.api.post(&verify(&owner), json!({})).await.expect(200);
    // Given up, it may be had again.
    app.api.delete(&format!("/api/v1/tenants/{}/domains/{domain}", owner.slug)).await.expect(204);
    let again = add(&app, &squatter, domain).await;
    prove(&app, &zone, &squatter, &again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_proofs_at_the_same_moment_give_the_domain_to_one() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let tenants = [app.sign_up("a", "basic", "crm").await, app.sign_up("b", "basic", "crm").await];
    for n in 0..10 {
        let domain = format!("n{n}.customersite.example");
        let (mut texts, mut name) = (Vec::new(), String::new());
        for tenant in &tenants {
            let added = add(&app, tenant, &domain).await;
            texts.push(added["record"]["value"].as_str().unwrap().to_owned());
            added["record"]["name"].as_str().unwrap().clone_into(&mut name);
        }
        zone.set(&name, &[&texts[0], &texts[1]]);
        let verify = async |tenant: &Signup| {
            let path = format!("/api/v1/tenants/{}/domains/{domain}/verify", tenant.slug);
            app.api.post(&path, json!({})).await
        };
        let (a, b) = tokio::join!(verify(&tenants[0]), verify(&tenants[1]));
        for answer in [&a, &b] {
            // 503: the two stood in each other's way, and one was sent back to try again.
            assert!([200, 404, 409, 503].contains(&answer.status.as_u16()), "{answer:?}");
        }
        let proven = "SELECT count(*) FROM domains WHERE verified_at IS NOT NULL AND name = $1";
        let count: i64 = sqlx::query_scalar(proven).bind(&domain).fetch_one(app.owner()).await.unwrap();
        assert_eq!(count, 1, "{domain}: {} and {}", a.text, b.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_the_record_now_proves_the_domain_or_says_what_is_there() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let domain = "now.customersite.example";
    let added = add(&app, &tenant, domain).await;
    let path = format!("/api/v1/tenants/{}/domains/{domain}/verify", tenant.slug);
    let nothing = app.api.post(&path, json!({})).await.expect_problem(422, "domain_unproven").json();
    assert_eq!((&nothing["record"], &nothing["found"]), (&added["record"], &json!([])));
    let name = added["record"]["name"].as_str().unwrap();
    zone.set(name, &["v=spf1 -all"]);
    let other = app.api.post(&path, json!({})).await.expect_problem(422, "domain_unproven").json();
    assert_eq!(other["found"], json!(["v=spf1 -all"]));
    assert!(list(&app, &tenant).await["items"][0]["checkedAt"].is_string());

    zone.set(name, &["v=spf1 -all", added["record"]["value"].as_str().unwrap()]);
    let proven = app.api.post(&path, json!({})).await.expect(200).json();
    assert_eq!(proven["verified"], true);
    app.routes_caught_up().await;
    tenant.data.with_host(domain).get("/api/contacts").await.expect(200);
    // Proven is proven.
    zone.set(name, &[]);
    app.api.post(&path, json!({})).await.expect(200);

    add(&app, &tenant, "www.broken.example").await;
    let path = format!("/api/v1/tenants/{}/domains/www.broken.example/verify", tenant.slug);
    app.api.post(&path, json!({})).await.expect_problem(503, "dns_unavailable");
    let path = format!("/api/v1/tenants/{}/domains/never.example/verify", tenant.slug);
    app.api.post(&path, json!({})).await.expect_problem(404, "domain_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reverse_proxy_hears_for_which_hosts_to_get_certificates() {
    let zone = Arc::<Zone>::default();
    let app = start(&zone).await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let (proven, claimed) = ("yes.customersite.example", "not-yet.customersite.example");
    let added = add(&app, &tenant, proven).await;
    prove(&app, &zone, &tenant, &added).await;
    add(&app, &tenant, claimed).await;
    let ask = async |domain: &str| app.data.get(&format!("/.well-known/tenantry/ask?domain={domain}")).await;
    let label = format!("{}.localhost", tenant.slug);
    for domain in [proven, "YES.customersite.example.", label.as_str()] {
        ask(domain).await.expect(200);
    }
    for domain in
        [claimed, "nobody.example", "localhost", "10.0.0.1", "a.b.localhost", "nobody.localhost", "%00", "_"]
    {
        ask(domain).await.expect_problem(404, "domain_not_found");
    }
    app.data.get("/.well-known/tenantry/ask").await.expect_problem(400, "invalid_field");

    // A suspended tenant keeps its certificate; a purged one does not.
    app.api.post_and_wait(&format!("/api/v1/tenants/{}/suspend", tenant.slug), json!({})).await.expect(200);
    app.routes_caught_up().await;
    ask(proven).await.expect(200);
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    app.routes_caught_up().await;
    for domain in [proven, label.as_str()] {
        ask(domain).await.expect_problem(404, "domain_not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_of_unknown_hosts_is_bounded_and_known_ones_are_answered_meanwhile() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.get("/api/contacts").await.expect(200);
    let ask =
        async |domain: String| app.data.get(&format!("/.well-known/tenantry/ask?domain={domain}")).await;
    // What is in memory is a known name, also where it has to be read again.
    app.api.patch("/api/v1/plans/basic", json!({ "features": { "read-again": true } })).await.expect(200);
    app.routes_caught_up().await;
    let mut refused = false;
    for round in 0..40 {
        let asked = (0..50).map(|n| ask(format!("n{round}-{n}.example.com")));
        let answers = futures::future::join_all(asked).await;
        if let Some(answer) = answers.into_iter().find(|answer| answer.status == 429) {
            answer.expect_problem(429, "too_many_questions");
            refused = true;
            break;
        }
    }
    assert!(refused, "2000 questions in a row were all answered");
    ask(format!("{}.localhost", tenant.slug)).await.expect(200);
}
