//! One table's place in a statement: its alias, its rows, and what is embedded in it.

use tenantry_domain::permission::Verb;

use super::{
    Context, condition,
    embed::{self, Embedded},
    writer::{Alias, Fragment, Writer},
};
use crate::{
    catalog::Table,
    error::QueryError,
    request::{
        filter::Condition,
        select::{Item, Level},
    },
};

pub(crate) struct Scope<'c, 'q> {
    pub(crate) table: &'c Table,
    pub(crate) alias: Alias,
    pub(crate) level: &'q Level<'q>,
    pub(crate) embeds: Vec<Embedded<'c, 'q>>,
    /// ` FROM ... WHERE ...`, written wherever these rows are needed: the page, a count, an EXISTS.
    pub(crate) from_where: Fragment,
}

/// Where the rows of the root come from.
pub(crate) enum Source<'a> {
    /// The table, filtered by the query and, in `/{table}/{id}`, by the key.
    Table { id: Option<&'a str> },
    /// The rows that a write returned, already filtered.
    Written,
    /// The rows that a function answered.
    Called,
}

impl<'c, 'q> Scope<'c, 'q> {
    pub(crate) fn root(
        w: &mut Writer,
        context: Context<'c>,
        table: &'c Table,
        level: &'q Level<'q>,
        source: &Source<'_>,
    ) -> Result<Self, QueryError> {
        let alias = if matches!(source, Source::Table { .. }) { w.alias() } else { w.alias_of_kept() };
        let embeds = embeds(w, context, table, alias, level)?;
        let from_where = w.capture(|w| {
            let subject = condition::Subject { table, case: context.case, alias, embeds: &embeds };
            match source {
                Source::Table { id } => {
                    w.uses(Verb::Select, table.name());
                    w.raw(" FROM ").table(table).raw(" AS ").table_alias(alias);
                    filtered(w, subject, *id, &level.filters, " WHERE ")
                }
                Source::Written => {
                    w.raw(" FROM written AS ").table_alias(alias);
                    filtered(w, subject, None, &[], " WHERE ")
                }
                Source::Called => {
                    w.raw(" FROM called AS ").table_alias(alias);
                    filtered(w, subject, None, &level.filters, " WHERE ")
                }
            }
        })?;
        Ok(Self { table, alias, level, embeds, from_where })
    }

    pub(super) fn embedded(
        w: &mut Writer,
        context: Context<'c>,
        table: &'c Table,
        level: &'q Level<'q>,
        join: impl FnOnce(&mut Writer, Alias),
    ) -> Result<Self, QueryError> {
        let alias = w.alias();
        let embeds = embeds(w, context, table, alias, level)?;
        let from_where = w.capture(|w| {
            join(w, alias);
            let subject = condition::Subject { table, case: context.case, alias, embeds: &embeds };
            filtered(w, subject, None, &level.filters, " AND ")
        })?;
        Ok(Self { table, alias, level, embeds, from_where })
    }
}

fn embeds<'c, 'q>(
    w: &mut Writer,
    context: Context<'c>,
    table: &'c Table,
    alias: Alias,
    level: &'q Level<'q>,
) -> Result<Vec<Embedded<'c, 'q>>, QueryError> {
    let embeds = level.items.iter().filter_map(|item| match item {
        Item::Embed(embed) => Some(&**embed),
        _ => None,
    });
    embeds.map(|embed| embed::prepare(w, context, table, alias, embed)).collect()
}

/// The key, the filters and the inner embeddings, each after the word that joins it to what stands before.
fn filtered(
    w: &mut Writer,
    subject: condition::Subject<'_, '_, '_>,
    id: Option<&str>,
    filters: &[Condition<'_>],
    first: &'static str,
) -> Result<(), QueryError> {
    let mut word = first;
    if let Some(id) = id {
        w.raw(word);
        word = " AND ";
        by_id(w, subject, id)?;
    }
    if !filters.is_empty() {
        w.raw(word);
        word = " AND ";
        condition::all(w, subject, filters)?;
    }
    for embedded in subject.embeds.iter().filter(|embedded| embedded.embed.inner) {
        w.raw(word).raw("EXISTS (SELECT 1").replay(&embedded.scope.from_where).raw(")");
        word = " AND ";
    }
    Ok(())
}

/// A write's `WHERE`.
pub(super) fn where_of_write(
    w: &mut Writer,
    context: Context<'_>,
    table: &Table,
    alias: Alias,
    id: Option<&str>,
    filters: &[Condition<'_>],
) -> Result<(), QueryError> {
    let subject = condition::Subject { table, case: context.case, alias, embeds: &[] };
    filtered(w, subject, id, filters, " WHERE ")
}

fn by_id(w: &mut Writer, subject: condition::Subject<'_, '_, '_>, id: &str) -> Result<(), QueryError> {
    let column = id_column(subject.table)?;
    w.column(subject.alias, &column.name).raw(" = ").bind_as(id, &column.base);
    Ok(())
}

/// What `/{table}/{id}` means.
pub(crate) fn id_column(table: &Table) -> Result<&crate::catalog::Column, QueryError> {
    table.id_column().ok_or_else(|| {
        let detail = format!(
            "'{}' has no primary key of one column, so no path by id; filter with ?column=eq.value",
            table.name()
        );
        QueryError::bad("no_single_key", detail)
    })
}
