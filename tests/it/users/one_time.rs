//! What a user does with a one-time token: set a password, as one who is invited or has forgotten his, and prove an address.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tenantry_tests::{Api, Signup, TestApp, within::within};

use super::{PASSWORD, log_in, of, register, register_as, tenant, with_token};
use crate::webhooks::receiver::Receiver;

const NEW_PASSWORD: &str = "Another horse battery 2";

/// Where messages to users go.
struct Mailbox {
    receiver: Receiver,
}

impl Mailbox {
    async fn new(app: &TestApp) -> Self {
        let receiver = Receiver::start().await;
        let types = [
            "user.invited",
            "user.password_reset_requested",
            "user.email_change_requested",
            "user.*",
            "tenant.limit_reached",
        ];
        let body = json!({ "url": receiver.url(), "types": types });
        app.api.post("/api/v1/webhooks", body).await.expect(201);
        Self { receiver }
    }

    /// The events of a type, once there are so many.
    async fn has(&self, kind: &str, count: usize) -> Vec<Value> {
        let of_kind = || -> Vec<Value> {
            let events = self.receiver.requests().into_iter().map(|request| request.event());
            events.filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
        };
        within(Duration::from_mins(1), &format!("{count} of {kind}"), async || of_kind().len() >= count)
            .await;
        of_kind()
    }

    async fn token(&self, kind: &str, count: usize) -> Value {
        self.has(kind, count).await[count - 1]["token"].clone()
    }
}

async fn start() -> TestApp {
    TestApp::build().worker(|worker| worker.webhooks.poll_interval = Duration::from_millis(50)).start().await
}

async fn reset(data: &Api, token: &Value, password: &str) -> tenantry_tests::Answer {
    let body = json!({ "token": token, "newPassword": password });
    data.without_key().post("/api/auth/password/reset", body).await
}

async fn logs_in(data: &Api, name: &str, password: &str) -> u16 {
    let body = json!({ "username": name, "password": password });
    data.without_key().post("/api/auth/login", body).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_forgotten_his_password_sets_another_one_once_and_all_his_log_ins_end() {
    let app = start().await;
    let (acme, other) = (tenant(&app, "acme", "basic").await, tenant(&app, "other", "premium").await);
    let mailbox = Mailbox::new(&app).await;
    for signup in [&acme, &other] {
        register(&signup.data, "ada").await;
    }
    let logged_in = with_token(&acme.data, &log_in(&acme.data, "ada").await);
    let forgot = |data: &Api, email: &str| {
        let (data, body) = (data.without_key(), json!({ "email": email }));
        async move { data.post("/api/auth/password/forgot", body).await.expect(202) }
    };
    // Of whom there is not, nobody is told; and nobody is sent many.
    let answers = join_all((0..5).map(|_| forgot(&acme.data, "ADA@example.com"))).await;
    let nobody = forgot(&acme.data, "eve@example.com").await;
    assert!(answers.iter().all(|answer| answer.text == nobody.text && answer.status == nobody.status));
    forgot(&other.data, "ada@example.com").await;
    mailbox.has("user.password_reset_requested", 2).await;
    let sent = mailbox.has("user.password_reset_requested", 2).await;
    assert_eq!(sent.len(), 2, "{sent:?}");
    let of = |signup: &Signup| sent.iter().find(|data| data["tenant"]["id"] == *signup.id).unwrap();
    assert_eq!(of(&acme)["user"], json!({ "id": 1, "username": "ada", "email": "ada@example.com" }));
    let token = of(&acme)["token"].clone();

    for (data, token, password, status, code) in [
        (&other.data, &token, NEW_PASSWORD, 401, "one_time_token_invalid"),
        (&acme.data, &of(&other)["token"], NEW_PASSWORD, 401, "one_time_token_invalid"),
        (&acme.data, &json!("tno_AAAA"), NEW_PASSWORD, 401, "one_time_token_invalid"),
        (&acme.data, &token, "short", 400, "invalid_field"),
    ] {
        reset(data, token, password).await.expect_problem(status, code);
    }
    let body = json!({ "token": token });
    acme.data
        .without_key()
        .post("/api/auth/email/confirm", body)
        .await
        .expect_problem(401, "one_time_token_invalid");
    // Once, whoever uses it at the same time.
    let resets = join_all((0..4).map(|n| {
        let password = format!("{NEW_PASSWORD}{n}");
        let (data, token) = (acme.data.clone(), token.clone());
        async move { (reset(&data, &token, &password).await.status.as_u16(), password) }
    }))
    .await;
    let won: Vec<_> = resets.iter().filter(|(status, _)| *status == 204).collect();
    assert_eq!(won.len(), 1, "{resets:?}");
    assert_eq!(logs_in(&acme.data, "ada", &won[0].1).await, 200);
    assert_eq!(logs_in(&acme.data, "ada", PASSWORD).await, 401);
    logged_in.get("/api/contacts").await.expect_problem(401, "token_revoked");
    reset(&acme.data, &token, NEW_PASSWORD).await.expect_problem(401, "one_time_token_invalid");
    assert_eq!(logs_in(&other.data, "ada", PASSWORD).await, 200);
    mailbox.has("user.password_changed", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_out_is_told_and_ends_with_a_password_that_the_user_sets() {
    let app = start().await;
    let acme = tenant(&app, "acme", "basic").await;
    let mailbox = Mailbox::new(&app).await;
    register(&acme.data, "ada").await;
    for _ in 0..10 {
        assert_eq!(logs_in(&acme.data, "ada", "wrong").await, 401);
    }
    assert_eq!(logs_in(&acme.data, "ada", PASSWORD).await, 401);
    assert_eq!(mailbox.has("user.locked_out", 1).await[0]["user"]["username"], "ada");
    acme.data
        .without_key()
        .post("/api/auth/password/forgot", json!({ "email": "ada@example.com" }))
        .await
        .expect(202);
    let token = mailbox.token("user.password_reset_requested", 1).await;
    reset(&acme.data, &token, NEW_PASSWORD).await.expect(204);
    assert_eq!(logs_in(&acme.data, "ada", NEW_PASSWORD).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_sets_his_password_and_nobody_logs_in_before() {
    let app = start().await;
    let acme = tenant(&app, "acme", "basic").await;
    let mailbox = Mailbox::new(&app).await;
    register_as(&acme.data, "boss", &["admin"]).await;
    register(&acme.data, "bob").await;
    let boss = with_token(&acme.data, &log_in(&acme.data, "boss").await);
    let bob = with_token(&acme.data, &log_in(&acme.data, "bob").await);
    let invitation = json!({ "email": "ada.l@example.com", "firstName": "Ada" });
    bob.post("/api/auth/invitations", invitation.clone()).await.expect_problem(403, "role_missing");
    let as_owner = json!({ "email": "eve@example.com", "roles": ["owner"] });
    boss.post("/api/auth/invitations", as_owner).await.expect_problem(403, "role_not_yours");
    let invited = boss.post("/api/auth/invitations", invitation.clone()).await.expect(201).json();
    assert_eq!((&invited["username"], &invited["roles"]), (&json!("ada.l"), &json!(["member"])));
    boss.post("/api/auth/invitations", invitation).await.expect(409);
    for password in ["!", "", PASSWORD] {
        assert_eq!(logs_in(&acme.data, "ada.l", password).await, 401);
    }
    let token = mailbox.token("user.invited", 1).await;
    reset(&acme.data, &token, PASSWORD).await.expect(204);
    assert_eq!(logs_in(&acme.data, "ada.l", PASSWORD).await, 200);
    reset(&acme.data, &token, NEW_PASSWORD).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_a_user_s_when_he_has_shown_that_he_reads_it() {
    let app = start().await;
    let acme = tenant(&app, "acme", "premium").await;
    let mailbox = Mailbox::new(&app).await;
    for name in ["ada", "bob"] {
        register(&acme.data, name).await;
    }
    let ada = with_token(&acme.data, &log_in(&acme.data, "ada").await);
    let ask = |email: &str, password: &str| {
        let (ada, body) = (ada.clone(), json!({ "email": email, "currentPassword": password }));
        async move { ada.post("/api/auth/email", body).await }
    };
    ask("ada@new.example", "wrong").await.expect_problem(401, "invalid_credentials");
    ask("BOB@example.com", PASSWORD).await.expect_problem(409, "email_taken");
    ask("no address", PASSWORD).await.expect(400);
    ask("ada@new.example", PASSWORD).await.expect(202);
    let sent = mailbox.has("user.email_change_requested", 1).await.remove(0);
    assert_eq!(
        (&sent["newEmail"], &sent["user"]["email"]),
        (&json!("ada@new.example"), &json!("ada@example.com"))
    );
    let confirm = || {
        let body = json!({ "token": sent["token"] });
        let open = acme.data.without_key();
        async move { open.post("/api/auth/email/confirm", body).await }
    };
    // It sets no password, though it is a token.
    reset(&acme.data, &sent["token"], NEW_PASSWORD).await.expect_problem(401, "one_time_token_invalid");
    confirm().await.expect(204);
    confirm().await.expect_problem(401, "one_time_token_invalid");
    let by_email = json!({ "email": "ada@new.example", "password": PASSWORD });
    acme.data.without_key().post("/api/auth/login", by_email).await.expect(200);
    mailbox.has("user.email_changed", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_user_of_a_new_tenant_is_invited_as_its_owner() {
    let app = start().await;
    let mailbox = Mailbox::new(&app).await;
    let sign_up = |name: &str, plan: &str, on: &str, admin: Value| {
        let body = json!({ "name": name, "slug": app.slug(name), "plan": plan, "app": on, "admin": admin });
        app.api.post_and_wait("/api/v1/tenants", body)
    };
    for (count, plan) in [(1, "basic"), (2, "premium")] {
        let made = sign_up(&format!("acme-{plan}"), plan, "salesflow", json!({ "email": "ada@example.com" }));
        let made = made.await.expect(201).json();
        let (id, slug) = (made["tenant"]["id"].as_str().unwrap(), made["tenant"]["slug"].as_str().unwrap());
        let data = app.data.with_host(format!("{slug}.localhost"));
        let invited = mailbox.has("user.invited", count).await.remove(count - 1);
        assert_eq!((&invited["tenant"]["id"], &invited["user"]["username"]), (&json!(id), &json!("ada")));
        reset(&data, &invited["token"], PASSWORD).await.expect(204);
        let ada = with_token(&data, &log_in(&data, "ada").await);
        let users = ada.get("/api/auth/users").await.expect(200).json();
        assert_eq!(
            (&users["items"][0]["roles"], users["items"].as_array().unwrap().len()),
            (&json!(["owner"]), 1)
        );
    }
    sign_up("crm", "basic", "crm", json!({ "email": "ada@example.com" }))
        .await
        .expect_problem(422, "users_not_enabled");
    for (admin, field) in [
        (json!({ "email": "x" }), "admin.email"),
        (json!({ "email": "a b@example.com", "username": "a" }), "admin.email"),
        (json!({ "email": "a!b@example.com" }), "admin.username"),
        (json!({ "email": "a@example.com", "firstName": "\u{202e}" }), "admin.firstName"),
    ] {
        let refused = sign_up("odd", "basic", "salesflow", admin).await.expect(400);
        assert_eq!(refused.fields(), [field]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_reached_is_told_once() {
    let app = start().await;
    let mailbox = Mailbox::new(&app).await;
    let acme = tenant(&app, "acme", "basic").await;
    app.api.patch(&format!("/api/v1/tenants/{}", acme.id), json!({ "maxUsers": 1 })).await.expect(200);
    let daily = format!("/api/v1/tenants/{}/config/api.rate_limit", acme.id);
    app.api.put(&daily, json!({ "configValue": 5 })).await.expect(201);
    app.routes_caught_up().await;
    register(&acme.data, "ada").await;
    for name in ["bob", "eve"] {
        acme.data
            .without_key()
            .post("/api/auth/register", of(name))
            .await
            .expect_problem(403, "user_limit_reached");
    }
    for _ in 0..8 {
        acme.data.get("/api/contacts").await;
    }
    let told = mailbox.has("tenant.limit_reached", 2).await;
    let mut limits: Vec<_> = told.iter().map(|data| data["limit"].as_str().unwrap()).collect();
    limits.sort_unstable();
    assert_eq!(limits, ["apiRequestsPerDay", "maxUsers"]);
}
