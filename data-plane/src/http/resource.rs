//! `/api/{table}` and `/api/{table}/{id}`: the tenant's tables as REST resources.
//!
//! One function behind all of them: what differs between methods is decided by `tenantry_query`.
//! The small functions around it are there for the OpenAPI document.

use std::{sync::Arc, time::Instant};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method as HttpMethod, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use tenantry_http::Problem;
use tenantry_query::{HttpRequest, Method};

use super::{
    admitted::Admitted,
    answers, body_parts,
    parameters::{Filters, Insert, Named, Preferences, Range, Row, Rows, Shown, Window},
    tenant::X_TENANT,
};
use crate::{
    serve::{Answer, AnswerBody},
    state::Plane,
    usage::Answered,
};

macro_rules! endpoint {
    ($name:ident, $id:literal, $method:ident, $path:literal, $summary:literal, ($($parameters:tt)*), $($rest:tt)*) => {
        #[utoipa::path(
            $method,
            path = $path,
            operation_id = $id,
            tag = "resources",
            summary = $summary,
            params(
                ("table" = String, Path, description = "A table of the tenant's app"),
                $($parameters)*
                Preferences, Named
            ),
            $($rest)*,
            security(("key" = []))
        )]
        pub(super) async fn $name(state: State<Arc<Plane>>, admitted: Admitted, request: Request) -> Response {
            resource(state, admitted, request).await
        }
    };
}

endpoint!(
    rows_get,
    "list_rows",
    get,
    "/api/{table}",
    "Rows, in PostgREST's query language: filters, `select`, `order`, `limit`, `offset`",
    (Filters, Shown, Window, Range,),
    responses(
        (status = 200, description = "An array of rows", body = [Row]),
        (status = 206, description = "A part of the rows that `count=exact` counted", body = [Row]),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

endpoint!(
    rows_insert,
    "insert_rows",
    post,
    "/api/{table}",
    "Inserts a row, or an array of rows; upserts with `Prefer: resolution=merge-duplicates`",
    (Insert, Shown,),
    request_body = Rows,
    responses(
        (status = 200, description = "Merged; the rows with `return=representation`", body = [Row]),
        (status = 201, description = "Inserted; the rows with `return=representation`", body = [Row]),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

endpoint!(
    rows_update,
    "update_rows",
    patch,
    "/api/{table}",
    "Updates the rows that the filters name; without a filter it is refused",
    (Filters, Shown,),
    request_body = Row,
    responses(
        (status = 200, description = "The rows, with `return=representation`", body = [Row]),
        (status = 204, description = "Updated"),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

endpoint!(
    rows_replace,
    "put_row",
    put,
    "/api/{table}",
    "Inserts or replaces one row, named by `eq` filters on its key",
    (Filters, Shown,),
    request_body = Row,
    responses(
        (status = 200, description = "Replaced; the row with `return=representation`", body = [Row]),
        (status = 201, description = "Inserted; the row with `return=representation`", body = [Row]),
        (status = 204, description = "Written"),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

endpoint!(
    rows_delete,
    "delete_rows",
    delete,
    "/api/{table}",
    "Deletes the rows that the filters name; without a filter it is refused",
    (Filters, Shown,),
    responses(
        (status = 200, description = "The rows, with `return=representation`", body = [Row]),
        (status = 204, description = "Deleted"),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

endpoint!(
    row_get,
    "get_row_by_key",
    get,
    "/api/{table}/{id}",
    "One row by its primary key",
    (("id" = String, Path, description = "The row's primary key"), Shown,),
    responses(
        (status = 200, description = "The row", body = Row),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

endpoint!(
    row_update,
    "update_row_by_key",
    patch,
    "/api/{table}/{id}",
    "Updates one row",
    (("id" = String, Path, description = "The row's primary key"), Shown,),
    request_body = Row,
    responses(
        (status = 200, description = "The row, with `return=representation`", body = Row),
        (status = 204, description = "Updated"),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

endpoint!(
    row_replace,
    "put_row_by_key",
    put,
    "/api/{table}/{id}",
    "Inserts or replaces one row",
    (("id" = String, Path, description = "The row's primary key"), Shown,),
    request_body = Row,
    responses(
        (status = 200, description = "Replaced; the row with `return=representation`", body = Row),
        (status = 201, description = "Inserted; the row with `return=representation`", body = Row),
        (status = 204, description = "Written"),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

endpoint!(
    row_delete,
    "delete_row_by_key",
    delete,
    "/api/{table}/{id}",
    "Deletes one row",
    (("id" = String, Path, description = "The row's primary key"), Shown,),
    responses(
        (status = 200, description = "The row, with `return=representation`", body = Row),
        (status = 204, description = "Deleted"),
        (status = "4XX", description = "Refused", body = Problem)
    )
);

/// Serves a request for a table, a row or a function.
pub(super) async fn resource(
    State(plane): State<Arc<Plane>>,
    admitted: Admitted,
    request: Request,
) -> Response {
    let (tenant, allowance) = (admitted.route.tenant_id, admitted.allowance);
    let name = HeaderValue::from_str(admitted.route.slug.as_str());
    let (began, mut bytes_in) = (Instant::now(), 0);
    let answer = answer(&plane, admitted, request, &mut bytes_in).await;
    let (mut response, bytes_out) = match answer {
        Ok((response, bytes_out)) => {
            plane.outcomes.ok();
            (response, bytes_out)
        }
        Err(problem) => {
            plane.outcomes.refused(problem.stable_name());
            (problem.into_response(), 0)
        }
    };
    let is_error = response.status().is_server_error();
    plane.usage.count(tenant, Answered { bytes_in, bytes_out, is_error, took: began.elapsed() });
    if let Ok(name) = name {
        response.headers_mut().insert(X_TENANT.clone(), name);
    }
    if let Some(allowance) = allowance {
        answers::tell_allowance(response.headers_mut(), allowance);
    }
    response
}

async fn answer(
    plane: &Plane,
    admitted: Admitted,
    request: Request,
    bytes_in: &mut usize,
) -> Result<(Response, usize), Problem> {
    let (parts, body) = request.into_parts();
    let Some(target) = admitted.path.named.target() else { return Err(Problem::not_found("endpoint")) };
    let method = method_of(&parts.method);
    let is_read = matches!(method, Method::Get | Method::Head);
    let body = match method {
        Method::Post | Method::Patch | Method::Put => read(body, &parts.headers, plane.max_body).await?,
        Method::Get | Method::Head | Method::Delete => Bytes::new(),
    };
    *bytes_in = body.len();
    let _place = plane.limits.place(&admitted.route).map_err(answers::limit_reached)?;
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let prefer: Vec<&str> =
        parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).collect();
    let asked = admitted.query.as_deref().or_else(|| parts.uri.query());
    let query = HttpRequest {
        method,
        target,
        query: asked,
        prefer: &prefer,
        range: text(header::RANGE),
        accept: text(header::ACCEPT),
        content_type: text(header::CONTENT_TYPE),
        profile: text(if is_read { ACCEPT_PROFILE } else { CONTENT_PROFILE }),
        body: &body,
    };
    let answer = plane.runner.serve(&admitted.route, &query, admitted.grant.caller()).await;
    let answer = answer.map_err(answers::failed)?;
    let (mut response, bytes_out) = respond(answer, &parts.uri.path()[..admitted.path.base]);
    if is_read {
        // The same without what only named the tenant.
        let location = match asked.filter(|query| !query.is_empty()) {
            Some(query) => HeaderValue::try_from(format!("{}?{query}", parts.uri.path())),
            None => HeaderValue::try_from(parts.uri.path()),
        };
        response.headers_mut().extend(location.ok().map(|location| (header::CONTENT_LOCATION, location)));
    }
    Ok((response, bytes_out))
}

pub(super) const ACCEPT_PROFILE: header::HeaderName = header::HeaderName::from_static("accept-profile");
const CONTENT_PROFILE: header::HeaderName = header::HeaderName::from_static("content-profile");

fn method_of(method: &HttpMethod) -> Method {
    match *method {
        HttpMethod::HEAD => Method::Head,
        HttpMethod::POST => Method::Post,
        HttpMethod::PATCH => Method::Patch,
        HttpMethod::PUT => Method::Put,
        HttpMethod::DELETE => Method::Delete,
        // The router lets nothing else in.
        _ => Method::Get,
    }
}

async fn read(body: Body, headers: &HeaderMap, max: usize) -> Result<Bytes, Problem> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|len| len > max) {
        return Err(Problem::body_too_large(max));
    }
    to_bytes(body, max).await.map_err(|error| {
        let mut causes =
            std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        if causes.any(<dyn std::error::Error>::is::<LengthLimitError>) {
            Problem::body_too_large(max)
        } else if tenantry_http::is_body_too_slow(&error) {
            Problem::body_too_slow()
        } else {
            answers::body_unreadable()
        }
    })
}

fn respond(answer: Answer, base: &str) -> (Response, usize) {
    let Answer { head, shape, body } = answer;
    let location = match &body {
        AnswerBody::Whole(key) if shape.has_location => {
            let location = std::str::from_utf8(key).ok().and_then(|key| shape.location(key));
            location.and_then(|location| HeaderValue::from_str(&format!("{base}/api/{location}")).ok())
        }
        _ => None,
    };
    let has_body = match &body {
        AnswerBody::Whole(_) => shape.returns_body,
        AnswerBody::Parts(_) => true,
        AnswerBody::None => false,
    };
    let (len, body) = match body {
        AnswerBody::Whole(body) if has_body && shape.hexadecimal => body_parts::decoded(body),
        AnswerBody::Whole(body) if has_body => (body.len(), Body::from(body)),
        AnswerBody::Parts(parts) => body_parts::body(parts, shape.hexadecimal),
        AnswerBody::Whole(_) | AnswerBody::None => (0, Body::empty()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    }
    if has_body || shape.method == Method::Head {
        // An app's own media types are names of its domains.
        let media = HeaderValue::try_from(shape.content_type());
        headers.extend(media.ok().map(|media| (header::CONTENT_TYPE, media)));
    }
    let mut set = |name: header::HeaderName, value: Option<String>| {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_RANGE, head.content_range);
    set(PREFERENCE_APPLIED, head.preference_applied);
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    (response, len)
}

const PREFERENCE_APPLIED: header::HeaderName = header::HeaderName::from_static("preference-applied");

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_has_a_limit_with_and_without_its_length() {
        let headers = HeaderMap::new();
        assert_eq!(read(Body::from("12345"), &headers, 5).await.unwrap(), "12345");
        let problem = read(Body::from("123456"), &headers, 5).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let announced = HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static("6"))]);
        let problem = read(Body::empty(), &announced, 5).await.unwrap_err();
        assert_eq!(problem.stable_name(), "body_too_large");
    }
}
