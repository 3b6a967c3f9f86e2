//! Whether the registry's tables are those that this binary was made for.

use std::collections::BTreeSet;

use crate::{Registry, RegistryError, connect::MIGRATIONS};

/// The registry's schema, compared with the migrations in this binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaVersion {
    /// The one that this binary works with.
    Current(i64),
    /// Migrations of this binary are missing; `found` is the last one that is there.
    Older {
        /// Of the registry; `None` if it was never migrated.
        found: Option<i64>,
        /// Of this binary.
        wanted: i64,
    },
    /// A newer binary has migrated it.
    Newer {
        /// Of the registry.
        found: i64,
        /// Of this binary.
        wanted: i64,
    },
}

impl Registry {
    /// Compares the registry's schema with this binary's migrations.
    pub async fn schema_version(&self) -> Result<SchemaVersion, RegistryError> {
        // sqlx's own table, made by the first migration; readable for all parts since the one that
        // brought this check.
        let rows = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&self.pool)
            .await;
        let applied: BTreeSet<i64> = match rows {
            Ok(rows) => rows.into_iter().collect(),
            Err(sqlx::Error::Database(error)) if is_not_there(error.code().as_deref()) => BTreeSet::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(compare(&applied))
    }
}

/// There is no such table, or it may not be read yet.
fn is_not_there(code: Option<&str>) -> bool {
    matches!(code, Some("42P01" | "42501"))
}

fn compare(applied: &BTreeSet<i64>) -> SchemaVersion {
    let ours: BTreeSet<i64> = MIGRATIONS
        .iter()
        .filter(|migration| !migration.migration_type.is_down_migration())
        .map(|migration| migration.version)
        .collect();
    let wanted = ours.last().copied().unwrap_or_default();
    let found = applied.last().copied();
    match found {
        Some(found) if ours.is_subset(applied) && found <= wanted => SchemaVersion::Current(found),
        Some(found) if found > wanted => SchemaVersion::Newer { found, wanted },
        _ => SchemaVersion::Older { found, wanted },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_older_current_or_newer() {
        let SchemaVersion::Older { found: None, wanted } = compare(&BTreeSet::new()) else {
            panic!("an empty registry is older");
        };
        let mut applied: BTreeSet<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(compare(&applied), SchemaVersion::Current(wanted));
        applied.insert(wanted + 1);
        assert_eq!(compare(&applied), SchemaVersion::Newer { found: wanted + 1, wanted });
        let first = BTreeSet::from([*applied.first().unwrap()]);
        assert_eq!(compare(&first), SchemaVersion::Older { found: first.first().copied(), wanted });
    }
}
