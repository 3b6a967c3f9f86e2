//! What is noted of changes of tenants' data, brought from their databases to the audit log.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tenantry_domain::{
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome, Target},
    ids::{AuditId, TenantId},
    names::ObjectName,
    placement::Epoch,
};
use tenantry_postgres::admin::{DataChange, LOGIN_PREFIX, Owner};
use tenantry_registry::{DataAudit, Registry};
use tenantry_tokens::is_name;

use crate::{servers::Server, step_error::StepError};

/// Changes per round trip.
const PAGE: u32 = 200;
/// Characters of a key that a target has.
const MAX_TARGET: usize = 300;

/// Where a tenant's data is audited.
pub(crate) struct Place<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) epoch: Epoch,
    pub(crate) database: &'a ObjectName,
    pub(crate) owner: Owner<'a>,
}

/// Has changes of data noted at a placement, which is known before anything is noted there. `is_on`: it was so before. Each lock is
/// waited for so long.
pub(crate) async fn begin(
    registry: &Registry,
    server: &Server,
    place: Place<'_>,
    is_on: bool,
    patience: Duration,
) -> Result<(), StepError> {
    let Place { tenant, epoch, database, owner } = place;
    if !is_on {
        registry.data_audit_set(tenant, epoch, DataAudit::Beginning).await?;
    }
    server.call(server.admin.audit_data(database, owner, tenant.as_uuid(), patience)).await?;
    Ok(registry.data_audit_set(tenant, epoch, DataAudit::On).await?)
}

/// Brings away what is noted in a database, of a tenant or of all. What was brought already, and not forgotten, is in the audit log
/// once all the same; what the audit log does not take does not keep the rest.
pub(crate) async fn bring_away(
    registry: &Registry,
    server: &Server,
    database: &ObjectName,
    tenant: Option<TenantId>,
) -> Result<u64, StepError> {
    let mut brought = 0;
    loop {
        let page = server.admin.data_changes(database, tenant.map(TenantId::as_uuid), PAGE);
        let changes = server.call(page).await?;
        if changes.is_empty() {
            return Ok(brought);
        }
        let ids: Vec<_> = changes.iter().map(|change| change.id).collect();
        let entries: Vec<_> = changes.into_iter().map(entry).collect();
        if registry.audit_append_data(&entries).await.is_err() {
            for entry in entries {
                append_alone(registry, entry).await?;
            }
        }
        server.call(server.admin.forget_data_changes(database, &ids)).await?;
        brought += ids.len() as u64;
        if ids.len() < PAGE as usize {
            return Ok(brought);
        }
    }
}

/// Appends an entry, or as much of it as the audit log takes.
async fn append_alone(registry: &Registry, entry: AuditEntry) -> Result<(), StepError> {
    let Err(error) = registry.audit_append_data(std::slice::from_ref(&entry)).await else { return Ok(()) };
    tracing::warn!(audit.id = %entry.id, %error, "a change of data is noted without who made it and which rows: {error}");
    let actor = Actor { kind: ActorKind::Role, id: None, name: None };
    let target = entry.target.map(|target| Target { id: None, ..target });
    let less = AuditEntry { actor, target, after: None, ..entry };
    Ok(registry.audit_append_data(&[less]).await?)
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
    let claims = claims.and_then(|claims| serde_json::from_str::<Claims>(&claims).ok());
    let claims =
        claims.filter(|claims| is_name(&claims.sub) && claims.username.as_deref().is_none_or(is_name));
    // Any session can set what the data plane sets; only of its own login nothing else is known.
    let is_data_plane = login.starts_with(LOGIN_PREFIX);
    let (actor, claimed) = match claims {
        Some(Claims { sub, username }) if is_data_plane => {
            (Actor { kind: ActorKind::User, id: Some(sub), name: username }, None)
        }
        None if is_data_plane => (Actor { kind: ActorKind::Key, id: None, name: None }, None),
        claims => {
            let actor = Actor { kind: ActorKind::Role, id: None, name: Some(login.clone()) };
            (actor, claims.map(|claims| json!({ "sub": claims.sub, "username": claims.username })))
        }
    };
    let keys = keys.and_then(|keys| serde_json::from_str::<Value>(&keys).ok());
    let target = Target { kind: table, id: keys.as_ref().and_then(only_key) };
    let after = json!({
        "rows": rows, "columns": columns, "keys": keys, "login": login, "claimed": claimed, "application": application,
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
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Some(text.chars().take(MAX_TARGET).collect())
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

    fn change(login: &str, claims: Option<&str>, keys: &Value) -> AuditEntry {
        let at = chrono::DateTime::UNIX_EPOCH;
        entry(DataChange {
            id: AuditId::generate(at, &mut rand::rng()).as_uuid(),
            tenant_id: TenantId::generate(at, &mut rand::rng()).as_uuid(),
            at,
            login: login.to_owned(),
            application: None,
            claims: claims.map(str::to_owned),
            table: "deals".to_owned(),
            verb: "update".to_owned(),
            rows: Some(1),
            columns: Some(vec!["amount".to_owned()]),
            keys: Some(keys.to_string()),
        })
    }

    #[test]
    fn who_changed_data_is_a_user_a_key_or_a_role() {
        let user =
            change("tenantry_data_1", Some(r#"{"sub":"7","username":"ada","roles":["member"]}"#), &json!([]));
        assert_eq!(
            user.actor,
            Actor { kind: ActorKind::User, id: Some("7".into()), name: Some("ada".into()) }
        );
        let key = change("tenantry_data_1", Some("no JSON"), &json!([]));
        assert_eq!(key.actor, Actor { kind: ActorKind::Key, id: None, name: None });
        // Whoever is logged in can claim to be anybody.
        let role = change("tenant_acme", Some(r#"{"sub":"support:operator:root"}"#), &json!([]));
        assert_eq!(role.actor, Actor { kind: ActorKind::Role, id: None, name: Some("tenant_acme".into()) });
    }

    #[test]
    fn the_key_of_a_single_row_is_the_target() {
        let target = |keys: Value| change("x", None, &keys).target.unwrap().id;
        assert_eq!(target(json!([{ "id": 7 }])).as_deref(), Some("7"));
        assert_eq!(target(json!([{ "code": "a b" }])).as_deref(), Some("a b"));
        assert_eq!(target(json!([{ "a": 1, "b": 2 }])).as_deref(), Some(r#"{"a":1,"b":2}"#));
        assert_eq!(target(json!([{ "id": 7 }, { "id": 8 }])), None);
    }
}
