//! Logging in and out.

use std::time::{Duration, Instant};

use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use serde_json::json;
use tenantry_tests::{TestApp, proxy::Proxy, server, within::within};

use super::{PASSWORD, contact, log_in, register, register_as, tenant, with_token};

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

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_among_many_wrong_ones_at_once_comes_too_late() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let open = acme.data.without_key();
    let guess =
        |password: &str| open.post("/api/auth/login", json!({ "username": "ada", "password": password }));
    let mut guesses: FuturesUnordered<_> = (0..40).map(|_| guess("wrong")).collect();
    for _ in 0..10 {
        guesses.next().await.unwrap().expect(401);
    }
    // The others are still at it.
    guess(PASSWORD).await.expect(401);
    // On a busy machine some may not have had their turn.
    while let Some(answer) = guesses.next().await {
        assert!([401, 503].contains(&answer.status.as_u16()), "{answer:?}");
    }
    guess(PASSWORD).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_token_is_let_guess_the_password_no_more_often_than_who_logs_in() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let thief = with_token(&acme.data, &log_in(&acme.data, "ada").await);
    let guess = |password: &str| {
        thief.post(
            "/api/auth/password",
            json!({ "currentPassword": password, "newPassword": "Owned by me 1" }),
        )
    };
    for _ in 0..10 {
        guess("wrong").await.expect_problem(401, "invalid_credentials");
    }
    guess(PASSWORD).await.expect_problem(401, "invalid_credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_that_the_registry_cannot_be_told_of_is_told_when_it_can() {
    let proxy = Proxy::before(server::shared().await).await;
    let app = TestApp::build().with_registry_proxy(proxy.address).start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let tokens = log_in(&acme.data, "ada").await;
    let elsewhere = app.another_data_plane().await.with_host(format!("{}.localhost", acme.slug));
    let elsewhere = with_token(&elsewhere, &tokens);
    elsewhere.get("/api/contacts").await.expect(200);
    proxy.cut();
    let here = with_token(&acme.data, &tokens);
    here.post("/api/auth/logout", json!({})).await.expect(202);
    here.get("/api/contacts").await.expect_problem(401, "token_revoked");
    elsewhere.get("/api/contacts").await.expect(200);
    proxy.mend();
    within(Duration::from_secs(30), "the other data plane hears of it", async || {
        elsewhere.get("/api/contacts").await.status == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_changed_while_he_logs_in_gets_what_he_is_now_or_nothing() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register_as(&acme.data, "olga", &["owner"]).await;
    let schema = format!("tenant_{}", acme.slug.replace('-', "_"));
    for round in 0..5 {
        let name = format!("eve{round}");
        let id = register_as(&acme.data, &name, &["owner"]).await["id"].clone();
        // Both wait for the row, the log-in with what it has read before.
        let mut holder = server::admin(app.server(), app.shared_database()).await;
        let hold = format!("BEGIN; SELECT FROM {schema}.tenantry_users WHERE id = {id} FOR UPDATE");
        sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut holder).await.unwrap();
        let login = json!({ "username": name, "password": PASSWORD });
        let open = acme.data.without_key();
        let login = tokio::spawn(async move { open.post("/api/auth/login", login).await });
        let data = acme.data.clone();
        let path = format!("/api/auth/users/{id}");
        let change = tokio::spawn(async move { data.patch(&path, json!({ "roles": ["member"] })).await });
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let mut look = server::admin(app.server(), app.shared_database()).await;
        within(Duration::from_secs(30), "both wait", async || {
            let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&mut look).await.unwrap();
            waiting >= 2
        })
        .await;
        sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
        change.await.unwrap().expect(200);
        let login = login.await.unwrap();
        if login.status == 200 {
            let tokens = login.json();
            let valid = with_token(&acme.data, &tokens).get("/api/auth/validate").await;
            if valid.status == 200 {
                assert_eq!(valid.json()["user"]["roles"], json!(["member"]));
            } else {
                let refresh = json!({ "refreshToken": tokens["refreshToken"] });
                acme.data.without_key().post("/api/auth/refresh", refresh).await.expect(401);
            }
        }
    }
}
