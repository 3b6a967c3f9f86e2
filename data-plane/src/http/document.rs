//! `GET /api/`: the tenant's own tables and functions as an OpenAPI document.

use std::{collections::BTreeSet, sync::Arc};

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
        return answers::not_acceptable(accept).into_response();
    }
    let profile = headers.get(ACCEPT_PROFILE).and_then(|profile| profile.to_str().ok());
    if let Some(placement) = &admitted.route.placement
        && let Err(error) = check_profile(placement.schema.as_str(), profile)
    {
        return answers::failed(Failure::Query(error)).into_response();
    }
    let catalog = match plane.runner.catalog(&admitted.route).await {
        Ok(catalog) => catalog,
        Err(failure) => return answers::failed(failure).into_response(),
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
    let exposed: Vec<&Function> =
        catalog.functions().filter(|function| options.exposes(function.name())).collect();
    for overloads in exposed.chunk_by(|one, other| one.name() == other.name()) {
        paths.insert(format!("/rpc/{}", overloads[0].name()), of_function(overloads));
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

/// All functions of a name.
fn of_function(overloads: &[&Function]) -> Value {
    let comment = overloads.iter().find_map(|function| function.comment());
    let summary = comment.unwrap_or("Calls the function");
    let mut methods = Map::new();
    let readable: Vec<&Function> =
        overloads.iter().copied().filter(|one| one.volatility() != Volatility::Volatile).collect();
    if !readable.is_empty() {
        methods.insert(
            "get".into(),
            json!({
                "tags": ["functions"], "summary": summary, "parameters": parameters(&readable),
                "responses": responses(&readable),
            }),
        );
    }
    let schema = match overloads {
        [function] => body(function),
        _ => json!({ "anyOf": overloads.iter().map(|function| body(function)).collect::<Vec<_>>() }),
    };
    methods.insert(
        "post".into(),
        json!({
            "tags": ["functions"], "summary": summary, "responses": responses(overloads),
            "requestBody": { "content": { "application/json": { "schema": schema } } },
        }),
    );
    methods.into()
}

fn responses(overloads: &[&Function]) -> Value {
    let (nothing, something): (Vec<&Function>, Vec<&Function>) =
        overloads.iter().partition(|function| function.returns_nothing());
    let types: BTreeSet<&str> = something.iter().map(|function| function.full_type()).collect();
    let mut responses = Map::new();
    if !nothing.is_empty() {
        responses.insert("204".into(), json!({ "description": "Called" }));
    }
    if !types.is_empty() {
        responses.insert("200".into(), json!({ "description": Vec::from_iter(types).join(" or ") }));
    }
    responses.into()
}

fn named(function: &Function) -> impl Iterator<Item = &Argument> {
    function.arguments().iter().filter(|argument| !argument.name().is_empty())
}

/// Those of a call by GET: each once, and required where every one of the functions needs it.
fn parameters(overloads: &[&Function]) -> Vec<Value> {
    let mut by_name: Vec<(&str, Vec<&Argument>)> = Vec::new();
    for argument in overloads.iter().flat_map(|function| named(function)) {
        match by_name.iter_mut().find(|(name, _)| *name == argument.name()) {
            Some((_, found)) => found.push(argument),
            None => by_name.push((argument.name(), vec![argument])),
        }
    }
    let parameter = |(name, found): (&str, Vec<&Argument>)| {
        let types: BTreeSet<&str> = found.iter().map(|argument| argument.full_type()).collect();
        json!({
            "name": name, "in": "query",
            "required": found.len() == overloads.len() && found.iter().all(|argument| !argument.optional()),
            "schema": if types.len() == 1 { of_type(found[0].ty()) } else { json!({}) },
            "description": Vec::from_iter(types).join(" or "),
        })
    };
    by_name.into_iter().map(parameter).collect()
}

/// The arguments as an object.
fn body(function: &Function) -> Value {
    let properties: Map<String, Value> =
        named(function).map(|argument| (argument.name().to_owned(), of_type(argument.ty()))).collect();
    let required: Vec<&str> =
        named(function).filter(|argument| !argument.optional()).map(Argument::name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}
