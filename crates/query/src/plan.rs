//! From request to statement: the checks that need the whole request, then one renderer.

mod call;

use std::borrow::Cow;

use crate::{
    catalog::{Catalog, Column, Table, TableKind},
    error::{QueryError, excerpt},
    render::{
        Context, delete,
        insert::{self, Insert},
        read::{self, Bound, Read},
        scope::{self, Source},
        update,
        writer::Writer,
        written::{self, Answer},
    },
    request::{
        self, HttpRequest, Limits, Method, Options, Pair, Parsed, Target,
        body::Body,
        csv,
        filter::Condition,
        form,
        media::{self, Accepted, BodyFormat, Format},
        prefer::{Preferences, Resolution, Return},
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
}

/// How a statement is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// It may write.
    pub writes: bool,
    /// Nothing of it is to stay.
    pub rollback: bool,
    /// The time zone in which times are written; PostgreSQL may know no such one.
    pub timezone: Option<String>,
    /// An unknown time zone is an error, and not ignored.
    pub strict: bool,
}

impl Transaction {
    /// What to answer where PostgreSQL does not know the time zone.
    pub fn unknown_timezone(&self) -> QueryError {
        let timezone = format!("timezone={}", self.timezone.as_deref().unwrap_or_default());
        Preferences::refused(&[&timezone])
    }
}

/// One SQL statement that answers exactly one row: `page_count int8`, `total_count int8`, `body text`. The body comes last,
/// so that it can be passed on while it arrives.
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
    check_profile(schema, request)?;
    let preferences = Preferences::parse(request.prefer)?;
    let accepted = media::accepted(request.accept);
    let pairs = request::pairs(request.query.unwrap_or_default(), limits)?;
    let context = Context { catalog, case: options.case, limits, aggregates: options.aggregates };
    let asked = Asked { context, options, request, preferences, accepted, pairs: &pairs };
    match request.target {
        Target::Table { name, .. } => plan_table(&asked, schema, name),
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
        let (sql, params) = writer.finish()?;
        let transaction = Transaction {
            writes: is_write,
            rollback: is_write && self.preferences.rollback == Some(true),
            timezone: self.preferences.timezone.clone(),
            strict: self.preferences.strict == Some(true),
        };
        Ok(Planned { statement: Statement { sql, params }, response, transaction })
    }
}

/// There is one schema. `public` is what clients call it that send a name in any case.
fn check_profile(schema: &str, request: &HttpRequest<'_>) -> Result<(), QueryError> {
    match request.profile {
        None | Some("public") => Ok(()),
        Some(name) if name == schema => Ok(()),
        Some(name) => {
            let detail = format!("Invalid schema: {}", excerpt(name));
            Err(QueryError::new(406, "unknown_schema", detail)
                .with_hint("Only the following schemas are exposed: public"))
        }
    }
}

fn plan_table(asked: &Asked<'_>, schema: &str, name: &str) -> Result<Planned, QueryError> {
    let (request, limits, case) = (asked.request, asked.context.limits, asked.options.case);
    let table = asked.context.catalog.table_for(case, name).ok_or_else(|| {
        let name = excerpt(name);
        QueryError::new(404, "unknown_table", format!("there is no table '{name}'; check the spelling"))
            .field(name)
    })?;
    if request.target.id().is_some_and(|id| id.contains('\0')) {
        return Err(QueryError::bad("nul_byte", "the id holds a NUL byte; remove it"));
    }
    allowed(table, request)?;
    let parsed =
        request::parse(asked.pairs, limits, table.name(), |name| table.column(case, name).is_some())?;
    let own = own_media_types(asked, table, &parsed.root);
    let format = asked.accepted.format(&own, None, is_one_column(&parsed.root))?;
    let mut planning = Planning {
        context: asked.context,
        table,
        asked,
        format: &format,
        parsed: &parsed,
        body: json_body(request, limits)?,
        writer: Writer::new(schema),
        hexadecimal: false,
    };
    let mut response = match request.method {
        Method::Get | Method::Head => planning.read()?,
        Method::Post => planning.insert()?,
        Method::Put => planning.put()?,
        Method::Patch => planning.update()?,
        Method::Delete => planning.delete()?,
    };
    response.hexadecimal = planning.hexadecimal;
    asked.planned(planning.writer, response, !matches!(request.method, Method::Get | Method::Head))
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
fn json_body<'p>(request: &HttpRequest<'p>, limits: &Limits) -> Result<Cow<'p, [u8]>, QueryError> {
    if matches!(request.method, Method::Get | Method::Head | Method::Delete) {
        return Ok(Cow::Borrowed(&[]));
    }
    match media::body_format(request.content_type)? {
        BodyFormat::Json => Ok(Cow::Borrowed(request.body)),
        BodyFormat::Csv => Ok(Cow::Owned(csv::to_json(request.body, limits)?.into_bytes())),
        BodyFormat::Form => Ok(Cow::Owned(form::to_json(request.body, limits)?.into_bytes())),
        BodyFormat::Text | BodyFormat::Bytes | BodyFormat::Xml => Err(media::unsupported()),
    }
}

fn allowed(table: &Table, request: &HttpRequest<'_>) -> Result<(), QueryError> {
    let (allowed, what) = match request.method {
        Method::Get | Method::Head => (true, ""),
        Method::Post if request.target.id().is_some() => {
            let detail = "POST goes to the table, not to a row; use PATCH or PUT on a row";
            return Err(QueryError::new(405, "method_not_allowed", detail));
        }
        Method::Post => (table.insertable(), "insert into"),
        Method::Put => (table.insertable() && table.updatable(), "insert into and update"),
        Method::Patch => (table.updatable(), "update"),
        Method::Delete => (table.deletable(), "delete from"),
    };
    if allowed {
        return Ok(());
    }
    Err(QueryError::new(
        405,
        "method_not_allowed",
        format!("'{}' is a view that one cannot {what}", table.name()),
    ))
}

struct Planning<'p> {
    context: Context<'p>,
    table: &'p Table,
    asked: &'p Asked<'p>,
    format: &'p Format,
    parsed: &'p Parsed<'p>,
    body: Cow<'p, [u8]>,
    writer: Writer,
    hexadecimal: bool,
}

impl<'p> Planning<'p> {
    fn id(&self) -> Option<&'p str> {
        self.asked.request.target.id()
    }

    fn singular(&self) -> bool {
        matches!(self.format, Format::Object { .. })
    }

    fn preferences(&self) -> &'p Preferences {
        &self.asked.preferences
    }

    fn read(&mut self) -> Result<ResponseShape, QueryError> {
        let root = &self.parsed.root;
        let by_id = self.id().is_some();
        if by_id {
            self.refuse_window("one row by its id")?;
        }
        let header = self.asked.request.range_of_get().filter(|_| !by_id);
        let window = window(header, root, self.context.limits)?;
        let count = self.preferences().count.is_some() && !by_id;
        let body = self.asked.request.method == Method::Get;
        let read = Read {
            source: Source::Table { id: self.id() },
            window,
            single: by_id || self.singular(),
            body,
            count,
            format: self.format,
            bound: Bound::Any,
        };
        self.hexadecimal = read::read(&mut self.writer, self.context, self.table, root, &read)?.bytes;
        let mut shape = self.shape(self.preferences().count.filter(|_| count));
        shape.returns_body = body;
        shape.offset = window.offset;
        shape.limit = window.limit.filter(|_| !by_id);
        Ok(shape)
    }

    fn insert(&mut self) -> Result<ResponseShape, QueryError> {
        if !self.parsed.root.filters.is_empty() {
            return Err(QueryError::bad(
                "bad_filter",
                "an insert takes no filters; remove them, or use PATCH to update",
            ));
        }
        self.refuse_window("an insert")?;
        let bytes = std::mem::take(&mut self.body);
        let body = Body::parse(&bytes, self.context.limits)?;
        let preferences = self.preferences();
        let has_key = self.table.primary_key().next().is_some();
        // Where nothing says what a duplicate is, there is none.
        let says = has_key || self.parsed.on_conflict.is_some();
        let resolution =
            preferences.resolution.filter(|wanted| says || *wanted == Resolution::IgnoreDuplicates);
        let one = !body.is_array || body.rows() == 1;
        let answer = Answer {
            body: match preferences.returning {
                Some(Return::Representation) => written::Body::Rows,
                Some(Return::HeadersOnly) if one && has_key => written::Body::Key,
                _ => written::Body::None,
            },
            single: self.singular(),
            format: self.format,
            bound: self.bound(self.singular()),
            count_inserted: resolution == Some(Resolution::MergeDuplicates) && self.has_xmax(),
        };
        if body.sets.is_empty() && !self.singular() {
            written::nothing(&mut self.writer, answer);
        } else if body.sets.is_empty() {
            return Err(ResponseShape::not_singular(0));
        } else {
            let insert = Insert {
                body: &body,
                columns: self.parsed.columns.as_deref(),
                missing_default: preferences.missing_default == Some(true),
                resolution,
                on_conflict: self.parsed.on_conflict.as_deref(),
                key: Vec::new(),
            };
            insert::insert(&mut self.writer, self.context, self.table, &self.parsed.root, &insert, answer)?;
        }
        let mut shape = self.write_shape(answer);
        shape.merges = resolution == Some(Resolution::MergeDuplicates);
        let resolved = match resolution {
            Some(Resolution::MergeDuplicates) => Some("resolution=merge-duplicates"),
            Some(Resolution::IgnoreDuplicates) => Some("resolution=ignore-duplicates"),
            None => None,
        };
        shape.preference_applied.splice(0..0, resolved.map(str::to_owned));
        Ok(shape)
    }

    fn put(&mut self) -> Result<ResponseShape, QueryError> {
        let root = &self.parsed.root;
        if root.limit.is_some() || root.offset.is_some() {
            let detail = "limit/offset querystring parameters are not allowed for PUT";
            return Err(QueryError::bad("put_window", detail));
        }
        let key = self.key_of_url()?;
        let bytes = std::mem::take(&mut self.body);
        let body = Body::parse(&bytes, self.context.limits)?;
        update::change(&body, None, false)?;
        let answer = self.answer(false, self.has_xmax());
        let insert = Insert {
            body: &body,
            columns: self.parsed.columns.as_deref(),
            missing_default: false,
            resolution: Some(Resolution::MergeDuplicates),
            on_conflict: None,
            key,
        };
        insert::insert(&mut self.writer, self.context, self.table, &self.parsed.root, &insert, answer)?;
        Ok(self.write_shape(answer))
    }

    /// PUT writes the row that the URL names: by path, or by an `eq` on every column of the primary key.
    fn key_of_url(&self) -> Result<Vec<(&'p Column, &'p str)>, QueryError> {
        let filters = &self.parsed.root.filters;
        if let Some(id) = self.id() {
            if !filters.is_empty() {
                return Err(QueryError::bad("bad_filter", "PUT by id takes no filters; remove them"));
            }
            return Ok(vec![(scope::id_column(self.table)?, id)]);
        }
        let mut key: Vec<(&Column, &str)> = Vec::new();
        for filter in filters {
            let named = filter.equals().and_then(|(name, value)| {
                let column = self.table.column(self.context.case, name)?;
                let new = !key.iter().any(|(known, _)| known.name() == column.name());
                (new && self.table.primary_key().any(|part| part.name() == column.name()))
                    .then_some((column, value))
            });
            match named {
                Some(part) => key.push(part),
                None => return Err(Self::bad_put()),
            }
        }
        if key.is_empty() || key.len() != self.table.primary_key().count() {
            return Err(Self::bad_put());
        }
        Ok(key)
    }

    fn bad_put() -> QueryError {
        let detail = "Filters must include all and only primary key columns with 'eq' operators";
        QueryError::new(405, "bad_put", detail).with_hint("name one row: by /table/id, or by ?key=eq.value")
    }

    fn update(&mut self) -> Result<ResponseShape, QueryError> {
        self.require_filter("update")?;
        self.refuse_window("an update")?;
        let bytes = std::mem::take(&mut self.body);
        let body = Body::parse(&bytes, self.context.limits)?;
        let missing_default = self.preferences().missing_default == Some(true);
        let change = update::change(&body, self.parsed.columns.as_deref(), missing_default)?;
        let (root, id) = (&self.parsed.root, self.id());
        let must_affect_one = self.singular() && id.is_none();
        let answer = self.answer(must_affect_one, false);
        if !change.is_empty() {
            update::update(&mut self.writer, self.context, self.table, root, &change, id, answer)?;
        } else if self.id().is_some() {
            // Nothing to change: the row as it is, or 404.
            let read = Read {
                source: Source::Table { id: self.id() },
                window: range::Window { offset: 0, limit: None },
                single: true,
                body: answer.body == written::Body::Rows,
                count: false,
                format: self.format,
                bound: Bound::Any,
            };
            self.hexadecimal = read::read(&mut self.writer, self.context, self.table, root, &read)?.bytes;
        } else if must_affect_one {
            return Err(ResponseShape::not_singular(0));
        } else {
            written::nothing(&mut self.writer, answer);
        }
        Ok(self.write_shape(answer))
    }

    fn delete(&mut self) -> Result<ResponseShape, QueryError> {
        self.require_filter("delete")?;
        self.refuse_window("a delete")?;
        let answer = self.answer(self.singular() && self.id().is_none(), false);
        let (root, id) = (&self.parsed.root, self.id());
        delete::delete(&mut self.writer, self.context, self.table, root, id, answer)?;
        Ok(self.write_shape(answer))
    }

    fn bound(&self, must_affect_one: bool) -> Bound {
        match self.preferences().most_affected() {
            _ if must_affect_one => Bound::One,
            Some(most) => Bound::Most(most),
            None => Bound::Any,
        }
    }

    fn answer(&self, must_affect_one: bool, count_inserted: bool) -> Answer<'p> {
        let body = match self.preferences().returning {
            Some(Return::Representation) => written::Body::Rows,
            _ => written::Body::None,
        };
        Answer {
            body,
            single: self.singular() || self.id().is_some(),
            format: self.format,
            bound: self.bound(must_affect_one),
            count_inserted,
        }
    }

    /// Only plain tables tell by `xmax` whether a row was inserted or updated.
    fn has_xmax(&self) -> bool {
        self.table.kind() == TableKind::Table
    }

    fn require_filter(&self, what: &str) -> Result<(), QueryError> {
        let chosen = self.id().is_some() || !self.parsed.root.filters.is_empty();
        if chosen || self.asked.options.unfiltered_writes {
            return Ok(());
        }
        let detail = format!("without a filter this would {what} every row; add one, as in ?id=eq.1");
        Err(QueryError::bad("filter_required", detail)
            .with_hint("an app may allow it with `unfiltered_writes = true` in its manifest"))
    }

    fn refuse_window(&self, what: &str) -> Result<(), QueryError> {
        let root = &self.parsed.root;
        if root.limit.is_some() || root.offset.is_some() {
            return Err(QueryError::bad(
                "bad_range",
                format!("limit and offset do not apply to {what}; remove them"),
            ));
        }
        Ok(())
    }

    fn write_shape(&self, answer: Answer<'_>) -> ResponseShape {
        let preferences = self.preferences();
        let mut shape = self.shape(preferences.count);
        shape.returns_body = answer.body == written::Body::Rows;
        shape.has_location = answer.body == written::Body::Key;
        shape.bound = answer.bound;
        let missing = preferences
            .missing_default
            .map(|default| if default { "missing=default" } else { "missing=null" });
        let returning = preferences.returning.map(|returning| match returning {
            Return::Minimal => "return=minimal",
            Return::HeadersOnly => "return=headers-only",
            Return::Representation => "return=representation",
        });
        shape.preference_applied.splice(0..0, missing.into_iter().chain(returning).map(str::to_owned));
        shape
    }

    fn shape(&self, count: Option<&'static str>) -> ResponseShape {
        let case = self.context.case;
        ResponseShape {
            table: self.table.name().to_owned(),
            key: self.table.primary_key().map(|column| column.json_name(case).to_owned()).collect(),
            ..shape(self.asked, self.format, count)
        }
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

impl Condition<'_> {
    /// The column and value of a plain `column=eq.value`.
    fn equals(&self) -> Option<(&str, &str)> {
        match self {
            Self::Filter { field, negated: false, operation } if field.path.is_empty() => {
                Some((&*field.name, operation.equal_to()?))
            }
            _ => None,
        }
    }
}
