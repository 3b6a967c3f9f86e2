//! What a client did wrong, in words it can act on.

use serde_json::Value;

/// A request that is refused before, or because of, what the database answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct QueryError {
    /// HTTP status.
    pub status: u16,
    /// Stable, `snake_case`.
    pub code: &'static str,
    /// The parameter, column or header at fault, as the client wrote it.
    pub field: Option<String>,
    /// What is wrong and what to do next. May quote the request, so escape it as any client text.
    pub detail: String,
    /// Boxed, for most errors have none of it.
    more: Option<Box<More>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct More {
    message: Option<String>,
    details: Option<Value>,
    hint: Option<String>,
    /// `PostgREST`'s code where the same thing has another one elsewhere.
    code: Option<&'static str>,
}

impl QueryError {
    pub(crate) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, field: None, detail: detail.into(), more: None }
    }

    /// The code by which `PostgREST` knows it, or PostgreSQL where `PostgREST` would have left it to that.
    pub fn postgrest_code(&self) -> Option<&'static str> {
        if let Some(code) = self.more.as_ref().and_then(|more| more.code) {
            return Some(code);
        }
        Some(match self.code {
            "bad_filter" | "bad_select" | "bad_order" | "bad_parameter" | "bad_columns" | "bad_encoding"
            | "unknown_operator" => "PGRST100",
            "function_method" => "PGRST101",
            "bad_json" | "bad_body" | "bad_csv" | "keys_differ" | "unsupported_media_type" => "PGRST102",
            "bad_range" => "PGRST103",
            "bad_put" => "PGRST105",
            "unknown_schema" => "PGRST106",
            "not_acceptable" => "PGRST107",
            "not_embedded" => "PGRST108",
            "put_window" => "PGRST114",
            "key_mismatch" => "PGRST115",
            "not_singular" => "PGRST116",
            "bad_related_order" => "PGRST118",
            "bad_embedding_filter" => "PGRST120",
            "bad_preference" => "PGRST122",
            "aggregates_disabled" => "PGRST123",
            "aggregate_of_many" => "PGRST127",
            "too_many_affected" => "PGRST124",
            "max_affected_of_value" => "PGRST128",
            "unknown_relationship" => "PGRST200",
            "ambiguous_relationship" => "PGRST201",
            "unknown_function" => "PGRST202",
            "ambiguous_function" => "PGRST203",
            "unknown_table" => "PGRST205",
            "unknown_column" => "42703",
            "ungrouped_column" => "42803",
            _ => return None,
        })
    }

    /// `PostgREST`'s `details`: what a client may show or read, e.g. the candidates.
    pub fn details(&self) -> Option<&Value> {
        self.more.as_ref()?.details.as_ref()
    }

    /// `PostgREST`'s `hint`.
    pub fn hint(&self) -> Option<&str> {
        self.more.as_ref()?.hint.as_deref()
    }

    /// `PostgREST`'s `message`, where it has words of its own for it.
    pub fn message(&self) -> Option<&str> {
        self.more.as_ref()?.message.as_deref()
    }

    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.more.get_or_insert_default().message = Some(message.into());
        self
    }

    pub(crate) fn with_details(mut self, details: impl Into<Value>) -> Self {
        self.more.get_or_insert_default().details = Some(details.into());
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.more.get_or_insert_default().hint = Some(hint.into());
        self
    }

    pub(crate) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(400, code, detail)
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.field = Some(excerpt(field).to_owned());
        self
    }

    /// In a body or `columns`, where `PostgREST` looks by itself.
    pub(crate) fn unknown_body_column(table: &str, column: &str) -> Self {
        let mut error = Self::unknown_column(table, column);
        error.more.get_or_insert_default().code = Some("PGRST204");
        error.with_message(format!(
            "Could not find the '{}' column of '{table}' in the schema cache",
            excerpt(column)
        ))
    }

    pub(crate) fn unknown_column(table: &str, column: &str) -> Self {
        Self::bad(
            "unknown_column",
            format!(
                "'{table}' has no column '{}'; check the spelling against the table's columns",
                excerpt(column)
            ),
        )
        .field(column)
        .with_message(format!("column {table}.{} does not exist", excerpt(column)))
    }
}

/// At most 80 bytes of client text, so that an error never carries a large request back.
pub(crate) fn excerpt(text: &str) -> &str {
    let mut end = text.len().min(80);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The name that a client most likely meant: one letter in three may be another.
pub(crate) fn closest<'n>(asked: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let asked = excerpt(asked);
    let near = names.map(|name| (distance(asked, name), name));
    let (distance, name) = near.min_by_key(|(distance, _)| *distance)?;
    (distance > 0 && distance * 3 <= asked.chars().count().max(3)).then_some(name)
}

/// How many letters are to be added, taken away or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
