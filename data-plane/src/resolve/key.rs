//! The tenant's key: `Authorization: Bearer <key>`. It names its tenant, as a token's claim would.

use axum::http::{HeaderMap, header};

use super::{ResolveError, one_value};

/// The key as it was presented; another scheme counts as none.
pub(super) fn presented(headers: &HeaderMap) -> Result<Option<&str>, ResolveError> {
    let Some(value) = one_value(headers, &header::AUTHORIZATION, "Authorization")? else { return Ok(None) };
    Ok(value.split_once(' ').and_then(|(scheme, key)| {
        let key = key.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_is_a_key() {
        let presented = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            super::presented(&headers).unwrap().map(str::to_owned)
        };
        assert_eq!(presented("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(presented("bearer  abc ").as_deref(), Some("abc"));
        for value in ["Basic abc", "Bearer", "Bearer ", "abc", ""] {
            assert_eq!(presented(value), None, "{value}");
        }
    }
}
