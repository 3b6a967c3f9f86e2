//! Form bodies (`application/x-www-form-urlencoded`), as the JSON that means the same.

use serde_json::{Value, map::Map};

use super::{Limits, params::decode};
use crate::error::QueryError;

/// One object of texts. Of a name that is there twice the last counts.
pub(crate) fn to_json(bytes: &[u8], limits: &Limits) -> Result<String, QueryError> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| QueryError::bad("bad_body", "the form is not UTF-8"))?;
    let mut object = Map::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        object.insert(decode(name)?.into_owned(), Value::from(decode(value)?));
        if object.len() > limits.max_columns {
            let detail = format!("the form has more than {} fields; send fewer", limits.max_columns);
            return Err(QueryError::bad("too_many_columns", detail));
        }
    }
    Ok(Value::Object(object).to_string())
}
