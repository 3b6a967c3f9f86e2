//! `tenantry tenants update`

use anyhow::ensure;
use clap::Args;
use serde_json::{Map, Value};

use super::{TenantArg, print_one};
use crate::client::{
    Client,
    values::{Setting, Size, Switch, settings, switches},
};

/// What to change.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry tenants update acme-inc --name \"Acme International\"
  tenantry tenants update acme-inc --feature biometric_auth --setting theme=dark
  tenantry tenants update acme-inc --max-users 50 --no-max-storage")]
pub(in crate::client) struct UpdateArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// A new name that people see.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Switch a feature on or off; the tenant's other switches stay.
    #[arg(long = "feature", value_name = "KEY[=true|false]")]
    features: Vec<Switch>,

    /// Leave a feature to the plan again.
    #[arg(long = "unset-feature", value_name = "KEY")]
    unset_features: Vec<String>,

    /// Set a setting, as JSON or else as a text; the others stay.
    #[arg(long = "setting", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,

    /// Remove a setting.
    #[arg(long = "unset-setting", value_name = "KEY")]
    unset_settings: Vec<String>,

    /// Users that it may have, in place of the plan's limit.
    #[arg(long, value_name = "COUNT")]
    max_users: Option<u32>,

    /// Go back to the plan's limit of users.
    #[arg(long, conflicts_with = "max_users")]
    no_max_users: bool,

    /// Room for its data and files, in place of the plan's limit, e.g. 10GiB.
    #[arg(long, value_name = "SIZE")]
    max_storage: Option<Size>,

    /// Go back to the plan's limit of storage.
    #[arg(long, conflicts_with = "max_storage")]
    no_max_storage: bool,
}

impl UpdateArgs {
    /// The change, given the tenant as it is: the API replaces switches and settings as a whole.
    fn body(&self, tenant: &Value) -> Map<String, Value> {
        let mut body = Map::new();
        let mut replaced = |member: &str, set: Map<String, Value>, unset: &[String]| {
            if !set.is_empty() || !unset.is_empty() {
                let mut all = tenant[member].as_object().cloned().unwrap_or_default();
                all.retain(|key, _| !unset.contains(key));
                all.extend(set);
                body.insert(member.to_owned(), all.into());
            }
        };
        replaced("features", switches(&self.features), &self.unset_features);
        replaced("settings", settings(&self.settings), &self.unset_settings);
        if let Some(name) = &self.name {
            body.insert("name".into(), name.clone().into());
        }
        if self.max_users.is_some() || self.no_max_users {
            body.insert("maxUsers".into(), self.max_users.into());
        }
        if self.max_storage.is_some() || self.no_max_storage {
            body.insert("maxStorage".into(), self.max_storage.map(|Size(bytes)| bytes).into());
        }
        body
    }
}

pub(super) async fn run(client: &Client, args: UpdateArgs) -> anyhow::Result<()> {
    let path = ["tenants", &args.tenant.tenant];
    let tenant = client.api.get(&path, &[]).await?;
    let body = args.body(&tenant);
    ensure!(!body.is_empty(), "nothing to change was given; see --help");
    let tenant = client.api.patch(&path, &body.into()).await?;
    print_one(client, &tenant)
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let line = ["acme", "--feature=x=false", "--unset-feature=z", "--setting=a=1", "--no-max-users"];
        let matches =
            UpdateArgs::augment_args(Command::new("update")).no_binary_name(true).get_matches_from(line);
        let args = UpdateArgs::from_arg_matches(&matches).unwrap();
        let tenant =
            json!({"features": {"x": true, "y": true, "z": true}, "settings": {"b": 2}, "maxUsers": 9});
        assert_eq!(
            Value::from(args.body(&tenant)),
            json!({"features": {"x": false, "y": true}, "settings": {"a": 1, "b": 2}, "maxUsers": null})
        );
    }
}
