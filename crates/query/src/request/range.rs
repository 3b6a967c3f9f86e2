//! `limit`, `offset` and the `Range` header: one window of rows.

use crate::error::{QueryError, excerpt};

/// The rows asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) offset: u64,
    pub(crate) limit: Option<u64>,
}

/// A row number: what a bigint holds, because it is bound as one.
pub(super) fn number(parameter: &str, text: &str) -> Result<u64, QueryError> {
    if text.strip_prefix('-').is_some_and(|digits| digits.parse::<u64>().is_ok()) {
        return Err(unsatisfiable(parameter, "Limit should be greater than or equal to zero."));
    }
    text.parse::<u64>().ok().filter(|n| i64::try_from(*n).is_ok()).ok_or_else(|| {
        QueryError::bad("bad_range", format!("'{}' is not a number of rows; use 0 or more", excerpt(text)))
            .field(parameter)
    })
}

/// The header's rows and the parameters' rows, whichever is narrower.
pub(crate) fn window(
    header: Option<&str>,
    limit: Option<u64>,
    offset: Option<u64>,
) -> Result<Window, QueryError> {
    let mut window = Window { offset: offset.unwrap_or(0), limit };
    let Some((first, last)) = header.and_then(bounds) else { return Ok(window) };
    let unsatisfiable = || {
        let details =
            "The lower boundary must be lower than or equal to the upper boundary in the Range header.";
        unsatisfiable("range", details)
    };
    if last.is_some_and(|last| last < first) {
        return Err(unsatisfiable());
    }
    let end_of_limit = limit.map(|limit| window.offset.saturating_add(limit));
    let end_of_header = last.map(|last| last.saturating_add(1));
    window.offset = window.offset.max(first);
    let end = match (end_of_limit, end_of_header) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    window.limit = match end {
        // limit=0 asks for no rows on purpose.
        _ if limit == Some(0) => Some(0),
        Some(end) if end <= window.offset => return Err(unsatisfiable()),
        Some(end) => Some(end - window.offset),
        None => None,
    };
    Ok(window)
}

fn unsatisfiable(parameter: &str, details: &str) -> QueryError {
    QueryError::new(416, "bad_range", details)
        .field(parameter)
        .with_message("Requested range not satisfiable")
        .with_details(details)
}

/// `0-24`, `10-`; `items=` in front is allowed. Anything else is another unit's range and ignored, as HTTP asks.
fn bounds(header: &str) -> Option<(u64, Option<u64>)> {
    let header = header.trim();
    let (first, last) = header.strip_prefix("items=").unwrap_or(header).split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.len() < 19 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let first = number(first)?;
    if last.is_empty() { Some((first, None)) } else { Some((first, Some(number(last)?))) }
}

#[cfg(test)]
mod tests {
    use super::{Window, window};

    #[test]
    fn the_narrower_of_range_and_limit_wins() {
        assert_eq!(window(Some("0-24"), None, None), Ok(Window { offset: 0, limit: Some(25) }));
        assert_eq!(window(Some("0-24"), Some(10), None), Ok(Window { offset: 0, limit: Some(10) }));
        assert_eq!(window(Some("items=10-"), Some(20), Some(5)), Ok(Window { offset: 10, limit: Some(15) }));
        assert_eq!(window(Some("bytes=0-24"), None, None), Ok(Window { offset: 0, limit: None }));
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_416() {
        assert_eq!(window(Some("5-2"), None, None).unwrap_err().status, 416);
        assert_eq!(window(Some("50-60"), Some(10), None).unwrap_err().status, 416);
    }
}
