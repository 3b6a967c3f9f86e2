//! What is in a token, and what SQL may know of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use serde_json::{Value, json};
use tenantry_tests::TestApp;

use super::{log_in, register, tenant, with_token};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_who_logs_in_and_the_tenant_s_published_key_has_signed_it() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let token = log_in(&acme.data, "ada").await["accessToken"].as_str().unwrap().to_owned();
    let part = |n: usize| -> Value {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let (header, claims) = (part(0), part(1));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("JWT")));
    assert_eq!((&claims["tenantId"], &claims["tenantSlug"]), (&json!(acme.id), &json!(acme.slug)));
    assert_eq!(claims["roles"], json!(["member"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);

    let keys = acme.data.without_key().get("/.well-known/jwks.json").await.expect(200).json();
    assert_eq!(keys["keys"][0]["kid"], header["kid"]);
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
    assert!(keys["keys"][0].get("d").is_none());
    let by_path = app.data.without_key().get(&format!("/t/{}/.well-known/jwks.json", acme.slug)).await;
    assert_eq!(by_path.expect(200).json(), keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_s_row_security_knows_the_user_by_the_claims() {
    let app = TestApp::build().without_daily_quotas().start().await;
    app.api.put("/api/v1/apps/notes", json!({ "manifest": { "registration": "open" } })).await.expect(200);
    let up = "CREATE TABLE notes (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            author text NOT NULL DEFAULT (current_setting('request.jwt.claims', true)::jsonb ->> 'sub'),
            text text NOT NULL);
        ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON notes USING (
            author = nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub');";
    let version = json!({ "version": 1, "name": "notes", "up": up, "down": "DROP TABLE notes;" });
    app.api.post_and_wait("/api/v1/apps/notes/versions", version).await.expect(201);
    for plan in ["basic", "premium"] {
        let acme = app.sign_up(&format!("acme-{plan}"), plan, "notes").await;
        let mut users = Vec::new();
        for name in ["ada", "bob"] {
            register(&acme.data, name).await;
            let user = with_token(&acme.data, &log_in(&acme.data, name).await);
            user.post("/api/notes", json!({ "text": format!("{name}'s") })).await.expect(201);
            users.push(user);
        }
        for (user, own) in users.iter().zip(["ada's", "bob's"]) {
            let notes = user.get("/api/notes?select=text").await.expect(200).json();
            assert_eq!(notes, json!([{ "text": own }]));
        }
        // A key is nobody: what the user before it has left in the session is gone.
        assert_eq!(acme.data.get("/api/notes").await.expect(200).json(), json!([]));
        // Nor does a user choose who he is.
        let forged = json!({ "text": "x", "author": "2" });
        users[0].post("/api/notes", forged).await.expect(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_key_is_replaced_under_load_and_no_request_fails() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let path = format!("/api/v1/tenants/{}/signing-keys", acme.id);
    let first = app.api.get(&path).await.expect(200).json()["items"][0]["id"].clone();
    let other_plane = app.another_data_plane().await.with_host(format!("{}.localhost", acme.slug));
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (here, there, over) = (acme.data.clone(), other_plane.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut served = 0;
                while !over.load(Ordering::Relaxed) {
                    let tokens = log_in(&here, "ada").await;
                    for _ in 0..5 {
                        // Signed here, and used at once where the new key may not have been heard of.
                        with_token(&there, &tokens).get("/api/contacts").await.expect(200);
                        with_token(&here, &tokens).get("/api/contacts").await.expect(200);
                        served += 2;
                    }
                }
                served
            })
        })
        .collect();
    let before = log_in(&acme.data, "ada").await;
    for _ in 0..5 {
        app.api.post(&path, json!({})).await.expect(201);
        log_in(&other_plane, "ada").await;
    }
    app.api.post(&path, json!({})).await.expect_problem(409, "too_many_signing_keys");
    over.store(true, Ordering::Relaxed);
    let served: usize = join_all(load).await.into_iter().map(Result::unwrap).sum();
    assert!(served > 0);
    // What the first key has signed counts, and it is published as long.
    with_token(&acme.data, &before).get("/api/contacts").await.expect(200);
    let mut listed = Vec::new();
    let mut page = app.api.get(&format!("{path}?limit=4")).await.expect(200).json();
    loop {
        listed.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        page = app.api.get(&format!("{path}?limit=4&cursor={cursor}")).await.expect(200).json();
    }
    assert_eq!((listed.len(), &listed[0]["id"]), (6, &first));
    assert!(listed[5]["supersededAt"].is_null() && listed[4]["supersededAt"].is_string());
    let published = acme.data.without_key().get("/.well-known/jwks.json").await.expect(200).json();
    let published: Vec<_> = published["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert_eq!(published, listed.iter().rev().map(|key| &key["id"]).collect::<Vec<_>>());

    // Of many that are replaced at once one signs in the end.
    let other = tenant(&app, "other", "basic").await;
    let of_other = format!("/api/v1/tenants/{}/signing-keys", other.id);
    join_all((0..4).map(|_| app.api.post(&of_other, json!({})))).await;
    let listed = app.api.get(&of_other).await.expect(200).json()["items"].clone();
    let current = listed.as_array().unwrap().iter().filter(|key| key["supersededAt"].is_null());
    assert_eq!((current.count(), listed.as_array().unwrap().len()), (1, 5));

    let crm = app.sign_up("crm", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}/signing-keys", crm.id);
    app.api.post(&path, json!({})).await.expect_problem(409, "no_users");
}
