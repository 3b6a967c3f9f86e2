//! A target whose disk becomes full while a tenant's rows are copied to it.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use sqlx::AssertSqlSafe;
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{app::random_suffix, server, within::within};

use super::{Way, begin, bounds::fill, move_to, sign_up, with_ledger};

/// A disk of some megabytes, unmounted when dropped.
struct SmallDisk(PathBuf);

const MEGABYTE: u64 = 1 << 20;

impl SmallDisk {
    /// None: this user may not mount one.
    fn mount() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("tenantry-small-disk-{}", random_suffix()));
        fs::create_dir(&folder).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "tmpfs"]).arg(&folder).output();
        let mounted = mount.is_ok_and(|mount| mount.status.success());
        if !mounted {
            fs::remove_dir(&folder).unwrap();
        }
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn leave(&self, bytes: u64) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
        let filled = ballast.metadata().unwrap().len();
        ballast.set_len(filled - bytes).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The server may still have files open there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_whose_disk_becomes_full_ends_a_move_and_the_tenant_is_served_as_before() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: mounting a small disk needs root");
        return;
    };
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let other = server::start(Durability::Volatile).await.unwrap();
    let app = with_ledger(Way::Live.build().on_server(own)).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    fill(&app, &tenant).await;

    // Where tenants come to be on the other server, there is room for the tables and not for the rows.
    let space = disk.path().join("space");
    fs::create_dir(&space).unwrap();
    let owner = fs::metadata(other.log_file().with_file_name("data")).unwrap();
    chown(&space, Some(owner.uid()), Some(owner.gid())).unwrap();
    let mut superuser = server::admin(&other, "postgres").await;
    for statement in [
        format!("CREATE TABLESPACE small LOCATION '{}'", space.display()),
        format!("CREATE DATABASE {} TABLESPACE small", app.shared_database()),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut superuser).await.unwrap();
    }
    disk.leave(2 * MEGABYTE);
    app.add_server("other", &other).await;

    let operation = begin(&app, &tenant, "move", json!({ "server": "other" })).await;
    let settled =
        async || ["waiting", "failed"].contains(&app.operation(&operation).await["state"].as_str().unwrap());
    within(Duration::from_mins(1), "it has met the full disk", settled).await;
    let met = app.operation(&operation).await;
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    // To drop what it has made there it may need room too, and says for which server it waits.
    if met["state"] == "waiting" {
        assert!(met["message"].as_str().unwrap().contains("No space left on device"), "{met}");
        let for_other = "SELECT count(*) FROM operations JOIN servers ON servers.id = waiting_for WHERE servers.name = 'other'";
        let says = async || app.count(for_other).await == 1;
        within(Duration::from_secs(30), "it says for which server it waits", says).await;
    }
    disk.make_room();
    let ended = app.operation_ended(&operation).await;
    if met["state"] == "waiting" {
        let events = app.api.get(&format!("/api/v1/operations/{operation}/events")).await.expect(200).text;
        assert!(events.contains("event: waiting"), "{events}");
    }
    assert_eq!(ended["state"], "failed", "{ended}");
    assert!(ended["error"].as_str().unwrap().contains("No space left on device"), "{ended}");
    assert!(app.on(&other).await.is_empty());
    assert!(app.on_server().await.replication.is_empty());

    // With room, it goes there.
    move_to(&app, &tenant, json!({ "server": "other" })).await;
    let count = tenant.data.get("/api/files?select=count()").await.expect(200).json();
    assert_eq!(count, json!([{ "count": 101 }]));
}
