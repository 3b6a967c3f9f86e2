//! Logging in and out.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use tenantry_tests::TestApp;

use super::{PASSWORD, contact, log_in, register, tenant, with_token};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_logs_in_by_name_or_address_and_the_token_opens_the_tenant_s_data() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let acme = tenant(&app, &format!("acme-{plan}"), plan).await;
        register(&acme.data, "ada").await;
        let tokens = log_in(&acme.data, "Ada").await;
        assert_eq!(tokens["expiresIn"], 900);
        assert_eq!(
            tokens["tenant"],
            json!({ "id": acme.id, "slug": acme.slug, "name": format!("acme-{plan}") })
        );
        let ada = with_token(&acme.data, &tokens);
        ada.post("/api/contacts", contact("alice@example.com")).await.expect(201);
        let contacts = ada.get("/api/contacts?select=email").await.expect(200).json();
        assert_eq!(contacts, json!([{ "email": "alice@example.com" }]));
        let valid = ada.get("/api/auth/validate").await.expect(200).json();
        assert_eq!(valid["user"], json!({ "id": 1, "username": "ada", "roles": ["member"] }));
        assert_eq!(valid["tenant"]["slug"], acme.slug);

        // The body may name the tenant, at a host that is nobody's.
        let nowhere = app.data.without_key();
        let by_address = json!({ "email": "ada@example.com", "password": PASSWORD, "tenantSlug": acme.slug });
        nowhere.post("/api/auth/login", by_address).await.expect(200);
        // And so does the token.
        let token = tokens["accessToken"].as_str().unwrap().to_owned();
        nowhere.with_key(token).get("/api/contacts").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_be_let_in_is_told_no_more_than_that_after_the_same_time() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let open = acme.data.without_key();
    let mut best = [Duration::MAX; 2];
    let mut answers = Vec::new();
    // In turn, so that what else the machine does meets both.
    for _ in 0..10 {
        for (name, best) in ["ada", "nobody"].into_iter().zip(&mut best) {
            let start = Instant::now();
            let body = json!({ "username": name, "password": "wrong" });
            let answer = open.post("/api/auth/login", body).await.expect(401);
            *best = start.elapsed().min(*best);
            let mut problem = answer.json();
            problem.as_object_mut().unwrap().remove("requestId");
            answers.push(problem);
        }
    }
    assert_eq!(answers[0]["code"], "invalid_credentials");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let ratio = best[0].as_secs_f64() / best[1].as_secs_f64();
    assert!((0.6..1.7).contains(&ratio), "{best:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_wrong_passwords_keep_everybody_out_for_a_while() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    register(&acme.data, "bob").await;
    let open = acme.data.without_key();
    let wrong = || open.post("/api/auth/login", json!({ "username": "ada", "password": "wrong" }));
    join_all((0..9).map(|_| wrong())).await;
    log_in(&acme.data, "ada").await;
    // Counted anew.
    join_all((0..10).map(|_| wrong())).await;
    let right = json!({ "username": "ada", "password": PASSWORD });
    open.post("/api/auth/login", right).await.expect(401);
    // Others are let in.
    log_in(&acme.data, "bob").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_logged_out_is_out_at_every_data_plane() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let other_plane = app.another_data_plane().await;
    let other_plane = other_plane.with_host(format!("{}.localhost", acme.slug));
    let mut times = Vec::new();
    for _ in 0..20 {
        let tokens = log_in(&acme.data, "ada").await;
        let elsewhere = with_token(&other_plane, &tokens);
        elsewhere.get("/api/auth/validate").await.expect(200);
        with_token(&acme.data, &tokens).post("/api/auth/logout", json!({})).await.expect(204);
        let start = Instant::now();
        let answer = with_token(&acme.data, &tokens).get("/api/contacts").await.expect(401);
        assert_eq!(answer.json()["code"], "token_revoked");
        while elsewhere.get("/api/auth/validate").await.status == 200 {
            assert!(start.elapsed() < Duration::from_secs(5));
        }
        times.push(start.elapsed());
        let refresh = json!({ "refreshToken": tokens["refreshToken"] });
        acme.data.without_key().post("/api/auth/refresh", refresh).await.expect(401);
    }
    times.sort_unstable();
    // Not a benchmark, but what it must not come near to.
    assert!(times[18] < Duration::from_millis(500), "{times:?}");
}
