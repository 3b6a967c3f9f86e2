//! All endpoints, with `/docs` and `/openapi.json`.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    http::{HeaderName, header},
    middleware,
    routing::{MethodRouter, get, patch},
};
use tower_http::cors::{AllowHeaders, AllowMethods, Any, CorsLayer, ExposeHeaders};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use super::{answers, ask, auth, document, function, jwks, options, resource, tenant};
use crate::{audit, resolve::Method, state::Plane};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tenantry data plane",
        description = "A tenant's tables as REST resources, in PostgREST's query language. The tenant is named by \
                       host, header, path (`/t/{slug}/api/...`), query or key; all that is there must agree."
    ),
    modifiers(&Key)
)]
struct Document;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A tenant's key, or the access token of one of its users"))
            .build();
        let components = document.components.get_or_insert_default();
        components.security_schemes.insert("key".into(), SecurityScheme::Http(scheme).into());
    }
}

// Whole paths instead of nested routers, which would hide from handlers what stands in front.
fn documented(users: OpenApiRouter<Arc<Plane>>) -> (Router<Arc<Plane>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(tenant::tenant_get))
        .routes(routes!(ask::ask))
        .routes(routes!(document::document_get))
        .route("/api/", axum::routing::options(options::options))
        .merge(users)
        .routes(routes!(jwks::jwks))
        .routes(routes!(function::function_get, function::function_call))
        .route("/api/rpc/{function}", refused_methods())
        .route("/api/{table}", axum::routing::options(options::options))
        .route("/api/{table}/{id}", axum::routing::options(options::options))
        .routes(routes!(
            resource::rows_get,
            resource::rows_insert,
            resource::rows_update,
            resource::rows_replace,
            resource::rows_delete
        ))
        .routes(routes!(resource::row_get, resource::row_update, resource::row_replace, resource::row_delete))
        .split_for_parts()
}

/// Methods that no function takes, to be told so.
fn refused_methods() -> MethodRouter<Arc<Plane>> {
    patch(resource::resource).put(resource::resource).delete(resource::resource).options(options::options)
}

/// The same endpoints with the tenant in the path.
fn by_path(users: Router<Arc<Plane>>) -> Router<Arc<Plane>> {
    Router::new()
        .route("/t/{slug}/api/tenant", get(tenant::tenant_get))
        .route("/t/{slug}/api/", get(document::document_get).options(options::options))
        .route(
            "/t/{slug}/api/rpc/{function}",
            refused_methods().get(function::function_get).post(function::function_call),
        )
        .merge(users)
        .route("/t/{slug}/.well-known/jwks.json", get(jwks::jwks))
        .route(
            "/t/{slug}/api/{table}",
            get(resource::rows_get)
                .post(resource::rows_insert)
                .patch(resource::rows_update)
                .put(resource::rows_replace)
                .delete(resource::rows_delete)
                .options(options::options),
        )
        .route(
            "/t/{slug}/api/{table}/{id}",
            get(resource::row_get)
                .patch(resource::row_update)
                .put(resource::row_replace)
                .delete(resource::row_delete)
                .options(options::options),
        )
}

/// The `OpenAPI` document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = documented(auth::documented()).1;
    tenantry_http::finish_document(&mut document);
    document
}

/// The router of a data plane, without the layers that every plane has.
pub(crate) fn router(plane: &Arc<Plane>) -> Router {
    let audited = || middleware::from_fn_with_state(Arc::clone(plane), audit::audit);
    let mut router = documented(auth::documented().layer(audited())).0;
    if plane.rules.has(Method::Path) {
        router = router.merge(by_path(auth::by_path().layer(audited())));
    }
    router.with_state(Arc::clone(plane)).merge(SwaggerUi::new("/docs").url("/openapi.json", openapi()))
}

/// Browsers of any origin may call; what they may see is the key's business. To go around everything,
/// so that refusals are readable too.
pub(crate) fn cors() -> CorsLayer {
    // `*` would leave out `Authorization`.
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(AllowMethods::mirror_request())
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list([
            header::CONTENT_RANGE,
            header::LOCATION,
            header::RETRY_AFTER,
            answers::RATE_LIMIT,
            answers::RATE_LIMIT_REMAINING,
            answers::RATE_LIMIT_RESET,
            HeaderName::from_static("preference-applied"),
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("x-tenant"),
        ]))
        .max_age(Duration::from_mins(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_is_documented() {
        let document = openapi();
        let paths: Vec<_> = document.paths.paths.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "/.well-known/jwks.json",
                "/.well-known/tenantry/ask",
                "/api/",
                "/api/auth/email",
                "/api/auth/email/confirm",
                "/api/auth/invitations",
                "/api/auth/login",
                "/api/auth/logout",
                "/api/auth/password",
                "/api/auth/password/forgot",
                "/api/auth/password/reset",
                "/api/auth/refresh",
                "/api/auth/register",
                "/api/auth/users",
                "/api/auth/users/{id}",
                "/api/auth/validate",
                "/api/rpc/{function}",
                "/api/tenant",
                "/api/{table}",
                "/api/{table}/{id}"
            ]
        );
        assert!(serde_json::to_string(&document).unwrap().contains("\"bearer\""));
    }
}
