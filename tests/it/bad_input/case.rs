//! One refused request, and the bodies that the tables spoil.

use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};
use tenantry_tests::{Answer, TestApp};

/// One refused request.
pub(super) struct Case {
    method: Method,
    path: String,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Option<Vec<u8>>,
    status: u16,
    code: &'static str,
    /// The field that the answer names; none where the fault has no field.
    field: Option<String>,
}

impl Case {
    pub(super) fn of(method: Method, path: &str) -> Self {
        let (headers, status, code) = (Vec::new(), 400, "invalid_field");
        Self { method, path: format!("/api/v1{path}"), headers, body: None, status, code, field: None }
    }

    pub(super) fn get(path: &str) -> Self {
        Self::of(Method::GET, path)
    }

    pub(super) fn post(path: &str, body: &Value) -> Self {
        Self::sends(Method::POST, path, body)
    }

    pub(super) fn sends(method: Method, path: &str, body: &Value) -> Self {
        Self::of(method, path).text(body.to_string()).header("content-type", "application/json")
    }

    /// A body as it goes over the wire, as JSON or not.
    pub(super) fn text(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(super) fn json_text(self, body: impl Into<Vec<u8>>) -> Self {
        self.text(body).header("content-type", "application/json")
    }

    pub(super) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, HeaderValue::from_bytes(value.as_ref()).unwrap()));
        self
    }

    /// 400 with this code for this field.
    pub(super) fn is(mut self, code: &'static str, field: impl Into<String>) -> Self {
        (self.code, self.field) = (code, Some(field.into()));
        self
    }

    /// Another status, this code, and no field.
    pub(super) fn fails(mut self, status: u16, code: &'static str) -> Self {
        (self.status, self.code, self.field) = (status, code, None);
        self
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// A body with one field in another shape, or gone.
pub(super) fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[field] = value;
    body
}

pub(super) fn without(body: &Value, field: &str) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().remove(field);
    body
}

pub(super) fn tenant() -> Value {
    json!({ "name": "Acme", "slug": "acme", "plan": "basic", "app": "crm" })
}

pub(super) fn plan() -> Value {
    json!({ "name": "starter", "tier": "schema" })
}

pub(super) fn server() -> Value {
    json!({ "name": "eu-1", "host": "10.0.0.5", "adminUser": "postgres", "adminPassword": "secret", "capacity": 5 })
}

pub(super) fn key() -> Value {
    json!({ "name": "billing", "scopes": ["tenants:read"] })
}

pub(super) fn version() -> Value {
    json!({ "version": 20_991_231_000_000_i64, "name": "more", "up": "SELECT 1" })
}
pub(super) async fn ask(app: &TestApp, case: &Case, known: &str, operation: &str) -> Answer {
    let path = case.path.replace("KNOWN", known).replace("OPERATION", operation);
    let mut request = app.api.request(case.method.clone(), &path);
    for (name, value) in &case.headers {
        request = request.header(*name, value.clone());
    }
    if let Some(body) = &case.body {
        request = request.body(body.clone());
    }
    app.api.send(request).await
}

/// What an answer has against what it should have; `None` if all is as it should.
pub(super) fn mistake(case: &Case, answer: &Answer) -> Option<String> {
    let is_problem = answer.header("content-type").as_deref() == Some("application/problem+json");
    let code = answer.problem_name().filter(|_| is_problem).unwrap_or_default();
    let fields = if is_problem { answer.fields() } else { Vec::new() };
    let named = case.field.as_ref().is_none_or(|field| fields.contains(field));
    if answer.status.as_u16() == case.status && code == case.code && named {
        answer.assert_problem();
        return None;
    }
    let body =
        case.body.as_deref().map(|body| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned());
    Some(format!(
        "{} {} {:?} {}\n    expected {} {} {:?}\n    got {} {}",
        case.method,
        &case.path[..case.path.len().min(100)],
        case.headers,
        body.unwrap_or_default(),
        case.status,
        case.code,
        case.field,
        answer.status,
        answer.text,
    ))
}
