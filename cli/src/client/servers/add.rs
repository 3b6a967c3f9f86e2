//! `tenantry servers add`

use clap::Args;
use serde_json::{Map, Value};

use super::{LINES, change::ServerChangeArgs};
use crate::client::{Client, problem::Problem};

/// A server to register.
#[derive(Debug, Args)]
pub(in crate::client) struct AddArgs {
    /// What to call it, e.g. eu-1.
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    change: ServerChangeArgs,

    /// The database that tenants of tier `schema` share. [default: tenantry]
    #[arg(long, value_name = "DATABASE")]
    shared_database: Option<String>,

    /// Who looks after it: static, local, rds or kubernetes. [default: static]
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
}

pub(super) async fn run(client: &Client, args: &AddArgs) -> anyhow::Result<()> {
    let mut body = args.change.body()?;
    body.insert("name".into(), args.name.clone().into());
    let more = [("sharedDatabase", &args.shared_database), ("provider", &args.provider)];
    body.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))));
    let body = Value::from(body);
    let error = match client.api.post_with(&["servers"], &args.change.query(), Some(&body)).await {
        Ok(server) => return client.output.one(&server, LINES),
        Err(error) => error,
    };
    if error.downcast_ref::<Problem>().is_none_or(|problem| problem.code != "server_exists") {
        return Err(error);
    }
    // So that what registers servers can be run again.
    let server = client.api.get(&["servers", &args.name], &[]).await?;
    if !is_as_given(&server, body.as_object().unwrap_or(&Map::new())) {
        return Err(error);
    }
    client.output.done(
        &server,
        &format!(
            "the server {0} is registered already, as given; its login stays as it is: `tenantry servers update {0}` changes it",
            args.name
        ),
    )
}

/// Whether a server is what a request says. The API does not show its login, nor its shared database.
fn is_as_given(server: &Value, given: &Map<String, Value>) -> bool {
    let hidden = ["adminUser", "adminPassword", "sharedDatabase"];
    given.iter().filter(|(name, _)| !hidden.contains(&name.as_str())).all(|(name, value)| {
        let is = &server[name.as_str()];
        match (is, value) {
            (Value::Array(is), Value::Array(given)) => {
                is.iter().all(|one| given.contains(one)) && given.iter().all(|one| is.contains(one))
            }
            (Value::String(is), Value::String(given)) if name == "host" => is.eq_ignore_ascii_case(given),
            (Value::String(is), Value::String(given)) => is.trim() == given.trim(),
            (is, given) => is == given,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_given_and_shown_is_compared() {
        let server = json!({ "name": "a", "host": "db", "port": 5432, "tiers": ["schema", "database"], "capacity": 5 });
        let is = |given: Value| is_as_given(&server, given.as_object().unwrap());
        assert!(is(json!({ "name": "a", "host": "DB", "adminUser": "x", "tiers": ["database", "schema"] })));
        for other in [json!({ "host": "db2" }), json!({ "capacity": 6 }), json!({ "tiers": ["schema"] })] {
            assert!(!is(other.clone()), "{other}");
        }
    }
}
