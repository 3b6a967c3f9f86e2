//! What nobody is to read over a shoulder.

use crate::{Installation, Workspace};

pub(super) fn no_secret_is_shown(installation: &Installation) {
    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_server" "secret" {
  name           = "secret"
  host           = "secret.invalid"
  admin_user     = "postgres"
  admin_password = "server-secret-2"
  capacity       = 1
  state          = "cordoned"
  check          = false
}
resource "tenantry_api_key" "secret" {
  name   = "secret"
  scopes = ["plans:read"]
}
"#,
    );
    let logged = [("TF_LOG_PROVIDER", "TRACE")];
    let mut shown = workspace.run_with(&["plan"], &logged).succeeded().says(&["(sensitive value)"]).text;
    shown += &workspace.run_with(&["apply", "-auto-approve"], &logged).succeeded().text;
    shown += &workspace.run(&["show"]).succeeded().text;
    let key = workspace.attribute("tenantry_api_key.secret", "key");
    let key = key.as_str().unwrap();
    assert!(key.starts_with("tnt_"), "the state has it");
    shown += &workspace.run_with(&["destroy", "-auto-approve"], &logged).succeeded().text;
    for secret in ["server-secret-2", key, &installation.api.key] {
        assert!(!shown.contains(secret), "{secret} is in\n{shown}");
    }
}
