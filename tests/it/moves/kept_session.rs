//! The session that a move keeps past its point of no return, to let the tenant in without waiting for another.

use std::{process::Command, sync::Arc};

use serde_json::json;
use tenantry_tests::{probe::Gate, server};

use super::{Way, moving};

/// A process of a server that does nothing until this is dropped.
struct Frozen(String);

impl Frozen {
    fn new(pid: i32) -> Self {
        let frozen = Self(pid.to_string());
        frozen.signal("STOP");
        frozen
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.0]).status().expect("kill runs");
        assert!(status.success() || std::thread::panicking(), "{name} to {}", self.0);
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_hangs_does_not_keep_the_tenant_from_being_let_in() {
    for way in [Way::AtOnce, Way::Live] {
        let gate = Arc::new(Gate::after("cutover"));
        let (app, tenant, operation) = moving(&gate, way).await;
        let database = app.on_server().await.databases.pop_first().unwrap();
        let kept = "SELECT pid FROM pg_stat_activity
            WHERE datname = $1 AND application_name LIKE 'tenantry-admin-%'";
        let mut admin = server::admin(app.server(), "postgres").await;
        let kept: i32 = sqlx::query_scalar(kept).bind(&database).fetch_one(&mut admin).await.unwrap();
        let frozen = Frozen::new(kept);
        gate.open();
        let ended = app.operation_ended(&operation).await;
        assert_eq!(ended["state"], "succeeded", "{way:?}: {ended}");
        let entry = json!({ "account": 1, "number": 1, "amount": 1 });
        tenant.data.post("/api/entries", entry).await.expect(201);
        drop(frozen);
    }
}
