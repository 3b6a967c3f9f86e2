//! DELETE.

use super::{
    Context,
    read::Made,
    scope,
    writer::Writer,
    written::{self, Answer},
};
use crate::{catalog::Table, error::QueryError, request::select::Level};

pub(crate) fn delete(
    w: &mut Writer,
    context: Context<'_>,
    table: &Table,
    level: &Level<'_>,
    id: Option<&str>,
    answer: Answer<'_>,
) -> Result<Made, QueryError> {
    let alias = w.alias();
    w.raw("WITH written AS (DELETE FROM ").table(table).raw(" AS ").table_alias(alias);
    scope::where_of_write(w, context, table, alias, id, &level.filters)?;
    written::returning(w, table, alias, answer);
    w.raw(") ");
    written::answer(w, context, table, level, answer)
}
