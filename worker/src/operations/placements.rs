//! What operations do with placements: choosing one, and what becomes of one beside that which serves.

use std::time::Duration;

use tenantry_domain::plan::Tier;
use tenantry_postgres::admin::{MoveError, Owner, Site};

use tenantry_registry::{Lease, PlaceError, PlaceRequest, Placed};

use super::steps::ignore_foreign;
use crate::{data_audit::bring_away, engine::PlacedAt, resources::Resources, step_error::StepError};

/// Logins that are added for one placement, at most. Another placement may take the one that was added here.
const LOGINS_ADDED: u32 = 5;

/// Chooses and records a tenant's next placement, and adds a login of the data plane where its server has none with room.
pub(super) async fn choose(
    resources: &Resources,
    lease: &Lease,
    request: &PlaceRequest,
) -> Result<Result<Placed, PlaceError>, StepError> {
    let mut added = 0;
    loop {
        match resources.registry.placement_choose(lease, request).await {
            Err(PlaceError::NoLogin(server)) if added < LOGINS_ADDED => {
                resources.add_login(server, request.connection).await?;
                added += 1;
            }
            chosen => return Ok(chosen),
        }
    }
}

pub(super) fn site(placed: &PlacedAt) -> Site<'_> {
    Site { admin: &placed.server.admin, database: &placed.placement.database }
}

pub(super) fn on_one_server(one: &PlacedAt, other: &PlacedAt) -> bool {
    one.placement.server_id == other.placement.server_id
}

/// What work between two placements met.
pub(super) fn between(from: &PlacedAt, to: &PlacedAt, error: MoveError) -> StepError {
    match error {
        MoveError::Source(error) => StepError::on_server(from.placement.server_id, &error),
        MoveError::Target(error) => StepError::on_server(to.placement.server_id, &error),
        error @ MoveError::NoSlot(_) => StepError::ServerFull { message: error.to_string() },
        error @ (MoveError::Blocked(_) | MoveError::Differs { .. } | MoveError::Unapplied(_)) => {
            StepError::permanent(error.to_string())
        }
    }
}

/// Bytes of the log that are still to be read when a placement is as good as up to date: the rest takes a moment.
pub(super) const SMALL_LAG: u64 = 4 << 20;

/// How often a server is looked at that does not answer.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Waits until the server of a placement cannot be reached.
pub(super) async fn away(placed: &PlacedAt) -> StepError {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = placed.server.admin.ping().await
            && error.is_unreachable()
        {
            return StepError::on_server(placed.placement.server_id, &error);
        }
    }
}

/// Brings away what is noted at a placement of its tenant's data, and goes with it.
pub(super) async fn bring_noted_away(resources: &Resources, gone: &PlacedAt) -> Result<(), StepError> {
    let tenant = Some(gone.placement.tenant_id);
    bring_away(&resources.registry, &gone.server, &gone.placement.database, tenant).await.map(drop)
}

/// Drops what a tenant has at a placement. Its role stays where the other one is on the same server.
pub(super) async fn drop_placement(
    resources: &Resources,
    gone: &PlacedAt,
    stays: Option<&PlacedAt>,
    owner: Owner<'_>,
) -> Result<(), StepError> {
    bring_noted_away(resources, gone).await?;
    let admin = &gone.server.admin;
    let stays = stays.filter(|stays| on_one_server(gone, stays));
    let drop = async {
        if stays.is_none() {
            ignore_foreign(admin.set_role_login(owner, false).await)?;
        }
        match gone.placement.tier {
            Tier::Schema => ignore_foreign(admin.drop_schema(owner).await)?,
            Tier::Database | Tier::Instance => ignore_foreign(admin.drop_database(owner).await)?,
        }
        match stays {
            Some(stays) => {
                let login = (gone.placement.login != stays.placement.login).then_some(&gone.placement.login);
                admin.forget_way_in(&gone.placement.database, owner, login).await
            }
            None => ignore_foreign(admin.drop_role(owner).await),
        }
    };
    gone.server.call(drop).await
}
