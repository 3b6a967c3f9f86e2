//! What is known of the tenants beside the file.

use std::collections::BTreeMap;

use tenantry_domain::app::Migration;

use crate::{schema::Schema, statement::Statement};

/// Rows of a table that are rewritten, or read for a constraint or an index, within some tens of milliseconds.
const FEW_ROWS: u64 = 10_000;

/// The oldest version of PostgreSQL that servers may have.
const OLDEST_POSTGRES: u32 = 15;

/// A column that a view uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewColumn<'a> {
    /// The view.
    pub view: &'a str,
    /// The table.
    pub table: &'a str,
    /// Its column.
    pub column: &'a str,
}

/// What is known of the tenants' tables and servers. Nothing need be: what is not known may be anything.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// The rows of a table in the largest tenant, estimated.
    pub rows: BTreeMap<&'a str, u64>,
    /// Which views use which columns.
    pub views: Vec<ViewColumn<'a>>,
    /// The lowest major version of PostgreSQL among the servers.
    pub postgres: u32,
    pub(crate) schema: Schema,
}

impl Known<'_> {
    /// Nothing is.
    pub fn nothing() -> Self {
        Self {
            rows: BTreeMap::new(),
            views: Vec::new(),
            postgres: OLDEST_POSTGRES,
            schema: Schema::default(),
        }
    }

    /// Tenants have these versions, and all that they make.
    #[must_use]
    pub fn after<'m>(mut self, versions: impl IntoIterator<Item = &'m Migration, IntoIter: Send>) -> Self {
        let versions = versions.into_iter();
        let mut schema = std::mem::take(&mut self.schema);
        let learned = crate::deep_stack(move || {
            for migration in versions {
                crate::learn(&migration.up, &mut schema);
            }
            schema
        });
        self.schema = learned.unwrap_or_default();
        self.schema.forget_new();
        self
    }

    /// Whether what a statement is about is so small that what takes all its rows takes a moment.
    pub(crate) fn is_small(&self, relations: &[String]) -> bool {
        let is_small = |name: &String| self.rows.get(name.as_str()).is_some_and(|rows| *rows < FEW_ROWS);
        !relations.is_empty() && relations.iter().all(is_small)
    }

    /// The first view that uses a column of the table that a statement is about.
    pub(crate) fn view_of(&self, statement: &Statement, column: &str) -> Option<&str> {
        let uses = |used: &&ViewColumn<'_>| {
            used.column == column && statement.relations.iter().any(|table| table == used.table)
        };
        self.views.iter().find(uses).map(|used| used.view)
    }
}
