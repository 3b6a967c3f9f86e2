//! The path prefix `/t/{slug}/...`.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tenantry_domain::Invalid;

use super::{Name, ResolveError, malformed, slug};

const FIELD: &str = "slug";

/// The slug in the path. An encoded slash or dot is a bad slug here, never another path.
pub(super) fn name(path: &str) -> Result<Option<Name<'_>>, ResolveError> {
    let Some(rest) = path.strip_prefix("/t/") else { return Ok(None) };
    let segment = rest.split('/').next().unwrap_or_default();
    let text: Cow<'_, str> = percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| malformed(FIELD, Invalid::because("is not UTF-8")))?;
    slug(text, FIELD).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segment_is_the_slug() {
        assert_eq!(name("/t/acme/api/x").unwrap(), Some(Name::Label("acme".into())));
        assert_eq!(name("/t/%61cme/api/x").unwrap(), Some(Name::Label("acme".into())));
        assert_eq!(name("/api/t/acme").unwrap(), None);
    }

    #[test]
    fn nothing_encoded_becomes_a_path() {
        for path in [
            "/t/acme%2f..%2fglobex/api/x",
            "/t/..%2fglobex/api/x",
            "/t/%00/api/x",
            "/t/%ff/api/x",
            "/t//api/x",
        ] {
            assert!(name(path).is_err(), "{path}");
        }
    }
}
