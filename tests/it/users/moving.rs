//! Users move with their tenant, and go with it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use tenantry_tests::TestApp;

use super::{log_in, register, tenant, with_token};

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_while_their_tenant_is_moved_and_none_fails() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let before = log_in(&acme.data, "ada").await;
    let over = Arc::new(AtomicBool::new(false));
    let log_ins = {
        let (data, over) = (acme.data.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                let tokens = log_in(&data, "ada").await;
                with_token(&data, &tokens).get("/api/contacts").await.expect(200);
                register(&data, &format!("user{count}")).await;
                count += 1;
            }
            count
        })
    };
    let path = format!("/api/v1/tenants/{}/migrate", acme.id);
    let moved = app.api.post_and_wait(&path, json!({ "targetPlan": "premium" })).await;
    over.store(true, Ordering::Relaxed);
    let count = log_ins.await.unwrap();
    moved.expect(200);
    assert!(count > 0);
    // Whoever was logged in before still is, and everybody is there.
    let refresh = json!({ "refreshToken": before["refreshToken"] });
    acme.data.without_key().post("/api/auth/refresh", refresh).await.expect(200);
    log_in(&acme.data, &format!("user{}", count - 1)).await;
    assert_eq!(register(&acme.data, "last").await["id"], 2 + count);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_purge_nothing_is_left_of_users_and_keys() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let tokens = log_in(&acme.data, "ada").await;
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", acme.id)).await.expect(200);
    app.routes_caught_up().await;
    with_token(&acme.data, &tokens).get("/api/contacts").await.expect(404);
    // The next tenant of the name has keys and users of its own.
    let again = app.sign_up_as(&acme.slug, "Acme", "basic", "salesflow").await;
    let answer = with_token(&again.data, &tokens).get("/api/contacts").await;
    assert!([401, 403].contains(&answer.status.as_u16()), "{answer:?}");
    assert_eq!(register(&again.data, "ada").await["id"], 1);
}
