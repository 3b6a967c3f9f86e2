//! What a tenant holds, and what keeps it from being moved: asked before anything is done.

use sqlx::Row;
use tenantry_domain::names::ObjectName;

use super::super::{AdminError, OWNER_ROLE, ServerAdmin};

const TASK: &str = "look at what is to be moved";

/// What a tenant holds at a placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Bytes of its tables with their indexes and what they keep out of line.
    pub bytes: u64,
    /// Those that there are because of rows: an empty table and its indexes take some as well.
    pub row_bytes: u64,
    /// Tables.
    pub tables: u64,
    /// What cannot be moved, each as a sentence that names it and says what to do.
    pub obstacles: Vec<String>,
    /// What keeps it from being copied while it is written to, likewise.
    pub live_obstacles: Vec<String>,
}

impl ServerAdmin {
    /// Looks at a tenant's schema in a database.
    pub async fn survey(&self, database: &ObjectName, schema: &ObjectName) -> Result<Survey, AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        let row = sqlx::query(include_str!("survey.sql"))
            .persistent(false)
            .bind(schema.as_str())
            .bind(OWNER_ROLE)
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        let count = |at: usize| row.get::<i64, _>(at).cast_unsigned();
        let (obstacles, live_obstacles) = (row.get(3), row.get(4));
        Ok(Survey { bytes: count(0), row_bytes: count(1), tables: count(2), obstacles, live_obstacles })
    }

    /// Whether the admin may write rows without firing their triggers, as copies do; what to do if not.
    pub async fn may_copy(&self) -> Result<Option<String>, AdminError> {
        let mut connection = self.connection(TASK).await?;
        let may: bool =
            sqlx::query_scalar("SELECT has_parameter_privilege('session_replication_role', 'SET')")
                .fetch_one(&mut *connection)
                .await
                .map_err(|e| self.failed(TASK, e))?;
        Ok((!may).then(|| {
            format!(
                "the admin login of {} may not write rows without firing triggers; as a superuser, run there: \
                 GRANT SET ON PARAMETER session_replication_role TO <admin login>",
                self.server()
            )
        }))
    }
}
