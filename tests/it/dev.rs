//! `tenantry dev`: what it prints works as printed, and it stops when it is told to.

use std::process::Stdio;

use tenantry_tests::app::random_suffix;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_that_dev_prints_work_as_printed() {
    let data_dir = std::env::temp_dir().join(format!("tenantry-dev-{}", random_suffix()));
    let mut dev = Command::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .arg("dev")
        .args([
            "--control-plane-addr",
            "127.0.0.1:0",
            "--data-plane-addr",
            "127.0.0.1:0",
            "--admin-addr",
            "127.0.0.1:0",
        ])
        .arg("--data-dir")
        .arg(&data_dir)
        .args(["--apps-dir", concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/tenant")])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(dev.stdout.take().unwrap()).lines();
    let mut script = String::new();
    let mut admin = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let line = line.trim();
        if line.starts_with("curl ") || line.starts_with("DATA_KEY=") {
            script += line;
            script += "\necho\n";
        } else if let Some(url) = line.strip_prefix("admin") {
            admin = url.trim().trim_end_matches("/metrics").to_owned();
        } else if line.starts_with("Ctrl-C") {
            break;
        }
    }
    let ran = Command::new("sh").args(["-c", &script]).output().await.unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(said.contains(r#""status":"active""#), "{script}\n{said}");
    assert_eq!(said.lines().last(), Some("[]"), "{script}\n{said}");

    tenantry_cli::choose_cryptography();
    for path in ["livez", "readyz", "metrics"] {
        let answer = reqwest::get(format!("{admin}/{path}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }

    let pid = dev.id().unwrap().to_string();
    Command::new("kill").args(["-s", "TERM", &pid]).status().await.unwrap();
    assert!(dev.wait().await.unwrap().success());
    assert!(!data_dir.join("postgres/data/postmaster.pid").exists(), "the server has stopped");
    std::fs::remove_dir_all(&data_dir).unwrap();
}
