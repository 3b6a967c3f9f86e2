//! Refusing query parameters that an endpoint does not document. The OpenAPI document is the list,
//! so the two cannot drift apart.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use tenantry_http::Problem;
use url::form_urlencoded;
use utoipa::openapi::{
    OpenApi, PathItem, RefOr,
    path::{Operation, ParameterIn},
};

use crate::refusal::Refusal;

/// The documented query parameters of every endpoint.
#[derive(Clone)]
pub(crate) struct KnownParameters(Arc<HashMap<(Method, String), Vec<String>>>);

/// The operations of a path, by method.
pub(crate) fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// The operations of a path, to be completed.
pub(crate) fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

impl KnownParameters {
    pub(crate) fn of(document: &OpenApi) -> Self {
        let in_query = |operation: &Operation| {
            let parameters = operation.parameters.iter().flatten();
            let inline = parameters.filter_map(|parameter| match parameter {
                RefOr::T(parameter) => Some(parameter),
                RefOr::Ref(_) => None,
            });
            let in_query = inline.filter(|p| matches!(p.parameter_in, ParameterIn::Query));
            in_query.map(|p| p.name.clone()).collect()
        };
        let endpoints = document.paths.paths.iter().flat_map(|(path, item)| {
            operations(item).map(move |(method, operation)| ((method, path.clone()), in_query(operation)))
        });
        Self(Arc::new(endpoints.collect()))
    }
}

/// Refuses a request with a query parameter that its endpoint does not have.
pub(crate) async fn refuse_unknown(
    State(known): State<KnownParameters>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    if let Some(query) = request.uri().query().filter(|query| !query.is_empty()) {
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let known = known.0.get(&(method, path.as_str().to_owned()));
        let is_known = |name: &str| known.is_some_and(|known| known.iter().any(|known| known == name));
        let unknown =
            form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name).find(|name| !is_known(name));
        if let Some(name) = unknown {
            return Err(Problem::new(
                axum::http::StatusCode::BAD_REQUEST,
                "unknown_parameter",
                format!("this endpoint has no query parameter `{}`", name.escape_debug()),
            )
            .with_error(name.escape_debug().to_string(), "is not a parameter of this endpoint")
            .into());
        }
    }
    Ok(next.run(request).await)
}
