//! Every user of one tenant against everything of another, on both tiers.

use serde_json::json;
use tenantry_tests::{Answer, Signup, TestApp};

use super::{PASSWORD, contact, log_in, register, register_as, tenant, with_token};

#[tokio::test(flavor = "multi_thread")]
async fn no_user_of_one_tenant_reaches_another_s_data_or_users() {
    let app = TestApp::start().await;
    let mut tenants: Vec<(Signup, Vec<serde_json::Value>)> = Vec::new();
    for plan in ["basic", "premium"] {
        for name in ["acme", "other"] {
            let signup = tenant(&app, &format!("{name}-{plan}"), plan).await;
            signup.data.post("/api/contacts", contact("secret@example.com")).await.expect(201);
            let mut users = Vec::new();
            for role in ["owner", "admin", "member"] {
                register_as(&signup.data, role, &[role]).await;
                users.push(log_in(&signup.data, role).await);
            }
            tenants.push((signup, users));
        }
    }
    let mut tried = 0;
    for (attacker, users) in &tenants {
        for (victim, victims) in &tenants {
            if attacker.id == victim.id {
                continue;
            }
            for tokens in users {
                let at_victim = with_token(&victim.data, tokens);
                let by_header = |method, path: &str| {
                    with_token(&app.data, tokens).request(method, path).header("x-tenant-id", &victim.id)
                };
                let answers: Vec<Answer> = vec![
                    at_victim.get("/api/contacts").await,
                    at_victim.post("/api/contacts", contact("x@example.com")).await,
                    at_victim.get("/api/auth/validate").await,
                    at_victim.post("/api/auth/logout", json!({})).await,
                    at_victim.get("/api/tenant").await,
                    at_victim.post("/api/auth/register", super::of("spy")).await,
                    app.data.send(by_header(reqwest::Method::GET, "/api/contacts")).await,
                    with_token(&app.data, tokens).get(&format!("/t/{}/api/contacts", victim.slug)).await,
                ];
                for answer in &answers {
                    assert!([400, 401, 403].contains(&answer.status.as_u16()), "{answer:?}");
                    assert!(!answer.text.contains("secret@"), "{answer:?}");
                }
                tried += answers.len();
                // The name and password of one are no other's, nor is the refresh token.
                let refresh = json!({ "refreshToken": tokens["refreshToken"] });
                victim.data.without_key().post("/api/auth/refresh", refresh).await.expect(401);
            }
            // And the victims' log-ins go on.
            for tokens in victims {
                with_token(&victim.data, tokens).get("/api/contacts").await.expect(200);
            }
        }
    }
    assert_eq!(tried, 4 * 3 * 3 * 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_users_is_out_of_reach_for_keys_tokens_and_the_tenant_s_role() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let acme = tenant(&app, &format!("acme-{plan}"), plan).await;
        register(&acme.data, "ada").await;
        let ada = with_token(&acme.data, &log_in(&acme.data, "ada").await);
        for api in [&acme.data, &ada] {
            for table in ["tenantry_users", "tenantry_sessions"] {
                api.get(&format!("/api/{table}")).await.expect(404);
            }
            let document = api.get("/api/").await.expect(200);
            assert!(!document.text.contains("tenantry_"), "{plan}");
        }
        let url = app.own_url(&acme.id).await;
        let mut as_role = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
        let schema = format!("tenant_{}", acme.slug.replace('-', "_"));
        for statement in [
            format!("SELECT * FROM {schema}.tenantry_users"),
            format!("UPDATE {schema}.tenantry_users SET roles = '{{owner}}'"),
            format!("SELECT * FROM {schema}.tenantry_sessions"),
            format!("SELECT nextval('{schema}.tenantry_users_id_seq')"),
            "SET ROLE tenantry_users".to_owned(),
        ] {
            let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut as_role).await;
            let error = refused.unwrap_err();
            let code =
                error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
            assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
        }
        // And a password is never shown.
        let stored = json!({ "username": "ada", "password": PASSWORD });
        let answer = acme.data.without_key().post("/api/auth/login", stored).await.expect(200);
        assert!(!answer.text.contains("argon2"));
    }
}
