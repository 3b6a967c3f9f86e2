//! `?tenant=` and `?tenant_id=` (id or slug in either). They are taken out of the query string, so
//! that what is left is the resource API's.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tenantry_domain::Invalid;

use super::{Name, ResolveError, id_or_slug, malformed};

/// Adds the names; answers the rest of the query string if there were any.
pub(super) fn names<'r>(query: &'r str, names: &mut Vec<Name<'r>>) -> Result<Option<String>, ResolveError> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for pair in query.split('&') {
        let Some(field) = field_of(pair) else { continue };
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        // Each name is looked up: there are no more of them than fields.
        match found.iter().find(|(known, _)| *known == field) {
            Some((_, first)) if *first == value => continue,
            Some(_) => return Err(ResolveError::Twice(field)),
            None => found.push((field, value)),
        }
        let text = percent_decode_str(value)
            .decode_utf8()
            .map_err(|_| malformed(field, Invalid::because("is not UTF-8")))?;
        names.push(id_or_slug(text, field)?);
    }
    Ok((!found.is_empty()).then(|| {
        let rest: Vec<&str> = query.split('&').filter(|pair| field_of(pair).is_none()).collect();
        rest.join("&")
    }))
}

fn field_of(pair: &str) -> Option<&'static str> {
    let name = pair.split('=').next().unwrap_or_default();
    let name: Cow<'_, str> =
        if name.contains('%') { percent_decode_str(name).decode_utf8_lossy() } else { name.into() };
    match &*name {
        "tenant" => Some("tenant"),
        "tenant_id" => Some("tenant_id"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_named_the_tenant_is_taken_out() {
        let mut found = Vec::new();
        let rest = names("a=eq.1&tenant=acme&%74enant_id=acme&order=a", &mut found).unwrap();
        assert_eq!(rest.as_deref(), Some("a=eq.1&order=a"));
        assert_eq!(found, [Name::Label("acme".into()), Name::Label("acme".into())]);
        assert_eq!(names("tenants=eq.1", &mut found).unwrap(), None);
    }

    #[test]
    fn a_name_that_is_repeated_is_looked_up_once_and_two_are_refused() {
        let mut found = Vec::new();
        names("tenant=acme&a=b&tenant=acme", &mut found).unwrap();
        assert_eq!(found, [Name::Label("acme".into())]);
        assert_eq!(names("tenant=acme&tenant=beta", &mut Vec::new()), Err(ResolveError::Twice("tenant")));
    }
}
