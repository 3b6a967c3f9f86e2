//! Extensions that apps ask for, once per database.

use std::fmt::Write as _;

use tenantry_domain::names::{EXTENSIONS_SCHEMA, ObjectName};

use super::{AdminError, Done, ServerAdmin, fence};
use crate::sql;

impl ServerAdmin {
    /// Installs extensions into the schema that is on every tenant's search path.
    ///
    /// Names are those of a validated [`tenantry_domain::app::Manifest`].
    pub async fn ensure_extensions<'a>(
        &self,
        database: &ObjectName,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), AdminError> {
        let missing: Vec<_> = names
            .into_iter()
            .map(|name| (name, Done::Extension(database.clone(), name.as_str().into())))
            .filter(|(_, done)| !self.is_done(done))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let body = format!(
            "PERFORM {lock}; {create}",
            lock = fence::lock("extensions"),
            create = create(missing.iter().map(|(name, _)| *name))
        );
        self.run_in(database, "install the app's extensions", sql::block("", &body)).await?;
        for (_, done) in missing {
            self.mark_done(done);
        }
        Ok(())
    }
}

/// Statements that install extensions which are not there.
pub(super) fn create<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let mut statements = String::new();
    for name in names {
        let quoted = name.replace('"', "\"\"");
        write!(statements, "\nCREATE EXTENSION IF NOT EXISTS \"{quoted}\" SCHEMA {EXTENSIONS_SCHEMA};")
            .expect("a String takes any text");
    }
    statements
}
