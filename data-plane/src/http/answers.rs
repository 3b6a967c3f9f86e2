//! Every refusal and failure as a problem document. Internal causes are logged here, once, and
//! never told.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use tenantry_domain::{api_key::Scope, permission::Verb};
use tenantry_http::{INVALID_TOKEN, Problem, whole_seconds};
use tenantry_postgres::tenant::{ConnectError, QueryErrorKind, TenantQueryError};
use tenantry_query::QueryError;

use crate::{
    admit::{KeyRefused, PhaseRefused},
    limits::{Allowance, Exceeded, LimitReached},
    pool::PoolError,
    resolve::{Method, ResolveError, Rules},
    routes::RoutesUnavailable,
    serve::Failure,
    tokens::TokenRefused,
};

pub(super) fn unresolved(error: ResolveError) -> Problem {
    match error {
        ResolveError::Malformed { field, reason } => {
            let reason = reason.to_string();
            Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_tenant",
                format!("`{field}` names no tenant: it {reason}"),
            )
            .with_error(field, reason)
        }
        ResolveError::Twice(field) => {
            tenant_conflict().with_error(field, "came more than once, with different values")
        }
    }
}

pub(super) fn tenant_conflict() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "tenant_conflict",
        "the request names more than one tenant (host, headers, path and parameters must agree); name one",
    )
}

pub(super) fn tenant_not_found() -> Problem {
    Problem::not_found("tenant")
}

pub(super) fn tenant_required(rules: &Rules) -> Problem {
    let ways: Vec<&str> = [
        (Method::Subdomain, "the host <slug>.<base domain>"),
        (Method::Header, "the header X-Tenant-ID (id or slug) or X-Tenant-Slug"),
        (Method::Path, "the path /t/<slug>/api/..."),
        (Method::Query, "the parameter tenant or tenant_id"),
        (Method::CustomDomain, "its custom domain as the host"),
        (Method::Key, "its key as a bearer token"),
    ]
    .into_iter()
    .filter_map(|(method, way)| rules.has(method).then_some(way))
    .collect();
    let detail = format!("the request names no tenant; name one by {}", ways.join(", or "));
    Problem::new(StatusCode::BAD_REQUEST, "tenant_required", detail)
}

pub(super) fn routes_unavailable(_: RoutesUnavailable) -> Problem {
    Problem::unavailable("registry_unavailable", "the tenant cannot be looked up at the moment; try again", 1)
}

pub(super) fn key_refused(refused: KeyRefused) -> Problem {
    match refused {
        KeyRefused::Missing => Problem::new(
            StatusCode::UNAUTHORIZED,
            "key_required",
            "send the tenant's key, or a user's token: `Authorization: Bearer <key>`",
        )
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tenantry\"")),
        KeyRefused::Invalid => Problem::new(
            StatusCode::UNAUTHORIZED,
            "key_invalid",
            "the key is not one of this tenant's, or has expired",
        )
        .with_header(header::WWW_AUTHENTICATE, INVALID_TOKEN),
        KeyRefused::OtherTenant => {
            Problem::new(StatusCode::FORBIDDEN, "tenant_mismatch", "the key belongs to another tenant")
        }
        KeyRefused::Scope(scope) => Problem::new(
            StatusCode::FORBIDDEN,
            "scope_missing",
            format!("the key lacks the scope `{scope}`; use one that has it"),
        )
        .with("scope", scope.as_str()),
    }
}

pub(super) fn limit_reached(LimitReached { limit, wait }: LimitReached) -> Problem {
    let (code, detail, most) = match limit {
        Exceeded::Rate { burst } => (
            "rate_limit_exceeded",
            "the tenant sends more requests than its plan allows; send fewer at a time, or change the plan"
                .into(),
            u64::from(burst),
        ),
        Exceeded::Daily { most } => (
            "daily_quota_exceeded",
            format!(
                "the tenant's {most} requests of today are used up; wait until midnight UTC, or change the plan"
            ),
            most,
        ),
        Exceeded::AtOnce { most } => (
            "concurrency_limit_exceeded",
            format!(
                "{most} requests of the tenant are being served, as many as its plan allows; send fewer at a time"
            ),
            most.into(),
        ),
        Exceeded::DatabaseTime { seconds_per_minute } => (
            "database_time_exceeded",
            format!(
                "the database has worked for the tenant for more than {seconds_per_minute} seconds a minute; ask for less, or change the plan"
            ),
            seconds_per_minute.into(),
        ),
    };
    let seconds = whole_seconds(wait).max(1);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail)
        .with_header(header::RETRY_AFTER, seconds.into())
        .with_header(RATE_LIMIT, most.into())
        .with_header(RATE_LIMIT_REMAINING, 0.into())
        .with_header(RATE_LIMIT_RESET, seconds.into())
}

/// Requests that may come at once.
pub(super) const RATE_LIMIT: header::HeaderName = header::HeaderName::from_static("ratelimit-limit");
/// Those that still may.
pub(super) const RATE_LIMIT_REMAINING: header::HeaderName =
    header::HeaderName::from_static("ratelimit-remaining");
/// Seconds until all may again.
pub(super) const RATE_LIMIT_RESET: header::HeaderName = header::HeaderName::from_static("ratelimit-reset");

/// Tells what the tenant may still send.
pub(super) fn tell_allowance(headers: &mut HeaderMap, allowance: Allowance) {
    headers.insert(RATE_LIMIT, allowance.burst.into());
    headers.insert(RATE_LIMIT_REMAINING, allowance.remaining.into());
    headers.insert(RATE_LIMIT_RESET, whole_seconds(allowance.full_in).into());
}

pub(super) fn token_refused(refused: TokenRefused) -> Problem {
    let (status, code, detail) = match refused {
        TokenRefused::Invalid | TokenRefused::UnknownKey => {
            (StatusCode::UNAUTHORIZED, "token_invalid", "the token is not one of this tenant's; log in")
        }
        TokenRefused::Expired => (
            StatusCode::UNAUTHORIZED,
            "token_expired",
            "the token has expired; get a new one at /api/auth/refresh",
        ),
        TokenRefused::NotYetValid => (
            StatusCode::UNAUTHORIZED,
            "token_not_yet_valid",
            "the token is not valid yet; the clocks of who signed it and of this server differ",
        ),
        TokenRefused::Revoked => {
            (StatusCode::UNAUTHORIZED, "token_revoked", "the user has logged out; log in")
        }
        TokenRefused::OtherTenant => {
            (StatusCode::FORBIDDEN, "tenant_mismatch", "the token belongs to another tenant")
        }
        TokenRefused::Unknown => {
            let detail = "whether the user has logged out is not known at the moment; try again";
            return Problem::unavailable("registry_unavailable", detail, 1);
        }
    };
    let problem = Problem::new(status, code, detail);
    if status != StatusCode::UNAUTHORIZED {
        return problem;
    }
    problem.with_header(header::WWW_AUTHENTICATE, INVALID_TOKEN)
}

pub(super) fn phase_refused(refused: PhaseRefused) -> Problem {
    match refused {
        PhaseRefused::Provisioning => Problem::unavailable(
            "tenant_provisioning",
            "the tenant is being set up; try again in a moment",
            1,
        ),
        PhaseRefused::Suspended => Problem::new(
            StatusCode::FORBIDDEN,
            "tenant_suspended",
            "the tenant is suspended; ask its provider",
        ),
        PhaseRefused::Deactivated => Problem::new(
            StatusCode::FORBIDDEN,
            "tenant_deactivated",
            "the tenant was deleted; it can be restored until its retention ends",
        ),
        PhaseRefused::Gone => tenant_not_found(),
    }
}

/// Why a request was not served.
pub(super) fn failed(failure: Failure) -> Problem {
    match failure {
        Failure::Query(error) => query_refused(error),
        Failure::Range(error, range) => {
            let problem = query_refused(error);
            match range.and_then(|range| range.parse().ok()) {
                Some(range) => problem.with_header(header::CONTENT_RANGE, range),
                None => problem,
            }
        }
        Failure::StorageFull => storage_full(),
        Failure::Forbidden { verb, resource } => permission_missing(verb, &resource),
        Failure::ReadOnlyKey => key_refused(KeyRefused::Scope(Scope::DataWrite)),
        Failure::Phase(refused) => phase_refused(refused),
        Failure::Pool(error) => pool_failed(&error),
        Failure::Statement { error, may_have_written } => statement_failed(error, may_have_written),
        Failure::Unavailable | Failure::NoUsers => tenant_unavailable(),
        Failure::Moving => tenant_moving(),
        Failure::TooLarge(most) => answer_too_large(most),
        Failure::Internal => Problem::internal(),
    }
}

fn answer_too_large(most: usize) -> Problem {
    let detail = format!(
        "the answer is larger than {most} bytes; ask for fewer rows or columns, or with `limit` for pages"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "answer_too_large", detail).with("limit", most)
}

fn storage_full() -> Problem {
    let detail = "the tenant's data takes as much as its plan allows; delete some, or change the plan";
    Problem::new(StatusCode::FORBIDDEN, "storage_quota_exceeded", detail)
}

fn permission_missing(verb: Verb, resource: &str) -> Problem {
    let detail =
        format!("none of the user's roles has the permission `{verb}` on `{resource}`; an admin gives roles");
    Problem::new(StatusCode::FORBIDDEN, "permission_missing", detail)
        .with("permission", verb.as_str())
        .with("resource", resource)
}

/// `plans` have the feature.
pub(super) fn feature_not_enabled(feature: &str, table: &str, plans: &[String]) -> Problem {
    let plans_with =
        if plans.is_empty() { String::new() } else { format!("; plans with it: {}", plans.join(", ")) };
    Problem::new(
        StatusCode::FORBIDDEN,
        "feature_not_enabled",
        format!("`{table}` belongs to the feature `{feature}`, which this tenant does not have{plans_with}"),
    )
    .with("feature", feature)
    .with("plans", plans)
}

/// The placement does not serve the tenant, and the registry knows no other.
fn tenant_unavailable() -> Problem {
    Problem::unavailable(
        "tenant_unavailable",
        "the tenant's data cannot be reached at the moment; try again",
        1,
    )
}

pub(super) fn body_unreadable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "body_unreadable", "the body ended before it was complete")
}

pub(super) fn path_not_text() -> Problem {
    Problem::invalid("path", "is not UTF-8")
}

/// There is only one media type of this.
pub(super) fn not_acceptable(accept: &str) -> Problem {
    let accept: String = accept.chars().take(80).collect();
    let detail = format!("None of these media types are available: {accept}");
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail).known_as("PGRST107")
}

/// What the query language refuses.
fn query_refused(error: QueryError) -> Problem {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut problem = Problem::new(status, error.code, error.detail.clone());
    if let Some(code) = error.postgrest_code() {
        problem = problem.known_as(code);
    }
    problem = problem.with("details", error.details().cloned()).with("hint", error.hint());
    if let Some(message) = error.message() {
        problem = problem.with("message", message);
    }
    match error.field {
        Some(field) => problem.with_error(field, error.detail),
        None => problem,
    }
}

fn pool_failed(error: &PoolError) -> Problem {
    match error {
        PoolError::Exhausted => server_busy(),
        PoolError::Connect(ConnectError::Busy { .. }) => {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "a tenant server has no connection to spare"
            );
            server_busy()
        }
        PoolError::Connect(_) => {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "a tenant server cannot be reached: {error}"
            );
            server_unavailable("the tenant's database server cannot be reached at the moment; try again")
        }
        PoolError::Login(_) => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "cannot log in to a tenant server: {error}"
            );
            server_unavailable("the tenant's database server cannot be reached at the moment; try again")
        }
    }
}

fn tenant_moving() -> Problem {
    Problem::unavailable(
        "tenant_moving",
        "the tenant is being moved, and takes no writes for a moment; try again",
        1,
    )
}

fn server_busy() -> Problem {
    Problem::unavailable("server_busy", "the tenant's database server is busy; try again", 1)
}

fn server_unavailable(detail: &'static str) -> Problem {
    Problem::unavailable("server_unavailable", detail, 1)
}

/// What PostgreSQL refuses. `may_have_written` when a lost connection leaves that open.
fn statement_failed(error: TenantQueryError, may_have_written: bool) -> Problem {
    let sqlstate = error.code.as_deref().unwrap_or_default();
    match error.kind {
        QueryErrorKind::Data => data_refused(error),
        QueryErrorKind::Permission => {
            let detail = "the tenant's role may not do this to the table";
            with_words(Problem::new(StatusCode::FORBIDDEN, "permission_denied", detail), error)
        }
        QueryErrorKind::Gone => tenant_unavailable(),
        QueryErrorKind::Moving => tenant_moving(),
        QueryErrorKind::Timeout => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "statement_timeout",
            match (sqlstate, may_have_written) {
                // The server did not say that it has ended it.
                ("", true) => {
                    "the tenant's database did not answer in time; the change may or may not have been made"
                }
                ("", false) => "the tenant's database did not answer in time; try again",
                _ => "the statement took longer than it may; narrow it with filters or a limit",
            },
        ),
        QueryErrorKind::Busy => {
            tracing::debug!(sqlstate, "a tenant server is busy");
            let code = match sqlstate {
                "40001" | "40P01" => "serialization_failure",
                "55P03" | "55006" => "lock_not_available",
                _ => "server_busy",
            };
            let problem =
                Problem::unavailable(code, "the data is in use by others at the moment; try again", 1);
            if sqlstate.is_empty() { problem } else { problem.known_as(sqlstate.to_owned()) }
        }
        QueryErrorKind::NotReset => {
            tracing::warn!(
                error.message = error.message,
                "a connection could not be reset: {}",
                error.message
            );
            server_unavailable("the connection to the tenant's database was lost; try again")
        }
        QueryErrorKind::Connection => {
            tracing::warn!(sqlstate, "the connection to a tenant server was lost");
            server_unavailable(if may_have_written {
                "the connection to the tenant's database was lost; the change may or may not have been made"
            } else {
                "the connection to the tenant's database was lost; try again"
            })
        }
        QueryErrorKind::Internal => {
            // PostgreSQL's own messages of the kind name tables and columns, never values. A function's may say anything.
            tracing::error!(sqlstate, "a statement failed: {:.200}", error.message);
            if sqlstate.is_empty() {
                Problem::internal()
            } else {
                Problem::internal().known_as(sqlstate.to_owned())
            }
        }
    }
}

fn data_refused(error: TenantQueryError) -> Problem {
    let sqlstate = error.code.as_deref().unwrap_or_default();
    if sqlstate == "PGRST"
        && let Some(problem) = raised(&error)
    {
        return problem;
    }
    let (status, code) = data_code(sqlstate);
    let mut problem = Problem::new(status, code, error.message.clone());
    if let Some(column) = &error.column {
        problem = problem.with_error(column.clone(), error.message.clone());
    }
    if let Some(constraint) = error.constraint.clone() {
        problem = problem.with("constraint", constraint);
    }
    with_words(problem, error)
}

/// Headers that a function may add to its refusal.
const MAX_RAISED_HEADERS: usize = 32;

/// Whether an app's function may set a header: none that frames the answer, and none that a browser applies to other
/// tenants of the same origin or domain (cookies and the like).
fn is_of_the_app(name: &header::HeaderName) -> bool {
    let known = [header::LOCATION, header::RETRY_AFTER, header::WWW_AUTHENTICATE, header::CACHE_CONTROL];
    let own = name.as_str().strip_prefix("x-").is_some_and(|name| !matches!(name, "request-id" | "tenant"));
    own || known.contains(name)
}

/// What an app's function raised as a whole answer: `RAISE SQLSTATE 'PGRST'` with JSON in message and detail.
fn raised(error: &TenantQueryError) -> Option<Problem> {
    #[derive(serde::Deserialize)]
    struct Said {
        code: String,
        message: String,
        #[serde(default)]
        details: Option<String>,
        #[serde(default)]
        hint: Option<String>,
    }
    #[derive(serde::Deserialize)]
    struct Detail {
        status: u16,
        #[serde(default)]
        headers: std::collections::BTreeMap<String, String>,
    }
    let said: Said = serde_json::from_str(&error.message).ok()?;
    let detail: Detail = serde_json::from_str(error.detail.as_deref()?).ok()?;
    let status = StatusCode::from_u16(detail.status).ok().filter(|status| status.as_u16() >= 200)?;
    let mut problem = Problem::new(status, "raised_exception", said.message.clone())
        .known_as(said.code)
        .with("message", said.message)
        .with("details", said.details)
        .with("hint", said.hint);
    for (name, value) in detail.headers.into_iter().take(MAX_RAISED_HEADERS) {
        let name = name.parse::<header::HeaderName>().ok().filter(is_of_the_app);
        if let (Some(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            problem = problem.with_header(name, value);
        }
    }
    Some(problem)
}

/// The members of `PostgREST`'s errors. They may quote the tenant's rows: for its eyes, not for logs.
fn with_words(problem: Problem, error: TenantQueryError) -> Problem {
    let problem = match error.code.clone() {
        Some(code) => problem.known_as(code),
        None => problem,
    };
    problem
        .with("message", error.message)
        .with("details", error.detail)
        .with("hint", error.hint)
        .with("sqlState", error.code)
}

/// Classes that say that the app's function is wrong, not the request.
const FUNCTION_FAILED: [&str; 14] =
    ["09", "25", "2D", "38", "39", "3B", "40", "55", "57", "58", "F0", "HV", "P0", "XX"];

fn data_code(sqlstate: &str) -> (StatusCode, &'static str) {
    let bad = StatusCode::BAD_REQUEST;
    match sqlstate {
        "23505" => (StatusCode::CONFLICT, "unique_violation"),
        "23503" => (StatusCode::CONFLICT, "foreign_key_violation"),
        "23P01" => (StatusCode::CONFLICT, "exclusion_violation"),
        "23001" => (StatusCode::CONFLICT, "restrict_violation"),
        "23502" => (bad, "not_null_violation"),
        "23514" => (bad, "check_violation"),
        "22P02" => (bad, "invalid_text_representation"),
        "22P05" | "22021" => (bad, "invalid_characters"),
        "22001" | "54000" => (bad, "value_too_long"),
        "22003" => (bad, "value_out_of_range"),
        "22007" | "22008" => (bad, "invalid_datetime"),
        "22012" => (bad, "division_by_zero"),
        "22023" => (bad, "invalid_parameter_value"),
        "2201B" => (bad, "invalid_regular_expression"),
        "22025" => (bad, "invalid_escape_sequence"),
        "21000" => (bad, "duplicate_rows"),
        "42601" => (bad, "invalid_text_search"),
        "42704" => (bad, "unknown_language"),
        "42P17" => (StatusCode::INTERNAL_SERVER_ERROR, "invalid_definition"),
        "42P01" => (StatusCode::NOT_FOUND, "undefined_object"),
        "3F000" | "3D000" => (bad, "undefined_object"),
        "42703" => (bad, "unknown_column"),
        "42883" => (StatusCode::NOT_FOUND, "undefined_function"),
        "42804" | "42846" => (bad, "datatype_mismatch"),
        "42P10" => (bad, "no_unique_constraint"),
        "428C9" => (bad, "generated_always"),
        "25006" => (StatusCode::METHOD_NOT_ALLOWED, "read_only"),
        "P0001" => (bad, "raised_exception"),
        code if ["28", "0L", "0P"].iter().any(|class| code.starts_with(class)) => {
            (StatusCode::FORBIDDEN, "permission_denied")
        }
        "53400" => (StatusCode::INTERNAL_SERVER_ERROR, "function_failed"),
        "54001" | "54011" | "54023" => (StatusCode::INTERNAL_SERVER_ERROR, "too_complex"),
        // Only a function can say so: a server that does is not asked for its word.
        code if ["08", "53"].iter().any(|class| code.starts_with(class)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "function_failed")
        }
        code if FUNCTION_FAILED.iter().any(|class| code.starts_with(class)) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "function_failed")
        }
        // An app chooses the status: `RAISE SQLSTATE 'PT402'`.
        code if code.starts_with("PT") => {
            let status = code[2..].parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
            (
                status.filter(|status| status.as_u16() >= 200).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                "raised_exception",
            )
        }
        _ => (bad, "data_error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: QueryErrorKind, code: &str) -> TenantQueryError {
        TenantQueryError {
            kind,
            code: Some(code.into()),
            message: "a secret of ours".into(),
            detail: Some("Key (id)=(1) exists.".into()),
            hint: None,
            table: None,
            column: None,
            constraint: None,
        }
    }

    #[test]
    fn data_errors_carry_what_postgresql_said() {
        let problem = statement_failed(failure(QueryErrorKind::Data, "23505"), true);
        assert_eq!((problem.status(), problem.stable_name()), (StatusCode::CONFLICT, "unique_violation"));
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["sqlState"], "23505");
        assert_eq!(json["details"], "Key (id)=(1) exists.");
        assert!(json["hint"].is_null());
    }

    #[test]
    fn internal_errors_carry_nothing() {
        let problem = statement_failed(failure(QueryErrorKind::Internal, "XX000"), false);
        assert_eq!(problem.stable_name(), "internal");
        assert!(!serde_json::to_string(&problem).unwrap().contains("secret"));
    }

    #[test]
    fn what_may_work_later_is_503() {
        for kind in [QueryErrorKind::Busy, QueryErrorKind::Connection, QueryErrorKind::Gone] {
            let problem = statement_failed(failure(kind, "40001"), true);
            assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE, "{kind:?}");
        }
    }
}
