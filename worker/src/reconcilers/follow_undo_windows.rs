//! Keeps what tenants have left up to date for as long as their moves can be undone, and drops it then.

use futures::{StreamExt, stream};
use tenantry_registry::UndoWindow;

use super::Reconciled;
use crate::{Resources, operations::undo_window, step_error::StepError};

/// Windows that are seen to at a time: each has a session on two servers.
const AT_ONCE: usize = 8;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let windows = resources.registry.undo_window_list().await?;
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    metrics::gauge!("tenantry_undo_windows").set(windows.len() as f64);
    let closed = stream::iter(windows)
        .map(async |window| match see_to(resources, &window).await {
            Ok(closed) => u64::from(closed),
            // An operation has taken it, or it is no news that a server is away.
            Err(StepError::LeaseLost | StepError::ServerAway { known: true, .. }) => 0,
            Err(error) => {
                let tenant = window.tenant;
                tracing::warn!(tenant.id = %tenant, %error, "what tenant {tenant} has left is not up to date: {error}");
                // A session that was ended looks the same; whether the server is away is found out by `away` and by others.
                if let StepError::ServerAway { server: Some(server), .. } = &error {
                    resources.servers.forget(*server);
                }
                0
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    Ok(closed.into_iter().sum())
}

/// True: it is closed.
async fn see_to(resources: &Resources, window: &UndoWindow) -> Result<bool, StepError> {
    let mut why = None;
    if !window.closing && !window.over {
        match undo_window::follow(resources, window).await {
            Err(StepError::Permanent { message }) => {
                let tenant = window.tenant;
                tracing::warn!(
                    tenant.id = %tenant,
                    "the last move of tenant {tenant} cannot be undone at once any more: {message}"
                );
                why = Some(message);
            }
            followed => return followed.map(|()| false),
        }
    }
    let registry = &resources.registry;
    let Some(token) = registry.undo_window_close(window, why.as_deref()).await? else { return Ok(false) };
    undo_window::close(resources, window, token, false).await?;
    registry.undo_window_closed(window).await?;
    Ok(true)
}
