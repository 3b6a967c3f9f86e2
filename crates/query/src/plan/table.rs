//! `/{table}` and `/{table}/{id}`: what each method does with the rows.

use std::borrow::Cow;

use tenantry_domain::permission::Verb;

use super::{Asked, Planned, is_one_column, json_body, own_media_types, shape, window};
use crate::{
    catalog::{Column, Table, TableKind},
    error::{QueryError, excerpt},
    render::{
        Context, delete,
        insert::{self, Insert},
        read::{self, Bound, Made, Read},
        scope::{self, Source},
        update,
        writer::Writer,
        written::{self, Answer},
    },
    request::{
        self, HttpRequest, Method, Parsed,
        body::Body,
        filter::Condition,
        media::Format,
        prefer::{Preferences, Resolution, Return},
        range,
    },
    response::ResponseShape,
};

pub(super) fn plan(asked: &Asked<'_>, schema: &str, name: &str) -> Result<Planned, QueryError> {
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
        body: json_body(request, limits.max_body_rows + 1, limits)?,
        writer: Writer::new(schema),
    };
    let response = match request.method {
        Method::Get | Method::Head => planning.read()?,
        Method::Post => planning.insert()?,
        Method::Put => planning.put()?,
        Method::Patch => planning.update()?,
        Method::Delete => planning.delete()?,
    };
    for verb in verbs(&response) {
        planning.writer.uses(*verb, table.name());
    }
    asked.planned(planning.writer, response, !matches!(request.method, Method::Get | Method::Head))
}

/// What is done with the table besides what its rows are read for. Rows that are chosen or answered are read.
fn verbs(response: &ResponseShape) -> &'static [Verb] {
    let answers = response.returns_body || response.has_location;
    match (response.method, response.merges) {
        (Method::Get | Method::Head, _) => &[],
        (Method::Post, true) if answers => &[Verb::Insert, Verb::Update, Verb::Select],
        (Method::Post, true) => &[Verb::Insert, Verb::Update],
        (Method::Post, false) if answers => &[Verb::Insert, Verb::Select],
        (Method::Post, false) => &[Verb::Insert],
        (Method::Put, _) => &[Verb::Insert, Verb::Update, Verb::Select],
        (Method::Patch, _) => &[Verb::Update, Verb::Select],
        (Method::Delete, _) => &[Verb::Delete, Verb::Select],
    }
}

fn allowed(table: &Table, request: &HttpRequest<'_>) -> Result<(), QueryError> {
    if request.method == Method::Post && request.target.id().is_some() {
        let detail = "POST goes to the table, not to a row; use PATCH or PUT on a row";
        return Err(QueryError::new(405, "method_not_allowed", detail));
    }
    if table.takes(request.method) {
        return Ok(());
    }
    let what = match request.method {
        Method::Get | Method::Head => "read",
        Method::Post => "insert into",
        Method::Put => "insert into and update",
        Method::Patch => "update",
        Method::Delete => "delete from",
    };
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
        let made = read::read(&mut self.writer, self.context, self.table, root, &read)?;
        let mut shape = self.shape(self.preferences().count.filter(|_| count));
        shape.hexadecimal = made.bytes;
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
        let made = if body.sets.is_empty() && !self.singular() {
            written::nothing(&mut self.writer, answer)
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
            insert::insert(&mut self.writer, self.context, self.table, &self.parsed.root, &insert, answer)?
        };
        let mut shape = self.write_shape(answer, &made);
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
        let made =
            insert::insert(&mut self.writer, self.context, self.table, &self.parsed.root, &insert, answer)?;
        Ok(self.write_shape(answer, &made))
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
        let made = if !change.is_empty() {
            update::update(&mut self.writer, self.context, self.table, root, &change, id, answer)?
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
            read::read(&mut self.writer, self.context, self.table, root, &read)?
        } else if must_affect_one {
            return Err(ResponseShape::not_singular(0));
        } else {
            written::nothing(&mut self.writer, answer)
        };
        Ok(self.write_shape(answer, &made))
    }

    fn delete(&mut self) -> Result<ResponseShape, QueryError> {
        self.require_filter("delete")?;
        self.refuse_window("a delete")?;
        let answer = self.answer(self.singular() && self.id().is_none(), false);
        let (root, id) = (&self.parsed.root, self.id());
        let made = delete::delete(&mut self.writer, self.context, self.table, root, id, answer)?;
        Ok(self.write_shape(answer, &made))
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

    fn write_shape(&self, answer: Answer<'_>, made: &Made) -> ResponseShape {
        let preferences = self.preferences();
        let mut shape = self.shape(preferences.count);
        shape.returns_body = answer.body == written::Body::Rows;
        shape.hexadecimal = made.bytes;
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
