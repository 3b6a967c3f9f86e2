//! `order=created_at.desc.nullslast,contact(name)`.

use std::borrow::Cow;

use super::{
    cursor::Cursor,
    select::{self, Budget, Field},
};
use crate::error::QueryError;

#[derive(Debug)]
pub(crate) struct OrderTerm<'a> {
    /// The embedding whose column it is; `None` for the table itself.
    pub(crate) embed: Option<Cow<'a, str>>,
    pub(crate) field: Field<'a>,
    pub(crate) descending: bool,
    pub(crate) nulls_first: Option<bool>,
}

pub(super) fn parse<'a>(text: &'a str, budget: &mut Budget) -> Result<Vec<OrderTerm<'a>>, QueryError> {
    let mut cursor = Cursor::new(text, "bad_order");
    let mut terms = Vec::new();
    loop {
        Budget::spend(&mut budget.items, "entries in select and order")?;
        terms.push(term(&mut cursor)?);
        cursor.spaces();
        if !cursor.eat(",") {
            break;
        }
    }
    if cursor.at_end() {
        Ok(terms)
    } else {
        Err(cursor.error("expected .asc, .desc, .nullsfirst, .nullslast or ','"))
    }
}

fn term<'a>(cursor: &mut Cursor<'a>) -> Result<OrderTerm<'a>, QueryError> {
    let mut embed = None;
    let mut field = select::field(cursor)?;
    if field.path.is_empty() && cursor.eat("(") {
        embed = Some(field.name);
        field = select::field(cursor)?;
        cursor.expect(")")?;
    }
    let descending = cursor.eat(".desc");
    if !descending {
        cursor.eat(".asc");
    }
    let nulls_first = if cursor.eat(".nullsfirst") {
        Some(true)
    } else if cursor.eat(".nullslast") {
        Some(false)
    } else {
        None
    };
    Ok(OrderTerm { embed, field, descending, nulls_first })
}
