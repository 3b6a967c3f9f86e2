//! Looks behind the API: what is on the server, and whether it is what the registry says.

use std::{collections::BTreeSet, time::Duration};

use sqlx::{Connection, PgConnection, Row};
use tenantry_postgres::embedded::EmbeddedPostgres;

use crate::{TestApp, local_servers, server, within::within};

/// What a test's tenants have on the server.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OnServer {
    /// Roles named `tenant_…<suffix>`.
    pub roles: BTreeSet<String>,
    /// Schemas of that name in the shared database.
    pub schemas: BTreeSet<String>,
    /// Databases of that name.
    pub databases: BTreeSet<String>,
    /// Replication slots in these databases and in the shared one, and publications of the latter.
    pub replication: BTreeSet<String>,
}

impl OnServer {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

async fn names(connection: &mut PgConnection, query: &'static str, like: &str) -> BTreeSet<String> {
    let rows = sqlx::query(query).bind(like).fetch_all(connection).await.expect("the server answers");
    rows.iter().map(|row| row.get(0)).collect()
}

impl TestApp {
    /// What this test's tenants have on the server now.
    pub async fn on_server(&self) -> OnServer {
        self.on(self.server()).await
    }

    /// The same of another server of this test.
    pub async fn on(&self, server: &EmbeddedPostgres) -> OnServer {
        let like = format!("tenant\\_%\\_{}", self.suffix);
        let mut postgres = server::admin(server, "postgres").await;
        let roles =
            names(&mut postgres, "SELECT rolname::text FROM pg_roles WHERE rolname LIKE $1", &like).await;
        let databases =
            names(&mut postgres, "SELECT datname::text FROM pg_database WHERE datname LIKE $1", &like).await;
        let shared = names(
            &mut postgres,
            "SELECT datname::text FROM pg_database WHERE datname = $1",
            self.shared_database(),
        )
        .await;
        let ours = format!("%\\_{}", self.suffix);
        let slots = "SELECT slot_name::text FROM pg_replication_slots WHERE database LIKE $1";
        let mut replication = names(&mut postgres, slots, &ours).await;
        let mut schemas = BTreeSet::new();
        if !shared.is_empty() {
            let mut tenants = server::admin(server, self.shared_database()).await;
            let named = "SELECT nspname::text FROM pg_namespace WHERE nspname LIKE $1";
            schemas = names(&mut tenants, named, &like).await;
            let publications = "SELECT pubname::text FROM pg_publication WHERE pubname LIKE $1";
            replication.extend(names(&mut tenants, publications, "%").await);
        }
        postgres.close().await.expect("the connection closes");
        OnServer { roles, schemas, databases, replication }
    }

    /// Asserts that nothing of any tenant is left on the server, and no placement in the registry.
    pub async fn assert_nothing_left(&self) {
        let left = self.on_server().await;
        assert!(left.is_empty(), "left on the server: {left:?}");
        assert_eq!(self.count("SELECT count(*) FROM placements").await, 0, "placements are left");
        assert_eq!(self.count("SELECT count(*) FROM servers WHERE owner_id IS NOT NULL").await, 0);
        let servers = local_servers::existing(&self.suffix);
        assert!(servers.is_empty(), "servers are left: {servers:?}");
        assert_eq!(self.count("SELECT coalesce(sum(tenants), 0)::bigint FROM servers").await, 0);
        assert_eq!(self.count("SELECT coalesce(sum(tenants), 0)::bigint FROM server_logins").await, 0);
    }

    /// A number from the registry.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.owner()).await.expect("the registry answers")
    }
}

impl TestApp {
    /// Waits until a number from the registry is zero: for what follows an event without one of its own.
    pub async fn until_zero(&self, query: &'static str) {
        within(Duration::from_secs(20), query, async || self.count(query).await == 0).await;
    }
}
