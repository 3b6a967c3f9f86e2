//! Keys of a tenant's identity provider that workers fetch.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tenantry_domain::{Clock, SystemClock};
use tenantry_tests::{Signup, TestApp, clock::MovedClock, within::within};
use tenantry_worker::webhooks::HostResolver;

use super::tenant;
use crate::identity_provider::{IdentityProvider, ProviderKey, Said};

const SOON: Duration = Duration::from_mins(1);

/// Claims of somebody who may do everything.
fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": "salesflow", "sub": "1", "preferred_username": "ada",
        "exp": (SystemClock.now() + TimeDelta::days(3)).timestamp(),
    })
}

/// Has a tenant trust an issuer whose keys are fetched, from a URL or as its name leads to them.
async fn trust(app: &TestApp, tenant: &Signup, issuer: &str, jwks_uri: Option<&str>) {
    let mut trusted = json!({ "issuer": issuer, "audience": "salesflow", "defaultRoles": ["admin"] });
    if let Some(uri) = jwks_uri {
        trusted["jwksUri"] = json!(uri);
    }
    let path = format!("/api/v1/tenants/{}/config/auth.issuers", tenant.id);
    let set = app.api.put(&path, json!({ "configValue": [trusted] })).await;
    assert!(set.status.is_success(), "{set:?}");
}

/// How fetching the keys of the only issuer goes.
async fn state(app: &TestApp, tenant: &Signup) -> Value {
    let path = format!("/api/v1/tenants/{}/config/auth.issuers", tenant.id);
    app.api.get(&path).await.expect(200).json()["issuerKeys"][0].take()
}

/// Why fetching them fails, as soon as it does.
async fn error_of(app: &TestApp, tenant: &Signup) -> String {
    within(SOON, "a fetch fails", async || !state(app, tenant).await["error"].is_null()).await;
    state(app, tenant).await["error"].as_str().unwrap().to_owned()
}

async fn status(tenant: &Signup, token: &str) -> u16 {
    tenant.data.with_key(token.to_owned()).get("/api/contacts").await.status.as_u16()
}

async fn comes_to_count(tenant: &Signup, token: &str) {
    within(SOON, "the token counts", async || status(tenant, token).await == 200).await;
}

async fn comes_to_be_refused(tenant: &Signup, token: &str) {
    within(SOON, "the token is refused", async || status(tenant, token).await == 401).await;
}

async fn health(app: &TestApp, tenant: &Signup) -> Value {
    app.api.get(&format!("/api/v1/tenants/{}/health", tenant.id)).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_a_url_count_and_a_new_one_soon_after_a_token_has_named_it() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    let (provider, issuer) = (IdentityProvider::start().await, "https://id.acme.example");
    let (old, new) = (ProviderKey::new("old"), ProviderKey::new("new"));
    provider.publishes(&[&old]);
    let acme = tenant(&app, "acme", "basic").await;
    trust(&app, &acme, issuer, Some(&format!("{}/jwks", provider.issuer()))).await;
    let (by_old, by_new) = (old.sign(&claims(issuer)), new.sign(&claims(issuer)));
    comes_to_count(&acme, &by_old).await;
    let known = state(&app, &acme).await;
    assert_eq!((&known["kids"], &known["error"]), (&json!(["old"]), &Value::Null));
    assert_eq!(health(&app, &acme).await["checks"]["issuers"], true);
    let asked = provider.requests();

    // It is asked again within a minute neither because of that token nor of what nobody has signed.
    provider.publishes(&[&new]);
    for token in [&by_new, &by_new, &ProviderKey::new("else").sign(&claims(issuer))] {
        assert_eq!(status(&acme, token).await, 401);
    }
    assert_eq!((provider.requests(), status(&acme, &by_old).await), (asked, 200));
    clock.put_ahead(TimeDelta::minutes(2));
    comes_to_count(&acme, &by_new).await;
    comes_to_be_refused(&acme, &by_old).await;
    assert_eq!(provider.requests(), asked + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_found_by_the_issuer_s_name_if_its_configuration_is_its_own() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    let (provider, key) = (IdentityProvider::start().await, ProviderKey::new("1"));
    let issuer = provider.issuer();
    let jwks = json!({ "keys": [key.jwk()] });
    let jwks_uri = format!("{issuer}/jwks");
    provider.answers(move |path| match path {
        "/jwks" => Said::Json(jwks.clone()),
        _ => Said::Json(json!({ "issuer": "https://id.other.example", "jwks_uri": jwks_uri })),
    });
    let acme = tenant(&app, "acme", "basic").await;
    trust(&app, &acme, &issuer, None).await;
    let error = error_of(&app, &acme).await;
    assert!(error.contains("configuration of \"https://id.other.example\""), "{error}");
    let token = key.sign(&claims(&issuer));
    assert_eq!(status(&acme, &token).await, 401);
    assert_eq!(health(&app, &acme).await["checks"]["issuers"], false);
    assert_eq!(health(&app, &acme).await["status"], "degraded");

    provider.publishes(&[&key]);
    clock.put_ahead(TimeDelta::hours(1));
    comes_to_count(&acme, &token).await;
    assert_eq!(health(&app, &acme).await["checks"]["issuers"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_keys_count_for_a_day_when_the_issuer_is_away() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    let (provider, key) = (IdentityProvider::start().await, ProviderKey::new("1"));
    provider.publishes(&[&key]);
    let (acme, issuer) = (tenant(&app, "acme", "basic").await, provider.issuer());
    trust(&app, &acme, &issuer, None).await;
    let token = key.sign(&claims(&issuer));
    comes_to_count(&acme, &token).await;

    provider.answers(|_| Said::Status(500));
    clock.put_ahead(TimeDelta::hours(20));
    assert!(error_of(&app, &acme).await.contains("answered 500"));
    assert_eq!(status(&acme, &token).await, 200);
    clock.put_ahead(TimeDelta::hours(25));
    comes_to_be_refused(&acme, &token).await;
    provider.publishes(&[&key]);
    clock.put_ahead(TimeDelta::hours(26));
    comes_to_count(&acme, &token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hostile_issuer_answers_is_refused() {
    let app = TestApp::build()
        .worker(|settings| settings.issuer_timeout = Duration::from_millis(500))
        .start()
        .await;
    let (provider, key) = (IdentityProvider::start().await, ProviderKey::new("1"));
    let (acme, issuer) = (tenant(&app, "acme", "basic").await, "https://id.acme.example");
    let mut private = key.jwk();
    private["d"] = json!("c2VjcmV0");
    let many: Vec<Value> = (0..21)
        .map(|nth| {
            let mut key = key.jwk();
            key["kid"] = json!(nth.to_string());
            key
        })
        .collect();
    let inside = format!("http://127.0.0.1:{}/inside", provider.port());
    let mut nul = key.jwk();
    nul["kid"] = json!("a\u{0}");
    for (nth, (said, expected)) in [
        (Said::Json(json!({ "keys": [nul] })), "no key"),
        (
            Said::Json(json!({ "keys": [key.jwk(), { "kty": "oct", "kid": "2", "k": "c2VjcmV0" }] })),
            "symmetric key",
        ),
        (Said::Json(json!({ "keys": [private] })), "private or symmetric key"),
        (Said::Json(json!({ "keys": [key.jwk(), key.jwk()] })), "a kid of its own"),
        (Said::Json(json!({ "keys": many })), "at most 20 keys"),
        (Said::Json(json!({ "keys": [] })), "no key"),
        (Said::Json(json!([key.jwk()])), "no JSON Web Key Set"),
        (Said::Text("<html>secret</html>"), "no JSON Web Key Set"),
        (Said::Status(401), "answered 401"),
        (Said::Redirect("http://169.254.169.254/latest/meta-data/".into()), "redirects are not followed"),
        (Said::Redirect(inside), "redirects are not followed"),
        (Said::Endless, "has more than 262144 bytes"),
        (Said::Huge(300_000), "has more than 262144 bytes"),
        (Said::Stuck, "no complete answer within 0.5 s"),
    ]
    .into_iter()
    .enumerate()
    {
        provider.answers(move |path| {
            assert!(!path.contains("inside"), "a redirect was followed");
            said.clone()
        });
        trust(&app, &acme, issuer, Some(&format!("{}/{nth}", provider.issuer()))).await;
        let error = error_of(&app, &acme).await;
        assert!(error.contains(expected) && !error.contains("secret"), "{expected}: {error}");
        assert_eq!(status(&acme, &key.sign(&claims(issuer))).await, 401, "{expected}");
    }
    // Its configuration may lead nowhere inside, either.
    let uri = "http://169.254.169.254/latest/meta-data/";
    let own = provider.issuer();
    provider.answers(move |_| Said::Json(json!({ "issuer": own, "jwks_uri": uri })));
    trust(&app, &acme, &provider.issuer(), None).await;
    let error = error_of(&app, &acme).await;
    assert!(error.contains("169.254.169.254 is not public"), "{error}");
}

/// A name whose address is another one at the second look.
#[derive(Debug)]
struct Rebinding(AtomicUsize, Mutex<Vec<String>>);

#[async_trait]
impl HostResolver for Rebinding {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.1.lock().unwrap().push(host.to_owned());
        let public: IpAddr = "203.1.113.7".parse().unwrap();
        let look = self.0.fetch_add(1, Ordering::SeqCst);
        Ok(if look == 0 { vec![public, [127, 0, 0, 1].into()] } else { vec![[127, 0, 0, 1].into()] })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_from_public_addresses_only() {
    let hosts = Arc::new(Rebinding(AtomicUsize::new(0), Mutex::default()));
    let shared = Arc::clone(&hosts);
    let app = TestApp::build()
        .worker(move |settings| {
            settings.webhooks.allow_networks.clear();
            settings.webhooks.hosts = shared;
        })
        .start()
        .await;
    let (provider, key) = (IdentityProvider::start().await, ProviderKey::new("1"));
    provider.publishes(&[&key]);
    let (acme, port) = (tenant(&app, "acme", "basic").await, provider.port());
    for (issuer, uri, expected) in [
        ("https://id.acme.example", Some(format!("http://127.0.0.1:{port}/jwks")), "is not public"),
        ("https://id.acme.example", Some(format!("https://127.0.0.1:{port}/jwks")), "is not public"),
        ("https://id.acme.example", Some(format!("https://2130706433:{port}/jwks")), "is not public"),
        ("https://id.acme.example", Some(format!("https://[::ffff:7f00:1]:{port}/jwks")), "is not public"),
        ("https://id.acme.example", Some("https://169.254.169.254/latest".into()), "is not public"),
        ("https://id.acme.example", Some("http://8.8.8.8/jwks".into()), "use https"),
        ("https://id.acme.example", Some(format!("https://rebinding.example:{port}/jwks")), "is not public"),
        ("https://169.254.169.254", None, "is not public"),
    ] {
        trust(&app, &acme, issuer, uri.as_deref()).await;
        let error = error_of(&app, &acme).await;
        assert!(error.contains(expected), "{issuer} {uri:?}: {error}");
        assert_eq!(status(&acme, &key.sign(&claims(issuer))).await, 401);
    }
    assert_eq!(*hosts.1.lock().unwrap(), ["rebinding.example"]);
    assert_eq!(provider.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_tenant_s_issuer_is_none_of_this_one_s() {
    let app = TestApp::start().await;
    let (ours, theirs) = (IdentityProvider::start().await, IdentityProvider::start().await);
    let (our_key, their_key) = (ProviderKey::new("ours"), ProviderKey::new("theirs"));
    // The same name, another key.
    let impostor = ProviderKey::new("ours");
    ours.publishes(&[&our_key]);
    theirs.publishes(&[&their_key, &impostor]);
    let (acme, other) = (tenant(&app, "acme", "basic").await, tenant(&app, "other", "basic").await);
    trust(&app, &acme, &ours.issuer(), None).await;
    trust(&app, &other, &theirs.issuer(), None).await;
    let token = our_key.sign(&claims(&ours.issuer()));
    comes_to_count(&acme, &token).await;
    comes_to_count(&other, &their_key.sign(&claims(&theirs.issuer()))).await;

    assert_eq!(status(&other, &token).await, 401);
    for key in [&their_key, &impostor] {
        for issuer in [ours.issuer(), theirs.issuer()] {
            assert_eq!(status(&acme, &key.sign(&claims(&issuer))).await, 401, "{issuer}");
        }
    }
    assert_eq!(status(&acme, &our_key.sign_confused(&claims(&ours.issuer()))).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_of_a_plan_counts_for_its_tenants_and_one_that_nobody_trusts_is_forgotten() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    let (provider, key) = (IdentityProvider::start().await, ProviderKey::new("1"));
    provider.publishes(&[&key]);
    let acme = tenant(&app, "acme", "basic").await;
    let of_plan =
        json!([{ "issuer": provider.issuer(), "audience": "salesflow", "defaultRoles": ["admin"] }]);
    let change = |issuers: Value| json!({ "defaultConfig": { "auth.issuers": issuers } });
    app.api.patch("/api/v1/plans/basic", change(of_plan)).await.expect(200);
    let token = key.sign(&claims(&provider.issuer()));
    comes_to_count(&acme, &token).await;
    assert_eq!(state(&app, &acme).await["kids"], json!(["1"]));

    app.api.patch("/api/v1/plans/basic", change(json!([]))).await.expect(200);
    comes_to_be_refused(&acme, &token).await;
    let known = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM issuer_keys").fetch_one(app.owner()).await.unwrap()
    };
    assert_eq!(known().await, 1);
    // What was configured just now is kept in any case.
    let long_ago = "UPDATE issuer_keys SET wanted_at = now() - interval '1 hour'";
    sqlx::query(long_ago).execute(app.owner()).await.unwrap();
    clock.put_ahead(TimeDelta::hours(2));
    within(SOON, "the issuer is forgotten", async || known().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_has_keys_or_says_where_they_are() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    let path = format!("/api/v1/tenants/{}/config/auth.issuers", acme.id);
    for (members, says) in [
        (json!({ "jwksUri": "https://a.example", "jwks": { "keys": [] } }), "not both"),
        (json!({ "jwksUri": "ftp://a.example" }), "jwksUri must be a URL"),
        (json!({ "jwksUri": "https://user:pw@a.example" }), "no password"),
        (json!({ "issuer": "acme" }), "issuer (without jwks and jwksUri) must be a URL"),
    ] {
        let mut issuer = json!({ "issuer": "https://id.acme.example", "audience": "crm" });
        issuer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let refused = app.api.put(&path, json!({ "configValue": [issuer] })).await.expect(400);
        assert_eq!(refused.fields(), ["configValue"]);
        assert!(refused.json().to_string().contains(says), "{says}: {refused:?}");
    }
}
