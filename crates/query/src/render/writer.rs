//! The statement under construction. The one place that writes identifiers and binds parameters.
//!
//! Nothing here takes a `&str` that is not `'static`, a catalog [`Name`] or bound: client text cannot reach the SQL.

use std::fmt::Write as _;

use tenantry_domain::permission::Verb;

use crate::{
    catalog::{Column, Name, Table, TypeName, quote},
    error::QueryError,
};

pub(crate) struct Writer {
    sql: String,
    params: Vec<Option<String>>,
    schema: String,
    aliases: u32,
    /// Something was left out because the statement grew too long.
    truncated: bool,
    uses: Vec<(Verb, Box<str>)>,
}

/// What a writer has written.
pub(crate) struct Written {
    pub(crate) sql: String,
    pub(crate) params: Vec<Option<String>>,
    /// What it does with which table, view or function.
    pub(crate) uses: Vec<(Verb, Box<str>)>,
}

/// The column of a CTE's rows that holds the table's row, for functions of it.
pub(crate) const KEPT_ROW: &str = "\"tenantry row\"";

/// Bytes of a statement. Fragments can be repeated inside fragments, so short requests could make endless ones.
const MAX_SQL: usize = 256 * 1024;
/// The protocol counts parameters in 16 bits.
const MAX_PARAMS: usize = 32_000;

/// SQL that a writer wrote, kept to be written again.
#[derive(Debug, Clone)]
pub(crate) struct Fragment(String);

/// A table's alias: `t0`, `t1`, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alias {
    number: u32,
    /// It stands for rows of a CTE, which keep the table's row in a column of its own.
    kept: bool,
}

/// A bound parameter that can be written more than once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter(usize);

impl Writer {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            sql: String::with_capacity(512),
            params: Vec::new(),
            schema: quote(schema),
            aliases: 0,
            truncated: false,
            uses: Vec::with_capacity(2),
        }
    }

    pub(crate) fn finish(self) -> Result<Written, QueryError> {
        if self.truncated || self.sql.len() > MAX_SQL || self.params.len() > MAX_PARAMS {
            return Err(QueryError::bad("too_complex", "the request makes too large a statement; split it"));
        }
        Ok(Written { sql: self.sql, params: self.params, uses: self.uses })
    }

    /// Notes what the statement does with a table, view or function.
    pub(crate) fn uses(&mut self, verb: Verb, resource: &str) {
        if !self.uses.iter().any(|(known, name)| *known == verb && **name == *resource) {
            self.uses.push((verb, resource.into()));
        }
    }

    pub(crate) fn alias(&mut self) -> Alias {
        self.aliases += 1;
        Alias { number: self.aliases - 1, kept: false }
    }

    /// Of rows that a write returned or a function answered.
    pub(crate) fn alias_of_kept(&mut self) -> Alias {
        Alias { kept: true, ..self.alias() }
    }

    pub(crate) fn raw(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    pub(crate) fn name(&mut self, name: &Name) -> &mut Self {
        self.sql.push_str(name.quoted());
        self
    }

    /// A catalog name as a text literal: a JSON key.
    pub(crate) fn literal(&mut self, name: &Name) -> &mut Self {
        // E'' so that a backslash in a name means itself whatever standard_conforming_strings says.
        self.sql.push_str(if name.plain().contains('\\') { "E'" } else { "'" });
        for c in name.plain().chars() {
            if matches!(c, '\'' | '\\') {
                self.sql.push(c);
            }
            self.sql.push(c);
        }
        self.sql.push('\'');
        self
    }

    pub(crate) fn table(&mut self, table: &Table) -> &mut Self {
        self.sql.push_str(&self.schema);
        self.sql.push('.');
        self.name(&table.name)
    }

    pub(crate) fn table_alias(&mut self, alias: Alias) -> &mut Self {
        write!(self.sql, "t{}", alias.number).expect("a String takes all text");
        self
    }

    /// The alias of the rows that a scope's select list makes.
    pub(crate) fn page_alias(&mut self, alias: Alias) -> &mut Self {
        write!(self.sql, "p{}", alias.number).expect("a String takes all text");
        self
    }

    /// The alias of the junction between a scope and its parent.
    pub(crate) fn junction_alias(&mut self, alias: Alias) -> &mut Self {
        write!(self.sql, "j{}", alias.number).expect("a String takes all text");
        self
    }

    pub(crate) fn column(&mut self, alias: Alias, name: &Name) -> &mut Self {
        self.table_alias(alias).raw(".").name(name)
    }

    /// A column's value, or what the function of its name makes of the row.
    pub(crate) fn value_of(&mut self, alias: Alias, column: &Column) -> &mut Self {
        if column.computed {
            self.uses(Verb::Execute, column.name.plain());
            self.function(&column.name).raw("(").row(alias).raw(")")
        } else {
            self.column(alias, &column.name)
        }
    }

    /// A function of the tenant's schema.
    pub(crate) fn function(&mut self, name: &Name) -> &mut Self {
        self.sql.push_str(&self.schema);
        self.sql.push('.');
        self.name(name)
    }

    /// The whole row, of its table's type.
    pub(crate) fn row(&mut self, alias: Alias) -> &mut Self {
        // alias.* is the row even where a column is called like the alias.
        self.table_alias(alias).raw(".").raw(if alias.kept { KEPT_ROW } else { "*" })
    }

    /// The whole row as one value.
    pub(crate) fn whole_row(&mut self, alias: Alias, table: &Table) -> &mut Self {
        if alias.kept {
            return self.row(alias);
        }
        self.raw("CAST(ROW(").row(alias).raw(") AS ").table(table).raw(")")
    }

    /// The name of the nth column of rows whose columns have no names of their own.
    pub(crate) fn nth(&mut self, number: usize) -> &mut Self {
        write!(self.sql, "c{number}").expect("a String takes all text");
        self
    }

    /// A number of ours, e.g. of a column in `GROUP BY`.
    pub(crate) fn number(&mut self, number: usize) -> &mut Self {
        write!(self.sql, "{number}").expect("a String takes all text");
        self
    }

    pub(crate) fn type_name(&mut self, ty: &TypeName) -> &mut Self {
        if ty.own {
            self.sql.push_str(&self.schema);
            self.sql.push('.');
        }
        self.sql.push_str(&ty.sql);
        self
    }

    pub(crate) fn parameter(&mut self, value: impl Into<String>) -> Parameter {
        self.params.push(Some(value.into()));
        Parameter(self.params.len())
    }

    pub(crate) fn placeholder(&mut self, parameter: Parameter) -> &mut Self {
        write!(self.sql, "${}", parameter.0).expect("a String takes all text");
        self
    }

    /// A text value.
    pub(crate) fn bind(&mut self, value: impl Into<String>) -> &mut Self {
        let parameter = self.parameter(value);
        self.placeholder(parameter)
    }

    /// A value of a catalog type.
    pub(crate) fn bind_as(&mut self, value: impl Into<String>, ty: &TypeName) -> &mut Self {
        self.raw("CAST(").bind(value).raw(" AS ").type_name(ty).raw(")")
    }

    /// A value of a built-in type.
    pub(crate) fn bind_cast(&mut self, value: impl Into<String>, ty: &'static str) -> &mut Self {
        self.raw("CAST(").bind(value).raw(" AS ").raw(ty).raw(")")
    }

    /// What `write` writes, kept instead of written.
    pub(crate) fn capture<E>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<Fragment, E> {
        let start = self.sql.len();
        write(self)?;
        Ok(Fragment(self.sql.split_off(start)))
    }

    pub(crate) fn replay(&mut self, fragment: &Fragment) -> &mut Self {
        if self.sql.len() + fragment.0.len() > MAX_SQL {
            self.truncated = true;
        } else {
            self.sql.push_str(&fragment.0);
        }
        self
    }
}
