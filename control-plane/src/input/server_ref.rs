//! Servers in paths: by id or by name.

use tenantry_domain::{ids::ServerId, server::ServerName};
use tenantry_registry::{Registry, ServerAccess};

use crate::refusal::Refusal;

/// By what a client names a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ServerRef {
    /// Its id, with hyphens.
    Id(ServerId),
    /// Its name.
    Name(ServerName),
}

impl ServerRef {
    /// Reads an id or name; `None` can be no server's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(id) if text.len() == 36 => Some(Self::Id(id)),
            _ => ServerName::parse(text).ok().map(Self::Name),
        }
    }

    /// The server, or 404.
    pub(crate) async fn find(&self, registry: &Registry) -> Result<ServerAccess, Refusal> {
        let found = match self {
            Self::Id(id) => registry.server_get(*id).await?,
            Self::Name(name) => registry.server_find(name).await?,
        };
        found.ok_or_else(|| Refusal::not_found("server"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_name() {
        assert!(matches!(ServerRef::parse("019a0000-0000-7000-8000-000000000000"), Some(ServerRef::Id(_))));
        assert!(matches!(ServerRef::parse("eu-1"), Some(ServerRef::Name(_))));
        for text in ["", "a b", "../x", "{019a0000-0000-7000-8000-000000000000}"] {
            assert_eq!(ServerRef::parse(text), None, "{text}");
        }
    }
}
