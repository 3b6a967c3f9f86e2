//! Scopes as types, so that a handler without an authorization check stands out in its signature.

use std::marker::PhantomData;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use tenantry_domain::api_key::Scope;
use tenantry_http::Problem;

use super::Caller;
use crate::refusal::Refusal;

/// A scope as a type.
pub(crate) trait Needs: Send + Sync + 'static {
    /// The scope.
    const SCOPE: Scope;
}

/// The scopes that handlers need.
pub(crate) mod scopes {
    use super::{Needs, Scope};

    macro_rules! scope_types {
        ($($name:ident),* $(,)?) => {$(
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $name;

            impl Needs for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )*};
    }

    scope_types! {
        TenantsRead, TenantsWrite, TenantsImpersonate, PlansRead, PlansWrite, ServersRead, ServersWrite, AppsRead, AppsWrite,
        OperationsRead, OperationsWrite, OperationsAbandon, KeysRead, KeysWrite, WebhooksRead, WebhooksWrite, EventsRead,
        AuditRead, RolloutsRead, RolloutsWrite,
    }
}

/// The caller, who has the scope `S`. Take it first: what else is wrong with a request is nobody's
/// business before this is clear.
pub(crate) struct Authorized<S> {
    caller: Caller,
    scope: PhantomData<S>,
}

impl<S> Authorized<S> {
    /// Who it is.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// Refuses a caller who lacks a scope.
pub(crate) fn require(caller: &Caller, scope: Scope) -> Result<(), Refusal> {
    if caller.scopes().contains(&scope) {
        return Ok(());
    }
    let detail = match caller {
        Caller::Key(_) => format!("the key lacks the scope `{scope}`"),
        Caller::Operator(_) => format!("your roles lack the scope `{scope}`"),
    };
    Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", detail).with("scope", scope.as_str()).into())
}

impl<S: Needs, State: Sync> FromRequestParts<State> for Authorized<S> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &State) -> Result<Self, Refusal> {
        let Some(caller) = parts.extensions.get::<Caller>() else {
            // The route is missing from the authenticated ones; a test walks them all.
            return Err(
                Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", "no key was checked").into()
            );
        };
        require(caller, S::SCOPE)?;
        Ok(Self { caller: caller.clone(), scope: PhantomData })
    }
}
