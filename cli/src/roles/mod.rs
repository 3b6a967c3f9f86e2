//! Each role as its own process, for production.

pub(crate) mod control_plane;
pub(crate) mod data_plane;
pub(crate) mod migrate;
pub(crate) mod worker;

use std::net::SocketAddr;

use tenantry_http::admin::{self, Check};
use tokio_util::sync::CancellationToken;

use crate::{platform::bind, telemetry};

/// Serves the admin port until `stop`; the address that it got.
async fn serve_admin(
    addr: SocketAddr,
    checks: Vec<Check>,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let (listener, addr) = bind(addr, "admin port").await?;
    let router = admin::router(telemetry::metrics()?, checks);
    tokio::spawn(tenantry_http::serve(listener, router, stop));
    Ok(addr)
}
