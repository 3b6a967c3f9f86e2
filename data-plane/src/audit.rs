//! What the tenants' users do to log in, and what is done with users, for the audit log: a row for each such request.

use std::{cell::RefCell, sync::Arc};

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
    static NOTED: RefCell<Noted>;
}

fn note(what: impl FnOnce(&mut Noted)) {
    // Of a request that is not audited there is nothing to note.
    let _ = NOTED.try_with(|noted| what(&mut noted.borrow_mut()));
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
            Some(Verified { bearer, username, .. }) => {
                let id = match bearer {
                    Bearer::User { id, .. } => Some(id.to_string()),
                    Bearer::Support { .. } | Bearer::Trusted => None,
                };
                Actor { kind: ActorKind::User, id, name: Some(username.clone()) }
            }
        });
    });
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

/// Notes a request, once it is answered. Those that come too fast are not.
pub(crate) async fn audit(State(plane): State<Arc<Plane>>, request: Request, next: Next) -> Response {
    let Some(action) = action(request.method(), request.uri().path()) else { return next.run(request).await };
    let request_id = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned());
    let peer = request.extensions().get::<ConnectInfo<PeerAddr>>();
    let address = peer.map(|ConnectInfo(PeerAddr(peer))| peer.ip().to_canonical().to_string());
    let line = format!("{} {}", request.method(), request.uri().path());
    let at = plane.clock.now();
    let (response, noted) = NOTED
        .scope(RefCell::default(), async {
            let response = next.run(request).await;
            (response, NOTED.with(RefCell::take))
        })
        .await;
    let status = response.status().as_u16();
    if let Some(tenant) = noted.tenant.filter(|_| status != 429 && status != 503) {
        let outcome = AuditOutcome::of_status(status);
        let by_name = || Actor {
            kind: if outcome == AuditOutcome::Succeeded && noted.name.is_some() {
                ActorKind::User
            } else {
                ActorKind::Visitor
            },
            id: None,
            name: noted.name.clone(),
        };
        plane.audit.put(AuditEntry {
            id: AuditId::generate(at, &mut rand::rng()),
            tenant_id: Some(tenant),
            at,
            actor: noted.actor.unwrap_or_else(by_name),
            action: action.to_owned(),
            target: Some(Target { kind: "users".to_owned(), id: noted.target }),
            request: Some(line),
            request_id,
            address,
            outcome,
            status: Some(status),
            input: None,
            before: None,
            after: None,
        });
    }
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
