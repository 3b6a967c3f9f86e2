//! How column names look in JSON.

/// Spelling of column names in bodies and queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JsonCase {
    /// The column names as they are.
    #[default]
    Snake,
    /// camelCase in answers; queries and bodies may use either. Nothing inside a JSON value is touched.
    Camel,
}

/// `created_at` is `createdAt`; leading and trailing underscores stay.
pub(crate) fn camel(name: &str) -> String {
    let body = name.trim_start_matches('_');
    let mut out = String::with_capacity(name.len());
    out.push_str(&name[..name.len() - body.len()]);
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('_', Some(next)) if next.is_alphanumeric() => {
                let next = chars.next().expect("peeked above");
                out.extend(next.to_uppercase());
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::camel;

    #[test]
    fn camel_case_keeps_outer_underscores_and_digits() {
        assert_eq!(camel("created_at"), "createdAt");
        assert_eq!(camel("_internal_id"), "_internalId");
        assert_eq!(camel("address_1"), "address1");
        assert_eq!(camel("already"), "already");
        assert_eq!(camel("odd__name_"), "odd_Name_");
    }
}
