//! `tenantry servers check`

use anyhow::bail;
use serde_json::Value;

use crate::client::{
    Client,
    human::{indented, text},
};

pub(super) async fn run(client: &Client, server: &str) -> anyhow::Result<()> {
    let answer = client.api.post(&["servers", server, "check"], None).await?;
    client.output.done_as_json(&answer)?;
    match found(server, &answer) {
        Ok(sentence) => client.output.done_in_words(&sentence),
        Err(problems) => bail!(problems),
    }
}

/// That a server can hold tenants, or why it cannot.
fn found(server: &str, answer: &Value) -> Result<String, String> {
    let version = answer["version"].as_str().map(|v| format!(" (PostgreSQL {v})")).unwrap_or_default();
    if answer["ok"] == true {
        let warnings = answer["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let warnings = warnings.iter().map(|warning| text(&warning["message"]));
        return Ok(format!("the server {server} can hold tenants{version}{}", indented(warnings)));
    }
    let problems = answer["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    let problems =
        problems.iter().map(|problem| format!("{} ({})", text(&problem["message"]), text(&problem["code"])));
    Err(format!("the server {server}{version} cannot hold tenants as it is:{}", indented(problems)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_that_is_wrong_is_named() {
        let answer = json!({"ok": false, "version": "15.8", "problems": [
            {"code": "wal_level", "message": "wal_level is replica; set it to logical"},
            {"code": "rights", "message": "the login may not create roles"},
        ]});
        assert_eq!(
            found("eu-1", &answer).unwrap_err(),
            "the server eu-1 (PostgreSQL 15.8) cannot hold tenants as it is:\n  \
             wal_level is replica; set it to logical (wal_level)\n  \
             the login may not create roles (rights)"
        );
    }

    #[test]
    fn a_server_that_is_fine_says_so() {
        let answer = json!({"ok": true, "version": "15.8", "problems": []});
        assert_eq!(found("eu-1", &answer).unwrap(), "the server eu-1 can hold tenants (PostgreSQL 15.8)");
        assert!(found("eu-1", &json!({"ok": false})).is_err());
    }

    #[test]
    fn what_it_can_do_without_is_said_too() {
        let warnings = json!([{"code": "wal_level", "message": "wal_level is replica"}]);
        let answer = json!({"ok": true, "version": "15.8", "problems": [], "warnings": warnings});
        assert!(found("eu-1", &answer).unwrap().ends_with("(PostgreSQL 15.8)\n  wal_level is replica"));
    }
}
