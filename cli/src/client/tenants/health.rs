//! `tenantry tenants health`: how a tenant does.

use clap::Args;

use super::TenantArg;
use crate::client::{
    Client,
    output::{Column, Shown},
};

/// Whose health.
#[derive(Debug, Args)]
pub(in crate::client) struct HealthArgs {
    #[command(flatten)]
    tenant: TenantArg,
}

const LINES: &[Column] = &[
    ("status", Shown::Text("/status")),
    ("database answers", Shown::Text("/checks/database")),
    ("storage is left", Shown::Text("/checks/storage")),
    ("requests succeed", Shown::Text("/checks/api")),
    ("users are left", Shown::Text("/checks/users")),
    ("requests are left today", Shown::Text("/checks/limits")),
    ("has the promoted version", Shown::Text("/checks/version")),
    ("has issuers' keys", Shown::Text("/checks/issuers")),
    ("response time (ms)", Shown::Text("/metrics/responseTime")),
    ("errors in the last hour", Shown::Percent("/metrics/errorRate")),
    ("uptime in 30 days (%)", Shown::Text("/metrics/uptime")),
];

pub(super) async fn run(client: &Client, args: &HealthArgs) -> anyhow::Result<()> {
    let health = client.api.get(&["tenants", &args.tenant.tenant, "health"], &[]).await?;
    client.output.one(&health, LINES)
}
