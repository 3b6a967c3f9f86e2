//! Form bodies (`application/x-www-form-urlencoded`), as the JSON that means the same.

use serde_json::{Value, map::Map};

use super::{
    Limits,
    params::{Pair, split},
};
use crate::error::QueryError;

/// Names and values, decoded.
pub(crate) fn pairs(bytes: &[u8]) -> Result<impl Iterator<Item = Result<Pair<'_>, QueryError>>, QueryError> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| QueryError::bad("bad_body", "the form is not UTF-8"))?;
    Ok(split(text))
}

/// One object of texts. Of a name that is there twice the last counts.
pub(crate) fn to_json(bytes: &[u8], limits: &Limits) -> Result<String, QueryError> {
    let mut object = Map::new();
    for pair in pairs(bytes)? {
        let (name, value) = pair?;
        object.insert(name.into_owned(), Value::from(value));
        if object.len() > limits.max_columns {
            let detail = format!("the form has more than {} fields; send fewer", limits.max_columns);
            return Err(QueryError::bad("too_many_columns", detail));
        }
    }
    Ok(Value::Object(object).to_string())
}
