//! `OPTIONS` of a table or a function: which methods it takes. What browsers ask before a call is answered earlier,
//! by [`cors`](super::cors).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tenantry_http::Problem;
use tenantry_query::{Catalog, Method, Options, Table, Volatility};

use super::{admitted::Admitted, answers, path::Named};
use crate::state::Plane;

pub(super) async fn options(State(plane): State<Arc<Plane>>, admitted: Admitted) -> Response {
    let catalog = match plane.runner.catalog(&admitted.route).await {
        Ok(catalog) => catalog,
        Err(failure) => return answers::failed(failure).into_response(),
    };
    match allowed(&catalog, &crate::serve::options(&admitted.route), &admitted.path.named) {
        Some(allowed) => {
            let allow = HeaderValue::try_from(allowed).expect("methods are plain text");
            (StatusCode::OK, [(header::ALLOW, allow)]).into_response()
        }
        None => Problem::not_found("resource").into_response(),
    }
}

fn allowed(catalog: &Catalog, options: &Options<'_>, named: &Named) -> Option<String> {
    let methods = match named {
        Named::Root => vec!["OPTIONS", "GET", "HEAD"],
        Named::Table { name, id } => of_table(catalog.table_for(options.case, name)?, id.is_some()),
        Named::Function(name) => {
            let mut functions = catalog.functions_for(options.case, name);
            functions.retain(|function| options.exposes(function.name()));
            if functions.is_empty() {
                return None;
            }
            if functions.iter().any(|function| function.volatility() != Volatility::Volatile) {
                vec!["OPTIONS", "GET", "HEAD", "POST"]
            } else {
                vec!["OPTIONS", "POST"]
            }
        }
    };
    Some(methods.join(","))
}

fn of_table(table: &Table, one_row: bool) -> Vec<&'static str> {
    let keyed = table.primary_key().next().is_some();
    let takes = |method: &Method| {
        let has_place = match method {
            Method::Post => !one_row,
            Method::Put => keyed,
            _ => true,
        };
        has_place && table.takes(*method)
    };
    let methods = [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete];
    let methods = methods.into_iter().filter(takes).map(Method::as_str);
    ["OPTIONS"].into_iter().chain(methods).collect()
}
