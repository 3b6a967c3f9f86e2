//! What is noted of changes of tenants' data, brought from their databases to the audit log.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tenantry_domain::{
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome, Target},
    ids::{AuditId, TenantId},
    names::ObjectName,
};
use tenantry_postgres::admin::{DataChange, LOGIN_PREFIX};
use tenantry_registry::Registry;
use tenantry_tokens::{SUPPORT, is_support_by_operator};

use crate::{servers::Server, step_error::StepError};

/// Changes per round trip.
const PAGE: u32 = 500;

/// Brings away what is noted in a database. Those that were brought already, and not forgotten, are in the audit log once all the same.
pub(crate) async fn bring_away(
    registry: &Registry,
    server: &Server,
    database: &ObjectName,
) -> Result<u64, StepError> {
    let mut brought = 0;
    loop {
        let changes = server.call(server.admin.data_changes(database, PAGE)).await?;
        if changes.is_empty() {
            return Ok(brought);
        }
        let ids: Vec<_> = changes.iter().map(|change| change.id).collect();
        let entries: Vec<_> = changes.into_iter().map(entry).collect();
        registry.audit_append(&entries).await?;
        server.call(server.admin.forget_data_changes(database, &ids)).await?;
        brought += ids.len() as u64;
    }
}

/// What the claims of a token say of its user.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    username: Option<String>,
}

fn entry(change: DataChange) -> AuditEntry {
    let DataChange { id, tenant_id, at, login, application, claims, table, verb, rows, columns, keys } =
        change;
    let at: DateTime<Utc> = at;
    let claims = claims.and_then(|claims| serde_json::from_str::<Claims>(&claims).ok());
    let actor = match claims {
        Some(claims) => {
            let kind = match claims.sub.as_str() {
                // Support names who asked for it.
                sub if is_support_by_operator(sub) => ActorKind::Operator,
                sub if sub.starts_with(SUPPORT) => ActorKind::Key,
                _ => ActorKind::User,
            };
            Actor { kind, id: Some(claims.sub), name: claims.username }
        }
        None if login.starts_with(LOGIN_PREFIX) => Actor { kind: ActorKind::Key, id: None, name: None },
        None => Actor { kind: ActorKind::Role, id: None, name: Some(login.clone()) },
    };
    let target = Target { kind: table, id: keys.as_ref().and_then(only_key) };
    let after = json!({
        "rows": rows, "columns": columns, "keys": keys, "login": login, "application": application,
    });
    AuditEntry {
        id: AuditId::from_uuid(id),
        tenant_id: Some(TenantId::from_uuid(tenant_id)),
        at,
        actor,
        action: format!("data.{verb}"),
        target: Some(target),
        request: None,
        request_id: None,
        address: None,
        outcome: AuditOutcome::Succeeded,
        status: None,
        input: None,
        before: None,
        after: Some(without_nulls(after).to_string()),
    }
}

/// The key of the only row: its value where it has one column, else the object.
fn only_key(keys: &Value) -> Option<String> {
    let [key] = keys.as_array()?.as_slice() else { return None };
    let columns = key.as_object()?;
    let value = if columns.len() == 1 { columns.values().next()? } else { key };
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn without_nulls(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(login: &str, claims: Option<&str>, keys: Value) -> AuditEntry {
        entry(DataChange {
            id: Default::default(),
            tenant_id: Default::default(),
            at: DateTime::UNIX_EPOCH,
            login: login.to_owned(),
            application: None,
            claims: claims.map(str::to_owned),
            table: "deals".to_owned(),
            verb: "update".to_owned(),
            rows: Some(1),
            columns: Some(vec!["amount".to_owned()]),
            keys: Some(keys),
        })
    }

    #[test]
    fn who_changed_data_is_a_user_a_key_or_a_role() {
        let user =
            change("tenantry_data_1", Some(r#"{"sub":"7","username":"ada","roles":["member"]}"#), json!([]));
        assert_eq!(
            user.actor,
            Actor { kind: ActorKind::User, id: Some("7".into()), name: Some("ada".into()) }
        );
        let key = change("tenantry_data_1", Some("no JSON"), json!([]));
        assert_eq!(key.actor, Actor { kind: ActorKind::Key, id: None, name: None });
        let role = change("tenant_acme", None, json!([]));
        assert_eq!(role.actor, Actor { kind: ActorKind::Role, id: None, name: Some("tenant_acme".into()) });
    }

    #[test]
    fn the_key_of_a_single_row_is_the_target() {
        let target = |keys: Value| change("x", None, keys).target.unwrap().id;
        assert_eq!(target(json!([{ "id": 7 }])).as_deref(), Some("7"));
        assert_eq!(target(json!([{ "code": "a b" }])).as_deref(), Some("a b"));
        assert_eq!(target(json!([{ "a": 1, "b": 2 }])).as_deref(), Some(r#"{"a":1,"b":2}"#));
        assert_eq!(target(json!([{ "id": 7 }, { "id": 8 }])), None);
    }
}
