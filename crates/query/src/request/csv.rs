//! CSV bodies: a line of names and a line per row, as the JSON that means the same.

use serde_json::Value;

use super::Limits;
use crate::error::{QueryError, excerpt};

/// An identifier of PostgreSQL is not longer.
const MAX_NAME: usize = 63;
/// Each row repeats the names: bytes of the JSON that a body may become.
const MAX_JSON: usize = 16 << 20;

/// An array of objects of texts, of at most so many rows. A field that says `NULL` is null.
pub(crate) fn to_json(bytes: &[u8], most: usize, limits: &Limits) -> Result<String, QueryError> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8"))?;
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let names: Vec<String> =
        reader.headers().map_err(|error| bad(&error.to_string()))?.iter().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(bad("it has no line of column names"));
    }
    if names.len() > limits.max_columns {
        return Err(bad(&format!("it has more than {} columns, and no table as many", limits.max_columns)));
    }
    if let Some(name) = names.iter().find(|name| name.len() > MAX_NAME) {
        return Err(bad(&format!("no column is called '{}'", excerpt(name))));
    }
    let mut rows = String::from("[");
    for (at, record) in reader.records().take(most).enumerate() {
        let record =
            record.map_err(|_| QueryError::bad("bad_csv", "All lines must have same number of fields"))?;
        if at == limits.max_body_rows {
            let detail = format!("the body holds more than {at} rows; send it in parts");
            return Err(QueryError::new(413, "too_many_rows", detail));
        }
        let fields = names.iter().zip(record.iter()).map(|(name, field)| {
            let value = if field == "NULL" { Value::Null } else { Value::from(field) };
            (name.clone(), value)
        });
        if at > 0 {
            rows.push(',');
        }
        rows.push_str(&Value::Object(fields.collect()).to_string());
        if rows.len() > MAX_JSON {
            let detail = "the body is too large with the column names in each row; send it in parts";
            return Err(QueryError::new(413, "too_many_rows", detail));
        }
    }
    rows.push(']');
    Ok(rows)
}

/// A name or value as a field of a line.
pub(crate) fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn bad(detail: &str) -> QueryError {
    QueryError::bad("bad_csv", format!("the body is not CSV: {detail}"))
}
