//! What a tenant's schema holds. The only source of identifiers for the renderer: a [`Name`] can be made nowhere else.

mod relationships;
mod wire;

use std::collections::HashMap;

pub use relationships::{Relationship, RelationshipKind};

use crate::json_case::{JsonCase, camel};

/// Tables, columns and relationships of one app version's schema.
///
/// Names of the schema itself are not in it, so one catalog serves every tenant on the same version.
#[derive(Debug)]
pub struct Catalog {
    tables: Vec<Table>,
    by_name: HashMap<String, usize>,
    by_alias: HashMap<String, usize>,
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
pub(crate) struct TypeName {
    /// In the tenant's schema: the renderer puts that schema in front.
    pub(crate) own: bool,
    pub(crate) sql: Box<str>,
    pub(crate) family: Family,
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

/// A column.
#[derive(Debug)]
pub struct Column {
    pub(crate) name: Name,
    pub(crate) camel: Name,
    /// As declared, without type modifier.
    pub(crate) ty: TypeName,
    /// A domain's underlying type: filtering by a value outside the domain finds nothing instead of failing.
    pub(crate) base: TypeName,
    full_type: String,
    nullable: bool,
    has_default: bool,
    generated: bool,
}

impl Column {
    /// The column's name in the database.
    pub fn name(&self) -> &str {
        self.name.plain()
    }

    /// The column's name in JSON.
    pub fn json_name(&self, case: JsonCase) -> &str {
        self.key(case).plain()
    }

    /// The type with its modifier, as `format_type` prints it, for documentation.
    pub fn full_type(&self) -> &str {
        &self.full_type
    }

    /// Whether it may be null.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// Whether an insert may leave it out.
    pub fn has_default(&self) -> bool {
        self.has_default
    }

    /// Whether the database refuses a value for it (generated, or identity always).
    pub fn generated(&self) -> bool {
        self.generated
    }

    pub(crate) fn key(&self, case: JsonCase) -> &Name {
        match case {
            JsonCase::Snake => &self.name,
            JsonCase::Camel => &self.camel,
        }
    }
}

/// What kind of relation a [`Table`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A plain table.
    Table,
    /// A partitioned table; its partitions are not listed.
    Partitioned,
    /// A view.
    View,
    /// A materialized view: read only.
    MaterializedView,
}

/// A table or view.
#[derive(Debug)]
pub struct Table {
    pub(crate) name: Name,
    pub(crate) camel: Name,
    pub(crate) kebab: Name,
    kind: TableKind,
    insertable: bool,
    updatable: bool,
    deletable: bool,
    columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    by_camel: HashMap<String, usize>,
    primary_key: Vec<usize>,
    uniques: Vec<Vec<usize>>,
    pub(crate) relationships: Vec<Relationship>,
}

impl Table {
    /// The table's name.
    pub fn name(&self) -> &str {
        self.name.plain()
    }

    /// What it is.
    pub fn kind(&self) -> TableKind {
        self.kind
    }

    /// Whether rows can be inserted.
    pub fn insertable(&self) -> bool {
        self.insertable
    }

    /// Whether rows can be updated.
    pub fn updatable(&self) -> bool {
        self.updatable
    }

    /// Whether rows can be deleted.
    pub fn deletable(&self) -> bool {
        self.deletable
    }

    /// The columns in the table's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The primary key's columns, in the key's order; none for views.
    pub fn primary_key(&self) -> impl Iterator<Item = &Column> {
        self.primary_key.iter().map(|at| &self.columns[*at])
    }

    /// What can be embedded.
    pub fn relationships(&self) -> &[Relationship] {
        &self.relationships
    }

    /// The key's one column, when it has exactly one: what `/{table}/{id}` filters on.
    pub fn id_column(&self) -> Option<&Column> {
        match self.primary_key.as_slice() {
            [at] => Some(&self.columns[*at]),
            _ => None,
        }
    }

    /// A column by the name that a client used.
    pub fn column(&self, case: JsonCase, name: &str) -> Option<&Column> {
        self.column_index(case, name).map(|at| &self.columns[at])
    }

    pub(crate) fn column_index(&self, case: JsonCase, name: &str) -> Option<usize> {
        match case {
            JsonCase::Snake => self.by_name.get(name),
            JsonCase::Camel => self.by_camel.get(name).or_else(|| self.by_name.get(name)),
        }
        .copied()
    }
}

impl Catalog {
    /// One statement with one text parameter, the schema's name; answers one row of one text column, the catalog as JSON.
    pub const INTROSPECTION_SQL: &'static str = include_str!("catalog/introspect.sql");

    /// Reads the answer of [`Self::INTROSPECTION_SQL`].
    pub fn from_json(json: &str) -> Result<Self, CatalogError> {
        wire::read(json)
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
