//! From request to statement: the checks that need the whole request, then one renderer.

use crate::{
    catalog::{Catalog, Column, Table},
    error::{QueryError, excerpt},
    json_case::JsonCase,
    render::{
        Context, delete,
        insert::{self, Insert},
        read::{self, Read},
        scope, update,
        writer::Writer,
        written::{self, Answer},
    },
    request::{
        self, HttpRequest, Limits, Method, Parsed,
        body::Body,
        filter::Condition,
        media,
        prefer::{Preferences, Resolution, Return},
        range,
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
    case: JsonCase,
    schema: &str,
    request: &HttpRequest<'_>,
    limits: &Limits,
) -> Result<Planned, QueryError> {
    let table = catalog.table_for(case, request.table).ok_or_else(|| {
        let name = excerpt(request.table);
        QueryError::new(404, "unknown_table", format!("there is no table '{name}'; check the spelling"))
            .field(name)
    })?;
    if request.id.is_some_and(|id| id.contains('\0')) {
        return Err(QueryError::bad("nul_byte", "the id holds a NUL byte; remove it"));
    }
    allowed(table, request)?;
    let singular = media::wants_object(request.accept)?;
    let preferences = Preferences::parse(request.prefer)?;
    let pairs = request::pairs(request.query.unwrap_or_default(), limits)?;
    let parsed = request::parse(&pairs, limits, table.name(), |name| table.column(case, name).is_some())?;
    let context = Context { catalog, case, limits };
    let mut planning = Planning {
        context,
        table,
        request,
        preferences,
        singular,
        parsed: &parsed,
        writer: Writer::new(schema),
    };
    let response = match request.method {
        Method::Get | Method::Head => planning.read()?,
        Method::Post => planning.insert()?,
        Method::Put => planning.put()?,
        Method::Patch => planning.update()?,
        Method::Delete => planning.delete()?,
    };
    let (sql, params) = planning.writer.finish()?;
    Ok(Planned { statement: Statement { sql, params }, response })
}

fn allowed(table: &Table, request: &HttpRequest<'_>) -> Result<(), QueryError> {
    let (allowed, what) = match request.method {
        Method::Get | Method::Head => (true, ""),
        Method::Post if request.id.is_some() => {
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
    request: &'p HttpRequest<'p>,
    preferences: Preferences,
    singular: bool,
    parsed: &'p Parsed<'p>,
    writer: Writer,
}

impl<'p> Planning<'p> {
    fn read(&mut self) -> Result<ResponseShape, QueryError> {
        let root = &self.parsed.root;
        let by_id = self.request.id.is_some();
        if by_id {
            self.refuse_window("one row by its id")?;
        }
        let header = self.request.range.filter(|_| !by_id);
        let mut window = range::window(header, root.limit, root.offset)?;
        let max_rows = self.context.limits.max_rows;
        window.limit = Some(window.limit.map_or(max_rows, |limit| limit.min(max_rows)));
        let count = self.preferences.count.is_some() && !by_id;
        let body = self.request.method == Method::Get;
        let read = Read { id: self.request.id, window, single: by_id || self.singular, body, count };
        read::read(&mut self.writer, self.context, self.table, root, &read)?;
        let mut shape = self.shape(self.preferences.count.filter(|_| count));
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
        let body = self.body()?;
        let resolution = self.preferences.resolution;
        let one = !body.is_array || body.rows() == 1;
        let has_key = self.table.primary_key().next().is_some();
        let answer = Answer {
            body: match self.preferences.returning {
                Some(Return::Representation) => written::Body::Rows,
                Some(Return::HeadersOnly) if one && has_key => written::Body::Key,
                _ => written::Body::None,
            },
            single: self.singular,
            must_affect_one: self.singular,
            count_inserted: resolution == Some(Resolution::MergeDuplicates) && self.has_xmax(),
        };
        if body.sets.is_empty() && !self.singular {
            written::nothing(&mut self.writer, answer);
        } else if body.sets.is_empty() {
            return Err(ResponseShape::not_singular(0));
        } else {
            let insert = Insert {
                body: &body,
                columns: self.parsed.columns.as_deref(),
                missing_default: self.preferences.missing_default == Some(true),
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
        let missing = self
            .preferences
            .missing_default
            .map(|default| if default { "missing=default" } else { "missing=null" });
        shape.preference_applied.extend(resolved.into_iter().chain(missing).map(str::to_owned));
        Ok(shape)
    }

    fn put(&mut self) -> Result<ResponseShape, QueryError> {
        self.refuse_window("PUT")?;
        let key = self.key_of_url()?;
        let body = self.body()?;
        update::change(&body, None)?;
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
        if let Some(id) = self.request.id {
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
        QueryError::bad(
            "bad_filter",
            "PUT names one row: use /table/id, or an eq filter on each column of the primary key and nothing else",
        )
    }

    fn update(&mut self) -> Result<ResponseShape, QueryError> {
        self.require_filter("update")?;
        self.refuse_window("an update")?;
        let body = self.body()?;
        let change = update::change(&body, self.parsed.columns.as_deref())?;
        let root = &self.parsed.root;
        let answer = self.answer(self.singular && self.request.id.is_none(), false);
        if !change.is_empty() {
            update::update(
                &mut self.writer,
                self.context,
                self.table,
                root,
                &change,
                self.request.id,
                answer,
            )?;
        } else if self.request.id.is_some() {
            // Nothing to change: the row as it is, or 404.
            let window = range::Window { offset: 0, limit: None };
            let body = answer.body == written::Body::Rows;
            let read = Read { id: self.request.id, window, single: true, body, count: false };
            read::read(&mut self.writer, self.context, self.table, root, &read)?;
        } else if answer.must_affect_one {
            return Err(ResponseShape::not_singular(0));
        } else {
            written::nothing(&mut self.writer, answer);
        }
        Ok(self.write_shape(answer))
    }

    fn delete(&mut self) -> Result<ResponseShape, QueryError> {
        self.require_filter("delete")?;
        self.refuse_window("a delete")?;
        let answer = self.answer(self.singular && self.request.id.is_none(), false);
        delete::delete(
            &mut self.writer,
            self.context,
            self.table,
            &self.parsed.root,
            self.request.id,
            answer,
        )?;
        Ok(self.write_shape(answer))
    }

    fn body(&self) -> Result<Body<'p>, QueryError> {
        media::check_body_type(self.request.content_type)?;
        Body::parse(self.request.body, self.context.limits)
    }

    fn answer(&self, must_affect_one: bool, count_inserted: bool) -> Answer {
        let body = match self.preferences.returning {
            Some(Return::Representation) => written::Body::Rows,
            _ => written::Body::None,
        };
        Answer { body, single: self.singular || self.request.id.is_some(), must_affect_one, count_inserted }
    }

    /// Only plain tables tell by `xmax` whether a row was inserted or updated.
    fn has_xmax(&self) -> bool {
        self.table.kind() == crate::catalog::TableKind::Table
    }

    fn require_filter(&self, what: &str) -> Result<(), QueryError> {
        if self.request.id.is_some() || !self.parsed.root.filters.is_empty() {
            return Ok(());
        }
        let detail = format!("without a filter this would {what} every row; add one, as in ?id=eq.1");
        Err(QueryError::bad("filter_required", detail))
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

    fn write_shape(&self, answer: Answer) -> ResponseShape {
        let mut shape = self.shape(self.preferences.count);
        shape.returns_body = answer.body == written::Body::Rows;
        shape.has_location = answer.body == written::Body::Key;
        shape.must_affect_one = answer.must_affect_one;
        let returning = self.preferences.returning.map(|returning| match returning {
            Return::Minimal => "return=minimal",
            Return::HeadersOnly => "return=headers-only",
            Return::Representation => "return=representation",
        });
        shape.preference_applied.splice(0..0, returning.map(str::to_owned));
        shape
    }

    fn shape(&self, count: Option<&'static str>) -> ResponseShape {
        let handling =
            self.preferences.strict.map(|strict| if strict { "handling=strict" } else { "handling=lenient" });
        ResponseShape {
            method: self.request.method,
            by_id: self.request.id.is_some(),
            singular: self.singular,
            returns_body: false,
            count_exact: count.is_some(),
            offset: 0,
            limit: None,
            must_affect_one: false,
            has_location: false,
            preference_applied: count.into_iter().chain(handling).map(str::to_owned).collect(),
            merges: false,
            table: self.table.name().to_owned(),
            key: self
                .table
                .primary_key()
                .map(|column| column.json_name(self.context.case).to_owned())
                .collect(),
        }
    }
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
