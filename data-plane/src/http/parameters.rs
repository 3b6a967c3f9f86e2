//! What requests for rows and functions take, for the OpenAPI document. It is read by `tenantry_query`, as text.

#![expect(dead_code, reason = "the document is made of the types; no value of them is")]

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

/// A row by the names of its columns.
#[derive(ToSchema)]
#[schema(example = json!({ "first_name": "Ann" }))]
pub(super) struct Row(BTreeMap<String, serde_json::Value>);

/// A row, or several.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum Rows {
    /// One.
    One(Row),
    /// Several, all written or none.
    Several(Vec<Row>),
}

/// The arguments of a function by their names.
#[derive(ToSchema)]
pub(super) struct Arguments(BTreeMap<String, serde_json::Value>);

/// Who is meant, where neither host nor path says it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Named {
    /// The tenant's slug, where neither host, path nor key names it
    #[param(rename = "X-Tenant-Slug")]
    slug: Option<String>,
}

/// Preferences.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Preferences {
    /// `return=representation`, `count=exact`, `resolution=merge-duplicates`, ..., separated by commas
    #[param(rename = "Prefer")]
    prefer: Option<String>,
}

/// Which rows are meant.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filters {
    /// By a column's name an operator and a value: `?status=eq.open`; also `and` and `or`
    #[param(style = Form, explode)]
    filters: Option<BTreeMap<String, String>>,
}

/// What is shown of each row.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Shown {
    /// Columns and related rows: `id,title,comments(body)`; all columns if not given
    select: Option<String>,
}

/// Which of the rows, and in what order.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Window {
    /// Columns: `created_at.desc,id`
    order: Option<String>,
    /// At most so many rows
    limit: Option<u64>,
    /// After so many rows
    offset: Option<u64>,
}

/// The window, as a header.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct Range {
    /// The first and the last row, from 0: `0-19`
    #[param(rename = "Range")]
    range: Option<String>,
}

/// How rows are inserted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Insert {
    /// The columns that are written, of those that the body has
    columns: Option<String>,
    /// The columns by which a row is known again, with `Prefer: resolution=merge-duplicates`
    on_conflict: Option<String>,
}
