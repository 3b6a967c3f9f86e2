//! The Helm chart, by Helm's own engine. What it needs is installed by `.ci/charts`; where it is missing these tests are skipped.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry_tests::{
    Api, TestApp, clients::succeeded, helm, kubernetes::KubernetesCluster, process::RoleProcess,
    versions::skipped,
};
use tokio::process::Command;

use crate::rolling_restart;

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_upgrades_and_uninstalls_it_and_leaves_what_is_to_be_kept() {
    let cluster = KubernetesCluster::start().await;
    let Some(program) = helm::check("cluster.py", &cluster.access()) else { return };
    let said = succeeded(program).await;
    assert_eq!(said.lines().count(), 4, "{said}");
    for name in ["default", "everything", "minimal", "production"] {
        let deployments = format!("/apis/apps/v1/namespaces/system-{name}/deployments");
        let installed =
            cluster.requests().into_iter().filter(|request| request.contains(&deployments)).count();
        assert!(installed > 3, "{name}: {installed} requests");
        // Kept: the registry of a release that has made it.
        let mut left = cluster.left_in(&format!("system-{name}"));
        left.retain(|object| !object.starts_with("clusters/"));
        assert!(left.is_empty(), "{name}: {left:?}");
    }
}

/// A user that no system has, as some clusters choose them.
const USER: &str = "1000730000";

/// Processes as the chart's pods run them.
struct Pods {
    roles: Value,
    /// What becomes their `/tmp`: the binary, what secrets are mounted as, and nothing else.
    folder: TempDir,
    database_url: String,
    bootstrap_key: String,
    confined: bool,
}

impl Pods {
    /// `None` where Helm is missing.
    async fn of(app: &TestApp) -> Option<Self> {
        let soon = json!({ "drainSeconds": 1 });
        let values = json!({ "controlPlane": soon, "dataPlane": soon, "worker": { "label": app.label() } });
        let roles = succeeded(helm::check("pods.py", &[&values.to_string()])?).await;
        let folder = tempfile::tempdir().expect("a folder");
        fs::copy(BINARY, folder.path().join("tenantry")).expect("a copy");
        fs::write(folder.path().join("kek"), app.kek.to_base64().expose_secret()).expect("a file");
        for (name, mode) in [("", 0o1777), ("tenantry", 0o755), ("kek", 0o444)] {
            let path = folder.path().join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let probe = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status().await;
        let confined = probe.is_ok_and(|status| status.success());
        if !confined {
            skipped(
                "a read-only root and another user, which need root and mounts; the rest of the test runs",
            );
        }
        Some(Self {
            roles: serde_json::from_str(&roles).expect("roles"),
            folder,
            database_url: app.registry_url().expose_secret().to_owned(),
            bootstrap_key: app.key.expose_secret().to_owned(),
            confined,
        })
    }

    /// Starts a pod of a role.
    async fn start(&self, role: &str) -> RoleProcess {
        let tmp = if self.confined { Path::new("/tmp") } else { self.folder.path() };
        let mut command = if self.confined {
            // As the kubelet does: a root that is read only, a folder for `/tmp`, a user, no capabilities.
            let script = r#"mount --bind "$1" /tmp && mount -o remount,ro,bind / && shift && exec "$@""#;
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", script, "sh"]).arg(self.folder.path());
            command.args(["setpriv", "--reuid", USER, "--regid", "0", "--clear-groups", "--no-new-privs"]);
            command.args(["--inh-caps=-all", "--bounding-set=-all"]).arg(tmp.join("tenantry"));
            command
        } else {
            Command::new(tmp.join("tenantry"))
        };
        let pod = &self.roles[role];
        let args = pod["args"].as_array().expect("arguments").iter().map(|arg| arg.as_str().expect("a text"));
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").expect("a path"));
        for variable in pod["env"].as_array().expect("an environment") {
            let name = variable["name"].as_str().expect("a name");
            let secret = variable["valueFrom"]["secretKeyRef"]["name"].as_str();
            let value = match (name, secret) {
                (_, Some("tenantry-registry")) => self.database_url.clone(),
                (_, Some("tenantry-bootstrap-key")) => self.bootstrap_key.clone(),
                ("TENANTRY_KEK_FILE", _) => tmp.join("kek").display().to_string(),
                // Of a network of its own a pod takes the ports that it is told.
                (name, _) if name.ends_with("_ADDR") => "127.0.0.1:0".to_owned(),
                _ => {
                    variable["value"].as_str().unwrap_or_else(|| panic!("{variable} has a value")).to_owned()
                }
            };
            command.env(name, value);
        }
        command.stderr(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
        RoleProcess::follow(command).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_as_its_pods_run_them_serve_and_are_replaced_without_a_failed_request() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).without_worker().start().await;
    let Some(pods) = Pods::of(&app).await else { return };
    let worker = pods.start("worker").await;
    let tenant = app.sign_up("acme", "premium", "crm").await;
    let control_planes = rolling_restart::restart(
        async || pods.start("control-plane").await,
        |balancer| Api::new(balancer.address).with_key(app.key.clone()),
        "/api/v1/plans",
    );
    let host = format!("{}.localhost", tenant.slug);
    let data_planes = rolling_restart::restart(
        async || pods.start("data-plane").await,
        |balancer| Api::new(balancer.address).with_key(tenant.key.clone()).with_host(host.clone()),
        "/api/contacts",
    );
    tokio::join!(control_planes, data_planes);
    worker.terminate().await;
    worker.ended().await;
}
