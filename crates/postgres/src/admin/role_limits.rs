//! What a tenant's role may do by itself: how many sessions at a time, and with which timeouts they begin.

use std::{collections::HashSet, num::NonZeroU32};

use tenantry_domain::{database_share::DatabaseShare, names::ObjectName};

use super::{AdminError, ServerAdmin, fence, owner::Owner};

/// What sessions of the tenant's own are held to. Those of the data plane, which become the role, are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoleLimits {
    /// Sessions at a time; none: any number.
    pub connections: Option<u32>,
    /// Seconds until a statement is cancelled.
    pub statement_timeout: Option<NonZeroU32>,
    /// Seconds that a statement waits for a lock.
    pub lock_timeout: Option<NonZeroU32>,
    /// Seconds until a session that leaves a transaction open is ended.
    pub idle_in_transaction_timeout: Option<NonZeroU32>,
}

/// A tenant's role, and what it is to be held to.
#[derive(Debug, Clone)]
pub struct LimitedRole {
    /// Its name.
    pub name: ObjectName,
    /// Its owner's mark.
    pub mark: String,
    /// What it is to be held to.
    pub limits: RoleLimits,
}

impl RoleLimits {
    /// As a plan says; `connections` where it does not say how many.
    pub fn of(share: &DatabaseShare, connections: u32) -> Self {
        Self {
            connections: Some(share.max_connections.unwrap_or(connections)),
            statement_timeout: share.statement_timeout_seconds,
            lock_timeout: share.lock_timeout_seconds,
            idle_in_transaction_timeout: share.idle_in_transaction_timeout_seconds,
        }
    }

    /// `CONNECTION LIMIT`'s operand.
    pub(super) fn connection_limit(&self) -> i32 {
        self.connections.map_or(-1, |limit| i32::try_from(limit).unwrap_or(i32::MAX))
    }

    /// By the names of PostgreSQL's settings, in their order.
    fn settings(&self) -> [(&'static str, Option<NonZeroU32>); 3] {
        [
            ("idle_in_transaction_session_timeout", self.idle_in_transaction_timeout),
            ("lock_timeout", self.lock_timeout),
            ("statement_timeout", self.statement_timeout),
        ]
    }

    /// Statements that give a role these settings: a new one those that there are, another one all.
    pub(super) fn set(&self, role: &ObjectName, is_new: bool) -> String {
        let role = role.quoted();
        let statement = |(name, seconds): (&str, Option<NonZeroU32>)| match seconds {
            Some(seconds) => format!("ALTER ROLE {role} SET {name} = '{seconds}s'; "),
            None if is_new => String::new(),
            None => format!("ALTER ROLE {role} RESET {name}; "),
        };
        self.settings().map(statement).concat()
    }

    /// As `pg_roles.rolconfig` has the settings.
    fn config(&self) -> String {
        let set = self.settings().into_iter().filter_map(|(name, seconds)| Some((name, seconds?)));
        set.map(|(name, seconds)| format!("{name}={seconds}s")).collect::<Vec<_>>().join(",")
    }
}

impl ServerAdmin {
    /// Of these roles, those that are held to other limits. What is no role, or not the owner's, is left out.
    pub async fn roles_of_other_limits(
        &self,
        roles: Vec<LimitedRole>,
    ) -> Result<Vec<LimitedRole>, AdminError> {
        let task = "compare the limits of the tenants' own sessions";
        let column = |value: fn(&LimitedRole) -> String| roles.iter().map(value).collect::<Vec<_>>();
        let mut connection = self.connection(task).await?;
        let places: Vec<i64> = sqlx::query_scalar(
            "SELECT place
             FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) WITH ORDINALITY
                 AS wanted (name, mark, limits, config, place)
             JOIN pg_roles ON rolname = wanted.name AND shobj_description(oid, 'pg_authid') = wanted.mark
             WHERE rolconnlimit <> limits OR config <> array_to_string(ARRAY(
                 SELECT setting FROM unnest(rolconfig) AS setting
                 WHERE split_part(setting, '=', 1) = ANY ($5) ORDER BY setting), ',')",
        )
        .persistent(false)
        .bind(column(|role| role.name.as_str().to_owned()))
        .bind(column(|role| role.mark.clone()))
        .bind(roles.iter().map(|role| role.limits.connection_limit()).collect::<Vec<_>>())
        .bind(column(|role| role.limits.config()))
        .bind(RoleLimits::default().settings().map(|(name, _)| name))
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| self.failed(task, e))?;
        let others: HashSet<i64> = places.into_iter().collect();
        Ok((1..).zip(roles).filter(|(place, _)| others.contains(place)).map(|(_, role)| role).collect())
    }

    /// Holds a tenant's role to its limits, if it is there. In a transaction of its own, which ends the tenant's session
    /// where that keeps the role locked.
    ///
    /// Without a fence: a late twin gives the role the limits of an earlier plan, until roles are compared again.
    pub async fn limit_role(&self, role: &LimitedRole) -> Result<(), AdminError> {
        let change = format!(
            "{look} IF found_mark IS NOT NULL THEN ALTER ROLE {quoted} CONNECTION LIMIT {limit}; {set} END IF;",
            look = Owner { name: &role.name, mark: &role.mark, fence: None }.check_role(),
            quoted = role.name.quoted(),
            limit = role.limits.connection_limit(),
            set = role.limits.set(&role.name, false),
        );
        let block = fence::block(None, "found_mark text;", &change);
        self.run_past_tenants("hold the tenant's own sessions to its plan", block).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_s_settings_are_written_as_postgresql_keeps_them() {
        let limits = RoleLimits {
            connections: Some(3),
            statement_timeout: NonZeroU32::new(60),
            idle_in_transaction_timeout: NonZeroU32::new(5),
            ..RoleLimits::default()
        };
        assert_eq!(limits.config(), "idle_in_transaction_session_timeout=5s,statement_timeout=60s");
        let role = ObjectName::parse("tenant_a").unwrap();
        assert!(limits.set(&role, false).contains("RESET lock_timeout"));
        assert!(!limits.set(&role, true).contains("lock_timeout"));
    }
}
