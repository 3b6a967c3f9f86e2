//! Which statements of which tenants this connection has prepared, the least recently used first out.
//!
//! A statement is prepared at its second use: most shapes of a request are seen once, and one that
//! is seen once costs less unprepared.

use std::collections::HashMap;

use tenantry_domain::names::ObjectName;
use tokio_postgres::Statement;

/// Statements that one connection keeps prepared, or remembers to have seen.
const CAPACITY: usize = 200;

/// How to run a statement.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// Never seen: without preparing it.
    Once,
    /// Seen before: without preparing it, and prepare it alongside.
    Prepare,
    /// As it was prepared.
    Prepared(Statement),
}

#[derive(Debug)]
struct Seen {
    last_used: u64,
    statement: Option<Statement>,
}

#[derive(Debug, Default)]
pub(super) struct Statements {
    // Two levels, so that looking up takes no copy of the names.
    by_tenant: HashMap<ObjectName, HashMap<Box<str>, Seen>>,
    len: usize,
    clock: u64,
}

impl Statements {
    /// How to run a statement now; remembers that it was used.
    pub(super) fn plan(&mut self, tenant: &ObjectName, sql: &str) -> Plan {
        self.clock += 1;
        let clock = self.clock;
        if let Some(seen) = self.by_tenant.get_mut(tenant).and_then(|tenant| tenant.get_mut(sql)) {
            seen.last_used = clock;
            return match &seen.statement {
                Some(statement) => Plan::Prepared(statement.clone()),
                None => Plan::Prepare,
            };
        }
        if self.len >= CAPACITY {
            self.evict();
        }
        let seen = Seen { last_used: clock, statement: None };
        self.by_tenant.entry(tenant.clone()).or_default().insert(sql.into(), seen);
        self.len += 1;
        Plan::Once
    }

    /// Keeps a statement that was prepared.
    pub(super) fn keep(&mut self, tenant: &ObjectName, sql: &str, statement: Statement) {
        if let Some(seen) = self.by_tenant.get_mut(tenant).and_then(|tenant| tenant.get_mut(sql)) {
            seen.statement = Some(statement);
        }
    }

    /// Forgets a statement that failed: the tables it was prepared for may have changed.
    pub(super) fn forget(&mut self, tenant: &ObjectName, sql: &str) {
        if let Some(statements) = self.by_tenant.get_mut(tenant)
            && statements.remove(sql).is_some()
        {
            self.len -= 1;
            if statements.is_empty() {
                self.by_tenant.remove(tenant);
            }
        }
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
            // Dropping the `Statement` closes it on the server.
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
        assert!(matches!(statements.plan(&tenant, "first"), Plan::Prepare));
        statements.plan(&tenant, "one too many");
        assert_eq!(statements.len, CAPACITY);
        assert!(matches!(statements.plan(&tenant, "first"), Plan::Prepare));
        assert!(matches!(statements.plan(&tenant, "1"), Plan::Once));
    }
}
