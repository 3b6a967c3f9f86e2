//! Templates from which providers make servers.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Invalid, plan::Tier, server::Provider};

crate::lower_case_name! { ServerClassName }

/// The name of a server class, e.g. `standard` or `eu-large`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerClassName(Box<str>);

/// A template from which a provider makes servers, and how many of them there are to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerClass {
    /// Its name; its servers' names begin with it.
    pub name: ServerClassName,
    /// Who makes them; not [`Provider::Static`].
    pub provider: Provider,
    /// Where they run, e.g. `eu-central`.
    pub region: String,
    /// PostgreSQL's settings, by name.
    pub parameters: BTreeMap<String, String>,
    /// The tiers that a server may hold.
    pub tiers: Vec<Tier>,
    /// How many tenants a server may hold.
    pub capacity: u32,
    /// Connections that one data plane may open to a server.
    pub max_connections: u32,
    /// The room that is kept: a server is ordered when those that are there, and those that are being made, have room for fewer
    /// tenants. Zero: none is ordered for that.
    pub min_free: u32,
    /// So many servers at most, those that are being made included.
    pub max_servers: u32,
    /// What a server costs each month, for a person, e.g. `120 EUR`.
    pub cost: Option<String>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// Settings that a class may give: memory, the planner, autovacuum, checkpoints, timeouts, and what is logged of slow statements.
/// All others lead out of the database onto its machine, or are what Tenantry relies on.
const PARAMETERS: [&str; 36] = [
    "bgwriter_delay",
    "bgwriter_lru_maxpages",
    "checkpoint_completion_target",
    "checkpoint_timeout",
    "commit_delay",
    "cpu_tuple_cost",
    "deadlock_timeout",
    "default_statistics_target",
    "effective_cache_size",
    "effective_io_concurrency",
    "from_collapse_limit",
    "hash_mem_multiplier",
    "huge_pages",
    "join_collapse_limit",
    "log_autovacuum_min_duration",
    "log_lock_waits",
    "log_min_duration_statement",
    "log_temp_files",
    "logical_decoding_work_mem",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_parallel_workers_per_gather",
    "max_slot_wal_keep_size",
    "max_wal_size",
    "min_wal_size",
    "random_page_cost",
    "seq_page_cost",
    "shared_buffers",
    "temp_buffers",
    "temp_file_limit",
    "track_io_timing",
    "wal_buffers",
    "wal_compression",
    "wal_writer_delay",
    "work_mem",
];

/// Whether a class may give a setting of that name.
///
/// # Errors
/// Says why not.
pub fn check_parameter(name: &str) -> Result<(), Invalid> {
    let plain = name.len() <= 63 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if PARAMETERS.contains(&name) || (plain && name.starts_with("autovacuum_")) {
        return Ok(());
    }
    Err(Invalid::because(
        "is none that a class may give: memory, the planner, autovacuum, checkpoints and the log of slow statements only",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_gives_settings_of_the_database_and_nothing_that_leads_out_of_it() {
        for name in ["work_mem", "shared_buffers", "autovacuum_naptime"] {
            assert!(check_parameter(name).is_ok(), "{name}");
        }
        let out = ["archive_command", "jit_provider", "log_filename", "fsync", "max_wal_senders", "port"];
        for name in out.into_iter().chain(["", "Work_mem", "a=b", "-c", "autovacuum_x=1", "x'y"]) {
            assert!(check_parameter(name).is_err(), "{name}");
        }
    }
}
