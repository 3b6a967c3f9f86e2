//! What an apply leaves that did not come to its end.

use std::{thread, time::Duration};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};

use crate::{Installation, Workspace, api::Api, workspace::Run};

/// A tenant that takes some seconds: its app's one version does, and nothing on a server of its own is made beforehand.
fn slow(api: &Api, name: &str) -> String {
    api.change(Method::PUT, "/apps/unhurried", &json!({}));
    let up = "CREATE TABLE notes (id int PRIMARY KEY);\nSELECT pg_sleep(3);\n";
    let version = json!({ "version": 1, "name": "notes", "up": up, "down": "DROP TABLE notes;" });
    api.change(Method::POST, "/apps/unhurried/versions", &version);
    format!(
        r#"
resource "tenantry_tenant" "slow" {{
  name             = "{name}"
  plan             = "enterprise"
  app              = "unhurried"
  purge_on_destroy = true
}}"#
    )
}

/// Begins an apply, and sends it a signal while the tenant is being made.
fn struck(workspace: &Workspace<'_>, api: &Api, tenant: &str, signal: Signal) -> Run {
    let child = workspace.start(&["apply", "-auto-approve"]);
    while api.get(tenant).is_none() {
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(Duration::from_millis(200));
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
    Run { code: output.status.code(), text }
}

fn until_active(api: &Api, tenant: &str) {
    while api.get(tenant).unwrap()["status"] != "active" {
        thread::sleep(Duration::from_millis(200));
    }
}

pub(super) fn what_an_apply_has_left_that_was_killed_is_told_and_taken_over(installation: &Installation) {
    let api = &installation.api;
    let workspace = Workspace::new(installation, &slow(api, "Killed"));
    let run = struck(&workspace, api, "/tenants/killed", Signal::KILL);
    assert_eq!(run.code, None, "{}", run.text);
    until_active(api, "/tenants/killed");

    workspace.apply().failed_with(&[
        "There is a tenant killed already",
        "An apply that was interrupted may have made it",
        "terraform import tenantry_tenant.NAME killed",
    ]);
    workspace.run(&["import", "tenantry_tenant.slow", "killed"]).succeeded();
    workspace.apply().succeeded();
    workspace.is_settled();
    workspace.destroy().succeeded();
}

pub(super) fn a_key_that_nobody_has_is_told(installation: &Installation) {
    let api = &installation.api;
    let lost = api.change(Method::POST, "/keys", &json!({ "name": "lost", "scopes": ["plans:read"] }));
    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_api_key" "lost" {
  name   = "lost"
  scopes = ["plans:read"]
}
"#,
    );
    let id = lost["id"].as_str().unwrap();
    workspace.apply().succeeded().says(&["There is another API key named lost", id]);
    workspace.is_settled();
    workspace.destroy().succeeded();
    api.change(Method::DELETE, &format!("/keys/{id}"), &Json::Null);
}

pub(super) fn an_apply_that_is_interrupted_says_how_to_go_on(installation: &Installation) {
    let api = &installation.api;
    let workspace = Workspace::new(installation, &slow(api, "Halt"));
    let run = struck(&workspace, api, "/tenants/halt", Signal::INT);
    run.failed_with(&["Terraform was interrupted", "tenantry operations watch", "terraform untaint"]);

    until_active(api, "/tenants/halt");
    workspace.run(&["untaint", "tenantry_tenant.slow"]).succeeded();
    workspace.is_settled();
    workspace.destroy().succeeded();
    assert_eq!(api.get("/tenants/halt"), None);
}

pub(super) fn an_operation_is_waited_for_as_long_as_is_said(installation: &Installation) {
    let patient = slow(&installation.api, "Hasty");
    let hasty = format!("{patient}\nprovider \"tenantry\" {{\n  operation_timeout = 1\n}}\n");
    let workspace = Workspace::new(installation, &hasty);
    workspace.apply().failed_with(&["the provider's operation_timeout is over", "terraform untaint"]);
    // What is under way is waited for.
    workspace.write(&patient);
    workspace.destroy().succeeded();
    assert_eq!(installation.api.get("/tenants/hasty"), None);
}
