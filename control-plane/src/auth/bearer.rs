//! Reading `Authorization: Bearer <key>`.

use axum::http::{HeaderMap, header};

/// Tokens of identity providers hold what they know of somebody.
const LONGEST: usize = 8 << 10;

/// There is no usable key in the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BearerError {
    /// No header at all.
    Missing,
    /// Another scheme, two headers, or text that is no key.
    Garbled,
}

/// The key in the headers. The scheme's case does not matter (RFC 9110).
pub(super) fn token(headers: &HeaderMap) -> Result<&str, BearerError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(BearerError::Missing)?;
    if values.next().is_some() {
        return Err(BearerError::Garbled);
    }
    let text = value.to_str().map_err(|_| BearerError::Garbled)?.trim();
    let (scheme, token) = text.split_once(' ').ok_or(BearerError::Garbled)?;
    let token = token.trim_start();
    let well_formed = (1..=LONGEST).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
    if scheme.eq_ignore_ascii_case("bearer") && well_formed { Ok(token) } else { Err(BearerError::Garbled) }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(value: &'static str) -> Result<String, BearerError> {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
        token(&headers).map(str::to_owned)
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for value in ["Bearer k", "bearer k", "BEARER   k", " Bearer k "] {
            assert_eq!(read(value).as_deref(), Ok("k"), "{value:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for value in ["", "k", "Bearer", "Bearer ", "Basic k", "Bearer a b"] {
            assert_eq!(read(value), Err(BearerError::Garbled), "{value:?}");
        }
        assert_eq!(token(&HeaderMap::new()), Err(BearerError::Missing));
        let mut twice = HeaderMap::new();
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert_eq!(token(&twice), Err(BearerError::Garbled));
    }
}
