//! Who looks after a tenant's users, and what he may do with them.

use futures::future::join_all;
use serde_json::{Value, json};
use tenantry_tests::{Api, TestApp};

use super::{PASSWORD, log_in, register, register_as, tenant, with_token};

/// A tenant with one user of each role; as each of them, in this order.
async fn staffed(app: &TestApp, name: &str, plan: &str) -> (Api, [Api; 3]) {
    let data = tenant(app, name, plan).await.data;
    let mut users = Vec::new();
    for role in ["owner", "admin", "member"] {
        register_as(&data, role, &[role]).await;
        users.push(with_token(&data, &log_in(&data, role).await));
    }
    (data, users.try_into().expect("three"))
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_admins_and_keys_see_the_users_page_by_page_and_members_do_not() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let (data, [owner, admin, member]) = staffed(&app, &format!("acme-{plan}"), plan).await;
        for api in [&data, &owner, &admin] {
            let first = api.get("/api/auth/users?limit=2").await.expect(200).json();
            let next = api
                .get(&format!("/api/auth/users?limit=2&cursor={}", first["nextCursor"].as_str().unwrap()))
                .await;
            let next = next.expect(200).json();
            let names: Vec<&Value> = [&first, &next]
                .into_iter()
                .flat_map(|page| page["items"].as_array().unwrap())
                .map(|user| &user["username"])
                .collect();
            assert_eq!(names, ["owner", "admin", "member"]);
            assert!(next["nextCursor"].is_null());
            assert!(!first.to_string().contains("argon2"));
        }
        member.get("/api/auth/users").await.expect_problem(403, "role_missing");
        data.without_key().get("/api/auth/users").await.expect_problem(401, "key_required");
        data.get("/api/auth/users?limit=0").await.expect_problem(400, "invalid_field");
        data.get("/api/auth/users?order=id").await.expect_problem(400, "invalid_field");
    }
}

/// What each may do with each: change the roles of, disable, delete.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_whom_he_could_not_have_made() {
    let app = TestApp::start().await;
    let (data, [owner, admin, member]) = staffed(&app, "acme", "basic").await;
    // So that nobody is the last one.
    register_as(&data, "second", &["owner"]).await;
    let mut made = 0;
    for (who, api, may) in [
        ("key", &data, ["owner", "admin", "member"].as_slice()),
        ("owner", &owner, &["owner", "admin", "member"]),
        ("admin", &admin, &["admin", "member"]),
        ("member", &member, &[]),
    ] {
        for role in ["owner", "admin", "member"] {
            for to in ["owner", "admin", "member"] {
                made += 1;
                let user = register_as(&data, &format!("user{made}"), &[role]).await;
                let path = format!("/api/auth/users/{}", user["id"]);
                let expected = if may.contains(&role) && may.contains(&to) { 200 } else { 403 };
                let answer = api.patch(&path, json!({ "roles": [to] })).await;
                assert_eq!(answer.status, expected, "{who} makes {role} {to}: {answer:?}");
                let now = if expected == 200 { to } else { role };
                let expected = if may.contains(&now) { 200 } else { 403 };
                let answer = api.patch(&path, json!({ "enabled": false })).await;
                assert_eq!(answer.status, expected, "{who} disables {now}: {answer:?}");
                let expected = if may.contains(&now) { 204 } else { 403 };
                let answer = api.delete(&path).await;
                assert_eq!(answer.status, expected, "{who} deletes {now}: {answer:?}");
            }
        }
    }
    data.patch("/api/auth/users/9999", json!({ "enabled": true }))
        .await
        .expect_problem(404, "user_not_found");
    data.patch("/api/auth/users/x", json!({ "enabled": true })).await.expect_problem(404, "user_not_found");
    data.patch("/api/auth/users/1", json!({})).await.expect_problem(400, "invalid_field");
    data.patch("/api/auth/users/1", json!({ "roles": [] })).await.expect_problem(400, "invalid_field");
    data.patch("/api/auth/users/1", json!({ "password": "x" })).await.expect_problem(400, "unknown_field");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_changed_disabled_or_deleted_is_logged_out_everywhere() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    for (name, change) in
        [("ada", json!({ "roles": ["admin"] })), ("bob", json!({ "enabled": false })), ("eve", Value::Null)]
    {
        let id = register(&acme.data, name).await["id"].clone();
        let tokens = log_in(&acme.data, name).await;
        let path = format!("/api/auth/users/{id}");
        match change {
            Value::Null => acme.data.delete(&path).await.expect(204),
            change => acme.data.patch(&path, change).await.expect(200),
        };
        with_token(&acme.data, &tokens).get("/api/contacts").await.expect_problem(401, "token_revoked");
        let refresh = json!({ "refreshToken": tokens["refreshToken"] });
        acme.data.without_key().post("/api/auth/refresh", refresh).await.expect(401);
    }
    for name in ["bob", "eve"] {
        let login = json!({ "username": name, "password": PASSWORD });
        acme.data
            .without_key()
            .post("/api/auth/login", login)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    let again = with_token(&acme.data, &log_in(&acme.data, "ada").await);
    assert_eq!(again.get("/api/auth/validate").await.expect(200).json()["user"]["roles"], json!(["admin"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_who_go_at_once_one_stays() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    for round in 0..5 {
        let ids = [
            register_as(&acme.data, &format!("one{round}"), &["owner"]).await["id"].clone(),
            register_as(&acme.data, &format!("two{round}"), &["owner"]).await["id"].clone(),
        ];
        let paths = ids.map(|id| format!("/api/auth/users/{id}"));
        let (first, second) = tokio::join!(
            acme.data.delete(&paths[0]),
            acme.data.patch(&paths[1], json!({ "enabled": false }))
        );
        let refused = [&first, &second].into_iter().filter(|answer| answer.status == 409).count();
        assert_eq!(refused, 1, "{first:?} {second:?}");
        // With another one the last may go.
        register_as(&acme.data, &format!("three{round}"), &["owner"]).await;
        join_all(paths.iter().map(|path| acme.data.delete(path))).await;
        let listed = acme.data.get("/api/auth/users").await.expect(200).json();
        let last = listed["items"][0]["id"].clone();
        let path = format!("/api/auth/users/{last}");
        acme.data.delete(&path).await.expect_problem(409, "last_owner");
        acme.data.patch(&path, json!({ "roles": ["member"] })).await.expect_problem(409, "last_owner");
        acme.data.patch(&path, json!({ "enabled": false })).await.expect_problem(409, "last_owner");
        // To begin anew without owners, one becomes a member as another takes over.
        register_as(&acme.data, &format!("next{round}"), &["owner"]).await;
        acme.data.delete(&path).await.expect(204);
        let listed = acme.data.get("/api/auth/users").await.expect(200).json();
        let next = listed["items"][0]["id"].clone();
        let schema = format!("tenant_{}", acme.slug.replace('-', "_"));
        let mut admin = tenantry_tests::server::admin(app.server(), app.shared_database()).await;
        let delete = format!("DELETE FROM {schema}.tenantry_users WHERE id = {next}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(delete)).execute(&mut admin).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_his_password_stays_logged_in_and_all_his_other_log_ins_end() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let (here, elsewhere) = (log_in(&acme.data, "ada").await, log_in(&acme.data, "ada").await);
    let ada = with_token(&acme.data, &here);
    let change = |current: &str, new: &str| json!({ "currentPassword": current, "newPassword": new });
    ada.post("/api/auth/password", change("wrong", "Another password 2"))
        .await
        .expect_problem(401, "invalid_credentials");
    let answer = ada.post("/api/auth/password", change(PASSWORD, "too plain")).await;
    assert_eq!(answer.expect_problem(400, "invalid_field").json()["errors"][0]["field"], "newPassword");
    acme.data
        .post("/api/auth/password", change(PASSWORD, "Another password 2"))
        .await
        .expect_problem(401, "token_required");
    ada.post("/api/auth/password", change(PASSWORD, "Another password 2")).await.expect(204);
    ada.get("/api/contacts").await.expect(200);
    with_token(&acme.data, &elsewhere).get("/api/contacts").await.expect_problem(401, "token_revoked");
    let open = acme.data.without_key();
    let login = |password: &str| json!({ "username": "ada", "password": password });
    open.post("/api/auth/login", login(PASSWORD)).await.expect(401);
    open.post("/api/auth/login", login("Another password 2")).await.expect(200);
}
