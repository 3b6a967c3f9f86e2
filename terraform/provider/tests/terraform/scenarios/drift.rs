//! What somebody else does is found and mended.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{Installation, Workspace};

pub(super) fn what_was_changed_elsewhere_is_mended(installation: &Installation) {
    let api = &installation.api;
    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_plan" "drift" {
  name   = "drift"
  tier   = "schema"
  limits = { max_users = 100 }
}
resource "tenantry_tenant" "drift" {
  name             = "Drift"
  plan             = "basic"
  app              = "crm"
  settings         = jsonencode({ a = 1 })
  purge_on_destroy = true
}
resource "tenantry_app_version" "drift" {
  app      = "drift"
  version  = 1
  name     = "first"
  up       = "CREATE TABLE a (id int);"
  down     = "DROP TABLE a;"
  manifest = jsonencode({ description = "Drift" })
}
"#,
    );
    workspace.apply().succeeded();
    api.change(Method::PATCH, "/plans/drift", &json!({ "limits": { "maxUsers": 7 } }));
    api.change(Method::PATCH, "/tenants/drift", &json!({ "name": "Other", "settings": { "a": 2 } }));
    api.change(Method::POST, "/tenants/drift/suspend", &Json::Null);
    api.change(Method::PUT, "/apps/drift", &json!({ "manifest": { "description": "Other" } }));

    workspace.plans(&["0 to add, 3 to change, 0 to destroy", "7 -> 100", r#""suspended" -> "active""#]);
    workspace.apply().succeeded();
    workspace.is_settled();
    assert_eq!(api.get("/plans/drift").unwrap()["limits"]["maxUsers"], 100);
    let tenant = api.get("/tenants/drift").unwrap();
    assert_eq!((&tenant["name"], &tenant["status"]), (&json!("Drift"), &json!("active")));
    assert_eq!(tenant["settings"], json!({ "a": 1 }));
    assert_eq!(api.get("/apps/drift").unwrap()["manifest"]["description"], "Drift");
    workspace.destroy().succeeded();
}

pub(super) fn what_was_deleted_elsewhere_is_made_again(installation: &Installation) {
    let api = &installation.api;
    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_plan" "gone" {
  name = "gone"
  tier = "schema"
}
resource "tenantry_tenant" "gone" {
  name             = "Gone"
  plan             = "basic"
  app              = "crm"
  purge_on_destroy = true
}
resource "tenantry_domain" "gone" {
  tenant = tenantry_tenant.gone.id
  domain = "gone.example.com"
}
resource "tenantry_api_key" "gone" {
  tenant = tenantry_tenant.gone.id
  name   = "gone"
}
"#,
    );
    workspace.apply().succeeded();
    let key = workspace.attribute("tenantry_api_key.gone", "id");
    api.change(Method::DELETE, &format!("/tenants/gone/keys/{}", key.as_str().unwrap()), &Json::Null);
    api.change(Method::DELETE, "/plans/gone", &Json::Null);
    workspace.plans(&["2 to add, 0 to change, 0 to destroy"]);
    api.change(Method::DELETE, "/tenants/gone?purge=now", &Json::Null);
    workspace.plans(&["4 to add, 0 to change, 0 to destroy"]);
    workspace.apply().succeeded();
    workspace.is_settled();
    assert_eq!(api.get("/tenants/gone").unwrap()["status"], "active");
    workspace.destroy().succeeded();
}

pub(super) fn a_tenant_that_was_deleted_elsewhere_is_restored(installation: &Installation) {
    let api = &installation.api;
    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_tenant" "back" {
  name = "Back"
  plan = "basic"
  app  = "crm"
}
"#,
    );
    workspace.apply().succeeded();
    let id = workspace.attribute("tenantry_tenant.back", "id");
    api.change(Method::DELETE, "/tenants/back", &Json::Null);
    workspace.plans(&[r#""deactivated" -> "active""#]);
    workspace.apply().succeeded();
    workspace.is_settled();
    let tenant = api.get("/tenants/back").unwrap();
    assert_eq!((&tenant["id"], &tenant["status"]), (&id, &json!("active")));

    // Destroyed, it is kept for the plan's retention, and an import brings it back.
    workspace.destroy().succeeded();
    assert_eq!(api.get("/tenants/back").unwrap()["status"], "deactivated");
    workspace.apply().failed_with(&["terraform import tenantry_tenant.NAME back"]);
    workspace.run(&["import", "tenantry_tenant.back", "back"]).succeeded();
    workspace.apply().succeeded();
    assert_eq!(api.get("/tenants/back").unwrap()["status"], "active");
    api.change(Method::DELETE, "/tenants/back?purge=now", &Json::Null);
}
