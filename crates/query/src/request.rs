//! The request: what came over HTTP, and what it means. Knows names only as text; the renderer looks them up.

pub(crate) mod body;
pub(crate) mod csv;
mod cursor;
pub(crate) mod filter;
pub(crate) mod form;
pub(crate) mod media;
pub(crate) mod order;
mod params;
pub(crate) mod prefer;
pub(crate) mod range;
pub(crate) mod select;

use std::collections::BTreeSet;

pub(crate) use filter::has_operator;
pub(crate) use params::{Pair, Parsed, names, not_embedded, pairs, parse};

use crate::json_case::JsonCase;

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

impl Method {
    /// As HTTP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What came over HTTP. Header values as they are, several of one name joined by the caller only for `prefer`.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// The method.
    pub method: Method,
    /// What the path names.
    pub target: Target<'a>,
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
    /// `Accept-Profile` of a read, `Content-Profile` of a write.
    pub profile: Option<&'a str>,
    /// The body; empty when there is none.
    pub body: &'a [u8],
}

impl<'a> HttpRequest<'a> {
    /// `Range` counts for GET only, as in HTTP.
    pub(crate) fn range_of_get(&self) -> Option<&'a str> {
        self.range.filter(|_| self.method == Method::Get)
    }
}

/// What a path names, percent-decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/{table}` and `/{table}/{id}`.
    Table {
        /// The table's name.
        name: &'a str,
        /// A value of its primary key.
        id: Option<&'a str>,
    },
    /// `/rpc/{function}`.
    Function(&'a str),
}

impl<'a> Target<'a> {
    /// The table's or function's name.
    pub fn name(&self) -> &'a str {
        match self {
            Self::Table { name, .. } | Self::Function(name) => name,
        }
    }

    pub(crate) fn id(&self) -> Option<&'a str> {
        match self {
            Self::Table { id, .. } => *id,
            Self::Function(_) => None,
        }
    }
}

/// What an app decides about its language.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// How JSON names the columns.
    pub case: JsonCase,
    /// `sum()`, `count()` and the like may be asked for.
    pub aggregates: bool,
    /// PATCH and DELETE without a filter change every row; otherwise they are refused.
    pub unfiltered_writes: bool,
    /// The functions that can be called; none: all.
    pub functions: Option<&'a BTreeSet<String>>,
}

impl Options<'_> {
    /// Whether a function of that name can be called.
    pub fn exposes(&self, function: &str) -> bool {
        self.functions.is_none_or(|functions| functions.contains(function))
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { case: JsonCase::Snake, aggregates: true, unfiltered_writes: false, functions: None }
    }
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
