//! `tenantry tenants create`

use clap::Args;
use serde_json::{Map, Value};

use super::print_one;
use crate::client::{
    Client, member,
    output::note,
    progress::{WaitArgs, finish},
    values::{Setting, Size, Switch, settings, switches},
};

/// Whom to sign up.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry tenants create \"Acme Inc\" --plan basic --app crm
  tenantry tenants create \"Dental Clinic\" --slug dental --plan premium --app cashflow \\
      --feature treatment_tracking --setting branding='{\"color\": \"#0aa\"}' --max-storage 50GiB
  tenantry tenants create Acme --plan basic --app crm --no-wait --output json")]
pub(in crate::client) struct CreateArgs {
    /// The name that people see.
    #[arg(value_name = "NAME")]
    name: String,

    /// The plan that it buys; `tenantry plans list` shows the choice.
    #[arg(long, value_name = "PLAN")]
    plan: String,

    /// The app whose tables it gets; can be left out if there is only one, or a default.
    #[arg(long, value_name = "APP")]
    app: Option<String>,

    /// Its name in URLs and schemas. [default: derived from the name]
    #[arg(long, value_name = "SLUG")]
    slug: Option<String>,

    /// A custom domain; it is served once its TXT record is seen.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,

    /// A second label below the base domain.
    #[arg(long, value_name = "LABEL")]
    subdomain: Option<String>,

    /// Switch a feature on or off, whatever the plan says; may be given several times.
    #[arg(long = "feature", value_name = "KEY[=true|false]")]
    features: Vec<Switch>,

    /// A setting; the value is JSON, or else a text. May be given several times.
    #[arg(long = "setting", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,

    /// Users that it may have, in place of the plan's limit.
    #[arg(long, value_name = "COUNT")]
    max_users: Option<u32>,

    /// Room for its data and files, in place of the plan's limit, e.g. 10GiB.
    #[arg(long, value_name = "SIZE")]
    max_storage: Option<Size>,

    /// The address of its first user, who is invited as its owner by the event user.invited.
    #[arg(long, value_name = "EMAIL")]
    admin_email: Option<String>,

    /// How that user is called. [default: what stands before the @]
    #[arg(long, value_name = "NAME", requires = "admin_email")]
    admin_username: Option<String>,

    #[command(flatten)]
    wait: WaitArgs,
}

impl CreateArgs {
    fn body(&self) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                body.insert(name.to_owned(), value);
            }
        };
        put("name", self.name.clone().into());
        put("plan", self.plan.clone().into());
        put("app", self.app.clone().into());
        put("slug", self.slug.clone().into());
        put("domain", self.domain.clone().into());
        put("subdomain", self.subdomain.clone().into());
        put("maxUsers", self.max_users.into());
        put("maxStorage", self.max_storage.map(|Size(bytes)| bytes).into());
        if !self.features.is_empty() {
            put("features", switches(&self.features).into());
        }
        if !self.settings.is_empty() {
            put("settings", settings(&self.settings).into());
        }
        if let Some(email) = &self.admin_email {
            let mut admin = Map::from_iter([("email".to_owned(), email.clone().into())]);
            admin.extend(
                self.admin_username.as_ref().map(|name| ("username".to_owned(), name.clone().into())),
            );
            body.insert("admin".into(), admin.into());
        }
        body.into()
    }
}

pub(super) async fn run(client: &Client, args: CreateArgs) -> anyhow::Result<()> {
    let begun = client.api.post(&["tenants"], Some(&args.body())).await?;
    let slug = member(&begun, "/tenant/slug")?.to_owned();
    if let Some(ended) = finish(client, begun, &args.wait).await? {
        if client.output.is_json() {
            return client.output.done_as_json(&ended);
        }
        print_one(client, &ended["tenant"])?;
        note(&format!("\n  -> a key for its data: tenantry tenants keys create {slug} <name>"));
        if args.domain.is_some() {
            note(&format!("  -> the TXT record that its domain needs: tenantry tenants domains list {slug}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};
    use serde_json::json;

    use super::*;

    fn body(line: &[&str]) -> Value {
        let matches =
            CreateArgs::augment_args(Command::new("create")).no_binary_name(true).get_matches_from(line);
        CreateArgs::from_arg_matches(&matches).unwrap().body()
    }

    #[test]
    fn what_is_not_given_is_not_sent() {
        assert_eq!(body(&["Acme", "--plan", "basic"]), json!({"name": "Acme", "plan": "basic"}));
    }

    #[test]
    fn everything_can_be_given() {
        let line = [
            "Acme",
            "--plan=basic",
            "--app=crm",
            "--slug=acme",
            "--domain=a.example.com",
            "--subdomain=ac",
            "--feature=x",
            "--feature=y=false",
            "--setting=n=1",
            "--setting=t=text",
            "--max-users=7",
            "--max-storage=1KiB",
            "--admin-email=ada@example.com",
            "--admin-username=ada",
        ];
        assert_eq!(
            body(&line),
            json!({
                "name": "Acme", "plan": "basic", "app": "crm", "slug": "acme", "domain": "a.example.com",
                "subdomain": "ac", "features": {"x": true, "y": false}, "settings": {"n": 1, "t": "text"},
                "maxUsers": 7, "maxStorage": 1024, "admin": {"email": "ada@example.com", "username": "ada"},
            })
        );
    }
}
