//! Refresh tokens count once.

use futures::future::join_all;
use serde_json::{Value, json};
use tenantry_tests::{Answer, Api, TestApp};

use super::{log_in, register, tenant, with_token};

async fn refresh(data: &Api, tokens: &Value) -> Answer {
    let body = json!({ "refreshToken": tokens["refreshToken"] });
    data.without_key().post("/api/auth/refresh", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_is_used_twice_ends_the_log_in_for_both_who_have_it() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let acme = tenant(&app, &format!("acme-{plan}"), plan).await;
        register(&acme.data, "ada").await;
        let elsewhere = log_in(&acme.data, "ada").await;
        let first = log_in(&acme.data, "ada").await;
        let second = refresh(&acme.data, &first).await.expect(200).json();
        let third = refresh(&acme.data, &second).await.expect(200).json();
        with_token(&acme.data, &third).get("/api/contacts").await.expect(200);
        // The thief's.
        assert_eq!(refresh(&acme.data, &first).await.expect(401).json()["code"], "refresh_token_invalid");
        for tokens in [&first, &second, &third] {
            assert_eq!(refresh(&acme.data, tokens).await.status, 401);
            let answer = with_token(&acme.data, tokens).get("/api/contacts").await.expect(401);
            assert_eq!(answer.json()["code"], "token_revoked");
        }
        // Another log-in of the same user goes on.
        refresh(&acme.data, &elsewhere).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_refresh_at_once_at_most_one_gets_tokens_that_count() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    for _ in 0..10 {
        let tokens = log_in(&acme.data, "ada").await;
        let answers = join_all((0..4).map(|_| refresh(&acme.data, &tokens))).await;
        let got: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert!(got.len() <= 1, "{answers:?}");
        assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status.as_u16())), "{answers:?}");
        for answer in got {
            let api = with_token(&acme.data, &answer.json());
            assert_eq!(api.get("/api/contacts").await.expect(401).json()["code"], "token_revoked");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_a_token_of_a_log_in_does_not_end_it() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let tokens = log_in(&acme.data, "ada").await;
    let (named, secret) = tokens["refreshToken"].as_str().unwrap().rsplit_once('_').unwrap();
    let forged = json!({ "refreshToken": format!("{named}_{}", "a".repeat(secret.len())) });
    refresh(&acme.data, &forged).await.expect_problem(401, "refresh_token_invalid");
    with_token(&acme.data, &tokens).get("/api/contacts").await.expect(200);
    let next = refresh(&acme.data, &tokens).await.expect(200);
    assert_eq!(next.headers["cache-control"], "no-store");
}
