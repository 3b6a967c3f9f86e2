//! Which statements of which tenants this connection has prepared, the least recently used first out.
//!
//! A statement is prepared at its second use: most shapes of a request are seen once, and one that
//! is seen once costs less unprepared.

use std::{collections::HashMap, sync::Arc};

use tenantry_domain::names::ObjectName;

/// Statements that one connection keeps prepared, or remembers to have seen.
pub(super) const CAPACITY: usize = 200;

/// How to run a statement.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// Never seen: without preparing it.
    Once,
    /// Seen before: prepare it under this name.
    Prepare(Arc<str>),
    /// As it was prepared.
    Prepared(Arc<str>),
}

#[derive(Debug)]
struct Seen {
    last_used: u64,
    /// What the server knows it as, from its second use on.
    name: Option<Arc<str>>,
}

/// A statement counts as prepared once it was planned to be: one that fails must be forgotten.
#[derive(Debug, Default)]
pub(super) struct Statements {
    // Two levels, so that looking up takes no copy of the names.
    by_tenant: HashMap<ObjectName, HashMap<Box<str>, Seen>>,
    len: usize,
    clock: u64,
    /// What the server may still hold, and is to close.
    dropped: Vec<Arc<str>>,
}

impl Statements {
    /// How to run a statement now; remembers that it was used.
    pub(super) fn plan(&mut self, tenant: &ObjectName, sql: &str) -> Plan {
        self.clock += 1;
        let clock = self.clock;
        if let Some(seen) = self.by_tenant.get_mut(tenant).and_then(|tenant| tenant.get_mut(sql)) {
            seen.last_used = clock;
            if let Some(name) = &seen.name {
                return Plan::Prepared(Arc::clone(name));
            }
            // The clock never shows the same twice.
            let name: Arc<str> = format!("tenant_{clock}").into();
            seen.name = Some(Arc::clone(&name));
            return Plan::Prepare(name);
        }
        if self.len >= CAPACITY {
            self.evict();
        }
        let seen = Seen { last_used: clock, name: None };
        self.by_tenant.entry(tenant.clone()).or_default().insert(sql.into(), seen);
        self.len += 1;
        Plan::Once
    }

    /// Forgets a statement that failed: the tables it was prepared for may have changed.
    pub(super) fn forget(&mut self, tenant: &ObjectName, sql: &str) {
        if let Some(statements) = self.by_tenant.get_mut(tenant)
            && let Some(seen) = statements.remove(sql)
        {
            self.len -= 1;
            self.dropped.extend(seen.name);
            if statements.is_empty() {
                self.by_tenant.remove(tenant);
            }
        }
    }

    /// Names that the server is to close with the next request.
    pub(super) fn dropped(&self) -> &[Arc<str>] {
        &self.dropped
    }

    /// The server was told.
    pub(super) fn forget_dropped(&mut self) {
        self.dropped.clear();
    }

    /// A scan of a few hundred entries, and only when a shape is new: less than it would cost to keep
    /// them in order on every use.
    fn evict(&mut self) {
        let oldest = self
            .by_tenant
            .iter()
            .flat_map(|(tenant, statements)| {
                statements.iter().map(move |(sql, seen)| (seen.last_used, tenant, sql))
            })
            .min_by_key(|(last_used, ..)| *last_used)
            .map(|(_, tenant, sql)| (tenant.clone(), sql.clone()));
        if let Some((tenant, sql)) = oldest {
            self.forget(&tenant, &sql);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_statement_makes_room() {
        let tenant = ObjectName::parse("tenant_a").unwrap();
        let mut statements = Statements::default();
        assert!(matches!(statements.plan(&tenant, "first"), Plan::Once));
        for n in 1..CAPACITY {
            statements.plan(&tenant, &n.to_string());
        }
        let Plan::Prepare(first) = statements.plan(&tenant, "first") else { panic!("it was seen before") };
        let Plan::Prepare(second) = statements.plan(&tenant, "1") else { panic!("it was seen before") };
        assert_ne!(first, second);
        statements.plan(&tenant, "one too many");
        assert_eq!(statements.len, CAPACITY);
        assert!(matches!(statements.plan(&tenant, "first"), Plan::Prepared(name) if name == first));
        // The last one to be used just once.
        assert!(matches!(statements.plan(&tenant, "2"), Plan::Once));
        assert!(statements.dropped().is_empty());
    }

    #[test]
    fn a_statement_that_is_forgotten_is_to_be_closed() {
        let tenant = ObjectName::parse("tenant_a").unwrap();
        let mut statements = Statements::default();
        statements.plan(&tenant, "one");
        let Plan::Prepare(name) = statements.plan(&tenant, "one") else { panic!("it was seen before") };
        statements.forget(&tenant, "one");
        assert_eq!(statements.dropped(), [name]);
        statements.forget_dropped();
        assert!(statements.dropped().is_empty());
        assert!(matches!(statements.plan(&tenant, "one"), Plan::Once));
    }
}
