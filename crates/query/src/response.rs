//! From the statement's two counts to status and headers.

use crate::{
    error::QueryError,
    render::read::Bound,
    request::{Method, media::Format},
};

/// Stands at the start of the value that PostgreSQL quotes when a statement has a number of rows that its bound forbids.
pub(crate) const MUST_AFFECT_ONE_MARK: &str = "tenantry_must_affect_one:";

/// Stands at the start of the value that PostgreSQL quotes when an answer grows too large.
pub(crate) const TOO_LARGE_MARK: &str = "tenantry_answer_too_large:";

/// Whether a database error says that the answer would be larger than [`Limits::max_answer_bytes`](crate::Limits).
pub fn is_answer_too_large(sqlstate: &str, message: &str) -> bool {
    sqlstate == "22P02" && message.contains(TOO_LARGE_MARK)
}

/// Whether a database error is the one that a statement with a bound on its rows raises on purpose, and how many rows
/// it had. The error is SQLSTATE 22P02 and aborts the transaction, so a pipelined COMMIT rolls back.
pub fn rows_instead_of_one(sqlstate: &str, message: &str) -> Option<u64> {
    if sqlstate != "22P02" {
        return None;
    }
    let (_, rest) = message.split_once(MUST_AFFECT_ONE_MARK)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    digits.parse().ok()
}

/// What a query string cannot hold as it is.
const RESERVED: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What the answer looks like, known before the statement runs.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each answers one question of the caller's")]
pub struct ResponseShape {
    /// The method.
    pub method: Method,
    /// The path names one row by its key.
    pub by_id: bool,
    /// The client asked for an object (`application/vnd.pgrst.object+json`).
    pub singular: bool,
    /// The statement's `body` is the answer's; otherwise the answer has none.
    pub returns_body: bool,
    /// A count was asked for.
    pub count_exact: bool,
    /// The first row of the page.
    pub offset: u64,
    /// The most rows of the page; none by id and for writes.
    pub limit: Option<u64>,
    /// The statement fails, and [`Self::refusal`] says so, unless it has as many rows as this allows.
    pub(crate) bound: Bound,
    /// It is the answer of a function, which has no rows of a table.
    pub(crate) called: bool,
    /// The function answers nothing.
    pub(crate) nothing: bool,
    /// The body is bytes, which PostgreSQL writes as `\x` and hexadecimal digits.
    pub hexadecimal: bool,
    /// `body` holds the new row's key for [`Self::location`].
    pub has_location: bool,
    /// What goes into `Preference-Applied`.
    pub preference_applied: Vec<String>,
    pub(crate) format: Format,
    pub(crate) merges: bool,
    pub(crate) table: String,
    pub(crate) key: Vec<String>,
}

/// Status and headers of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// HTTP status.
    pub status: u16,
    /// `Content-Range`.
    pub content_range: Option<String>,
    /// `Preference-Applied`.
    pub preference_applied: Option<String>,
}

impl ResponseShape {
    /// The answer's head, or the error that the counts mean.
    ///
    /// `total_count` is what the statement answered: for reads the rows without a window, for upserts the rows that were
    /// inserted rather than updated.
    pub fn head(&self, page_count: i64, total_count: Option<i64>) -> Result<ResponseHead, QueryError> {
        let page = u64::try_from(page_count).unwrap_or(0);
        if self.by_id && page == 0 && self.method != Method::Put && self.method != Method::Post {
            return Err(QueryError::new(
                404,
                "row_not_found",
                format!("'{}' has no row with this id", self.table),
            ));
        }
        if self.singular && page != 1 && self.method != Method::Put {
            return Err(Self::not_singular(page));
        }
        let status = match self.method {
            _ if self.nothing => 204,
            Method::Post if self.called => self.read_status(page, total_count)?,
            Method::Get | Method::Head => self.read_status(page, total_count)?,
            // PostgREST: a merge that only updated created nothing.
            Method::Post if self.merges && total_count == Some(0) => 200,
            Method::Post => 201,
            Method::Put if page == 0 => {
                return Err(QueryError::bad(
                    "key_mismatch",
                    "the body's primary key is not the one in the URL; make them the same",
                )
                .with_message("Payload values do not match URL in primary key column(s)"));
            }
            Method::Put if !self.returns_body => 204,
            Method::Put if total_count.is_some_and(|inserted| inserted > 0) => 201,
            Method::Put => 200,
            Method::Patch | Method::Delete if self.returns_body => 200,
            Method::Patch | Method::Delete => 204,
        };
        let preference_applied =
            (!self.preference_applied.is_empty()).then(|| self.preference_applied.join(", "));
        Ok(ResponseHead {
            status,
            content_range: self.content_range(page_count, total_count),
            preference_applied,
        })
    }

    fn read_status(&self, page: u64, total: Option<i64>) -> Result<u16, QueryError> {
        let Some(total) = self.total(page, total).filter(|_| !self.by_id) else { return Ok(200) };
        if self.offset > total {
            let details =
                format!("An offset of {} was requested, but there are only {total} rows.", self.offset);
            return Err(
                QueryError::new(416, "bad_range", "Requested range not satisfiable").with_details(details)
            );
        }
        Ok(if page < total { 206 } else { 200 })
    }

    /// `0-24/3573`, `*/0`, `0-24/*`; also for the 416 that [`Self::head`] answers.
    pub fn content_range(&self, page_count: i64, total_count: Option<i64>) -> Option<String> {
        if self.by_id || self.method == Method::Put {
            return None;
        }
        let page = u64::try_from(page_count).unwrap_or(0);
        let total = self.total(page, total_count);
        let rows = match self.method {
            Method::Post | Method::Delete if !self.called => None,
            _ if page == 0 || total == Some(0) => None,
            _ => Some(format!("{}-{}", self.offset, self.offset + page - 1)),
        };
        let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        Some(format!("{}/{total}", rows.as_deref().unwrap_or("*")))
    }

    fn total(&self, page: u64, total_count: Option<i64>) -> Option<u64> {
        match self.method {
            _ if !self.count_exact => None,
            Method::Get | Method::Head => total_count.and_then(|total| u64::try_from(total).ok()),
            _ if self.called => total_count.and_then(|total| u64::try_from(total).ok()),
            _ => Some(page),
        }
    }

    /// The answer's media type.
    pub fn content_type(&self) -> String {
        self.format.content_type()
    }

    /// What a database error means that the statement raises on purpose.
    pub fn refusal(&self, sqlstate: &str, message: &str) -> Option<QueryError> {
        if self.bound == Bound::Any {
            return None;
        }
        let rows = rows_instead_of_one(sqlstate, message)?;
        Some(match self.bound {
            Bound::Most(_) => {
                let detail = "Query result exceeds max-affected preference constraint";
                QueryError::bad("too_many_affected", detail)
                    .with_details(format!("The query affects {rows} rows"))
                    .field("prefer")
            }
            Bound::One | Bound::Any => Self::not_singular(rows),
        })
    }

    /// `contacts?id=eq.5`, relative to the API's root, of the statement's `body` when [`Self::has_location`].
    pub fn location(&self, body: &str) -> Option<String> {
        let values: Vec<String> = serde_json::from_str(body).ok()?;
        if !self.has_location || values.len() != self.key.len() {
            return None;
        }
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, RESERVED).to_string();
        let pairs: Vec<String> = self
            .key
            .iter()
            .zip(&values)
            .map(|(key, value)| format!("{}=eq.{}", encode(key), encode(value)))
            .collect();
        Some(format!("{}?{}", encode(&self.table), pairs.join("&")))
    }

    /// The error for a singular request that met another number of rows.
    pub fn not_singular(rows: u64) -> QueryError {
        QueryError::new(406, "not_singular", "Cannot coerce the result to a single JSON object")
            .with_details(format!("The result contains {rows} rows"))
    }
}
