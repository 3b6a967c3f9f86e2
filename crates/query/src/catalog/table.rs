//! Tables and views, and their columns.

use std::collections::HashMap;

use super::{Name, Relationship, TypeName};
use crate::{json_case::JsonCase, request::Method};

/// A column, or a function of the row that is used like one.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one property of a column in PostgreSQL's catalog")]
pub struct Column {
    pub(crate) name: Name,
    pub(crate) camel: Name,
    /// As declared, without type modifier.
    pub(crate) ty: TypeName,
    /// A domain's underlying type: filtering by a value outside the domain finds nothing instead of failing.
    pub(crate) base: TypeName,
    /// A function of the row computes it; it has the column's name.
    pub(crate) computed: bool,
    pub(super) full_type: String,
    pub(super) nullable: bool,
    pub(super) has_default: bool,
    pub(super) generated: bool,
    pub(super) comment: Option<String>,
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

    /// Its type, a domain's being the one underneath.
    pub fn base_type(&self) -> &TypeName {
        &self.base
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

    /// What `COMMENT ON COLUMN` says.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
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
    /// What a function returns that returns no table's rows.
    Result,
}

/// A table or view, or the columns that a function returns.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one property of a table in PostgreSQL's catalog")]
pub struct Table {
    pub(crate) name: Name,
    pub(crate) camel: Name,
    pub(crate) kebab: Name,
    pub(super) kind: TableKind,
    /// Other tables inherit from it, so that a key may be in it several times.
    pub(crate) has_children: bool,
    pub(super) insertable: bool,
    pub(super) updatable: bool,
    pub(super) deletable: bool,
    pub(super) columns: Vec<Column>,
    pub(super) by_name: HashMap<String, usize>,
    pub(super) by_camel: HashMap<String, usize>,
    pub(super) primary_key: Vec<usize>,
    pub(super) uniques: Vec<Vec<usize>>,
    pub(super) computed: Vec<Column>,
    pub(super) comment: Option<String>,
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

    /// Whether its rows can be read, or written in this way.
    pub fn takes(&self, method: Method) -> bool {
        match method {
            Method::Get | Method::Head => true,
            Method::Post => self.insertable,
            Method::Put => self.insertable && self.updatable,
            Method::Patch => self.updatable,
            Method::Delete => self.deletable,
        }
    }

    /// The columns in the table's order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Functions of its rows that are used like columns, where they are named.
    pub fn computed_columns(&self) -> &[Column] {
        &self.computed
    }

    /// The primary key's columns, in the key's order; of a view those of the table that it shows, if it has them all.
    pub fn primary_key(&self) -> impl Iterator<Item = &Column> {
        self.primary_key.iter().map(|at| &self.columns[*at])
    }

    /// What can be embedded.
    pub fn relationships(&self) -> &[Relationship] {
        &self.relationships
    }

    /// What `COMMENT ON TABLE` says.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The key's one column, when it has exactly one: what `/{table}/{id}` filters on.
    pub fn id_column(&self) -> Option<&Column> {
        match self.primary_key.as_slice() {
            [at] => Some(&self.columns[*at]),
            _ => None,
        }
    }

    /// A column by the name that a client used, a computed one included.
    pub fn column(&self, case: JsonCase, name: &str) -> Option<&Column> {
        match self.column_index(case, name) {
            Some(at) => Some(&self.columns[at]),
            None => self.computed.iter().find(|column| {
                column.name.plain() == name || (case == JsonCase::Camel && column.camel.plain() == name)
            }),
        }
    }

    pub(crate) fn column_index(&self, case: JsonCase, name: &str) -> Option<usize> {
        match case {
            JsonCase::Snake => self.by_name.get(name),
            JsonCase::Camel => self.by_camel.get(name).or_else(|| self.by_name.get(name)),
        }
        .copied()
    }
}
