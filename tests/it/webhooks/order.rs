//! Receivers that are down, slow or refuse: who waits for whom, and for how long.

use std::time::Instant;

use chrono::TimeDelta;
use tenantry_tests::clock::MovedClock;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_down_for_a_day_gets_everything_once_and_in_order() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).worker(eager).start().await;
    let mut receiver = Receiver::start().await;
    let (one, other) = (tenant(&app, "one").await, tenant(&app, "other").await);
    let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
    receiver.go_down().await;
    tell(&app, one, 3).await;
    tell(&app, other, 2).await;
    let tried = async |attempts: u64| {
        let first = async || {
            let pending = deliveries(&app, &id, "pending").await;
            pending.len() == 5
                && pending.iter().filter(|delivery| delivery["attempts"] == attempts).count() == 2
        };
        within(Duration::from_mins(1), &format!("the first ones were tried {attempts} times"), first).await;
    };
    tried(1).await;
    // Of each tenant only the first is tried. The pauses are those of Standard Webhooks, and at most a tenth longer.
    let mut ahead = TimeDelta::zero();
    for (attempt, pause) in (2..).zip([6, 331, 1981, 7921, 19_801, 39_601]) {
        ahead += TimeDelta::seconds(pause);
        clock.put_ahead(ahead);
        tried(attempt).await;
    }
    assert!(ahead > TimeDelta::hours(19));
    let pending = deliveries(&app, &id, "pending").await;
    let failed = pending.iter().find(|delivery| delivery["attempts"] == 7).unwrap();
    assert!(failed["error"].as_str().unwrap().to_lowercase().contains("refused"), "{failed}");
    assert!(failed["nextAttemptAt"].is_string());
    assert!(pending.iter().all(|delivery| delivery["attempts"] == 7 || delivery["attempts"] == 0));
    receiver.come_back().await;
    clock.put_ahead(ahead + TimeDelta::hours(16));
    let requests = receiver.has(5).await;
    has_deliveries(&app, &id, "delivered", 5).await;
    assert_eq!((numbers(&requests, "one"), numbers(&requests, "other")), (vec![1, 2, 3], vec![1, 2]));
    assert_eq!(receiver.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_refuses_holds_its_tenant_s_next_until_it_is_dead_and_can_be_replayed() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).worker(eager).start().await;
    let receiver = Receiver::start().await;
    let (one, other) = (tenant(&app, "one").await, tenant(&app, "other").await);
    let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
    let is_bad = |request: &Received| request.tenant() == "one" && request.event()["data"]["number"] == 1;
    receiver.answers(move |request| Reply::Status(if is_bad(request) { 500 } else { 200 }));
    tell(&app, one, 3).await;
    tell(&app, other, 3).await;
    has_deliveries(&app, &id, "delivered", 3).await;
    assert_eq!(numbers(&receiver.requests(), "other"), [1, 2, 3], "another tenant's go on");
    for days in 1..=9 {
        let before = receiver.has(3 + days).await.len();
        assert_eq!(before, 3 + days, "the first alone is tried again");
        has_deliveries(&app, &id, "pending", 3).await;
        within(Duration::from_mins(1), "the failure is noted", async || {
            deliveries(&app, &id, "pending").await.iter().any(|delivery| delivery["attempts"] == days)
        })
        .await;
        clock.put_ahead(TimeDelta::days(2) * i32::try_from(days).unwrap());
    }
    let dead = has_deliveries(&app, &id, "dead", 1).await;
    assert_eq!((&dead[0]["attempts"], &dead[0]["statusCode"]), (&json!(10), &json!(500)));
    has_deliveries(&app, &id, "delivered", 5).await;
    assert_eq!(numbers(&receiver.requests(), "one"), [vec![1; 10], vec![2, 3]].concat());

    // Every try is the same message.
    let of_first: Vec<_> = receiver.requests().into_iter().filter(is_bad).collect();
    assert!(
        of_first.iter().all(|request| request.id() == of_first[0].id() && request.body == of_first[0].body)
    );
    assert_eq!(dead[0]["id"], of_first[0].id());
    receiver.answers(|_| Reply::Status(200));
    let replay = format!("/api/v1/webhooks/{id}/replay");
    assert_eq!(app.api.post(&replay, json!({})).await.expect(200).json(), json!({ "replayed": 1 }));
    has_deliveries(&app, &id, "delivered", 6).await;
    assert_eq!(app.api.post(&replay, json!({})).await.expect(200).json(), json!({ "replayed": 0 }));
    assert_eq!(numbers(&receiver.requests(), "one"), [vec![1; 10], vec![2, 3, 1]].concat());
    // One that was delivered can be sent again, too.
    let path = format!("/api/v1/webhooks/{id}/deliveries/{}/replay", dead[0]["id"].as_str().unwrap());
    assert_eq!(app.api.post(&path, json!({})).await.expect(200).json()["state"], "pending");
    has_deliveries(&app, &id, "delivered", 6).await;
    assert_eq!(receiver.has(3 + 12 + 2).await.last().unwrap().id(), of_first[0].id());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replayed_while_a_later_one_waits_comes_first_and_at_once() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).worker(eager).start().await;
    let receiver = Receiver::start().await;
    let one = tenant(&app, "one").await;
    let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
    tell(&app, one, 1).await;
    let first = has_deliveries(&app, &id, "delivered", 1).await[0]["id"].as_str().unwrap().to_owned();
    receiver.answers(|_| Reply::Status(503));
    tell(&app, one, 1).await;
    within(Duration::from_mins(1), "the second has failed", async || {
        deliveries(&app, &id, "pending").await.iter().any(|delivery| delivery["attempts"] == 1)
    })
    .await;
    receiver.answers(|_| Reply::Status(200));
    app.api.post(&format!("/api/v1/webhooks/{id}/deliveries/{first}/replay"), json!({})).await.expect(200);
    // Without the clock being moved.
    let requests = receiver.has(4).await;
    assert_eq!(requests[2].id(), first);
    has_deliveries(&app, &id, "delivered", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_newer_release_holds_back_its_own_tenant_only() {
    let app = TestApp::build().worker(eager).start().await;
    let receiver = Receiver::start().await;
    let (one, other) = (tenant(&app, "one").await, tenant(&app, "other").await);
    let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
    let newer =
        "INSERT INTO events (id, type, tenant_id, data) VALUES (gen_random_uuid(), 'user.cloned', $1, '{}')";
    sqlx::query(newer).bind(one.as_uuid()).execute(app.owner()).await.unwrap();
    tell(&app, one, 1).await;
    tell(&app, other, 2).await;
    within(Duration::from_mins(1), "the other tenant's are delivered", async || {
        numbers(&receiver.requests(), "other") == [1, 2]
    })
    .await;
    assert_eq!(receiver.requests().len(), 2);
    // A worker that knows it would send it.
    sqlx::query("UPDATE events SET type = 'user.updated' WHERE type = 'user.cloned'")
        .execute(app.owner())
        .await
        .unwrap();
    has_deliveries(&app, &id, "delivered", 4).await;
    assert_eq!(receiver.types_of("one"), ["user.updated", "user.registered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_keeps_no_other_and_gets_a_few_requests_at_a_time() {
    let app =
        TestApp::build().worker(|settings| settings.webhooks.timeout = Duration::from_secs(1)).start().await;
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    slow.answers(|_| Reply::After(Duration::from_secs(30), 200));
    let mut tenants = Vec::new();
    for number in 0..12 {
        tenants.push(tenant(&app, &format!("t{number}")).await);
    }
    let (slow_id, _) = webhook(&app, &slow, &["user.*"]).await;
    let (quick_id, _) = webhook(&app, &quick, &["user.*"]).await;
    let started = Instant::now();
    for tenant in tenants {
        tell(&app, tenant, 2).await;
    }
    has_deliveries(&app, &quick_id, "delivered", 24).await;
    let took = started.elapsed();
    slow.has(5).await;
    assert_eq!(slow.most_at_once(), 4);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let told = async || {
        let pending = deliveries(&app, &slow_id, "pending").await;
        pending.iter().any(|delivery| delivery["error"] == "no answer within 1 s")
    };
    within(Duration::from_mins(1), "that it is slow is told", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_disabled_and_gets_what_waits_when_it_is_enabled() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let one = tenant(&app, "one").await;
    let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
    receiver.answers(|request| Reply::Status(if request.event()["data"]["number"] == 1 { 410 } else { 200 }));
    let registry = as_data_plane(&app);
    let told = [1, 2].map(|number| event(one, EventType::UserRegistered, &json!({ "number": number })));
    registry.events_append(&told).await.unwrap();
    // Told again, as after an answer that was lost.
    registry.events_append(&told).await.unwrap();
    registry.close().await;
    has_deliveries(&app, &id, "dead", 1).await;
    let path = format!("/api/v1/webhooks/{id}");
    let disabled = app.api.get(&path).await.expect(200).json();
    assert_eq!(disabled["enabled"], false);
    assert!(disabled["disabledReason"].as_str().unwrap().contains("410"), "{disabled}");
    tell(&app, one, 1).await;
    assert_eq!(deliveries(&app, &id, "pending").await.len(), 1, "what happens meanwhile is not for it");
    app.api.post(&format!("{path}/test"), json!({})).await.expect_problem(409, "webhook_disabled");
    let enabled = app.api.patch(&path, json!({ "enabled": true })).await.expect(200).json();
    assert_eq!(enabled["disabledReason"], Value::Null);
    has_deliveries(&app, &id, "delivered", 1).await;
    assert_eq!(numbers(&receiver.requests(), "one"), [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_deleted_does_not_deadlock_with_an_attempt_that_ends() {
    let app = TestApp::start().await;
    for status in [204, 410] {
        let receiver = Receiver::start().await;
        receiver.answers(move |_| Reply::Held(status));
        let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
        let acme = tenant(&app, &format!("acme{status}")).await;
        tell(&app, acme, 1).await;
        receiver.has(1).await;
        // Both wait for what the webhook is to be told: first the attempt that ends, then the deletion.
        let mut queue = app.owner().begin().await.unwrap();
        sqlx::query("SELECT FROM webhook_queues FOR UPDATE").execute(&mut *queue).await.unwrap();
        let wait = async |count: i64| {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            within(Duration::from_secs(10), "they wait", async || app.count(waiting).await == count).await;
        };
        let release = async {
            receiver.release(1);
            wait(1).await;
            let released = async {
                wait(2).await;
                queue.rollback().await.unwrap();
            };
            let path = format!("/api/v1/webhooks/{id}");
            tokio::join!(app.api.delete(&path), released).0
        };
        release.await.expect(204);
    }
    app.until_zero("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await;
}
