//! A folder to begin an app with.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use tenantry_domain::app::AppName;

/// Writes a small app that works, for its author to change.
///
/// # Errors
/// The folder is there and not empty, or cannot be written.
pub(crate) fn write(folder: &Path, name: &AppName, now: DateTime<Utc>) -> anyhow::Result<()> {
    let failed = || format!("{} cannot be written", folder.display());
    fs::create_dir_all(folder).with_context(failed)?;
    let empty = fs::read_dir(folder).with_context(failed)?.next().is_none();
    ensure!(empty, "{} is not empty; name another folder with --folder", folder.display());
    for (file, text) in files(name, now) {
        fs::write(folder.join(file), text).with_context(failed)?;
    }
    Ok(())
}

fn files(name: &AppName, now: DateTime<Utc>) -> [(String, String); 4] {
    let version = now.format("%Y%m%d%H%M%S");
    [
        (
            super::MANIFEST.to_owned(),
            format!(
                "description = \"{name}\"
# How JSON names the columns: \"snake\" (as they are) or \"camel\".
json_case = \"snake\"
# As whom the data plane logs in: \"shared\" (a login of many tenants) or \"own\" (one for each tenant, which can become
# nobody else). By default own where the SQL may run text that a tenant wrote (EXECUTE, set_config and the like).
# connection = \"own\"
# Extensions that the tables need, e.g. [\"pg_trgm\"]; installed once per database, in the schema extensions.
extensions = []
# The functions that clients can call; all of the app's by default.
# functions = [\"search\"]
# Whether clients may ask for count(), sum() and the like.
# aggregates = true
# Whether PATCH and DELETE without a filter change all rows; they are refused by default.
# unfiltered_writes = false

# Tables that only tenants with a feature have, e.g. reports = [\"reports\"].
[features]
"
            ),
        ),
        (
            format!("{version}_create_items.up.sql"),
            "-- Runs in one transaction, with the tenant's schema first on the search path: name no schema.
CREATE TABLE items (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
"
            .to_owned(),
        ),
        (format!("{version}_create_items.down.sql"), "DROP TABLE items;\n".to_owned()),
        (
            super::SEED.to_owned(),
            "-- Default data of each new tenant. It may run twice, and must then do no harm.
INSERT INTO items (name) SELECT 'An example' WHERE NOT EXISTS (SELECT FROM items);
"
            .to_owned(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app_folder::{lint, read};

    #[test]
    fn a_new_app_can_be_read_and_has_nothing_to_complain_of() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("inventory");
        let name = AppName::parse("inventory").unwrap();
        write(&folder, &name, DateTime::UNIX_EPOCH).unwrap();
        let app = read(&folder).unwrap();
        assert_eq!(app.name, name);
        assert_eq!(app.version().unwrap().number(), 19_700_101_000_000);
        assert!(app.seed.is_some() && app.migrations[0].down.is_some());
        assert_eq!(lint::lint(&folder).unwrap(), []);
    }

    #[test]
    fn what_is_in_a_folder_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine.txt"), "").unwrap();
        let name = AppName::parse("inventory").unwrap();
        let error = write(folder.path(), &name, DateTime::UNIX_EPOCH).unwrap_err();
        assert!(error.to_string().contains("is not empty"));
    }
}
