//! By what groups of rows are ordered.

use super::{
    Context,
    scope::Scope,
    value::{Output, Value},
};
use crate::{error::QueryError, request::order::OrderTerm};

/// What a term of the order is among the columns of a group.
pub(super) struct GroupOrder<'q> {
    pub(super) term: &'q OrderTerm<'q>,
    /// The output that it names; none: a column of its own.
    pub(super) output: Option<usize>,
}

/// By what groups are ordered.
pub(super) fn group_order<'c, 'q>(
    context: Context<'c>,
    scope: &Scope<'c, 'q>,
    outputs: &[Output<'_, 'c, 'q>],
) -> Result<Vec<GroupOrder<'q>>, QueryError> {
    let mut order = Vec::new();
    for term in &scope.level.order {
        if term.embed.is_some() {
            order.push(GroupOrder { term, output: None });
            continue;
        }
        let name = &term.field.name;
        let column = scope
            .table
            .column(context.case, name)
            .ok_or_else(|| QueryError::unknown_column(scope.table.name(), name))?;
        let output = outputs.iter().position(|output| match &output.value {
            Value::Field { column: own, path, cast: None, alias } => {
                *alias == scope.alias && own.name == column.name && **path == *term.field.path
            }
            _ => false,
        });
        if output.is_none() {
            let detail = format!(
                "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function; select it",
                column.name()
            );
            return Err(QueryError::bad("ungrouped_column", detail).field(name));
        }
        order.push(GroupOrder { term, output });
    }
    Ok(order)
}
