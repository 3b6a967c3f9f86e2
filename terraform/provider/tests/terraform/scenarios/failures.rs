//! What goes wrong is told, where it is wrong and with what to do.

use reqwest::Method;
use serde_json::json;

use crate::{Installation, Workspace};

pub(super) fn a_tenant_that_no_server_can_hold_is_reported_and_made_later(installation: &Installation) {
    let api = &installation.api;
    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_tenant" "homeless" {
  name             = "Homeless"
  plan             = "premium"
  app              = "crm"
  purge_on_destroy = true
}
"#,
    );
    api.change(Method::PATCH, "/servers/main", &json!({ "tiers": ["schema"] }));
    workspace.apply().failed_with(&[
        "Tenant Homeless could not be created",
        "server",
        "(provision) is failed at step place",
        "Mend the cause, then apply again.",
    ]);
    assert_eq!(api.get("/tenants/homeless").unwrap()["status"], "failed");

    api.change(Method::PATCH, "/servers/main", &json!({ "tiers": ["schema", "database"] }));
    workspace.plans(&["is tainted, so must be replaced"]);
    workspace.apply().succeeded();
    workspace.is_settled();
    assert_eq!(api.get("/tenants/homeless").unwrap()["status"], "active");
    workspace.destroy().succeeded();
}

pub(super) fn what_is_wrong_is_told_where_it_is(installation: &Installation) {
    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_plan" "wrong" {
  name           = "wrong"
  tier           = "scheme"
  default_config = "{"
}
"#,
    );
    workspace.run(&["validate"]).failed_with(&[
        r#"on main.tf line 4, in resource "tenantry_plan" "wrong""#,
        r#""scheme" is none of schema, database, instance."#,
        "on main.tf line 5",
        "use jsonencode({ ... })",
    ]);
    // What only the API knows.
    workspace.write(
        r#"
resource "tenantry_plan" "wrong" {
  name           = "wrong"
  tier           = "schema"
  retention_days = 9999
  database       = { lock_timeout_seconds = 99999999 }
  features = {
    "a b" = true
  }
}
"#,
    );
    workspace.apply().failed_with(&[
        "5: retention_days = 9999 `retentionDays` must be from 0 to 3650.",
        "6: database = { lock_timeout_seconds = 99999999 } `database.lockTimeoutSeconds` must be from 1 to",
        r#"8: "a b" = true `features.a b` must have a name of 1 to 100 characters without spaces."#,
    ]);
    workspace.write("data \"tenantry_plan\" \"wrong\" {\n  name = \"nowhere\"\n}\n");
    workspace.run(&["plan"]).failed_with(&["There is no plan nowhere", "on main.tf line 2"]);
}

pub(super) fn a_slug_that_is_taken_is_told_with_its_way_out(installation: &Installation) {
    let api = &installation.api;
    api.change(Method::POST, "/tenants", &json!({ "name": "Taken", "plan": "basic", "app": "crm" }));
    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_tenant" "taken" {
  name             = "Taken"
  slug             = "taken"
  plan             = "basic"
  app              = "crm"
  purge_on_destroy = true
}
"#,
    );
    workspace.apply().failed_with(&[
        r#"4: slug = "taken""#,
        "There is a tenant taken already",
        "terraform import tenantry_tenant.NAME taken",
    ]);
    workspace.run(&["import", "tenantry_tenant.taken", "taken"]).succeeded();
    workspace.apply().succeeded();
    workspace.is_settled();
    workspace.destroy().succeeded();
}

pub(super) fn a_control_plane_that_cannot_be_reached_is_told(installation: &Installation) {
    let workspace =
        Workspace::new(installation, "data \"tenantry_plan\" \"basic\" {\n  name = \"basic\"\n}\n");
    let run = workspace.run_with(&["plan"], &[("TENANTRY_URL", "http://127.0.0.1:9")]);
    run.failed_with(&["127.0.0.1:9/api/v1 cannot be reached", "Check the provider's url"]);
    workspace.run_with(&["plan"], &[("TENANTRY_URL", "")]).failed_with(&["The provider has no url"]);
}

pub(super) fn a_key_that_is_none_is_told(installation: &Installation) {
    let workspace =
        Workspace::new(installation, "data \"tenantry_plan\" \"basic\" {\n  name = \"basic\"\n}\n");
    let run = workspace.run_with(&["plan"], &[("TENANTRY_API_KEY", "tnt_nobodys")]);
    let run = run.failed_with(&["The plan basic could not be read", "HTTP 401"]);
    assert!(!run.text.contains("tnt_nobodys"), "{}", run.text);
}
