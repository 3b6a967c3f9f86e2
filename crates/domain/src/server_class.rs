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
#[derive(Debug, Clone, PartialEq)]
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

/// Settings that a class may not give: what leads out of the database onto its machine, and what Tenantry relies on.
const REFUSED: [&str; 8] = [
    "config_file",
    "data_directory",
    "dynamic_library_path",
    "listen_addresses",
    "password_encryption",
    "port",
    "unix_socket_directories",
    "wal_level",
];
const REFUSED_ENDS: [&str; 5] = ["_command", "_directory", "_file", "_libraries", "_library"];

/// Whether a class may give a setting of that name.
///
/// # Errors
/// Says why not.
pub fn check_parameter(name: &str) -> Result<(), Invalid> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.';
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if name.len() > 63 || !first || !name.bytes().all(inner) {
        return Err(Invalid::because("must be the name of a setting of PostgreSQL, e.g. work_mem"));
    }
    if REFUSED.contains(&name) || REFUSED_ENDS.iter().any(|end| name.ends_with(end)) {
        return Err(Invalid::because("is Tenantry's to say, or leads out of the database; leave it out"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_gives_settings_of_the_database_and_nothing_that_leads_out_of_it() {
        for name in ["work_mem", "shared_buffers", "auto_explain.log_min_duration"] {
            assert!(check_parameter(name).is_ok(), "{name}");
        }
        let out = ["archive_command", "shared_preload_libraries", "hba_file", "data_directory", "port"];
        for name in out.into_iter().chain(["", "Work_mem", "a=b", "-c", "work mem", "x'y"]) {
            assert!(check_parameter(name).is_err(), "{name}");
        }
    }
}
