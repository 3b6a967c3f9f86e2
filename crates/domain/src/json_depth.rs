//! How deep JSON of clients may be nested: far less than what is read back of what holds it may.

use serde_json::Value;

use crate::Invalid;

const MOST: usize = 32;

/// Checks a value.
///
/// # Errors
/// It is nested deeper than 32 levels.
pub fn check(value: &Value) -> Result<(), Invalid> {
    if is_deeper(value, MOST) {
        Err(Invalid::because("must not be nested deeper than 32 levels"))
    } else {
        Ok(())
    }
}

fn is_deeper(value: &Value, than: usize) -> bool {
    let Some(less) = than.checked_sub(1) else { return true };
    match value {
        Value::Object(members) => members.values().any(|inner| is_deeper(inner, less)),
        Value::Array(items) => items.iter().any(|inner| is_deeper(inner, less)),
        _ => false,
    }
}
