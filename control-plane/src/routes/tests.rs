//! What holds for every endpoint, walked by the OpenAPI document. Needs no database: a refused
//! request must not reach it.

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tenantry_domain::{
    SystemClock,
    api_key::{ApiKey, Scope},
    envelope::Key,
    ids::{ApiKeyId, TenantId},
};
use tenantry_registry::{Part, Registry};
use tower::ServiceExt;
use utoipa::openapi::path::Operation;
use uuid::Uuid;

use crate::{ControlPlane, Settings, input::known_parameters::operations, openapi};

fn unconnected() -> ControlPlane {
    let registry = Registry::connect_lazy("postgres://127.0.0.1:1/none", Part::ControlPlane, 1).unwrap();
    ControlPlane::new(registry, Key::generate(&mut rand::rng()), SystemClock::shared(), Settings::default())
}

fn key_with(scopes: impl IntoIterator<Item = Scope>, tenant_id: Option<TenantId>) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_uuid(Uuid::from_u128(1)),
        tenant_id,
        name: "test".into(),
        scopes: scopes.into_iter().collect(),
        expires_at: None,
        created_at: chrono::DateTime::UNIX_EPOCH,
    }
}

/// Every endpoint of the document, its path filled in.
fn endpoints() -> Vec<(Method, String, Operation)> {
    let document = openapi();
    let all = document.paths.paths.iter().flat_map(|(path, item)| {
        let filled = path
            .replace("{tenant}", "acme")
            .replace("{id}", "019a0000-0000-7000-8000-000000000000")
            .replace("{key}", "019a0000-0000-7000-8000-000000000000")
            .replace("{webhook}", "019a0000-0000-7000-8000-000000000000")
            .replace("{delivery}", "019a0000-0000-7000-8000-000000000000")
            .replace("{domain}", "a.example.com")
            .replace("{plan}", "basic")
            .replace("{server}", "main")
            .replace("{app}", "crm")
            .replace("{version}", "20261120093000");
        operations(item).map(move |(method, operation)| (method, filled.clone(), operation.clone()))
    });
    all.collect()
}

fn documented_scopes(operation: &Operation) -> Vec<String> {
    let document = serde_json::to_value(operation).unwrap();
    let scopes = document["security"][0]["apiKey"].as_array().cloned().unwrap_or_default();
    scopes.iter().map(|scope| scope.as_str().unwrap().to_owned()).collect()
}

async fn ask(router: &Router, method: &Method, path: &str, key: Option<&str>) -> (StatusCode, Value) {
    let mut request =
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let response = router.clone().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn every_endpoint_but_sign_up_answers_401_without_a_key() {
    let router = unconnected().router();
    for (method, path, _) in endpoints() {
        let (status, body) = ask(&router, &method, &path, None).await;
        let expected = if path == "/api/v1/signup" { "signup_disabled" } else { "unauthenticated" };
        assert_eq!(body["code"], expected, "{method} {path}: {status}");
        assert!(body["requestId"].is_string(), "{method} {path}");
    }
}

#[tokio::test]
async fn every_endpoint_refuses_a_key_that_lacks_just_the_documented_scope() {
    for (method, path, operation) in endpoints() {
        if path == "/api/v1/signup" {
            continue;
        }
        let documented = documented_scopes(&operation);
        assert_eq!(documented.len(), 1, "{method} {path} documents one scope");
        let control_plane = unconnected();
        let others = Scope::operator().into_iter().filter(|scope| scope.as_str() != documented[0]);
        control_plane.state.keys.remember("k", key_with(others, None)).await;
        let (status, body) = ask(&control_plane.router(), &method, &path, Some("k")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {body}");
        assert_eq!((&body["code"], &body["scope"]), (&"scope_missing".into(), &documented[0].clone().into()));
    }
}

#[tokio::test]
async fn a_tenant_s_key_opens_nothing_here() {
    let control_plane = unconnected();
    let key = key_with(Scope::operator(), Some(TenantId::from_uuid(Uuid::from_u128(2))));
    // Made once: it takes a while, and a key is remembered for seconds.
    let router = control_plane.router();
    control_plane.state.keys.remember("k", key).await;
    for (method, path, _) in endpoints().into_iter().filter(|(_, path, _)| path != "/api/v1/signup") {
        let (status, body) = ask(&router, &method, &path, Some("k")).await;
        assert_eq!(
            (status, &body["code"]),
            (StatusCode::FORBIDDEN, &"wrong_kind_of_key".into()),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn an_undocumented_query_parameter_is_refused_everywhere() {
    let control_plane = unconnected();
    let router = control_plane.router();
    control_plane.state.keys.remember("k", key_with(Scope::operator(), None)).await;
    for (method, path, _) in endpoints().into_iter().filter(|(_, path, _)| path != "/api/v1/signup") {
        let (status, body) = ask(&router, &method, &format!("{path}?nonsense=1"), Some("k")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{method} {path}: {body}");
        assert_eq!(body["errors"][0]["field"], "nonsense", "{method} {path}");
    }
}

#[tokio::test]
async fn an_unreachable_registry_is_503_and_says_nothing_of_itself() {
    let control_plane = unconnected();
    control_plane.state.keys.remember("k", key_with(Scope::operator(), None)).await;
    let (status, body) = ask(&control_plane.router(), &Method::GET, "/api/v1/plans", Some("k")).await;
    assert_eq!((status, &body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"registry_unavailable".into()));
    assert!(!body.to_string().contains("127.0.0.1"), "{body}");
}

#[test]
fn the_document_is_complete() {
    let document = serde_json::to_value(openapi()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    let mut references =
        text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert!(references.all(|name| schemas.contains_key(name)), "a schema is referred to and missing");
    assert!(document["components"]["securitySchemes"]["apiKey"].is_object());
    for (method, path, operation) in endpoints() {
        let documented = serde_json::to_value(&operation).unwrap();
        assert!(documented["summary"].is_string(), "{method} {path} has no summary");
        assert!(documented["responses"]["default"].is_object(), "{method} {path} has no problem document");
    }
}
