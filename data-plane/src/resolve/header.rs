//! `X-Tenant-ID` (id or slug) and `X-Tenant-Slug`.

use axum::http::{HeaderMap, HeaderName};

use super::{Name, ResolveError, id_or_slug, one_value, slug};

static X_TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");
static X_TENANT_SLUG: HeaderName = HeaderName::from_static("x-tenant-slug");

pub(super) fn names<'r>(headers: &'r HeaderMap, names: &mut Vec<Name<'r>>) -> Result<(), ResolveError> {
    const ID: &str = "X-Tenant-ID";
    const SLUG: &str = "X-Tenant-Slug";
    if let Some(text) = one_value(headers, &X_TENANT_ID, ID)? {
        names.push(id_or_slug(text, ID)?);
    }
    if let Some(text) = one_value(headers, &X_TENANT_SLUG, SLUG)? {
        names.push(slug(text, SLUG)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_that_looks_like_an_id_is_an_id() {
        let mut headers = HeaderMap::new();
        headers.insert(&X_TENANT_ID, "019a0000-0000-7000-8000-000000000001".parse().unwrap());
        let mut found = Vec::new();
        names(&headers, &mut found).unwrap();
        assert!(matches!(found[..], [Name::Id(_)]));
    }
}
