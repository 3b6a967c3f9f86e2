//! Operators with tokens of their identity provider, beside API keys.

use std::process::Stdio;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_control_plane::OperatorSettings;
use tenantry_domain::{Clock, SystemClock};
use tenantry_tests::{Api, TestApp, app::TestAppBuilder, clock::MovedClock, process::RoleProcess};
use tokio::process::Command;

use crate::identity_provider::{IdentityProvider, ProviderKey, Said};

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

fn trusting(provider: &IdentityProvider) -> TestAppBuilder {
    let settings = OperatorSettings {
        issuer: provider.issuer().parse().unwrap(),
        audience: "tenantry".into(),
        roles_claim: "/realm_access/roles".into(),
        roles: ["admin=*", "reader=tenants:read,audit:read", "helper=tenants:impersonate,tenants:read"]
            .map(|role| role.parse().unwrap())
            .into(),
    };
    TestApp::build().control_plane(move |control_plane| control_plane.operators = Some(settings))
}

fn claims(provider: &IdentityProvider, roles: &Value) -> Value {
    json!({
        "iss": provider.issuer(), "aud": ["tenantry", "else"], "sub": "f:1234", "preferred_username": "ada",
        "exp": (SystemClock.now() + TimeDelta::days(3)).timestamp(), "realm_access": { "roles": roles },
    })
}

fn with(app: &TestApp, token: String) -> Api {
    app.api.with_key(token)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_what_his_roles_are_mapped_to_and_is_audited_by_his_subject() {
    let (provider, key) = (IdentityProvider::start().await, ProviderKey::new("1"));
    provider.publishes(&[&key]);
    let app = trusting(&provider).start().await;
    let signed_in = |roles: Value| with(&app, key.sign(&claims(&provider, &roles)));

    let admin = signed_in(json!(["offline_access", "admin"]));
    let body = json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "basic", "app": "salesflow" });
    let made = admin.post_and_wait("/api/v1/tenants", body).await.expect(201).json();
    let tenant = made["tenant"]["id"].as_str().unwrap_or_else(|| made["id"].as_str().unwrap()).to_owned();
    // A key that he makes may what he may, and stays.
    let new = json!({ "name": "ci", "scopes": ["tenants:read"] });
    admin.post("/api/v1/keys", new.clone()).await.expect(201);

    let reader = signed_in(json!("reader"));
    reader.get("/api/v1/tenants").await.expect(200);
    let refused = reader.post("/api/v1/keys", new).await.expect_problem(403, "scope_missing").json();
    assert_eq!(
        (&refused["scope"], &refused["detail"]),
        (&json!("keys:write"), &json!("your roles lack the scope `keys:write`"),)
    );
    for roles in [json!([]), json!(["king"]), json!(null), json!({ "admin": true }), json!("*")] {
        signed_in(roles).get("/api/v1/tenants").await.expect_problem(403, "scope_missing");
    }
    // API keys go on.
    app.api.get("/api/v1/tenants").await.expect(200);

    let log = reader.get("/api/v1/audit?action=tenants.create").await.expect(200).json();
    assert_eq!(
        log["items"][0]["actor"],
        json!({ "kind": "operator", "id": "f:1234", "name": "ada" }),
        "{log}"
    );

    let helper = signed_in(json!(["helper"]));
    let path = format!("/api/v1/tenants/{tenant}/impersonate");
    let given = helper.post(&path, json!({ "reason": "ticket 4711" })).await.expect(201).json();
    let token = given["accessToken"].as_str().unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["act"]["sub"], "operator:f:1234");
    let data = app.data.with_host(format!("{}.localhost", app.slug("acme"))).with_key(token.to_owned());
    data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_here_and_now_opens_nothing() {
    let (provider, key) = (IdentityProvider::start().await, ProviderKey::new("1"));
    let other = ProviderKey::new("1");
    provider.publishes(&[&key]);
    let app = trusting(&provider).start().await;
    let good = claims(&provider, &json!(["admin"]));
    with(&app, key.sign(&good)).get("/api/v1/tenants").await.expect(200);
    let changed = |claim: &str, value: Value| {
        let mut claims = good.clone();
        claims[claim] = value;
        key.sign(&claims)
    };
    let without = |claim: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(claim);
        key.sign(&claims)
    };
    let now = SystemClock.now().timestamp();
    let body = URL_SAFE_NO_PAD.encode(good.to_string());
    let unsigned = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"1"}"#));
    for (token, says) in [
        (changed("exp", json!(now - 1)), "has expired"),
        (changed("nbf", json!(now + 300)), "not valid yet"),
        (changed("aud", json!("else")), "not the identity provider's, or not for Tenantry"),
        (changed("aud", json!(["tenantry2"])), "not for Tenantry"),
        (changed("iss", json!(format!("{}/", provider.issuer()))), "not the identity provider's"),
        (changed("sub", json!("")), "not the identity provider's"),
        (changed("sub", json!("a\u{0}b")), "not the identity provider's"),
        (without("exp"), "not the identity provider's"),
        (without("aud"), "not the identity provider's"),
        (without("iss"), "not the identity provider's"),
        (without("sub"), "not the identity provider's"),
        // Another key by the same name, a name that nobody has, the public key taken for a secret, no signature.
        (other.sign(&good), "not the identity provider's"),
        (ProviderKey::new("2").sign(&good), "not the identity provider's"),
        (key.sign_confused(&good), "not the identity provider's"),
        (unsigned, "not the identity provider's"),
        ("eyJ..".to_owned(), "not the identity provider's"),
    ] {
        let refused = with(&app, token).get("/api/v1/tenants").await.expect_problem(401, "unauthenticated");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains(says), "{says}: {detail}");
        assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    // One that was good where no provider is configured.
    let plain = TestApp::start().await;
    with(&plain, key.sign(&good)).get("/api/v1/tenants").await.expect_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_asked_when_its_keys_are_needed_and_seldom() {
    let (provider, old, new) =
        (IdentityProvider::start().await, ProviderKey::new("old"), ProviderKey::new("new"));
    let clock = MovedClock::shared();
    let app = trusting(&provider).with_clock(clock.clone()).start().await;
    let admin = claims(&provider, &json!(["admin"]));
    let (by_old, by_new) = (with(&app, old.sign(&admin)), with(&app, new.sign(&admin)));
    let away = by_old.get("/api/v1/tenants").await.expect_problem(503, "identity_provider_unavailable");
    assert_eq!(away.header("retry-after").as_deref(), Some("10"));
    app.api.get("/api/v1/tenants").await.expect(200);

    provider.publishes(&[&old]);
    clock.put_ahead(TimeDelta::minutes(1));
    by_old.get("/api/v1/tenants").await.expect(200);
    let asked = provider.requests();
    provider.publishes(&[&new]);
    for _ in 0..3 {
        by_new.get("/api/v1/tenants").await.expect_problem(401, "unauthenticated");
        by_old.get("/api/v1/tenants").await.expect(200);
    }
    assert_eq!(provider.requests(), asked);
    clock.put_ahead(TimeDelta::minutes(3));
    by_new.get("/api/v1/tenants").await.expect(200);
    by_old.get("/api/v1/tenants").await.expect_problem(401, "unauthenticated");
    assert_eq!(provider.requests(), asked + 2, "its configuration and its keys, once");

    // Away for longer than its keys are good.
    provider.answers(|_| Said::Status(500));
    clock.put_ahead(TimeDelta::hours(10));
    by_new.get("/api/v1/tenants").await.expect(200);
    clock.put_ahead(TimeDelta::hours(30));
    by_new.get("/api/v1/tenants").await.expect_problem(503, "identity_provider_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_is_told_its_provider_by_settings_which_belong_together() {
    let (provider, key) = (IdentityProvider::start().await, ProviderKey::new("1"));
    provider.publishes(&[&key]);
    let app = TestApp::build().without_worker().start().await;
    let issuer = provider.issuer();
    let (url, kek) = (app.registry_url().expose_secret(), &app.kek);
    let settings = ["--operator-issuer", &issuer, "--operator-audience", "tenantry"];
    let roles = ["--operator-roles", "reader=tenants:read;admin=*", "--operator-roles-claim", "roles"];
    let mut process =
        RoleProcess::start(BINARY, "control-plane", url, kek, &[&settings[..], &roles].concat()).await;
    let mut admin = claims(&provider, &json!([]));
    admin["roles"] = json!("admin");
    let (address, token) = (process.serving().await, key.sign(&admin));
    Api::new(address).with_key(token.clone()).get("/api/v1/plans").await.expect(200);
    // The command line takes one, too.
    let plans = Command::new(BINARY)
        .args(["plans", "list", "--url", &format!("http://{address}")])
        .env("TENANTRY_API_KEY", token)
        .output()
        .await
        .unwrap();
    assert!(plans.status.success() && String::from_utf8_lossy(&plans.stdout).contains("basic"), "{plans:?}");

    for (args, says) in [
        (&settings[..], "all of TENANTRY_OPERATOR_ISSUER"),
        (&roles[..], "all of TENANTRY_OPERATOR_ISSUER"),
        (&["--operator-issuer", "acme"][..], "must be a URL"),
        (&["--operator-roles", "admin=data:read"], "no scope of operators"),
    ] {
        let output = Command::new(BINARY)
            .args(["control-plane", "--admin-addr", "127.0.0.1:0", "--control-plane-addr", "127.0.0.1:0"])
            .args(args)
            .env("TENANTRY_DATABASE_URL", url)
            .env("TENANTRY_KEK", kek.to_base64().expose_secret())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{says}: {said}");
    }
}
