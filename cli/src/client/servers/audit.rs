//! `tenantry servers audit`

use serde_json::Value;

use crate::client::{
    Client,
    human::{in_words, indented},
};

/// What the parts of an audit mean.
const PARTS: [(&str, &str); 3] = [
    ("unknown", "On the server, and unknown to the registry:"),
    ("missing", "Known to the registry, and missing on the server:"),
    ("advice", "What to do:"),
];

pub(super) async fn run(client: &Client, server: &str) -> anyhow::Result<()> {
    let audit = client.api.get(&["servers", server, "audit"], &[]).await?;
    client.output.done(&audit, &report(server, &audit))
}

fn report(server: &str, audit: &Value) -> String {
    let parts = PARTS.iter().filter_map(|(member, title)| {
        let things = audit[*member].as_array().filter(|things| !things.is_empty())?;
        Some(format!("{title}{}", indented(things.iter().map(in_words))))
    });
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        return format!("the server {server} holds what the registry knows, and nothing else");
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_audit_shows_both_ways_and_what_to_do() {
        let audit = json!({
            "unknown": [{"kind": "schema", "name": "tenant_old", "database": "tenants", "tenantId": null}],
            "missing": [{"tenant": "acme", "kind": "role", "name": "tenant_acme"}],
            "advice": ["drop the schema tenant_old once you know whose it was"],
        });
        assert_eq!(
            report("eu-1", &audit),
            "On the server, and unknown to the registry:\n  schema tenant_old (database tenants)\n\n\
             Known to the registry, and missing on the server:\n  role tenant_acme (tenant acme)\n\n\
             What to do:\n  drop the schema tenant_old once you know whose it was"
        );
    }

    #[test]
    fn an_audit_that_finds_nothing_says_so() {
        let audit = json!({"unknown": [], "missing": [], "advice": []});
        assert_eq!(report("eu-1", &audit), "the server eu-1 holds what the registry knows, and nothing else");
    }
}
