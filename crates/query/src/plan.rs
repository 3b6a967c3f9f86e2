//! From request to statement: the checks that need the whole request, then one renderer.

mod call;
mod table;

use std::borrow::Cow;

use tenantry_domain::permission::Verb;

use crate::{
    catalog::{Catalog, Table},
    error::{QueryError, excerpt},
    render::{
        Context,
        read::Bound,
        writer::{Writer, Written},
    },
    request::{
        self, HttpRequest, Limits, Method, Options, Pair, Target, csv, form,
        media::{self, Accepted, BodyFormat, Format},
        prefer::Preferences,
        range,
        select::{Item, Level},
    },
    response::ResponseShape,
};

/// A statement and what its answer will look like.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What to run.
    pub statement: Statement,
    /// What to answer.
    pub response: ResponseShape,
    /// How to run it.
    pub transaction: Transaction,
    /// What whoever asks must be allowed, as PostgreSQL's privileges have it: with which table, view or function.
    pub uses: Vec<(Verb, Box<str>)>,
}

/// How a statement is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// It may write.
    pub writes: bool,
    /// Nothing of it is to stay.
    pub rollback: bool,
    /// The time zone in which times are written; one that PostgreSQL does not know fails.
    pub timezone: Option<String>,
}

/// One SQL statement that answers one row: `page_count int8`, `total_count int8`, `body text`; or none, which stands for a
/// `page_count` of 0. The body comes last, so that it can be passed on while it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text; the same for requests that differ in values only.
    pub sql: String,
    /// The parameters, all of type text.
    pub params: Vec<Option<String>>,
}

/// Plans one request against one tenant's schema. `schema` is trusted: it comes from the tenant's placement.
///
/// The parameters `tenant`, `tenant_id` and `tenantId` belong to tenant resolution and are ignored, unless the table has
/// such a column and the value is written as a filter (`tenant_id=eq.5`).
///
/// # Errors
///
/// Whatever the client got wrong. Values that do not fit their column's type are left to the database.
pub fn plan(
    catalog: &Catalog,
    options: &Options<'_>,
    schema: &str,
    request: &HttpRequest<'_>,
    limits: &Limits,
) -> Result<Planned, QueryError> {
    check_profile(schema, request.profile)?;
    let preferences = Preferences::parse(request.prefer)?;
    let accepted = media::accepted(request.accept);
    let pairs = request::pairs(request.query.unwrap_or_default(), limits)?;
    let context = Context { catalog, case: options.case, limits, aggregates: options.aggregates };
    let asked = Asked { context, options, request, preferences, accepted, pairs: &pairs };
    match request.target {
        Target::Table { name, .. } => table::plan(&asked, schema, name),
        Target::Function(name) => call::plan(&asked, schema, name),
    }
}

/// A request as far as it is understood without the catalog.
struct Asked<'p> {
    context: Context<'p>,
    options: &'p Options<'p>,
    request: &'p HttpRequest<'p>,
    preferences: Preferences,
    accepted: Accepted<'p>,
    pairs: &'p [Pair<'p>],
}

impl Asked<'_> {
    fn planned(
        &self,
        writer: Writer,
        response: ResponseShape,
        is_write: bool,
    ) -> Result<Planned, QueryError> {
        let Written { sql, params, uses } = writer.finish()?;
        let transaction = Transaction {
            writes: is_write,
            rollback: is_write && self.preferences.rollback == Some(true),
            timezone: self.preferences.timezone.clone(),
        };
        Ok(Planned { statement: Statement { sql, params }, response, transaction, uses })
    }
}

/// Refuses a profile (`Accept-Profile`, `Content-Profile`) that is not the tenant's schema. There is one; `public` is what
/// clients call it that send a name in any case.
pub fn check_profile(schema: &str, profile: Option<&str>) -> Result<(), QueryError> {
    match profile {
        None | Some("public") => Ok(()),
        Some(name) if name == schema => Ok(()),
        Some(name) => {
            let detail = format!("Invalid schema: {}", excerpt(name));
            Err(QueryError::new(406, "unknown_schema", detail)
                .with_hint("Only the following schemas are exposed: public"))
        }
    }
}

/// The media types that the app makes of a table's whole rows.
fn own_media_types<'c>(asked: &Asked<'c>, table: &'c Table, root: &Level<'_>) -> Vec<&'c str> {
    if !matches!(root.items.as_slice(), [Item::Star]) {
        return Vec::new();
    }
    asked.context.catalog.handlers_of(table).map(|handler| &*handler.media).collect()
}

fn is_one_column(root: &Level<'_>) -> bool {
    matches!(root.items.as_slice(), [Item::Field { .. } | Item::Count { .. }])
}

/// The body as JSON, whatever it was sent as.
///
/// Of CSV at most so many rows.
fn json_body<'p>(
    request: &HttpRequest<'p>,
    most: usize,
    limits: &Limits,
) -> Result<Cow<'p, [u8]>, QueryError> {
    if matches!(request.method, Method::Get | Method::Head | Method::Delete) {
        return Ok(Cow::Borrowed(&[]));
    }
    match media::body_format(request.content_type)? {
        BodyFormat::Json => Ok(Cow::Borrowed(request.body)),
        BodyFormat::Csv => Ok(Cow::Owned(csv::to_json(request.body, most, limits)?.into_bytes())),
        BodyFormat::Form => Ok(Cow::Owned(form::to_json(request.body, limits)?.into_bytes())),
        BodyFormat::Text | BodyFormat::Bytes | BodyFormat::Xml => Err(media::unsupported()),
    }
}

/// What all answers have.
fn shape(asked: &Asked<'_>, format: &Format, count: Option<&'static str>) -> ResponseShape {
    ResponseShape {
        method: asked.request.method,
        by_id: asked.request.target.id().is_some(),
        singular: matches!(format, Format::Object { .. }),
        returns_body: false,
        count_exact: count.is_some(),
        offset: 0,
        limit: None,
        bound: Bound::Any,
        called: false,
        nothing: false,
        hexadecimal: false,
        has_location: false,
        preference_applied: count.map(str::to_owned).into_iter().chain(asked.preferences.applied()).collect(),
        format: format.clone(),
        merges: false,
        table: String::new(),
        key: Vec::new(),
    }
}

/// The rows asked for, within the limit.
fn window(header: Option<&str>, root: &Level<'_>, limits: &Limits) -> Result<range::Window, QueryError> {
    let mut window = range::window(header, root.limit, root.offset)?;
    window.limit = Some(window.limit.map_or(limits.max_rows, |limit| limit.min(limits.max_rows)));
    Ok(window)
}
