//! What an account has in the region, and the calls that change it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::ExposeSecret;
use sqlx::AssertSqlSafe;
use tenantry_postgres::embedded::EmbeddedPostgres;

use super::xml::element;
use crate::{
    server::{self, RUNTIME},
    tls::{self, Authority},
};

/// A call: its action and parameters.
pub(super) struct Call(HashMap<String, String>);

/// Why a call is refused: status, code, message.
pub(super) type Refused = (u16, &'static str, String);

impl Call {
    pub(super) fn read(body: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn action(&self) -> &str {
        self.text("Action")
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The members of a list whose names begin so, up to the first one that is missing.
    fn list<'a>(&'a self, start: &'a str, member: &'a str) -> impl Iterator<Item = usize> + 'a {
        (1..).take_while(move |number| self.0.contains_key(&format!("{start}.{number}.{member}")))
    }
}

struct Group {
    family: String,
    description: String,
    settings: BTreeMap<String, String>,
}

struct Instance {
    made_with: HashMap<String, String>,
    tags: Vec<(String, String)>,
    postgres: Option<EmbeddedPostgres>,
    protected: bool,
}

#[derive(Default)]
struct Region {
    groups: BTreeMap<String, Group>,
    instances: BTreeMap<String, Instance>,
    snapshots: Vec<String>,
    held: Option<&'static str>,
    actions: Vec<String>,
}

/// See the module.
pub(super) struct Account {
    region: Mutex<Region>,
    authority: Authority,
}

impl Account {
    pub(super) fn new() -> Self {
        Self { region: Mutex::default(), authority: Authority::new("Amazon RDS eu-central-1 Root CA") }
    }

    fn region(&self) -> MutexGuard<'_, Region> {
        self.region.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ca(&self) -> String {
        self.authority.pem()
    }

    pub(super) fn hold(&self, status: Option<&'static str>) {
        self.region().held = status;
    }

    pub(super) fn protect(&self, on: bool) {
        self.region().instances.values_mut().for_each(|instance| instance.protected = on);
    }

    pub(super) fn instances(&self) -> Vec<String> {
        self.region().instances.keys().cloned().collect()
    }

    pub(super) fn snapshots(&self) -> Vec<String> {
        self.region().snapshots.clone()
    }

    pub(super) fn actions(&self) -> Vec<String> {
        self.region().actions.clone()
    }

    pub(super) fn made_with(&self, instance: &str, parameter: &str) -> Option<String> {
        self.region().instances.get(instance)?.made_with.get(parameter).cloned()
    }

    pub(super) fn group_setting(&self, group: &str, setting: &str) -> Option<String> {
        self.region().groups.get(group)?.settings.get(setting).cloned()
    }

    /// Carries a call out.
    pub(super) fn answer(self: &Arc<Self>, call: &Call) -> Result<String, Refused> {
        self.region().actions.push(call.action().to_owned());
        match call.action() {
            "CreateDBParameterGroup" => self.create_group(call),
            "DescribeDBParameterGroups" => self.describe_groups(call),
            "ModifyDBParameterGroup" => self.modify_group(call),
            "DeleteDBParameterGroup" => self.delete_group(call),
            "CreateDBInstance" => self.create_instance(call),
            "DescribeDBInstances" => self.describe_instances(call),
            "ModifyDBInstance" => self.modify_instance(call),
            "DeleteDBInstance" => self.delete_instance(call),
            other => Err((400, "InvalidAction", format!("there is no action {other}"))),
        }
    }

    fn create_group(&self, call: &Call) -> Result<String, Refused> {
        let mut region = self.region();
        let name = call.text("DBParameterGroupName").to_owned();
        if region.groups.contains_key(&name) {
            return Err((400, "DBParameterGroupAlreadyExists", format!("{name} already exists")));
        }
        let (family, description) =
            (call.text("DBParameterGroupFamily").to_owned(), call.text("Description").to_owned());
        if !family.starts_with("postgres") || description.is_empty() {
            return Err((400, "InvalidParameterValue", "a family and a description are needed".into()));
        }
        let group = Group { family, description, settings: BTreeMap::new() };
        let answer = format!("<DBParameterGroup>{}</DBParameterGroup>", show_group(&name, &group));
        region.groups.insert(name, group);
        Ok(answer)
    }

    fn describe_groups(&self, call: &Call) -> Result<String, Refused> {
        let region = self.region();
        let wanted = call.text("DBParameterGroupName");
        if !wanted.is_empty() && !region.groups.contains_key(wanted) {
            return Err((404, "DBParameterGroupNotFound", format!("{wanted} not found")));
        }
        let all = region.groups.iter().filter(|(name, _)| wanted.is_empty() || *name == wanted);
        let shown: Vec<String> = all
            .map(|(name, group)| format!("<DBParameterGroup>{}</DBParameterGroup>", show_group(name, group)))
            .collect();
        let (page, marker) = page(call, &shown);
        Ok(format!("<DBParameterGroups>{page}</DBParameterGroups>{marker}"))
    }

    fn modify_group(&self, call: &Call) -> Result<String, Refused> {
        let mut region = self.region();
        let name = call.text("DBParameterGroupName").to_owned();
        let Some(group) = region.groups.get_mut(&name) else {
            return Err((404, "DBParameterGroupNotFound", format!("{name} not found")));
        };
        let start = "Parameters.Parameter";
        if call.list(start, "ParameterName").count() > 20 {
            return Err((400, "InvalidParameterValue", "at most 20 parameters".into()));
        }
        for number in call.list(start, "ParameterName") {
            let text = |member: &str| call.text(&format!("{start}.{number}.{member}")).to_owned();
            let (setting, value) = (text("ParameterName"), text("ParameterValue"));
            if value.ends_with('B') || value.is_empty() {
                return Err((400, "InvalidParameterValue", format!("{value} is no value of {setting}")));
            }
            group.settings.insert(setting, value);
        }
        Ok(element("DBParameterGroupName", &name))
    }

    fn delete_group(&self, call: &Call) -> Result<String, Refused> {
        let mut region = self.region();
        let name = call.text("DBParameterGroupName");
        let used =
            region.instances.values().any(|instance| instance.made_with["DBParameterGroupName"] == name);
        if used {
            return Err((400, "InvalidDBParameterGroupState", format!("{name} is used")));
        }
        match region.groups.remove(name) {
            Some(_) => Ok(String::new()),
            None => Err((404, "DBParameterGroupNotFound", format!("{name} not found"))),
        }
    }

    fn create_instance(self: &Arc<Self>, call: &Call) -> Result<String, Refused> {
        let mut region = self.region();
        let name = call.text("DBInstanceIdentifier").to_owned();
        if region.instances.contains_key(&name) {
            return Err((400, "DBInstanceAlreadyExists", "DB instance already exists".into()));
        }
        let group = call.text("DBParameterGroupName");
        let Some(found) = region.groups.get(group) else {
            return Err((404, "DBParameterGroupNotFound", format!("{group} not found")));
        };
        if found.family != format!("postgres{}", call.text("EngineVersion")) {
            return Err((400, "InvalidParameterCombination", "the group is of another version".into()));
        }
        if call.text("DBSubnetGroupName") != super::SUBNET_GROUP {
            return Err((404, "DBSubnetGroupNotFoundFault", "there is no such subnet group".into()));
        }
        let password = call.text("MasterUserPassword").to_owned();
        if password.len() < 8 || password.len() > 128 {
            return Err((400, "InvalidParameterValue", "the password must have 8 to 128 characters".into()));
        }
        let start = "Tags.Tag";
        let tags = call.list(start, "Key").map(|number| {
            let text = |member: &str| call.text(&format!("{start}.{number}.{member}")).to_owned();
            (text("Key"), text("Value"))
        });
        let tags = tags.collect();
        let instance = Instance { made_with: call.0.clone(), tags, postgres: None, protected: false };
        let answer = format!("<DBInstance>{}</DBInstance>", show_instance(&name, &instance, None));
        region.instances.insert(name.clone(), instance);
        let (this, admin) = (Arc::clone(self), call.text("MasterUsername").to_owned());
        RUNTIME.spawn_blocking(move || RUNTIME.block_on(this.make(name, admin, password)));
        Ok(answer)
    }

    async fn make(self: Arc<Self>, name: String, admin: String, password: String) {
        let postgres = server::start_with(BTreeMap::new()).await.expect("a PostgreSQL for the instance");
        tls::show(&postgres, "rds", &self.authority.certificate("localhost")).await;
        let mut connection = server::admin(&postgres, "postgres").await;
        // Amazon's admin is none of PostgreSQL's superusers, but may do these.
        for statement in [
            format!("CREATE ROLE {admin} LOGIN CREATEROLE CREATEDB REPLICATION PASSWORD '{password}'"),
            format!("GRANT SET ON PARAMETER session_replication_role TO {admin}"),
            format!("ALTER DATABASE postgres OWNER TO {admin}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.expect("the admin");
        }
        debug_assert!(!postgres.password().expose_secret().is_empty(), "the superuser is Amazon's own");
        if let Some(instance) = self.region().instances.get_mut(&name) {
            instance.postgres = Some(postgres);
        }
    }

    fn describe_instances(&self, call: &Call) -> Result<String, Refused> {
        let region = self.region();
        let wanted = call.text("DBInstanceIdentifier");
        if !wanted.is_empty() && !region.instances.contains_key(wanted) {
            return Err((404, "DBInstanceNotFound", format!("DBInstance {wanted} not found.")));
        }
        let all = region.instances.iter().filter(|(name, _)| wanted.is_empty() || *name == wanted);
        let shown: Vec<String> = all
            .map(|(name, instance)| {
                format!("<DBInstance>{}</DBInstance>", show_instance(name, instance, region.held))
            })
            .collect();
        let (page, marker) = page(call, &shown);
        Ok(format!("<DBInstances>{page}</DBInstances>{marker}"))
    }

    fn modify_instance(&self, call: &Call) -> Result<String, Refused> {
        let mut region = self.region();
        let name = call.text("DBInstanceIdentifier").to_owned();
        let Some(instance) = region.instances.get_mut(&name) else {
            return Err((404, "DBInstanceNotFound", format!("DBInstance {name} not found.")));
        };
        let gibibytes = |made_with: &HashMap<String, String>| -> u32 {
            made_with.get("AllocatedStorage").and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
        };
        if gibibytes(&call.0) < gibibytes(&instance.made_with) {
            return Err((400, "InvalidParameterCombination", "storage cannot become smaller".into()));
        }
        instance.made_with.extend(call.0.clone());
        Ok(format!("<DBInstance>{}</DBInstance>", show_instance(&name, instance, None)))
    }

    fn delete_instance(&self, call: &Call) -> Result<String, Refused> {
        let mut region = self.region();
        let held = region.held;
        let name = call.text("DBInstanceIdentifier").to_owned();
        let Some(instance) = region.instances.get(&name) else {
            return Err((404, "DBInstanceNotFound", format!("DBInstance {name} not found.")));
        };
        if instance.protected {
            let message =
                "Cannot delete protected DB Instance, please disable deletion protection and try again.";
            return Err((400, "InvalidParameterCombination", message.into()));
        }
        let snapshot = call.text("FinalDBSnapshotIdentifier").to_owned();
        let skipped = call.text("SkipFinalSnapshot") == "true";
        if skipped != snapshot.is_empty() {
            let message = "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.";
            return Err((400, "InvalidParameterCombination", message.into()));
        }
        if !skipped && status(instance, held) != "available" {
            return Err((
                400,
                "InvalidDBInstanceState",
                "a final snapshot cannot be taken in this state".into(),
            ));
        }
        let answer = format!("<DBInstance>{}</DBInstance>", show_instance(&name, instance, Some("deleting")));
        region.instances.remove(&name);
        region.snapshots.extend((!skipped).then_some(snapshot));
        Ok(answer)
    }
}

fn status(instance: &Instance, held: Option<&'static str>) -> &'static str {
    held.unwrap_or(if instance.postgres.is_some() { "available" } else { "creating" })
}

fn show_group(name: &str, group: &Group) -> String {
    element("DBParameterGroupName", name)
        + &element("DBParameterGroupFamily", &group.family)
        + &element("Description", &group.description)
}

fn show_instance(name: &str, instance: &Instance, held: Option<&'static str>) -> String {
    let tags: Vec<String> = instance
        .tags
        .iter()
        .map(|(key, value)| format!("<Tag>{}{}</Tag>", element("Key", key), element("Value", value)))
        .collect();
    let endpoint = instance.postgres.as_ref().map(|postgres| {
        let port = element("Port", &postgres.port().to_string());
        format!("<Endpoint>{}{port}</Endpoint>", element("Address", "localhost"))
    });
    element("DBInstanceIdentifier", name)
        + &element("EngineVersion", &format!("{}.4", instance.made_with["EngineVersion"]))
        + &element("AllocatedStorage", &instance.made_with["AllocatedStorage"])
        + &element("DBInstanceStatus", status(instance, held))
        + &endpoint.unwrap_or_default()
        + &format!("<TagList>{}</TagList>", tags.concat())
}

/// Two on a page, whatever is asked for: whoever lists must turn pages.
fn page(call: &Call, shown: &[String]) -> (String, String) {
    let start: usize = call.text("Marker").parse().unwrap_or(0);
    let end = (start + 2).min(shown.len());
    let marker = if end < shown.len() { element("Marker", &end.to_string()) } else { String::new() };
    (shown.get(start..end).unwrap_or_default().concat(), marker)
}
