//! Names of PostgreSQL objects that Tenantry makes.

use serde::{Deserialize, Serialize};

use crate::{Invalid, Slug};

/// The prefix of every tenant's schema, role and database.
pub const TENANT_PREFIX: &str = "tenant_";

/// The prefix of tables that Tenantry keeps next to a tenant's data; never served, never granted.
pub const SYSTEM_TABLE_PREFIX: &str = "tenantry_";

/// The schema in each tenant database that holds the extensions which apps ask for.
pub const EXTENSIONS_SCHEMA: &str = "extensions";

/// The name of a schema, role, database or login: `[a-z0-9_]`, at most 63 bytes, so that it means
/// the same quoted and bare. Still always quoted in SQL, see [`ObjectName::quoted`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName(Box<str>);

impl ObjectName {
    /// The name of everything that belongs to a tenant: `tenant_<slug>`, `_` for `-`.
    pub fn of_tenant(slug: &Slug) -> Self {
        Self(format!("{TENANT_PREFIX}{}", slug.as_str().replace('-', "_")).into())
    }

    /// Reads a name.
    ///
    /// # Errors
    /// It is empty, longer than 63 bytes, begins with a digit or holds something else than `[a-z0-9_]`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let well_formed = (1..=63).contains(&text.len())
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::because(
                "must have 1 to 63 characters of a-z, 0-9 and _, and not begin with a digit",
            ))
        }
    }

    /// The bare name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as an SQL identifier. Its alphabet holds no quote, so nothing needs doubling.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ObjectName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_s_objects_are_named_for_its_slug() {
        let slug = Slug::parse("dental-clinic-abc").unwrap();
        assert_eq!(slug.object_name().as_str(), "tenant_dental_clinic_abc");
        assert_eq!(slug.object_name().quoted(), "\"tenant_dental_clinic_abc\"");
    }

    #[test]
    fn nothing_that_needs_care_in_sql_is_a_name() {
        for text in ["", "1a", "a\"b", "A", "a b", "a;b", "ä", &"a".repeat(64)] {
            assert!(ObjectName::parse(text).is_err(), "{text:?}");
        }
    }
}
