//! The users of tenants: who may register, log in, and what their tokens open, on both tiers.

mod audited;
mod crossing;
mod issuer_keys;
mod logging_in;
mod looking_after;
mod moving;
mod one_time;
mod refreshing;
mod registering;
mod roles;
mod tokens;
mod trusted_issuers;

use serde_json::{Value, json};
use tenantry_tests::{Api, Signup, TestApp};

const PASSWORD: &str = "Correct horse battery 1";

/// A tenant whose users register themselves.
pub(crate) async fn tenant(app: &TestApp, name: &str, plan: &str) -> Signup {
    app.sign_up(name, plan, "salesflow").await
}

fn of(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD })
}

/// A row of the app's.
fn contact(email: &str) -> Value {
    json!({ "firstName": "Alice", "lastName": "Johnson", "email": email })
}

/// Registers a user as a member.
pub(crate) async fn register(data: &Api, name: &str) -> Value {
    data.without_key().post("/api/auth/register", of(name)).await.expect(201).json()
}

/// Registers a user with roles, by the tenant's key.
async fn register_as(data: &Api, name: &str, roles: &[&str]) -> Value {
    let mut body = of(name);
    body["roles"] = json!(roles);
    data.post("/api/auth/register", body).await.expect(201).json()
}

/// What somebody gets who logs in.
pub(crate) async fn log_in(data: &Api, name: &str) -> Value {
    let body = json!({ "username": name, "password": PASSWORD });
    data.without_key().post("/api/auth/login", body).await.expect(200).json()
}

/// The tenant's data, with the token of what somebody got.
pub(crate) fn with_token(data: &Api, tokens: &Value) -> Api {
    data.with_key(tokens["accessToken"].as_str().unwrap().to_owned())
}
