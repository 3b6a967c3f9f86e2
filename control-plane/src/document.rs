//! The OpenAPI document: generated from the routes, never written by hand.

use utoipa::{
    OpenApi, ToSchema,
    openapi::{
        ContentBuilder, Ref, ResponseBuilder,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use crate::{
    input::known_parameters::operations_mut,
    routes,
    vocabulary::{AuditChain, Bucket, PurgeTime},
};
use tenantry_http::{FieldError, Problem};

/// The parts of the document that no route brings along.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tenantry control plane",
        description = "Signs tenants up, changes and deletes them, and shows the work on them. \
            Errors are problem documents (RFC 9457) with a stable `code`. \
            Every POST takes an `Idempotency-Key`; work that takes time takes `Prefer: wait=N`."
    ),
    tags(
        (name = "tenants", description = "Customer organisations, each with a database of its own"),
        (name = "operations", description = "Durable pieces of work on tenants"),
        (name = "plans", description = "What tenants buy: tier, limits, features, defaults"),
        (name = "apps", description = "The tables that tenants get, as versions"),
        (name = "rollouts", description = "Versions of apps, carried to all tenants in waves"),
        (name = "servers", description = "PostgreSQL servers that hold tenants"),
        (name = "keys", description = "API keys of operators and SaaS back ends"),
        (name = "webhooks", description = "Endpoints that are told of what happens, and what has happened"),
        (name = "audit", description = "Who did what, sealed so that what is altered afterwards is found"),
        (name = "signup", description = "Public sign-up, where it is switched on"),
    ),
    components(schemas(Problem, FieldError, AuditChain, Bucket, PurgeTime)),
)]
struct Base;

/// The document without the routes.
pub(crate) fn base() -> utoipa::openapi::OpenApi {
    let mut document = Base::openapi();
    let scheme = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An operator's API key, or a token of the operators' identity provider where one is configured. The scopes that a call needs stand with it."))
        .build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("apiKey", SecurityScheme::Http(scheme));
    document
}

/// Adds to every operation what all have: the problem document.
pub(crate) fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let problem = ResponseBuilder::new()
        .description("What went wrong, and what to do next")
        .content("application/problem+json", content)
        .build();
    for item in document.paths.paths.values_mut() {
        for operation in operations_mut(item) {
            operation.responses.responses.insert("default".to_owned(), problem.clone().into());
        }
    }
    tenantry_http::finish_document(&mut document);
    document
}

/// The OpenAPI document of the control plane.
pub fn openapi() -> utoipa::openapi::OpenApi {
    complete(routes::documented().into_openapi())
}
