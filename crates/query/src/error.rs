//! What a client did wrong, in words it can act on.

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
}

impl QueryError {
    pub(crate) fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, field: None, detail: detail.into() }
    }

    pub(crate) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(400, code, detail)
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.field = Some(excerpt(field).to_owned());
        self
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
