//! Which servers hold more than their share of the tenants.

use tenantry_domain::{
    plan::Tier,
    server::{Server, ServerState},
};

/// A server that holds more than its share.
#[derive(Debug)]
pub(crate) struct Overfull {
    pub(crate) server: Server,
    /// Tenants that it would have.
    pub(crate) keep: u32,
}

/// Tenants more than its share that a server may hold, in percent of it, before any are moved.
const TOLERANCE: u64 = 10;

/// The servers that hold more than their share of all tenants, by capacity, among those that take tenants and can be
/// reached.
pub(crate) fn overfull(servers: Vec<Server>) -> Vec<Overfull> {
    let servers: Vec<Server> = servers
        .into_iter()
        .filter(|server| {
            server.state == ServerState::Active
                && server.health.unreachable.is_none()
                && !server.tiers.contains(&Tier::Instance)
        })
        .collect();
    let sum = |of: fn(&Server) -> u32| servers.iter().map(|server| u64::from(of(server))).sum::<u64>();
    let (tenants, capacity) = (sum(|server| server.tenants), sum(|server| server.capacity).max(1));
    let share = |server: &Server| (tenants * u64::from(server.capacity)).div_ceil(capacity);
    servers
        .iter()
        .filter(|server| u64::from(server.tenants) * 100 > share(server) * (100 + TOLERANCE))
        .map(|server| Overfull {
            server: server.clone(),
            keep: u32::try_from(share(server)).unwrap_or(u32::MAX),
        })
        .collect()
}
