//! What a provider makes a server of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Invalid, server::Provider};

/// What a server is made of. What is not said is for the provider to choose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerTemplate {
    /// PostgreSQL's major version.
    pub version: Option<u16>,
    /// How large it is.
    pub size: ServerSize,
    /// PostgreSQL's settings, by name.
    pub parameters: BTreeMap<String, String>,
    /// Members of the spec of a CloudNativePG cluster, over those that Tenantry gives: a JSON merge patch (RFC 7396).
    pub spec: Map<String, Value>,
}

/// How large a server is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerSize {
    /// The machine, in Amazon's terms, e.g. `db.m7g.large`.
    pub instance_class: Option<String>,
    /// Processors, e.g. `2` or `500m`.
    pub cpu: Option<Quantity>,
    /// Memory, e.g. `4Gi`.
    pub memory: Option<Quantity>,
    /// The disk, e.g. `100Gi`.
    pub storage: Option<Quantity>,
    /// The kind of disk, in the provider's terms: a storage class of Kubernetes, or e.g. `gp3`.
    pub storage_class: Option<String>,
    /// How many of it there are, of which one is written to and the others stand by.
    pub instances: Option<u8>,
}

impl ServerTemplate {
    /// Members that a provider has no use for, as the API names them.
    pub fn useless_to(&self, provider: Provider) -> Vec<&'static str> {
        let size = &self.size;
        let (kubernetes, rds) = (provider == Provider::Kubernetes, provider == Provider::Rds);
        let given = [
            ("version", self.version.is_some(), kubernetes || rds),
            ("size.instanceClass", size.instance_class.is_some(), rds),
            ("size.cpu", size.cpu.is_some(), kubernetes),
            ("size.memory", size.memory.is_some(), kubernetes),
            ("size.storage", size.storage.is_some(), kubernetes || rds),
            ("size.storageClass", size.storage_class.is_some(), kubernetes || rds),
            ("size.instances", size.instances.is_some(), kubernetes || rds),
            ("spec", !self.spec.is_empty(), kubernetes),
        ];
        given.into_iter().filter_map(|(name, given, used)| (given && !used).then_some(name)).collect()
    }
}

/// A quantity in the notation of Kubernetes, e.g. `500m`, `2` or `100Gi`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity(Box<str>);

/// Suffixes and what they multiply with, in thousandths.
const SUFFIXES: [(&str, u128); 10] = [
    ("", 1000),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("Ki", 1000 << 10),
    ("Mi", 1000 << 20),
    ("Gi", 1000 << 30),
    ("Ti", 1000 << 40),
];

impl Quantity {
    /// Reads a whole number with a suffix.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match thousandths(text) {
            Some(1..) => Ok(Self(text.into())),
            _ => Err(Invalid::because(
                "must be a whole number that is not zero, alone or with m, k, M, G, T, Ki, Mi, Gi or Ti, e.g. 500m or 100Gi",
            )),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same in whole gibibytes, rounded up.
    pub fn gibibytes(&self) -> u32 {
        let thousandths = thousandths(&self.0).unwrap_or_default();
        u32::try_from(thousandths.div_ceil(1000 << 30)).unwrap_or(u32::MAX)
    }
}

fn thousandths(text: &str) -> Option<u128> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, suffix) = text.split_at(digits);
    let (_, unit) = SUFFIXES.into_iter().find(|(known, _)| *known == suffix)?;
    // No machine has more: it is a slip.
    number.parse::<u32>().ok().map(|number| u128::from(number) * unit)
}

impl TryFrom<String> for Quantity {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.0.into()
    }
}

/// Settings that a template may give: memory, the planner, autovacuum, checkpoints, timeouts, and what is logged of slow
/// statements. All others lead out of the database onto its machine, or are what Tenantry relies on.
const PARAMETERS: [&str; 37] = [
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
    "max_connections",
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

/// Whether a template may give a setting of that name.
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

/// Members of a cluster's spec that are Tenantry's: how it is filled and who administers it.
const OURS: [&str; 5] =
    ["bootstrap", "enableSuperuserAccess", "externalClusters", "replica", "superuserSecret"];

/// Members that show a cluster's pods other secrets of its namespace, or run them as somebody else.
const LEADING_OUT: [&str; 9] = [
    "env",
    "envFrom",
    "podSecurityContext",
    "postgresGID",
    "postgresUID",
    "projectedVolumeTemplate",
    "seccompProfile",
    "securityContext",
    "serviceAccountTemplate",
];

/// Whether a template may give a member of that name in the spec of a cluster.
///
/// # Errors
/// Says why not.
pub fn check_spec_member(name: &str) -> Result<(), Invalid> {
    if OURS.contains(&name) {
        return Err(Invalid::because("is for Tenantry to give: it fills the cluster and administers it"));
    }
    if LEADING_OUT.contains(&name) {
        return Err(Invalid::because(
            "is none that a class may give: it leads out of the database, to other secrets of the namespace or to another user",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_gives_settings_of_the_database_and_nothing_that_leads_out_of_it() {
        for name in ["work_mem", "shared_buffers", "autovacuum_naptime"] {
            assert!(check_parameter(name).is_ok(), "{name}");
        }
        let out = ["archive_command", "jit_provider", "log_filename", "fsync", "max_wal_senders", "port"];
        for name in out.into_iter().chain(["", "Work_mem", "a=b", "-c", "autovacuum_x=1", "x'y"]) {
            assert!(check_parameter(name).is_err(), "{name}");
        }
        assert!(check_spec_member("backup").is_ok());
        assert!(check_spec_member("bootstrap").is_err() && check_spec_member("envFrom").is_err());
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        let gibibytes = [("100Gi", 100), ("1", 1), ("1Ti", 1024), ("10G", 10), ("1500Mi", 2), ("1m", 1)];
        for (text, expected) in gibibytes {
            assert_eq!(Quantity::parse(text).unwrap().gibibytes(), expected, "{text}");
        }
        for text in ["", "0", "0Gi", "Gi", "1.5Gi", "-1", "1 Gi", "1gi", "99999999999", "+1", "1Ei"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_a_provider_has_no_use_for_is_named() {
        let quantity = |text| Some(Quantity::parse(text).unwrap());
        let size = ServerSize { cpu: quantity("2"), storage: quantity("9Gi"), ..ServerSize::default() };
        let template = ServerTemplate { size, ..ServerTemplate::default() };
        assert_eq!(template.useless_to(Provider::Local), ["size.cpu", "size.storage"]);
        assert_eq!(template.useless_to(Provider::Rds), ["size.cpu"]);
        assert!(template.useless_to(Provider::Kubernetes).is_empty());
    }
}
