//! Can a tenant be moved? What the operation's preflight finds, where the tenant would go, and how long it would take.

use tenantry_domain::{
    ids::TenantId, inquiry::MovePreflight, plan::Tier, server::ServerName, server_class::ServerClassName,
};

use crate::{
    Resources,
    operations::move_tenant::{Input, look, not_server},
    step_error::StepError,
};

/// Bytes per second where no move has shown yet how fast they are.
const SPEED: f64 = 20e6;

/// Seconds that a move takes however little there is to copy, and those that a server of its own takes.
const SECONDS: f64 = 2.0;
const SECONDS_OF_A_SERVER: f64 = 5.0;

/// What a server of the tenant's own is to be made from.
async fn class(
    resources: &Resources,
    tenant: TenantId,
    input: &Input,
) -> Result<Option<ServerClassName>, StepError> {
    if input.tier != Tier::Instance || input.server.is_some() {
        return Ok(None);
    }
    let registry = &resources.registry;
    let plan = match &input.plan {
        Some(plan) => Some(plan.clone()),
        None => registry.tenant_get(tenant).await?.map(|details| details.tenant.plan),
    };
    let Some(plan) = plan else { return Ok(None) };
    Ok(registry.plan_get(&plan).await?.and_then(|plan| plan.server_class))
}

pub(super) async fn run(
    resources: &Resources,
    tenant: TenantId,
    input: &Input,
) -> Result<MovePreflight, StepError> {
    let registry = &resources.registry;
    let placement = registry.tenant_get(tenant).await?.and_then(|details| details.placement);
    let from = placement.ok_or_else(|| StepError::permanent("the tenant has no placement"))?;
    let class = class(resources, tenant, input).await?;
    let not_server = not_server(&from, input.tier);
    let target =
        registry.placement_preview(tenant, input.tier, input.server, not_server, class.as_ref()).await?;
    let server = resources.servers.get(from.server_id, 0).await?;
    let mut found = look(&server, &from, input, resources.settings.move_at_once).await?;
    let makes_server = target.is_none()
        && input.tier == Tier::Instance
        && input.server.is_none()
        && !resources.settings.providers.all().is_empty();
    match &target {
        Some(name) => found.obstacles.extend(at_target(resources, name).await?),
        None if makes_server || !found.obstacles.is_empty() => {}
        None => found.obstacles.push(format!(
            "no server that can be reached has room for a tenant of tier {}; register one, or raise a capacity",
            input.tier
        )),
    }
    let mut speed = registry.move_speed().await?.unwrap_or(SPEED).max(1.0);
    if let Some(rate) = resources.settings.move_rate.filter(|_| found.live) {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = rate.get() as f64;
        speed = speed.min(rate);
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let copying = found.survey.bytes as f64 / speed;
    let making = if makes_server { SECONDS_OF_A_SERVER } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
    let seconds = (SECONDS + making + copying).ceil() as u64;
    Ok(MovePreflight {
        server: target,
        bytes: found.survey.bytes,
        tables: found.survey.tables,
        live: found.live,
        seconds,
        obstacles: found.obstacles,
    })
}

/// What keeps the target from taking it.
async fn at_target(resources: &Resources, name: &ServerName) -> Result<Option<String>, StepError> {
    let Some(known) = resources.registry.server_find(name).await? else { return Ok(None) };
    let server = resources.servers.get(known.server.id, known.server.revision).await?;
    server.call(server.admin.may_copy()).await
}
