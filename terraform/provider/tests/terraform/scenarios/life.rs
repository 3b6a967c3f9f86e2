//! From creation to destruction.

use std::{fs, path::Path, process::Command, thread};

use reqwest::Method;
use serde_json::json;

use crate::{Installation, Workspace};

const EVERYTHING: &str = r#"
resource "tenantry_plan" "life" {
  name           = "life"
  tier           = "schema"
  limits         = { max_users = 100 }
  database       = { weight = 2 }
  features       = { reports = true }
  default_config = jsonencode({ "session.timeout" = 3600 })
}

resource "tenantry_server_class" "life" {
  name     = "life"
  made_by  = "local"
  tiers    = ["instance"]
  capacity = 1
}

resource "tenantry_app_version" "first" {
  app      = "life"
  version  = 1
  name     = "first"
  up       = "CREATE TABLE things (id bigint PRIMARY KEY, name text);"
  down     = "DROP TABLE things;"
  manifest = jsonencode({ description = "A life" })
}

resource "tenantry_app_version" "second" {
  app        = "life"
  version    = 2
  name       = "second"
  up         = "ALTER TABLE things ADD COLUMN price numeric;"
  depends_on = [tenantry_app_version.first]
}

resource "tenantry_tenant" "life" {
  name             = "Life Inc"
  slug             = "life_inc"
  plan             = tenantry_plan.life.name
  app              = tenantry_app_version.second.app
  features         = { beta = true }
  settings         = jsonencode({ branding = { color = "<&>" } })
  purge_on_destroy = true
}

resource "tenantry_api_key" "data" {
  tenant = tenantry_tenant.life.slug
  name   = "life, its data"
  scopes = ["data:read"]
}

resource "tenantry_api_key" "operator" {
  name       = "life"
  scopes     = ["tenants:read", "plans:read"]
  expires_at = "2099-01-01T00:00:00+01:00"
}

resource "tenantry_domain" "life" {
  tenant = tenantry_tenant.life.id
  domain = "Life.example.com"
}

data "tenantry_tenant" "life" {
  slug = tenantry_tenant.life.slug
}

data "tenantry_plan" "basic" {
  name = "basic"
}

data "tenantry_server" "main" {
  name = "main"
}

data "tenantry_server_class" "life" {
  name = tenantry_server_class.life.name
}

output "found" {
  value = [
    data.tenantry_tenant.life.server, data.tenantry_plan.basic.tier,
    data.tenantry_server.main.state, data.tenantry_server_class.life.made_by,
  ]
}
"#;

pub(super) fn everything_is_made_and_then_nothing_is_to_do(installation: &Installation) {
    let api = &installation.api;
    let workspace = Workspace::new(installation, EVERYTHING);
    workspace.run(&["validate"]).succeeded();
    workspace.apply().succeeded().says(&[r#"found = [ "main", "schema", "active", "local", ]"#]);
    workspace.is_settled();

    let tenant = api.get("/tenants/life-inc").unwrap();
    assert_eq!(tenant["status"], "active");
    assert_eq!(tenant["settings"], json!({ "branding": { "color": "<&>" } }));
    assert_eq!(api.get("/apps/life").unwrap()["promotedVersion"], 2);
    assert_eq!(workspace.attribute("tenantry_domain.life", "record")["name"], "_tenantry.life.example.com");
    // A state of the tenant as it is, whatever its slug's spelling.
    workspace.run(&["apply", "-refresh-only", "-auto-approve"]).succeeded();
    workspace.is_settled();

    workspace.destroy().succeeded().says(&["Plan life stays in the registry"]);
    assert_eq!(api.get("/tenants/life-inc"), None);
    assert_eq!(api.get("/apps/life").unwrap()["versions"], json!([]));
    assert_eq!(api.get("/server-classes/life"), None);
    let keys = api.get("/keys").unwrap();
    assert!(!keys["items"].as_array().unwrap().iter().any(|key| key["name"] == "life"), "{keys}");
}

pub(super) fn a_change_is_made_in_place(installation: &Installation) {
    let api = &installation.api;
    let configuration = |name: &str, users: &str, status: &str| {
        // In quotes, or null.
        let quoted = |text: String| if users == "null" { users.to_owned() } else { format!("\"{text}\"") };
        let (cost, cpu) = (quoted(format!("{users} EUR")), quoted(users.to_owned()));
        format!(
            r#"
resource "tenantry_plan" "change" {{
  name   = "change"
  tier   = "schema"
  limits = {{ max_users = {users} }}
}}
resource "tenantry_server_class" "change" {{
  name     = "change"
  made_by  = "kubernetes"
  capacity = 5
  cost     = {cost}
  version  = 17
  size     = {{ cpu = {cpu}, storage = "50Gi" }}
  spec     = jsonencode({{ backup = {{ retentionPolicy = "30d" }} }})
}}
resource "tenantry_tenant" "change" {{
  name             = "{name}"
  slug             = "change"
  plan             = "basic"
  app              = "crm"
  max_users        = {users}
  status           = "{status}"
  purge_on_destroy = true
}}"#
        )
    };
    let workspace = Workspace::new(installation, &configuration("Before", "10", "active"));
    workspace.apply().succeeded();
    let id = workspace.attribute("tenantry_tenant.change", "id");

    workspace.write(&configuration("After", "20", "suspended"));
    workspace.plans(&["0 to add, 3 to change, 0 to destroy", r#""Before" -> "After""#]);
    workspace.apply().succeeded();
    workspace.is_settled();
    let tenant = api.get("/tenants/change").unwrap();
    assert_eq!((&tenant["name"], &tenant["maxUsers"]), (&json!("After"), &json!(20)));
    assert_eq!((&tenant["status"], &tenant["id"]), (&json!("suspended"), &id));
    assert_eq!(api.get("/plans/change").unwrap()["limits"]["maxUsers"], 20);

    let class = api.get("/server-classes/change").unwrap();
    assert_eq!((&class["cost"], &class["size"]["cpu"]), (&json!("20 EUR"), &json!("20")));
    assert_eq!((&class["version"], &class["spec"]["backup"]["retentionPolicy"]), (&json!(17), &json!("30d")));

    // What is left out goes back to what it was without it.
    workspace.write(&configuration("After", "null", "active"));
    workspace.apply().succeeded();
    workspace.is_settled();
    let tenant = api.get("/tenants/change").unwrap();
    assert_eq!((&tenant["maxUsers"], &tenant["status"]), (&json!(null), &json!("active")));
    let class = api.get("/server-classes/change").unwrap();
    assert_eq!((&class["cost"], &class["size"]), (&json!(null), &json!({ "storage": "50Gi" })));
    assert_eq!(api.get("/plans/change").unwrap()["limits"]["maxUsers"], json!(null));
    workspace.destroy().succeeded();
    assert_eq!(api.get("/plans/change"), None);
}

pub(super) fn what_cannot_be_changed_is_made_anew(installation: &Installation) {
    let configuration = |name: &str, key: &str, sql: &str| {
        format!(
            r#"
resource "tenantry_plan" "anew" {{
  name = "{name}"
  tier = "schema"
}}
resource "tenantry_api_key" "anew" {{
  name   = "{key}"
  scopes = ["plans:read"]
}}
resource "tenantry_app_version" "anew" {{
  app     = "anew"
  version = 1
  name    = "first"
  up      = "{sql}"
  down    = "DROP TABLE a;"
}}"#
        )
    };
    let workspace = Workspace::new(installation, &configuration("anew", "anew", "CREATE TABLE a (id int);"));
    workspace.apply().succeeded();
    workspace.write(&configuration("anew-2", "anew 2", "CREATE TABLE a (id bigint);"));
    workspace.plans(&["3 to add, 0 to change, 3 to destroy", "forces replacement"]);
    workspace.apply().succeeded();
    workspace.is_settled();
    assert_eq!(installation.api.get("/plans/anew"), None);
    assert!(installation.api.get("/plans/anew-2").is_some());
    workspace.destroy().succeeded();
}

pub(super) fn a_tenant_with_another_plan_is_moved_and_its_progress_is_logged(installation: &Installation) {
    let configuration = |plan: &str| {
        format!(
            r#"
resource "tenantry_tenant" "mover" {{
  name             = "Mover"
  plan             = "{plan}"
  app              = "crm"
  purge_on_destroy = true
}}"#
        )
    };
    let workspace = Workspace::new(installation, &configuration("basic"));
    workspace.apply().succeeded();
    assert_eq!(workspace.attribute("tenantry_tenant.mover", "tier"), "schema");
    workspace.write(&configuration("premium"));
    let run = workspace.run_with(&["apply", "-auto-approve"], &[("TF_LOG_PROVIDER", "INFO")]).succeeded();
    run.says(&["1 changed", "(move) is queued", "(move) is succeeded"]);
    workspace.is_settled();
    assert_eq!(workspace.attribute("tenantry_tenant.mover", "tier"), "database");
    workspace.destroy().succeeded();
}

pub(super) fn what_is_there_already_is_imported(installation: &Installation) {
    let api = &installation.api;
    let body = json!({ "name": "Import Inc", "slug": "import-inc", "plan": "basic", "app": "crm" });
    api.change(Method::POST, "/tenants", &body);
    api.change(Method::POST, "/plans", &json!({ "name": "import", "tier": "database" }));
    api.change(Method::PUT, "/apps/import", &json!({}));
    let version =
        json!({ "version": 7, "name": "first", "up": "CREATE TABLE a (id int);", "down": "DROP TABLE a;" });
    api.change(Method::POST, "/apps/import/versions", &version);
    let domain = json!({ "domain": "import.example.com" });
    api.change(Method::POST, "/tenants/import-inc/domains", &domain);
    let key = api.change(Method::POST, "/tenants/import-inc/keys", &json!({ "name": "import" }));

    let workspace = Workspace::new(
        installation,
        r#"
resource "tenantry_tenant" "import" {
  name             = "Import Inc"
  plan             = "basic"
  app              = "crm"
  purge_on_destroy = true
}
resource "tenantry_plan" "import" {
  name = "import"
  tier = "database"
}
resource "tenantry_app_version" "import" {
  app     = "import"
  version = 7
  name    = "first"
  up      = "CREATE TABLE a (id int);"
  down    = "DROP TABLE a;"
}
resource "tenantry_domain" "import" {
  tenant = "import-inc"
  domain = "import.example.com"
}
resource "tenantry_api_key" "import" {
  tenant = "import-inc"
  name   = "import"
}
"#,
    );
    let key = format!("import-inc/{}", key["id"].as_str().unwrap());
    for (address, id) in [
        ("tenantry_tenant.import", "import-inc"),
        ("tenantry_plan.import", "import"),
        ("tenantry_app_version.import", "import/7"),
        ("tenantry_domain.import", "import-inc/import.example.com"),
        ("tenantry_api_key.import", &key),
    ] {
        workspace.run(&["import", address, id]).succeeded();
    }
    // Only what the provider alone knows is to be written down.
    workspace.plans(&["0 to add, 2 to change, 0 to destroy"]);
    workspace.apply().succeeded();
    workspace.is_settled();
    workspace.run(&["import", "tenantry_plan.import", "nobody"]).failed_with(&["already managed"]);
    workspace.destroy().succeeded();
    assert_eq!(api.get("/tenants/import-inc"), None);
}

pub(super) fn two_workspaces_are_applied_at_once(installation: &Installation) {
    let configuration = |own: &str| {
        let tenants = (0..4).map(|n| {
            format!(
                r#"
resource "tenantry_tenant" "t{n}" {{
  name             = "{own} {n}"
  plan             = tenantry_plan.own.name
  app              = "crm"
  purge_on_destroy = true
}}"#
            )
        });
        format!(
            r#"
resource "tenantry_plan" "own" {{
  name = "{own}"
  tier = "schema"
}}
# Both want it.
resource "tenantry_tenant" "both" {{
  name             = "Both"
  slug             = "both"
  plan             = "basic"
  app              = "crm"
  purge_on_destroy = true
}}
{}"#,
            tenants.collect::<String>()
        )
    };
    let both = ["left", "right"].map(|own| Workspace::new(installation, &configuration(own)));
    let runs = thread::scope(|scope| {
        both.each_ref().map(|workspace| scope.spawn(|| workspace.apply())).map(|run| run.join().unwrap())
    });
    let [won, lost]: [Vec<_>; 2] = {
        let (won, lost) = runs.into_iter().partition(|run| run.code == Some(0));
        [won, lost]
    };
    assert_eq!((won.len(), lost.len()), (1, 1), "{won:?} {lost:?}");
    lost.into_iter().next().unwrap().failed_with(&["There is a tenant both already", "terraform import"]);
    for own in ["left", "right"] {
        for n in 0..4 {
            assert!(installation.api.get(&format!("/tenants/{own}-{n}")).is_some());
        }
    }
    for workspace in &both {
        workspace.destroy().succeeded();
    }
}

pub(super) fn a_server_is_registered_changed_and_forgotten(installation: &Installation) {
    let configuration = |capacity: u32, check: bool| {
        format!(
            r#"
resource "tenantry_server" "far" {{
  name           = "far"
  host           = "db.invalid"
  admin_user     = "postgres"
  admin_password = "server-secret-1"
  tiers          = ["database"]
  capacity       = {capacity}
  state          = "cordoned"
  check          = {check}
}}"#
        )
    };
    let workspace = Workspace::new(installation, &configuration(5, true));
    workspace.apply().failed_with(&["Server far could not be created", "server_unusable"]);
    workspace.write(&configuration(5, false));
    workspace.apply().succeeded();
    workspace.is_settled();
    workspace.write(&configuration(6, false));
    workspace.apply().succeeded().says(&["1 changed"]);
    workspace.is_settled();
    assert_eq!(installation.api.get("/servers/far").unwrap()["capacity"], 6);
    workspace.destroy().succeeded();
    assert_eq!(installation.api.get("/servers/far"), None);
}

pub(super) fn the_example_is_applied_and_destroyed(installation: &Installation) {
    let workspace = Workspace::new(installation, "");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/provider");
    let copied = Command::new("cp").arg("-r").arg(example.join(".")).arg(workspace.path()).status().unwrap();
    assert!(copied.success());
    fs::remove_file(workspace.path().join("versions.tf")).unwrap();
    let url = format!("-var=url={}", installation.api.url);
    workspace.run(&["apply", "-auto-approve", &url]).succeeded().says(&["acme_key = <sensitive>"]);
    let run = workspace.run(&["plan", "-detailed-exitcode", &url]);
    assert_eq!(run.code, Some(0), "{}", run.text);
    workspace.run(&["destroy", "-auto-approve", &url]).succeeded();
    assert_eq!(installation.api.get("/tenants/acme"), None);
}
