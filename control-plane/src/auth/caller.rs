//! Who asks.

use std::{collections::BTreeSet, sync::Arc};

use tenantry_domain::{
    api_key::{ApiKey, Scope},
    audit::{Actor, ActorKind},
};
use tenantry_tokens::Supporter;

/// With what a request came; an extension of every authenticated request.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A key of the control plane.
    Key(Arc<ApiKey>),
    /// A token of the operators' identity provider.
    Operator(Arc<Operator>),
}

/// Somebody whom the operators' identity provider knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// The token's `sub`.
    pub(super) subject: String,
    /// How he is called, if the token says.
    pub(super) name: Option<String>,
    /// What his roles may do.
    pub(super) scopes: BTreeSet<Scope>,
}

impl Caller {
    /// What the caller may do.
    pub(crate) fn scopes(&self) -> &BTreeSet<Scope> {
        match self {
            Self::Key(key) => &key.scopes,
            Self::Operator(operator) => &operator.scopes,
        }
    }

    /// Who it is, for the audit log.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Key(key) => {
                Actor { kind: ActorKind::Key, id: Some(key.id.to_string()), name: Some(key.name.clone()) }
            }
            Self::Operator(operator) => Actor {
                kind: ActorKind::Operator,
                id: Some(operator.subject.clone()),
                name: operator.name.clone(),
            },
        }
    }

    /// Who acts for support of a tenant.
    pub(crate) fn supporter(&self) -> Supporter {
        match self {
            Self::Key(key) => Supporter::Key(key.id),
            Self::Operator(operator) => Supporter::Operator(operator.subject.clone()),
        }
    }
}

impl std::fmt::Display for Caller {
    /// The same for nobody else.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key:{}", key.id),
            Self::Operator(operator) => write!(f, "operator:{}", operator.subject),
        }
    }
}
