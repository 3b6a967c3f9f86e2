//! The undo window of a move: the placement that the tenant has left is kept, and what is written at the new one is written
//! there too, so that the tenant can go back as fast as it came. ADR 12.

use std::time::{Duration, Instant};

use tenantry_domain::{
    ids::{OperationId, TenantId},
    placement::Epoch,
};
use tenantry_postgres::admin::{Fence, Owner, PublicationId, Transfer};
use tenantry_registry::UndoWindow;

use super::placements::{SMALL_LAG, away, between, drop_placement, site};
use crate::{Resources, engine::PlacedAt, step_error::StepError};

/// For how long in one go, however much is written meanwhile: others have their turn then.
const TURN: Duration = Duration::from_secs(10);

/// The longest that a turn may take.
const LONGEST: Duration = Duration::from_mins(1);

/// What keeps the changes that are made in the window of a move.
pub(crate) fn publication(of: OperationId) -> PublicationId {
    PublicationId(of.as_uuid().as_u128())
}

/// Who may read the changes and write them at the kept placement. Not by the tenant's fence: whoever follows works beside the
/// tenant's operations.
#[derive(Clone, Copy)]
enum Follower {
    /// Whoever keeps it up to date.
    Follows = 1,
    /// Nobody any more, but an operation on the tenant.
    Ended = 2,
}

impl Follower {
    fn fence(self, of: OperationId) -> Fence {
        Fence { subject: of.as_uuid().as_u128(), token: self as i64 }
    }
}

async fn placed_at(
    resources: &Resources,
    tenant: TenantId,
    epoch: Epoch,
) -> Result<Option<PlacedAt>, StepError> {
    match resources.registry.placement_get(tenant, epoch).await? {
        Some(known) => PlacedAt::reach(resources, known).await.map(Some),
        None => Ok(None),
    }
}

/// Writes at the kept placement what was written at the one that serves. A permanent error: it cannot be kept up to date any
/// longer.
pub(crate) async fn follow(resources: &Resources, window: &UndoWindow) -> Result<(), StepError> {
    // Forgotten meanwhile: so is the window.
    let Some(serving) = placed_at(resources, window.tenant, window.serving).await? else { return Ok(()) };
    // First, also where the kept placement is away: its server is not to be full then.
    let most = resources.settings.move_wal_keep_size;
    let wal = serving.server.call(serving.server.admin.wal_kept_for(&window.slot)).await?;
    let Some(wal) = wal else {
        return Err(StepError::permanent(
            "the server of its new placement does not keep its changes any more",
        ));
    };
    if wal > most {
        return Err(StepError::permanent(format!(
            "the server of its new placement keeps more than {} MB of WAL for it, and may not (--move-wal-keep-size of the \
             worker)",
            most >> 20
        )));
    }
    let kept = placed_at(resources, window.tenant, window.kept).await?;
    let kept = kept.ok_or_else(|| StepError::permanent("its server was given up"))?;
    let mark = Resources::owner_mark(window.tenant);
    let fence = Some(Follower::Follows.fence(window.operation));
    let owner = Owner { name: kept.placement.role(), mark: &mark, fence };
    let began = Instant::now();
    let follow = async {
        let mut transfer =
            Transfer::connect(site(&serving), site(&kept), owner, publication(window.operation)).await?;
        while transfer.catch_up(&window.slot).await? > SMALL_LAG && began.elapsed() < TURN {}
        Ok(())
    };
    let followed = tokio::select! {
        biased;
        followed = Box::pin(follow) => followed,
        error = away(&serving) => return Err(error),
        error = away(&kept) => return Err(error),
        () = tokio::time::sleep(LONGEST) => {
            return Err(StepError::permanent("a transaction takes longer to be made there than it may"));
        }
    };
    followed.map_err(|error| between(&serving, &kept, error))
}

/// Ends whoever keeps the kept placement up to date, at one of both ends, also one that is frozen.
pub(super) async fn end_follower(end: &PlacedAt, of: OperationId) -> Result<(), StepError> {
    let raise = end.server.admin.raise_fence(&end.placement.database, Follower::Ended.fence(of));
    end.server.call(raise).await
}

/// Drops the kept placement, and what keeps changes for it. `token`: of the lease on the tenant, or what closes the window.
/// `server_goes`: the one that serves is deleted as a whole.
pub(crate) async fn close(
    resources: &Resources,
    window: &UndoWindow,
    token: i64,
    server_goes: bool,
) -> Result<(), StepError> {
    let mark = Resources::owner_mark(window.tenant);
    let fence = Some(Fence { subject: window.tenant.as_uuid().as_u128(), token });
    let of = publication(window.operation);
    let serving =
        if server_goes { None } else { placed_at(resources, window.tenant, window.serving).await? };
    // First, so that its server keeps nothing for one that may be away.
    if let Some(serving) = &serving {
        let owner = Owner { name: serving.placement.role(), mark: &mark, fence };
        end_follower(serving, window.operation).await?;
        let forget = serving.server.admin.forget_changes(&serving.placement.database, owner, of);
        serving.server.call(forget).await?;
    }
    if let Some(kept) = placed_at(resources, window.tenant, window.kept).await? {
        let owner = Owner { name: kept.placement.role(), mark: &mark, fence };
        end_follower(&kept, window.operation).await?;
        kept.server.call(kept.server.admin.forget_changes(&kept.placement.database, owner, of)).await?;
        drop_placement(resources, &kept, serving.as_ref(), owner).await?;
    }
    Ok(())
}
