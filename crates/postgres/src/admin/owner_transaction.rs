//! A transaction as the owner role in a tenant's schema.

use std::ops::{Deref, DerefMut};

use sqlx::{AssertSqlSafe, PgConnection};
use tenantry_domain::names::ObjectName;

use super::{
    connections::AdminConnection,
    fence::{self, Fence},
    schema::become_owner,
};

/// Begun by one message that does more than `BEGIN`, so sqlx, which would count only one that went
/// well, does not know of it. A connection that is not known to be out of it again is closed: the next
/// user would be the owner in somebody's schema, or find its statements ignored.
pub(super) struct OwnerTransaction<'c> {
    connection: &'c mut AdminConnection,
    over: bool,
}

/// How a transaction begins: under the fence, with statements of a block as the admin, then as the owner.
#[derive(Clone, Copy)]
pub(super) struct Beginning<'a> {
    /// The schema that comes first on the search path.
    pub(super) schema: &'a ObjectName,
    pub(super) fence: Option<Fence>,
    /// Statements of PL/pgSQL; `found_mark text` is declared.
    pub(super) as_admin: &'a str,
    /// A statement of SQL.
    pub(super) as_owner: &'a str,
}

impl<'c> OwnerTransaction<'c> {
    pub(super) async fn begin(
        connection: &'c mut AdminConnection,
        beginning: Beginning<'_>,
    ) -> Result<Self, sqlx::Error> {
        let Beginning { schema, fence, as_admin, as_owner } = beginning;
        let block = fence::block(fence, "found_mark text;", &format!("{as_admin} NULL;"));
        let begin = format!(
            "BEGIN; {block}; {become_owner}; {as_owner}",
            become_owner = become_owner(schema, "SET LOCAL")
        );
        let mut transaction = Self { connection, over: false };
        transaction.run(begin).await?;
        Ok(transaction)
    }

    /// Runs SQL text in it.
    pub(super) async fn run(&mut self, text: String) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **self.connection).await.map(drop)
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// Runs a last statement and commits, in one message.
    pub(super) async fn commit_after(self, last: &str) -> Result<(), sqlx::Error> {
        self.end(&format!("{last}; COMMIT")).await
    }

    async fn end(mut self, text: &str) -> Result<(), sqlx::Error> {
        self.run(text.to_owned()).await?;
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
