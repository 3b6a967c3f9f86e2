//! The request: what came over HTTP, and what it means. Knows names only as text; the renderer looks them up.

pub(crate) mod body;
mod cursor;
pub(crate) mod filter;
pub(crate) mod media;
pub(crate) mod order;
mod params;
pub(crate) mod prefer;
pub(crate) mod range;
pub(crate) mod select;

pub(crate) use params::{Parsed, pairs, parse};

/// HTTP methods of the resource API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads without a body.
    Head,
    /// Inserts, or upserts with `Prefer: resolution=`.
    Post,
    /// Updates.
    Patch,
    /// Inserts or replaces one row by its key.
    Put,
    /// Deletes.
    Delete,
}

/// What came over HTTP. Header values as they are, several of one name joined by the caller only for `prefer`.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// The method.
    pub method: Method,
    /// The path segment that names the table, percent-decoded.
    pub table: &'a str,
    /// The segment after it, percent-decoded.
    pub id: Option<&'a str>,
    /// The query string without `?`, still percent-encoded.
    pub query: Option<&'a str>,
    /// The values of all `Prefer` headers.
    pub prefer: &'a [&'a str],
    /// `Range`.
    pub range: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The body; empty when there is none.
    pub body: &'a [u8],
}

/// Bounds that keep one request from costing more than a request should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows in an answer, and in each embedded array.
    pub max_rows: u64,
    /// Bytes of an answer.
    pub max_answer_bytes: usize,
    /// Levels of embedding.
    pub max_embed_depth: usize,
    /// Embeddings in one request.
    pub max_embeds: usize,
    /// Conditions in one request, those in logic trees included.
    pub max_filters: usize,
    /// Entries of `select` and `order` together.
    pub max_items: usize,
    /// Keys of one object in a body: PostgreSQL's tables have no more columns.
    pub max_columns: usize,
    /// Objects in the body of one insert.
    pub max_body_rows: usize,
    /// Bytes of the query string.
    pub max_query_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_rows: 1000,
            max_answer_bytes: 16 << 20,
            max_embed_depth: 6,
            max_embeds: 24,
            max_filters: 100,
            max_items: 400,
            max_columns: 1_600,
            max_body_rows: 10_000,
            max_query_bytes: 32 * 1024,
        }
    }
}
