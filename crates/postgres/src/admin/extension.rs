//! Extensions that apps ask for, once per database.

use std::fmt::Write as _;

use tenantry_domain::names::{EXTENSIONS_SCHEMA, ObjectName};

use super::{AdminError, Done, ServerAdmin};
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
        let mut body = format!("PERFORM {};", sql::advisory_lock("tenantry:extensions"));
        for (name, _) in &missing {
            let quoted = name.replace('"', "\"\"");
            write!(body, "\nCREATE EXTENSION IF NOT EXISTS \"{quoted}\" SCHEMA {EXTENSIONS_SCHEMA};")
                .expect("a String takes any text");
        }
        self.run_in(database, "install the app's extensions", sql::block("", &body)).await?;
        for (_, done) in missing {
            self.mark_done(done);
        }
        Ok(())
    }
}
