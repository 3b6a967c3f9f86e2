use std::time::Duration;

use tokio_postgres::NoTls;

use super::*;

fn search() -> SearchPath {
    SearchPath { bin_dir: None, path: None }
}

/// A folder under /tmp, which the unprivileged user can reach; removed with the guard.
fn home(parent: &tempfile::TempDir) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(parent.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    parent.path().join("postgres")
}

async fn query(server: &EmbeddedPostgres, sql: &str) -> Vec<String> {
    let (client, connection) =
        tokio_postgres::connect(server.admin_url().expose_secret(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let rows = client.simple_query(sql).await.unwrap();
    rows.iter()
        .filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(String::from),
            _ => None,
        })
        .collect()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited 10 s for {what}");
}

#[tokio::test]
async fn a_server_keeps_its_port_and_data_through_an_outage_and_a_restart() {
    let parent = tempfile::tempdir().unwrap();
    let config =
        EmbeddedConfig { durability: Durability::Volatile, ..EmbeddedConfig::new(home(&parent), search()) };
    let mut server = EmbeddedPostgres::start(config.clone()).await.unwrap();
    let port = server.port();
    query(&server, "CREATE TABLE t AS SELECT 'kept' AS word").await;
    assert_eq!(query(&server, "SHOW wal_level").await, ["logical"]);

    server.suspend_server().await.unwrap();
    assert!(server.pid().is_none());
    assert!(tokio::net::TcpStream::connect((HOST, port)).await.is_err());
    server.resume_server().await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(query(&server, "SELECT word FROM t").await, ["kept"]);
    server.stop().await.unwrap();

    let server = EmbeddedPostgres::start(config).await.unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(query(&server, "SELECT word FROM t").await, ["kept"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_crashed_cluster_recovers_and_a_second_process_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let config =
        EmbeddedConfig { durability: Durability::Volatile, ..EmbeddedConfig::new(home(&parent), search()) };
    let server = EmbeddedPostgres::start(config.clone()).await.unwrap();
    let error = EmbeddedPostgres::start(config.clone()).await.unwrap_err().to_string();
    assert!(error.contains("in use") && error.contains(&*config.data_dir.to_string_lossy()), "{error}");

    query(&server, "SET synchronous_commit = on; CREATE TABLE t AS SELECT 'kept' AS word").await;
    let mut running = server.running.unwrap();
    running.process.child().kill().unwrap();
    running.process.child().wait().unwrap();
    drop((server.guard, server.lock));

    let server = EmbeddedPostgres::start(config).await.unwrap();
    assert_eq!(query(&server, "SELECT word FROM t").await, ["kept"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_ephemeral_server_leaves_nothing_when_it_is_only_dropped() {
    let parent = tempfile::tempdir().unwrap();
    let home = home(&parent);
    let server = EmbeddedPostgres::start(EmbeddedConfig::throwaway(&home, search())).await.unwrap();
    let port = server.port();
    drop(server);
    until("the folder to go", || !home.exists()).await;
    until("the port to be free", || std::net::TcpListener::bind((HOST, port)).is_ok()).await;
}

#[tokio::test]
async fn a_folder_with_other_files_is_left_alone() {
    let parent = tempfile::tempdir().unwrap();
    let home = home(&parent);
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("thesis.txt"), "years of work").unwrap();
    let error = EmbeddedPostgres::start(EmbeddedConfig::throwaway(&home, search())).await.unwrap_err();
    assert!(matches!(error, EmbeddedError::NotOurs { .. }));
    assert!(home.join("thesis.txt").exists());
}
