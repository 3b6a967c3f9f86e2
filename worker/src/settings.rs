//! What may be set on a worker.

use std::{num::NonZeroU64, time::Duration};

use tenantry_domain::operation::Lane;
use tenantry_postgres::admin::AdminLimits;
use tenantry_registry::SealAfter;

use crate::{providers::Providers, webhooks::WebhookSettings};

/// Settings of a worker; every duration is a default that tests shorten.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name among workers; must be unique while it runs.
    pub name: String,
    /// Operations of each lane that it runs at once.
    pub concurrency: Concurrency,
    /// How long an operation stays taken without a sign of life from its worker.
    pub lease: Duration,
    /// Tries of one step, or of its undo, the first included, before the operation fails or is stuck.
    pub step_tries: u32,
    /// The pause before a step's second try; doubles with each further one, with jitter.
    pub retry_base: Duration,
    /// The longest pause between two tries. Pauses of more than `lease` give the operation back.
    pub retry_cap: Duration,
    /// How long one try of a step may take that does not say so itself.
    pub step_timeout: Duration,
    /// How long a step may go on when the worker is told to stop; the next worker runs it again.
    pub stop_grace: Duration,
    /// When an operation is looked at again that waits for a server; before, when the server is back.
    pub away_pause: Duration,
    /// How often servers are looked at that could not be reached.
    pub probe_away_every: Duration,
    /// How often servers are looked at that could.
    pub probe_every: Duration,
    /// After this long without a worker, an operation's job counts as lost.
    pub job_lost_after: Duration,
    /// After this long in which no worker knew an operation's step it is stuck: longer than upgrades of workers take.
    pub unknown_step_limit: Duration,
    /// How often the queue is looked at without a notification.
    pub poll_interval: Duration,
    /// Tenants per login of the data plane: see the traps in the design.
    pub tenants_per_login: u32,
    /// Connections of its own that a tenant may have at a time. The data plane's do not count.
    pub tenant_connections: u32,
    /// Databases that are kept ready for tenants, of each app on each server.
    pub warm_databases: usize,
    /// Tenants that are kept ready in each shared database, of each app; 0: each is made when it signs up.
    pub warm_tenants: usize,
    /// Bytes that a tenant's rows may take, with their indexes, to be copied while its writes wait, when it is moved. Larger
    /// ones are copied before, while they are written to.
    pub move_at_once: u64,
    /// Bytes per second that a tenant is copied with while it is written to, and compared afterwards; none: as fast as it goes.
    pub move_rate: Option<NonZeroU64>,
    /// How long the copy of a tenant that is written to waits for other transactions of its server.
    pub move_transaction_patience: Duration,
    /// Bytes of WAL that a server may keep for a tenant that is copied while it is written to; the move ends at more.
    pub move_wal_keep_size: u64,
    /// Who makes servers for tenants of tier `instance`; none: only those are used that somebody registered.
    pub providers: Providers,
    /// How events are sent to webhooks.
    pub webhooks: WebhookSettings,
    /// How long an issuer of tokens may take when it is asked for its keys.
    pub issuer_timeout: Duration,
    /// How old rows of the audit log are when they are sealed.
    pub seal_after: SealAfter,
    /// How long ended operations, usage and records of purged tenants are kept.
    pub retention: Retention,
    /// What distinguishes this registry's logins and templates on a server that several share.
    pub label: String,
    /// Limits of admin connections.
    pub admin: AdminLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "worker".into(),
            concurrency: Concurrency::default(),
            lease: Duration::from_secs(15),
            // About two minutes of trying: a server that restarts or fails over is back by then.
            step_tries: 12,
            retry_base: Duration::from_millis(100),
            retry_cap: Duration::from_secs(30),
            step_timeout: Duration::from_mins(2),
            stop_grace: Duration::from_secs(10),
            away_pause: Duration::from_secs(30),
            probe_away_every: Duration::from_secs(2),
            probe_every: Duration::from_secs(15),
            job_lost_after: Duration::from_secs(15),
            unknown_step_limit: Duration::from_hours(1),
            poll_interval: Duration::from_secs(2),
            tenants_per_login: 250,
            tenant_connections: 20,
            warm_databases: 1,
            warm_tenants: 8,
            move_at_once: 1 << 20,
            move_rate: None,
            move_transaction_patience: Duration::from_mins(5),
            move_wal_keep_size: 16 << 30,
            providers: Providers::default(),
            webhooks: WebhookSettings::default(),
            issuer_timeout: Duration::from_secs(10),
            // A request may wait for a minute before it says what came of it.
            seal_after: SealAfter { done: Duration::from_secs(5), pending: Duration::from_mins(2) },
            retention: Retention::default(),
            label: "main".into(),
            admin: AdminLimits::default(),
        }
    }
}

/// How many operations of each lane a worker runs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Sign-ups, suspensions.
    pub interactive: usize,
    /// Purges, moves.
    pub long: usize,
    /// Rollouts.
    pub fleet: usize,
    /// Pools and sampling.
    pub idle: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { interactive: 8, long: 4, fleet: 2, idle: 1 }
    }
}

impl Concurrency {
    /// Of a lane.
    pub fn of(self, lane: Lane) -> usize {
        match lane {
            Lane::Interactive => self.interactive,
            Lane::Long => self.long,
            Lane::Fleet => self.fleet,
            Lane::Idle => self.idle,
        }
    }
}

/// How long things are kept that nobody works with any more, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Ended operations with their events.
    pub operations: u16,
    /// Records of purged tenants.
    pub purged_tenants: u16,
    /// Usage and storage samples.
    pub samples: u16,
    /// Events, with what became of them at webhooks.
    pub events: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self { operations: 90, purged_tenants: 365, samples: 90, events: 30 }
    }
}
