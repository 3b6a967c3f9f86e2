//! One-time tokens of users leave in events, and only there.

use chrono::TimeDelta;
use tenantry_domain::event::SealedMembers;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_token_is_sent_to_who_names_its_type_and_kept_until_then() {
    let app = TestApp::build().worker(eager).start().await;
    let one = tenant(&app, "one").await;
    let registry = as_data_plane(&app);
    let sealed = async |number: u64, expires_in: TimeDelta| {
        let mut event = event(one, EventType::UserInvited, &json!({ "number": number }));
        let members = json!({ "token": "one-time-token" }).as_object().unwrap().clone();
        let expires_at = SystemClock.now() + expires_in;
        event.secret = Some(SealedMembers::seal(&app.kek, event.id, &members, expires_at, &mut rand::rng()));
        registry.events_append(&[event]).await.unwrap();
    };
    // Nobody asks for it by name: it is not kept.
    let everything = Receiver::start().await;
    webhook(&app, &everything, &["*", "user.*"]).await;
    sealed(1, TimeDelta::hours(1)).await;
    assert_eq!(app.count("SELECT count(*) FROM events WHERE secret IS NOT NULL").await, 0);

    let inviter = Receiver::start().await;
    let (id, _) = webhook(&app, &inviter, &["user.invited"]).await;
    inviter.answers(|_| Reply::Held(200));
    sealed(2, TimeDelta::hours(1)).await;
    inviter.has(1).await;
    assert_eq!(app.count("SELECT count(*) FROM events WHERE secret IS NOT NULL").await, 1);
    let stored: Vec<u8> = sqlx::query_scalar("SELECT secret FROM events WHERE secret IS NOT NULL")
        .fetch_one(app.owner())
        .await
        .unwrap();
    assert!(!stored.windows(8).any(|window| window == b"one-time"));
    inviter.release(1);
    has_deliveries(&app, &id, "delivered", 1).await;
    within(Duration::from_mins(1), "the token is forgotten", async || {
        app.count("SELECT count(*) FROM events WHERE secret IS NOT NULL").await == 0
    })
    .await;
    assert_eq!(inviter.requests()[0].event()["data"]["token"], "one-time-token");
    let everything = everything.has(2).await;
    assert!(everything.iter().all(|request| !request.body.contains("one-time-token")));

    // One that has expired is not sent, and forgotten.
    inviter.answers(|_| Reply::Status(200));
    sealed(3, TimeDelta::seconds(-1)).await;
    let late = &inviter.has(2).await[1];
    assert_eq!((late.event()["data"]["number"].as_u64(), late.body.contains("token")), (Some(3), false));
    let listed = app.api.get("/api/v1/events?type=user.*").await.expect(200);
    assert!(!listed.text.contains("one-time-token"));
    registry.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_two_are_sent_at_once_is_forgotten_when_both_have_it() {
    let app = TestApp::build().worker(eager).start().await;
    let one = tenant(&app, "one").await;
    let registry = as_data_plane(&app);
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    for receiver in &receivers {
        webhook(&app, receiver, &["user.invited"]).await;
        receiver.answers(|_| Reply::Held(200));
    }
    for count in 1..=20 {
        let mut event = event(one, EventType::UserInvited, &json!({ "number": count }));
        let members = json!({ "token": "x" }).as_object().unwrap().clone();
        let expires_at = SystemClock.now() + TimeDelta::hours(1);
        event.secret = Some(SealedMembers::seal(&app.kek, event.id, &members, expires_at, &mut rand::rng()));
        registry.events_append(&[event]).await.unwrap();
        for receiver in &receivers {
            receiver.has(count).await;
        }
        for receiver in &receivers {
            receiver.release(1);
        }
        within(Duration::from_mins(1), "the token is forgotten", async || {
            app.count("SELECT count(*) FROM events WHERE secret IS NOT NULL").await == 0
        })
        .await;
    }
    registry.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_tells_events_and_reads_none() {
    let app = TestApp::build().without_worker().start().await;
    let one = tenant(&app, "one").await;
    tell(&app, one, 1).await;
    let mut connection = tenantry_tests::server::admin(app.server(), &registry_name(&app)).await;
    sqlx::query("SET ROLE tenantry_data_plane").execute(&mut connection).await.unwrap();
    for statement in [
        "SELECT count(*) FROM events",
        "UPDATE events SET data = '{}'",
        "DELETE FROM events",
        "SELECT count(*) FROM webhooks",
        "INSERT INTO webhook_deliveries (webhook_id, event_id, number, queue) SELECT NULL, NULL, 1, NULL",
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.expect_err(statement);
        assert!(refused.to_string().contains("permission denied"), "{statement}: {refused}");
    }
}

fn registry_name(app: &TestApp) -> String {
    app.registry_url().expose_secret().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_forgotten_when_their_time_is_over_with_what_became_of_them() {
    let app = TestApp::build().worker(|settings| settings.retention.events = 7).start().await;
    let receiver = Receiver::start().await;
    let one = tenant(&app, "one").await;
    let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
    tell(&app, one, 2).await;
    has_deliveries(&app, &id, "delivered", 2).await;
    app.keep_from_workers("forget_events").await;
    let resources = app.worker.as_ref().unwrap().resources().clone();
    let aged = async |kind: &str, days: i32| {
        let aged = "UPDATE events SET at = now() - make_interval(days => $1, mins => 1) WHERE type LIKE $2";
        sqlx::query(aged).bind(days).bind(kind).execute(app.owner()).await.unwrap();
        tenantry_worker::reconcilers::forget_events::run(&resources).await.unwrap()
    };
    assert_eq!(aged("user.%", 6).await, 0);
    assert_eq!(aged("user.%", 7).await, 2);
    assert_eq!(deliveries(&app, &id, "delivered").await.len(), 0);
    assert!(app.count("SELECT count(*) FROM events WHERE type = 'tenant.created'").await > 0);
}
