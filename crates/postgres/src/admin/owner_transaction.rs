//! A transaction as the owner role in a tenant's schema.

use std::ops::{Deref, DerefMut};

use sqlx::{AssertSqlSafe, PgConnection, Postgres, pool::PoolConnection};
use tenantry_domain::names::ObjectName;

use super::{ServerAdmin, schema};

/// Begun by one message that does more than `BEGIN`, so sqlx, which would count only one that went
/// well, does not know of it. A connection that is not known to be out of it again is closed: the next
/// user would be the owner in somebody's schema, or find its statements ignored.
pub(super) struct OwnerTransaction<'c> {
    connection: &'c mut PoolConnection<Postgres>,
    over: bool,
}

impl<'c> OwnerTransaction<'c> {
    /// Begins, takes the schema's lock, and runs `first` as the owner.
    pub(super) async fn begin(
        admin: &ServerAdmin,
        connection: &'c mut PoolConnection<Postgres>,
        tenant: &ObjectName,
        first: &str,
    ) -> Result<Self, sqlx::Error> {
        let begin = format!(
            "BEGIN; {become_owner}; SELECT {lock}; {first}",
            become_owner = admin.become_owner(tenant, "SET LOCAL"),
            lock = schema::lock(tenant)
        );
        let mut transaction = Self { connection, over: false };
        transaction.run(begin).await?;
        Ok(transaction)
    }

    /// Runs SQL text in it.
    pub(super) async fn run(&mut self, text: String) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **self.connection).await.map(drop)
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.run("COMMIT".into()).await?;
        self.over = true;
        Ok(())
    }
}

impl Deref for OwnerTransaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection
    }
}

impl DerefMut for OwnerTransaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection
    }
}

impl Drop for OwnerTransaction<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.connection.close_on_drop();
        }
    }
}
