//! What is kept of a request and its answer: no secrets, and no more than a few kilobytes.

use serde_json::{Value, json};

/// The longest that is kept.
const LONGEST: usize = 16 << 10;

/// Members that may be secret, wherever they stand: keys and secrets are shown once, and nobody is to find them here.
const SECRET: &[&str] = &["secret", "pass", "token"];

/// A body as it is kept.
pub(super) fn kept(answer: &Value) -> String {
    let text = without_secrets(answer).to_string();
    if text.len() > LONGEST { json!({ "omittedBytes": text.len() }).to_string() } else { text }
}

fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            // Also what is no boolean: it was meant.
            let is_encrypted = members.get("isEncrypted").is_some_and(|value| *value != Value::Bool(false));
            let kept = members.iter().map(|(name, value)| {
                let lower = name.to_ascii_lowercase();
                let holds = value.is_string() || value.is_array() || value.is_object();
                let is_key = lower.ends_with("key") && lower != "configkey";
                let is_secret = (matches!(&*lower, "configvalue" | "value") && is_encrypted)
                    || holds && (is_key || SECRET.iter().any(|secret| lower.contains(secret)));
                (name.clone(), if is_secret { "[redacted]".into() } else { without_secrets(value) })
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_wherever_they_stand() {
        let answer = json!({
            "id": "1", "key": "tnt_x", "configKey": "session.timeout", "limits": { "maxUsers": 7, "keys": 3 },
            "items": [{ "adminPassword": "x", "secret": "whsec_x", "accessToken": "x", "publicKey": null }],
        });
        let expected = json!({
            "id": "1", "key": "[redacted]", "configKey": "session.timeout", "limits": { "maxUsers": 7, "keys": 3 },
            "items": [{
                "adminPassword": "[redacted]", "secret": "[redacted]", "accessToken": "[redacted]", "publicKey": null
            }],
        });
        assert_eq!(kept(&answer), expected.to_string());
        let value = json!({ "configKey": "smtp", "configValue": { "user": "x" }, "isEncrypted": true });
        assert_eq!(
            kept(&value),
            json!({ "configKey": "smtp", "configValue": "[redacted]", "isEncrypted": true }).to_string()
        );
        let long = kept(&json!({ "name": "x".repeat(20_000) }));
        assert!(long.contains("omittedBytes") && long.len() < 100);
    }
}
