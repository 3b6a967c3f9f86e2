//! What endpoints do, as the audit log names it: `tenants.suspend`, `tenants.keys.create`.

use std::collections::HashMap;

use axum::http::Method;
use tenantry_domain::api_key::Scope;
use utoipa::openapi::{OpenApi, path::Operation};

use crate::input::known_parameters::operations;

/// What an endpoint does that is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// What it does.
    pub(super) action: String,
    /// To what: the collection of what its path names last.
    pub(super) kind: String,
    /// The scope that it needs.
    pub(super) scope: Option<Scope>,
    /// It changes nothing, and shows a secret if it is asked to.
    pub(super) reveals: bool,
    /// It hands a secret out and changes nothing that waits for the disk: its row does.
    pub(super) durable: bool,
    /// It makes something, whose id its path does not name.
    pub(super) creates: bool,
}

/// Paths that hold things, so that a POST there makes one. Any other is called what it does.
const COLLECTIONS: &[&str] = &[
    "tenants",
    "keys",
    "config",
    "domains",
    "signing-keys",
    "servers",
    "server-classes",
    "plans",
    "apps",
    "versions",
    "webhooks",
    "signup",
];

/// The endpoints that change something or can show a secret.
pub(super) fn all(document: &OpenApi) -> HashMap<(Method, String), Endpoint> {
    let paths = document.paths.paths.iter();
    let all = paths
        .flat_map(|(path, item)| operations(item).map(move |(method, operation)| (method, path, operation)));
    all.filter_map(|(method, path, operation)| {
        let endpoint = endpoint(&method, path, operation)?;
        Some(((method, path.clone()), endpoint))
    })
    .collect()
}

fn endpoint(method: &Method, path: &str, operation: &Operation) -> Option<Endpoint> {
    let operation = serde_json::to_value(operation).unwrap_or_default();
    let scope = operation["security"][0]["apiKey"][0].as_str().and_then(|scope| scope.parse().ok());
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reveals = *method == Method::GET && parameters.iter().any(|parameter| parameter["name"] == "reveal");
    if *method == Method::GET && !reveals {
        return None;
    }
    let segments: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
    let is_parameter = |segment: &str| segment.starts_with('{');
    let words: Vec<&str> = segments.iter().copied().filter(|segment| !is_parameter(segment)).collect();
    let creates = *method == Method::POST && segments.last().is_some_and(|last| COLLECTIONS.contains(last));
    let verb = match *method {
        Method::GET => Some("reveal"),
        Method::PUT => Some("put"),
        Method::PATCH => Some("update"),
        Method::DELETE => Some("delete"),
        _ if creates => Some("create"),
        _ => None,
    };
    // What the last parameter names.
    let named = segments.windows(2).rev().find(|pair| is_parameter(pair[1])).map(|pair| pair[0]);
    let kind = if creates { words.last().copied() } else { named.or(words.first().copied()) }?;
    let action = words.iter().copied().chain(verb).collect::<Vec<_>>().join(".");
    Some(Endpoint {
        durable: reveals || action == "tenants.impersonate",
        action,
        kind: kind.to_owned(),
        scope,
        reveals,
        creates,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::openapi;

    #[test]
    fn actions_are_named_by_their_paths() {
        let all = all(&openapi());
        let named = |method: Method, path: &str| {
            let endpoint = &all[&(method, format!("/api/v1/{path}"))];
            format!("{} {}", endpoint.action, endpoint.kind)
        };
        for (method, path, expected) in [
            (Method::POST, "tenants", "tenants.create tenants"),
            (Method::POST, "tenants/{tenant}/suspend", "tenants.suspend tenants"),
            (Method::PATCH, "tenants/{tenant}", "tenants.update tenants"),
            (Method::DELETE, "tenants/{tenant}", "tenants.delete tenants"),
            (Method::PUT, "tenants/{tenant}/config/{key}", "tenants.config.put config"),
            (Method::GET, "tenants/{tenant}/connection", "tenants.connection.reveal tenants"),
            (Method::POST, "tenants/{tenant}/move/undo", "tenants.move.undo tenants"),
            (Method::POST, "tenants/{tenant}/signing-keys", "tenants.signing-keys.create signing-keys"),
            (Method::POST, "apps/{app}/versions/{version}/promote", "apps.versions.promote versions"),
            (Method::POST, "servers/rebalance", "servers.rebalance servers"),
            (Method::POST, "operations/{id}/abandon", "operations.abandon operations"),
            (Method::POST, "webhooks/{webhook}/rotate-secret", "webhooks.rotate-secret webhooks"),
            (
                Method::POST,
                "webhooks/{webhook}/deliveries/{delivery}/replay",
                "webhooks.deliveries.replay deliveries",
            ),
            (Method::POST, "signup", "signup.create signup"),
        ] {
            assert_eq!(named(method, path), expected);
        }
        assert!(!all.contains_key(&(Method::GET, "/api/v1/tenants".to_owned())));
    }

    #[test]
    fn no_two_endpoints_have_one_name_and_all_but_sign_up_a_scope() {
        let all = all(&openapi());
        let names: BTreeSet<_> = all.values().map(|endpoint| &endpoint.action).collect();
        // A whole configuration and one value of it are revealed alike.
        assert_eq!(names.len(), all.len() - 1, "{names:#?}");
        for endpoint in all.values() {
            assert_eq!(endpoint.scope.is_none(), endpoint.action == "signup.create", "{endpoint:?}");
        }
    }
}
