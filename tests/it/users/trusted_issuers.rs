//! Tokens of an identity provider that a tenant trusts, and those of support.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_domain::{Clock, SystemClock, signing_key::NewSigningKey};
use tenantry_tests::{Api, Signup, TestApp};

use super::{contact, log_in, register, tenant, with_token};

const ISSUER: &str = "https://id.acme.example";

/// An identity provider.
struct Provider {
    key: NewSigningKey,
}

impl Provider {
    fn new() -> Self {
        Self { key: NewSigningKey::generate(&mut rand::rng()) }
    }

    fn config(&self) -> Value {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "1", "x": URL_SAFE_NO_PAD.encode(self.key.public) });
        json!([{
            "issuer": ISSUER, "audience": "salesflow", "jwks": { "keys": [key] },
            "roles": { "boss": "admin", "reader": "reader" },
        }])
    }

    fn token(&self, changes: &[(&str, Value)]) -> String {
        let mut claims = json!({
            "iss": ISSUER, "aud": "salesflow", "sub": "1", "preferred_username": "ada", "roles": ["boss"],
            "exp": (SystemClock.now() + TimeDelta::minutes(5)).timestamp(),
        });
        for (claim, value) in changes {
            claims[claim] = value.clone();
        }
        let header = Header { kid: Some("1".into()), ..Header::new(Algorithm::EdDSA) };
        let key = EncodingKey::from_ed_der(self.key.private.expose_secret());
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }
}

async fn trust(app: &TestApp, tenant: &Signup, config: Value) {
    let path = format!("/api/v1/tenants/{}/config", tenant.id);
    let answer = app.api.put(&format!("{path}/auth.issuers"), json!({ "configValue": config })).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let roles = json!({ "configValue": { "reader": { "*": ["select"] } } });
    app.api.put(&format!("{path}/auth.roles"), roles).await;
    app.routes_caught_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_issuer_s_tokens_open_that_tenant_alone_and_as_what_their_roles_mean_there() {
    let app = TestApp::start().await;
    let provider = Provider::new();
    let (acme, other) = (tenant(&app, "acme", "basic").await, tenant(&app, "other", "premium").await);
    let with = |data: &Api, token: String| data.with_key(token);
    with(&acme.data, provider.token(&[])).get("/api/contacts").await.expect_problem(401, "token_invalid");
    trust(&app, &acme, provider.config()).await;

    let boss = with(&acme.data, provider.token(&[]));
    boss.post("/api/contacts", contact("a@example.com")).await.expect(201);
    let valid = boss.get("/api/auth/validate").await.expect(200).json();
    assert_eq!(valid["user"], json!({ "id": null, "username": "ada", "roles": ["admin"] }));
    let reader = with(&acme.data, provider.token(&[("roles", json!("reader"))]));
    reader.get("/api/contacts").await.expect(200);
    reader.post("/api/contacts", contact("b@example.com")).await.expect_problem(403, "permission_missing");
    let nobody = with(&acme.data, provider.token(&[("roles", json!(["sales"]))]));
    nobody.get("/api/contacts").await.expect_problem(403, "permission_missing");
    // Users of the tenant's own go on, and are none of the provider's.
    register(&acme.data, "ada").await;
    let own = with_token(&acme.data, &log_in(&acme.data, "ada").await);
    own.get("/api/contacts").await.expect(200);
    let password = json!({ "currentPassword": "x", "newPassword": "Correct horse 2" });
    boss.post("/api/auth/password", password).await.expect_problem(403, "not_a_user");
    boss.post("/api/auth/logout", json!({})).await.expect_problem(403, "not_a_user");

    // Of no other tenant, whatever it claims; and not when it is over, or for somebody else.
    for (at, changes, status, code) in [
        (&other, vec![], 401, "token_invalid"),
        (&other, vec![("tenantId", json!(other.id))], 401, "token_invalid"),
        (&other, vec![("tenantId", json!(acme.id))], 401, "token_invalid"),
        (&acme, vec![("exp", json!(1))], 401, "token_expired"),
        (&acme, vec![("aud", json!("else"))], 401, "token_invalid"),
        (&acme, vec![("iss", json!(format!("urn:tenantry:tenant:{}", acme.id)))], 401, "token_invalid"),
    ] {
        with(&at.data, provider.token(&changes)).get("/api/contacts").await.expect_problem(status, code);
    }
    // A claim of that name is the issuer's own, whatever it means there.
    let odd = provider.token(&[("tenantId", json!(other.id))]);
    with(&acme.data, odd).get("/api/contacts").await.expect(200);
    trust(&app, &acme, Provider::new().config()).await;
    boss.get("/api/contacts").await.expect_problem(401, "token_invalid");
    trust(&app, &acme, json!([])).await;
    boss.get("/api/contacts").await.expect_problem(401, "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn support_acts_for_a_while_by_its_name_and_with_the_roles_that_it_asked_for() {
    let app = TestApp::start().await;
    let (acme, other) = (tenant(&app, "acme", "basic").await, tenant(&app, "other", "basic").await);
    let path = format!("/api/v1/tenants/{}/impersonate", acme.id);
    for (body, field) in [
        (json!({}), "reason"),
        (json!({ "reason": " " }), "reason"),
        (json!({ "reason": "x", "roles": [] }), "roles"),
        (json!({ "reason": "x", "roles": ["king"] }), "roles"),
    ] {
        assert_eq!(app.api.post(&path, body).await.expect(400).fields(), [field]);
    }
    let given = app.api.post(&path, json!({ "reason": "ticket 4711", "roles": ["admin"] })).await.expect(201);
    assert_eq!(given.header("cache-control").as_deref(), Some("no-store"));
    let token = given.json()["accessToken"].as_str().unwrap().to_owned();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let actor = claims["act"]["sub"].as_str().unwrap();
    assert_eq!(claims["sub"], format!("support:{}", actor.strip_prefix("key:").unwrap()));

    let support = acme.data.with_key(token.clone());
    support.post("/api/contacts", contact("a@example.com")).await.expect(201);
    // Nothing that would outlive the token.
    support.get("/api/auth/users").await.expect_problem(403, "role_missing");
    let backdoor = json!({ "username": "eve", "email": "eve@example.com", "password": "Correct horse 1", "roles": ["owner"] });
    support.post("/api/auth/register", backdoor).await.expect_problem(403, "role_not_yours");
    let valid = support.get("/api/auth/validate").await.expect(200).json();
    assert_eq!(valid["user"], json!({ "id": null, "username": "support", "roles": ["admin"] }));
    other.data.with_key(token).get("/api/contacts").await.expect_problem(403, "tenant_mismatch");
    // It ends it when it is done.
    support.post("/api/auth/logout", json!({})).await.expect(204);
    support.get("/api/contacts").await.expect_problem(401, "token_revoked");

    let crm = app.sign_up("crm", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}/impersonate", crm.id);
    app.api.post(&path, json!({ "reason": "x" })).await.expect_problem(409, "no_users");
}
