//! What a tenant's schema holds. The only source of identifiers for the renderer: a [`Name`] can be made nowhere else.

mod function;
mod relationships;
mod table;
mod view;
mod wire;

use std::collections::HashMap;

pub(crate) use function::Returns;
pub use function::{Argument, Function, Volatility};
pub use relationships::{Relationship, RelationshipKind};
pub use table::{Column, Table, TableKind};
pub use wire::Introspection;

use crate::json_case::{JsonCase, camel};

/// Tables, columns, relationships and functions of one app version's schema.
///
/// Names of the schema itself are not in it, so one catalog serves every tenant on the same version.
#[derive(Debug)]
pub struct Catalog {
    tables: Vec<Table>,
    by_name: HashMap<String, usize>,
    by_alias: HashMap<String, usize>,
    functions: Vec<Function>,
    handlers: Vec<Handler>,
}

/// An aggregate that makes an answer of a media type of a table's rows.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) aggregate: Name,
    pub(crate) media: Box<str>,
    /// It makes bytes.
    pub(crate) bytes: bool,
    /// Of which table, by its place; none: of any.
    table: Option<usize>,
}

/// The functions that write a domain's values as JSON and read them from it, or from a filter's text.
#[derive(Debug, Clone)]
pub(crate) struct Casts {
    pub(crate) to_json: Option<Name>,
    pub(crate) from_json: Option<Name>,
    pub(crate) from_text: Option<Name>,
}

/// The introspection's answer could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not the JSON that [`Catalog::INTROSPECTION_SQL`] answers.
    #[error("the catalog is not the JSON that the introspection answers")]
    Json(#[from] serde_json::Error),
    /// A key names a column that its table does not list.
    #[error("the catalog names column {column} of {table}, which is not listed")]
    UnlistedColumn {
        /// The table.
        table: String,
        /// The missing column.
        column: String,
    },
}

/// An identifier from the catalog, with its quoted form made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    plain: Box<str>,
    quoted: Box<str>,
}

impl Name {
    fn new(plain: &str) -> Self {
        Self { plain: plain.into(), quoted: quote(plain).into() }
    }

    pub(crate) fn plain(&self) -> &str {
        &self.plain
    }

    pub(crate) fn quoted(&self) -> &str {
        &self.quoted
    }
}

/// The one place that quotes identifiers.
pub(crate) fn quote(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 2);
    out.push('"');
    for c in plain.chars() {
        if c == '"' {
            out.push('"');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A type as a cast spells it.
#[derive(Debug, Clone)]
pub struct TypeName {
    /// In the tenant's schema: the renderer puts that schema in front.
    pub(crate) own: bool,
    pub(crate) sql: Box<str>,
    pub(crate) family: Family,
    /// Its name in `pg_type`.
    pub(crate) name: Box<str>,
    /// `bytea`, or a domain over it.
    pub(crate) bytes: bool,
    /// A domain's own, where it has some.
    pub(crate) casts: Option<Box<Casts>>,
    labels: Option<Box<[String]>>,
}

impl TypeName {
    /// Its name in `pg_type`, e.g. `int4`; an array's begins with `_`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is an array.
    pub fn is_array(&self) -> bool {
        self.family == Family::Array
    }

    /// The values of an enum.
    pub fn labels(&self) -> Option<&[String]> {
        self.labels.as_deref()
    }

    /// A domain that is called like a media type: what has this type is an answer of that media type.
    pub(crate) fn media_type(&self) -> Option<&str> {
        (self.own && self.name.contains('/')).then_some(&*self.name)
    }
}

/// What the renderer must know of a type to choose operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Json,
    Jsonb,
    TsVector,
    Array,
    Other,
}

impl Catalog {
    /// One statement with one text parameter, the schema's name; answers one row of one text column, the catalog as JSON.
    pub const INTROSPECTION_SQL: &'static str = include_str!("catalog/introspect.sql");

    /// Reads the answer of [`Self::INTROSPECTION_SQL`].
    pub fn from_json(json: &str) -> Result<Self, CatalogError> {
        Introspection::read(json)?.catalog(&[])
    }

    /// A table by its exact name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.by_name.get(name).map(|at| &self.tables[*at])
    }

    /// All tables, in the order of their names.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter()
    }

    /// A table by the name that a client used: in camel case also `contactTags` and `contact-tags`.
    pub fn table_for(&self, case: JsonCase, name: &str) -> Option<&Table> {
        self.table(name).or_else(|| match case {
            JsonCase::Snake => None,
            JsonCase::Camel => self.by_alias.get(name).map(|at| &self.tables[*at]),
        })
    }

    /// All functions that can be called, in the order of their names.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter()
    }

    /// The functions of a name: several, where it is overloaded.
    pub fn functions_for(&self, case: JsonCase, name: &str) -> Vec<&Function> {
        let is = |function: &&Function| {
            function.name() == name || (case == JsonCase::Camel && camel(function.name()) == name)
        };
        self.functions.iter().filter(is).collect()
    }

    /// The aggregates that make media types of a table's rows.
    pub(crate) fn handlers_of(&self, table: &Table) -> impl Iterator<Item = &Handler> {
        let at = self.by_name.get(table.name()).copied().filter(|_| table.kind() != TableKind::Result);
        let fits = move |handler: &&Handler| handler.table.is_none() || handler.table == at;
        self.handlers.iter().filter(move |handler| at.is_some() && fits(handler))
    }

    pub(crate) fn table_at(&self, at: usize) -> &Table {
        &self.tables[at]
    }
}

/// The camelCase names of all columns; where two would share one, those that are not spelt so already keep their own.
fn camel_names(names: &[&str]) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for name in names {
        *counts.entry(camel(name)).or_default() += 1;
    }
    names
        .iter()
        .map(|name| {
            let camel = camel(name);
            if counts[&camel] > 1 { (*name).to_owned() } else { camel }
        })
        .collect()
}
