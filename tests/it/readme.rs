//! The shell lines of README and docs work as printed.

use std::{
    ops::Range,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use secrecy::ExposeSecret;
use tenantry_tests::{TestApp, app::random_suffix, cli::Cli, server};
use tokio::net::TcpListener;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The `sh` blocks of a document, or of what is below one of its headings, in order.
fn shell_blocks(document: &str, heading: Option<&str>) -> String {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let part = match heading {
        None => &text[..],
        Some(heading) => {
            let part = text.split_once(&format!("\n## {heading}\n")).expect("the heading is there").1;
            part.split_once("\n## ").map_or(part, |(part, _)| part)
        }
    };
    let blocks = part.split("\n```sh\n").skip(1).map(|block| block.split("\n```").next().unwrap());
    let script = blocks.collect::<Vec<_>>().join("\n");
    assert!(!script.is_empty(), "{document} has no shell lines");
    script
}

#[test]
fn comments_do_no_harm_in_a_shell_that_takes_them_for_commands() {
    // As zsh does with what is pasted, by default.
    for document in ["README.md", "docs/your-own-app.md"] {
        let lines = shell_blocks(document, None);
        for comment in lines.lines().filter(|line| line.starts_with('#')) {
            assert!(!comment.contains(['\'', '"', '`', ';', '(', '<', '>', '&', '|', '$']), "{comment}");
        }
    }
}

/// As many ports in a row that are free, below those that the system gives out by itself.
async fn free_ports(count: u16) -> Range<u16> {
    loop {
        let first = rand::random_range(10_000..30_000);
        let ports = first..first + count;
        let mut bound = Vec::new();
        for port in ports.clone() {
            bound.push(TcpListener::bind(("127.0.0.1", port)).await);
        }
        if bound.iter().all(Result::is_ok) {
            return ports;
        }
    }
}

/// Ends what a script left running, by their ids, and waits for it; the exit code of one that failed.
const END_THE_ROLES: &str = "
jobs -p > pids
trap - EXIT
kill $(cat pids)
for pid in $(cat pids); do wait \"$pid\" || { echo \"role ended with $?\"; exit 1; }; done
echo 'all roles ended'
";
/// The same where a line fails.
const END_THE_ROLES_ANYWAY: &str = "trap 'jobs -p > pids; kill $(cat pids) || true; wait' EXIT\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_in_production_work_as_printed() {
    let server = server::shared().await;
    let ports = free_ports(5).await;
    let (control, data) =
        (format!("127.0.0.1:{}", ports.start + 3), format!("127.0.0.1:{}", ports.start + 4));
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("PGHOST", server.host())
        .env("PGPORT", server.port().to_string())
        .env("PGUSER", server.user())
        .env("PGPASSWORD", server.password().expose_secret())
        .env("REGISTRY", format!("registry_{}", random_suffix()))
        .env("ADMIN_PORT", ports.start.to_string())
        .env("TENANTRY_CONTROL_PLANE_ADDR", &control)
        .env("TENANTRY_DATA_PLANE_ADDR", &data)
        .env("TENANTRY_URL", &control)
        .env("TENANTRY_LOG", "warn");
    symlink(root().join("migrations"), cli.home().join("migrations")).unwrap();

    let lines = shell_blocks("README.md", Some("In production"));
    let script = format!("{END_THE_ROLES_ANYWAY}{lines}\n{END_THE_ROLES}");
    let ran = cli.script(&script).output().await.unwrap();
    let (out, err) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    let logs = ["control-plane", "worker", "data-plane"]
        .map(|role| std::fs::read_to_string(cli.home().join(role).with_extension("log")).unwrap_or_default());
    assert!(ran.status.success(), "{out}\n{err}\n{logs:#?}");
    assert!(out.contains("ada@example.com"), "{out}\n{err}\n{logs:#?}");
    assert!(out.ends_with("all roles ended\n"), "{out}\n{err}\n{logs:#?}");

    // Pasted again, the key-encryption key stays what it was.
    let kek = std::fs::read_to_string(cli.home().join("tenantry.kek")).unwrap();
    let step: String =
        lines.lines().filter(|line| line.contains("KEK_FILE")).flat_map(|line| [line, "\n"]).collect();
    assert!(cli.script(&step).status().await.unwrap().success());
    assert_eq!(std::fs::read_to_string(cli.home().join("tenantry.kek")).unwrap(), kek);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_your_own_app_go_from_an_empty_folder_to_served_rows() {
    let app = TestApp::build().with_apps(&[]).start().await;
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret())
        .env("TENANTRY_DATA_PLANE_ADDR", app.data.address().to_string());
    let ran = cli.script(&shell_blocks("docs/your-own-app.md", None)).output().await.unwrap();
    let (out, err) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    assert!(ran.status.success(), "{out}\n{err}");
    let page = std::fs::read_to_string(root().join("docs/your-own-app.md")).unwrap();
    let promised = page.split("```json\n").nth(1).unwrap().split("\n```").next().unwrap();
    assert!(out.ends_with(promised), "{promised}\n{out}");
}
