//! What the tenants' users do to log in, and what is done with users, for the audit log: a row for each such request.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::Method,
    middleware::Next,
    response::Response,
};
use tenantry_domain::{
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome, Target},
    ids::{AuditId, TenantId},
};
use tenantry_http::{PeerAddr, RequestId};
use tenantry_tokens::is_support_by_operator;

use crate::{
    admit::Grant,
    state::Plane,
    tokens::{Bearer, Verified},
};

/// What becomes known of a request while it is served.
#[derive(Default)]
struct Noted {
    tenant: Option<TenantId>,
    actor: Option<Actor>,
    name: Option<String>,
    target: Option<String>,
}

tokio::task_local! {
    static NOTED: Arc<Mutex<Noted>>;
}

fn note(what: impl FnOnce(&mut Noted)) {
    // Of a request that is not audited there is nothing to note.
    let _ = NOTED.try_with(|noted| what(&mut noted.lock().unwrap_or_else(PoisonError::into_inner)));
}

/// The tenant that the request is for.
pub(crate) fn note_tenant(tenant: TenantId) {
    note(|noted| noted.tenant = Some(tenant));
}

/// Who asks.
pub(crate) fn note_actor(grant: &Grant) {
    note(|noted| {
        noted.actor = Some(match &grant.user {
            None => Actor { kind: ActorKind::Key, id: None, name: None },
            Some(user) => {
                let (kind, id) = match user.bearer {
                    Bearer::User { id, .. } => (ActorKind::User, Some(id.to_string())),
                    // `support:` and who asked.
                    Bearer::Support { .. } => {
                        let subject = subject(user);
                        let by_operator = subject.as_deref().is_some_and(is_support_by_operator);
                        (if by_operator { ActorKind::Operator } else { ActorKind::Key }, subject)
                    }
                    // Another issuer's user, who may be called as one of the tenant's is.
                    Bearer::Trusted => (ActorKind::User, subject(user)),
                };
                Actor { kind, id, name: Some(user.username.clone()) }
            }
        });
    });
}

/// The token's subject, as SQL knows it.
fn subject(user: &Verified) -> Option<String> {
    let claims: serde_json::Value = serde_json::from_str(&user.claims).ok()?;
    Some(claims["sub"].as_str()?.to_owned())
}

/// By which name somebody tries to be let in.
pub(crate) fn note_name(name: &str) {
    note(|noted| noted.name = Some(name.chars().take(254).collect()));
}

/// Which user it is done to.
pub(crate) fn note_target(id: i64) {
    note(|noted| noted.target = Some(id.to_string()));
}

/// What a request does, as the audit log calls it; none: nothing that is noted.
fn action(method: &Method, path: &str) -> Option<&'static str> {
    let (_, rest) = path.split_once("/api/auth/")?;
    Some(match (method.as_str(), rest) {
        ("POST", "register") => "users.create",
        ("POST", "invitations") => "users.invite",
        ("POST", "login") => "users.login",
        ("POST", "refresh") => "users.refresh",
        ("POST", "logout") => "users.logout",
        ("POST", "password") => "users.password.change",
        ("POST", "password/forgot") => "users.password.forgot",
        ("POST", "password/reset") => "users.password.reset",
        ("POST", "email") => "users.email.change",
        ("POST", "email/confirm") => "users.email.confirm",
        ("PATCH", rest) if rest.starts_with("users/") => "users.update",
        ("DELETE", rest) if rest.starts_with("users/") => "users.delete",
        _ => return None,
    })
}

/// Bytes of a path that are kept.
const MAX_PATH: usize = 500;

/// A request that is noted once it is answered, and also where the client did not wait for that: what it asked for may be done.
struct Row {
    plane: Arc<Plane>,
    noted: Arc<Mutex<Noted>>,
    entry: Option<AuditEntry>,
}

impl Row {
    /// Those that come too fast are not noted, nor is what somebody tries of whom nothing is known.
    fn put(&mut self, status: Option<u16>) {
        let Some(mut entry) = self.entry.take() else { return };
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        let outcome = status.map_or(AuditOutcome::Unknown, AuditOutcome::of_status);
        let Some(tenant) = noted.tenant.filter(|_| !matches!(status, Some(429 | 503))) else { return };
        if outcome == AuditOutcome::Refused && noted.actor.is_none() && noted.name.is_none() {
            return;
        }
        let is_let_in = outcome == AuditOutcome::Succeeded && noted.name.is_some();
        let kind = if is_let_in { ActorKind::User } else { ActorKind::Visitor };
        entry.tenant_id = Some(tenant);
        entry.actor = noted.actor.unwrap_or(Actor { kind, id: None, name: noted.name });
        entry.target = Some(Target { kind: "users".to_owned(), id: noted.target });
        (entry.outcome, entry.status) = (outcome, status);
        self.plane.audit.put(entry);
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.put(None);
    }
}

/// Notes a request.
pub(crate) async fn audit(State(plane): State<Arc<Plane>>, request: Request, next: Next) -> Response {
    let Some(action) = action(request.method(), request.uri().path()) else { return next.run(request).await };
    let at = plane.clock.now();
    let path: String = request.uri().path().chars().take(MAX_PATH).collect();
    let peer = request.extensions().get::<ConnectInfo<PeerAddr>>();
    let entry = AuditEntry {
        id: AuditId::generate(at, &mut rand::rng()),
        tenant_id: None,
        at,
        actor: Actor { kind: ActorKind::Visitor, id: None, name: None },
        action: action.to_owned(),
        target: None,
        request: Some(format!("{} {path}", request.method())),
        request_id: request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned()),
        address: peer.map(|ConnectInfo(PeerAddr(peer))| peer.ip().to_canonical().to_string()),
        outcome: AuditOutcome::Unknown,
        status: None,
        input: None,
        before: None,
        after: None,
    };
    let noted = Arc::<Mutex<Noted>>::default();
    let mut row = Row { plane, noted: Arc::clone(&noted), entry: Some(entry) };
    let response = NOTED.scope(noted, next.run(request)).await;
    row.put(Some(response.status().as_u16()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_with_users_has_a_name_however_the_tenant_is_named() {
        for (method, path, expected) in [
            (Method::POST, "/api/auth/login", Some("users.login")),
            (Method::POST, "/t/acme/api/auth/password/reset", Some("users.password.reset")),
            (Method::DELETE, "/api/auth/users/7", Some("users.delete")),
            (Method::GET, "/api/auth/users", None),
            (Method::GET, "/api/auth/validate", None),
            (Method::POST, "/api/contacts", None),
        ] {
            assert_eq!(action(&method, path), expected, "{method} {path}");
        }
    }
}
