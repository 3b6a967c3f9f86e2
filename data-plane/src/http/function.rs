//! `/api/rpc/{function}`: the functions of the app's schema.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use tenantry_http::Problem;

use super::{
    admitted::Admitted,
    parameters::{Arguments, Filters, Named, Preferences, Range, Shown, Window},
    resource::resource,
};
use crate::state::Plane;

/// Calls a function that only reads, with arguments from the query string.
#[utoipa::path(
    get,
    path = "/api/rpc/{function}",
    operation_id = "call_reading_function",
    tag = "functions",
    summary = "Calls a function, in a transaction that only reads; parameters that are no filters are its arguments",
    params(
        ("function" = String, Path, description = "A function of the tenant's app"),
        Filters, Shown, Window, Range, Preferences, Named
    ),
    responses(
        (status = 200, description = "What it returns: a value, a row, or an array"),
        (status = "4XX", description = "Refused", body = Problem)
    ),
    security(("key" = []))
)]
pub(super) async fn function_get(state: State<Arc<Plane>>, admitted: Admitted, request: Request) -> Response {
    resource(state, admitted, request).await
}

/// Calls a function, with arguments from the body.
#[utoipa::path(
    post,
    path = "/api/rpc/{function}",
    operation_id = "call_function",
    tag = "functions",
    summary = "Calls a function; the members of the body are its arguments. A volatile one may write",
    params(
        ("function" = String, Path, description = "A function of the tenant's app"),
        Filters, Shown, Window, Preferences, Named
    ),
    request_body = Arguments,
    responses(
        (status = 200, description = "What it returns: a value, a row, or an array"),
        (status = 204, description = "It returns nothing"),
        (status = "4XX", description = "Refused", body = Problem)
    ),
    security(("key" = []))
)]
pub(super) async fn function_call(
    state: State<Arc<Plane>>,
    admitted: Admitted,
    request: Request,
) -> Response {
    resource(state, admitted, request).await
}
