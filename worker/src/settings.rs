//! What may be set on a worker.

use std::time::Duration;

use tenantry_postgres::admin::AdminLimits;

/// Settings of a worker; every duration is a default that tests shorten.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name among workers; must be unique while it runs.
    pub name: String,
    /// Operations that it runs at once.
    pub concurrency: usize,
    /// How long an operation stays taken without a sign of life from its worker.
    pub lease: Duration,
    /// Tries of one step, the first included, before the operation fails.
    pub step_tries: u32,
    /// The pause before a step's second try; doubles with each further one, with jitter.
    pub retry_base: Duration,
    /// The longest pause between two tries. Pauses of more than `lease` give the operation back.
    pub retry_cap: Duration,
    /// How long one try of a step may take.
    pub step_timeout: Duration,
    /// After this long without a worker, an operation's job counts as lost.
    pub job_lost_after: Duration,
    /// How often the queue is looked at without a notification.
    pub poll_interval: Duration,
    /// Tenants per login of the data plane: see the traps in the design.
    pub tenants_per_login: u32,
    /// Databases that are kept ready for tenants, of each app on each server.
    pub warm_databases: usize,
    /// What distinguishes this registry's logins and templates on a server that several share.
    pub label: String,
    /// Limits of admin connections.
    pub admin: AdminLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "worker".into(),
            concurrency: 8,
            lease: Duration::from_secs(15),
            // About two minutes of trying: a server that restarts or fails over is back by then.
            step_tries: 12,
            retry_base: Duration::from_millis(100),
            retry_cap: Duration::from_secs(30),
            step_timeout: Duration::from_mins(10),
            job_lost_after: Duration::from_secs(15),
            poll_interval: Duration::from_secs(2),
            tenants_per_login: 250,
            warm_databases: 1,
            label: "main".into(),
            admin: AdminLimits::default(),
        }
    }
}
