//! `GET /api/`: the tenant's own tables and functions as an OpenAPI document.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use tenantry_http::Problem;
use tenantry_query::{
    Argument, Catalog, Column, Function, JsonCase, Options, Table, TypeName, Volatility, check_profile,
};

use super::{admitted::Admitted, answers, resource::ACCEPT_PROFILE};
use crate::{serve::Failure, state::Plane};

/// The tenant's tables and functions, as an `OpenAPI` document.
#[utoipa::path(
    get,
    path = "/api/",
    operation_id = "describe_tenant",
    tag = "tenant",
    summary = "The tenant's tables and functions, as an OpenAPI document",
    params(super::parameters::Named),
    responses(
        (status = 200, description = "An OpenAPI 3.1 document", body = Object, content_type = "application/openapi+json"),
        (status = "4XX", description = "Refused", body = Problem)
    ),
    security(("key" = []))
)]
pub(super) async fn document_get(
    State(plane): State<Arc<Plane>>,
    admitted: Admitted,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
    if !["*/*", "application/*", "json"].iter().any(|media| accept.contains(media)) {
        return answers::not_acceptable(accept).for_postgrest().into_response();
    }
    let profile = headers.get(ACCEPT_PROFILE).and_then(|profile| profile.to_str().ok());
    if let Some(placement) = &admitted.route.placement
        && let Err(error) = check_profile(placement.schema.as_str(), profile)
    {
        return answers::failed(Failure::Query(error)).for_postgrest().into_response();
    }
    let catalog = match plane.runner.catalog(&admitted.route).await {
        Ok(catalog) => catalog,
        Err(failure) => return answers::failed(failure).for_postgrest().into_response(),
    };
    let app = &admitted.route.app;
    let options = crate::serve::options(&admitted.route);
    let document = document(&catalog, &options, app.name.as_str(), &app.manifest.description);
    plane.outcomes.ok();
    let media = HeaderValue::from_static("application/openapi+json; charset=utf-8");
    ([(header::CONTENT_TYPE, media)], document.to_string()).into_response()
}

fn document(catalog: &Catalog, options: &Options<'_>, app: &str, description: &str) -> Value {
    let case = options.case;
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for table in catalog.tables() {
        paths.insert(format!("/{}", table.name()), of_table(table, case));
        schemas.insert(table.name().to_owned(), row(table, case));
    }
    for function in catalog.functions() {
        if options.exposes(function.name()) {
            paths.insert(format!("/rpc/{}", function.name()), of_function(function));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": app, "description": description, "version": "1" },
        "servers": [{ "url": "." }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "key": [] }],
    })
}

fn of_table(table: &Table, case: JsonCase) -> Value {
    let reference = json!({ "$ref": format!("#/components/schemas/{}", table.name()) });
    let rows = json!({ "application/json": { "schema": { "type": "array", "items": reference } } });
    let body = json!({ "content": { "application/json": { "schema": reference } } });
    let filters: Vec<Value> = table
        .columns()
        .iter()
        .map(|column| {
            json!({
                "name": column.json_name(case), "in": "query", "required": false, "schema": { "type": "string" },
                "description": format!("A filter on {}, e.g. `eq.value`", column.full_type()),
            })
        })
        .collect();
    let mut window = Vec::new();
    for name in ["select", "order", "limit", "offset"] {
        window
            .push(json!({ "name": name, "in": "query", "required": false, "schema": { "type": "string" } }));
    }
    let read: Vec<Value> = filters.iter().cloned().chain(window).collect();
    let mut methods = Map::new();
    let operation = |summary: &str| json!({ "tags": [table.name()], "summary": summary });
    let mut get = operation(table.comment().unwrap_or("Rows"));
    get["parameters"] = read.into();
    get["responses"] = json!({
        "200": { "description": "Rows", "content": rows },
        "206": { "description": "A part of the rows", "content": rows },
    });
    methods.insert("get".into(), get);
    if table.insertable() {
        let mut post = operation("Inserts rows");
        post["requestBody"] = body.clone();
        post["responses"] = json!({ "201": { "description": "Inserted" } });
        methods.insert("post".into(), post);
    }
    if table.updatable() {
        let mut patch = operation("Updates rows");
        patch["parameters"] = filters.clone().into();
        patch["requestBody"] = body;
        patch["responses"] = json!({ "204": { "description": "Updated" } });
        methods.insert("patch".into(), patch);
    }
    if table.deletable() {
        let mut delete = operation("Deletes rows");
        delete["parameters"] = filters.into();
        delete["responses"] = json!({ "204": { "description": "Deleted" } });
        methods.insert("delete".into(), delete);
    }
    methods.into()
}

/// The schema of a row.
fn row(table: &Table, case: JsonCase) -> Value {
    let mut properties = Map::new();
    for column in table.columns() {
        properties.insert(column.json_name(case).to_owned(), of_column(column));
    }
    let required: Vec<&str> = table
        .columns()
        .iter()
        .filter(|column| !column.nullable() && !column.has_default())
        .map(|column| column.json_name(case))
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if let Some(comment) = table.comment() {
        schema["description"] = comment.into();
    }
    schema
}

fn of_column(column: &Column) -> Value {
    let mut schema = of_type(column.base_type());
    if column.nullable()
        && let Some(ty) = schema.get("type").cloned()
    {
        schema["type"] = json!([ty, "null"]);
    }
    schema["format"] = column.full_type().into();
    if let Some(comment) = column.comment() {
        schema["description"] = comment.into();
    }
    schema
}

fn of_type(ty: &TypeName) -> Value {
    if ty.is_array() {
        return json!({ "type": "array", "items": {} });
    }
    match ty.name() {
        "int2" | "int4" | "int8" => json!({ "type": "integer" }),
        "float4" | "float8" | "numeric" => json!({ "type": "number" }),
        "bool" => json!({ "type": "boolean" }),
        "json" | "jsonb" => json!({}),
        _ => match ty.labels() {
            Some(labels) => json!({ "type": "string", "enum": labels }),
            None => json!({ "type": "string" }),
        },
    }
}

fn of_function(function: &Function) -> Value {
    let arguments = || function.arguments().iter().filter(|argument| !argument.name().is_empty());
    let summary = function.comment().unwrap_or("Calls the function");
    let responses = if function.returns_nothing() {
        json!({ "204": { "description": "Called" } })
    } else {
        json!({ "200": { "description": function.full_type() } })
    };
    let mut methods = Map::new();
    if function.volatility() != Volatility::Volatile {
        let parameters: Vec<Value> = arguments()
            .map(|argument| {
                json!({
                    "name": argument.name(), "in": "query", "required": !argument.optional(),
                    "schema": of_type(argument.ty()), "description": argument.full_type(),
                })
            })
            .collect();
        methods.insert(
            "get".into(),
            json!({ "tags": ["functions"], "summary": summary, "parameters": parameters, "responses": responses }),
        );
    }
    let properties: Map<String, Value> =
        arguments().map(|argument| (argument.name().to_owned(), of_type(argument.ty()))).collect();
    let required: Vec<&str> =
        arguments().filter(|argument| !argument.optional()).map(Argument::name).collect();
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    methods.insert(
        "post".into(),
        json!({
            "tags": ["functions"], "summary": summary, "responses": responses,
            "requestBody": { "content": { "application/json": { "schema": schema } } },
        }),
    );
    methods.into()
}
