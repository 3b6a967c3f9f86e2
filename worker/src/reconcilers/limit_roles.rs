//! Holds tenants' own sessions to what their plans say now. A new tenant's role is made so.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tenantry_domain::{database_share::DatabaseShare, plan::PlanName, server::Server};
use tenantry_postgres::admin::{LimitedRole, RoleLimits};

use super::{Reconciled, on_each, reachable_servers};
use crate::{Resources, step_error::StepError};

/// What plans say of their tenants' own sessions.
pub type Shares = BTreeMap<PlanName, DatabaseShare>;

/// Tenants per round trip to the registry.
const PAGE: i64 = 1_000;

/// When a server is looked at although no plan has changed: a tenant may have been made by the plan of before, and a
/// role may have been locked.
const LOOK_AGAIN: Duration = Duration::from_mins(5);

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let plans = resources.registry.plan_list().await?;
    let shares: Shares = plans.into_iter().map(|plan| (plan.name, plan.database)).collect();
    let servers = reachable_servers(resources).await?;
    on_each(resources, &servers, "own sessions are not held to plans", |server| {
        limit_on(resources, server, &shares)
    })
    .await
}

async fn limit_on(resources: &Resources, server: &Server, shares: &Shares) -> Reconciled {
    if resources.limited.is_known(server.id, shares, LOOK_AGAIN) {
        return Ok(0);
    }
    let began = Instant::now();
    let (mut limited, mut failed) = (0, None);
    let mut after = None;
    loop {
        let page = resources.registry.placement_roles(server.id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.tenant_id);
        let roles = page.into_iter().filter_map(|role| {
            // Of a plan made just now: the next round knows it.
            let share = shares.get(&role.plan)?;
            let limits = RoleLimits::of(share, resources.settings.tenant_connections);
            Some(LimitedRole { name: role.name, mark: Resources::owner_mark(role.tenant_id), limits })
        });
        // Not before: a server is prepared when it is asked for first, and this one may have no tenant.
        let access = resources.servers.get(server.id, server.revision).await?;
        let others = access.call(access.admin.roles_of_other_limits(roles.collect())).await?;
        for role in others {
            match access.call(access.admin.limit_role(&role)).await {
                Ok(()) => limited += 1,
                Err(error @ StepError::ServerAway { .. }) => return Err(error),
                // One that cannot be changed now does not keep the others.
                Err(error) => failed = Some((role.name, error)),
            }
        }
    }
    if let Some((role, error)) = failed {
        // A tenant that changes its own role all the time must not have all of them compared all the time.
        tracing::warn!(
            server.name = %server.name, %role, %error,
            "role {role} on server {} is not held to its plan yet: {error}", server.name
        );
    }
    resources.limited.note(server.id, shares.clone(), began);
    Ok(limited)
}
