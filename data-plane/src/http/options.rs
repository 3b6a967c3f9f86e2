//! `OPTIONS` of a table or a function: which methods it takes. What browsers ask before a call is answered earlier,
//! by [`cors`](super::cors).

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tenantry_http::Problem;
use tenantry_query::{Catalog, JsonCase, Table, Volatility};

use super::{admitted::Admitted, answers, path::Named};
use crate::state::Plane;

pub(super) async fn options(State(plane): State<Arc<Plane>>, admitted: Admitted) -> Response {
    let catalog = match plane.runner.catalog(&admitted.route).await {
        Ok(catalog) => catalog,
        Err(failure) => return answers::failed(failure).for_postgrest().into_response(),
    };
    let case = crate::serve::json_case(&admitted.route);
    let hidden = |name: &str| {
        admitted.route.app.manifest.functions.as_ref().is_some_and(|exposed| !exposed.contains(name))
    };
    let allowed = match &admitted.path.named {
        Named::Function(name) if hidden(name) => None,
        named => allowed(&catalog, case, named),
    };
    match allowed {
        Some(allowed) => {
            let allow = HeaderValue::try_from(allowed).expect("methods are plain text");
            (StatusCode::OK, [(header::ALLOW, allow)]).into_response()
        }
        None => Problem::not_found("resource").for_postgrest().into_response(),
    }
}

fn allowed(catalog: &Catalog, case: JsonCase, named: &Named) -> Option<String> {
    let methods = match named {
        Named::Root => vec!["OPTIONS", "GET", "HEAD"],
        Named::Table { name, id } => of_table(catalog.table_for(case, name)?, id.is_some()),
        Named::Function(name) => {
            let function = catalog.functions().find(|function| function.name() == name)?;
            match function.volatility() {
                Volatility::Volatile => vec!["OPTIONS", "POST"],
                Volatility::Stable | Volatility::Immutable => vec!["OPTIONS", "GET", "HEAD", "POST"],
            }
        }
    };
    Some(methods.join(","))
}

fn of_table(table: &Table, one_row: bool) -> Vec<&'static str> {
    let with = |allowed, method| if allowed { Some(method) } else { None };
    let keyed = table.primary_key().next().is_some();
    let methods = [
        Some("OPTIONS"),
        Some("GET"),
        Some("HEAD"),
        with(table.insertable() && !one_row, "POST"),
        with(table.insertable() && table.updatable() && keyed, "PUT"),
        with(table.updatable(), "PATCH"),
        with(table.deletable(), "DELETE"),
    ];
    methods.into_iter().flatten().collect()
}
