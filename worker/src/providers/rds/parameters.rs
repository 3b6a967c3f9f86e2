//! PostgreSQL's settings as Amazon takes them: whole numbers in each setting's own unit, 20 in a request.

use std::collections::BTreeMap;

use aws_sdk_rds::types::{ApplyMethod, Parameter};

use crate::providers::ProviderError;

/// The most that Amazon takes at once.
const AT_ONCE: usize = 20;

/// What moves rely on; over what a class says.
const OURS: [(&str, &str); 3] =
    [("rds.logical_replication", "1"), ("max_replication_slots", "64"), ("max_wal_senders", "64")];

/// Settings that PostgreSQL takes when it starts; of a server that runs, with its next restart.
const NEED_A_RESTART: [&str; 10] = [
    "autovacuum_freeze_max_age",
    "autovacuum_max_workers",
    "autovacuum_multixact_freeze_max_age",
    "huge_pages",
    "max_connections",
    "max_replication_slots",
    "max_wal_senders",
    "rds.logical_replication",
    "shared_buffers",
    "wal_buffers",
];

/// The settings in requests.
///
/// # Errors
/// A value is in no unit that its setting has.
pub(super) fn in_requests(
    parameters: &BTreeMap<String, String>,
) -> Result<Vec<Vec<Parameter>>, ProviderError> {
    let mut all = Vec::new();
    for (name, value) in parameters {
        let value = amazons(name, value).ok_or_else(|| {
            ProviderError::Permanent(format!(
                "setting {name} of the class has a value that is none of PostgreSQL's: {value}"
            ))
        })?;
        all.push((name.as_str(), value));
    }
    all.extend(OURS.map(|(name, value)| (name, value.to_owned())));
    let parameter = |(name, value): &(&str, String)| {
        let parameter = Parameter::builder().parameter_name(*name).parameter_value(value);
        // Before the instance is made, which starts with them all, or while it runs.
        let method =
            if NEED_A_RESTART.contains(name) { ApplyMethod::PendingReboot } else { ApplyMethod::Immediate };
        parameter.apply_method(method).build()
    };
    Ok(all.chunks(AT_ONCE).map(|some| some.iter().map(parameter).collect()).collect())
}

/// Bytes of the unit of a setting that is an amount of memory.
fn memory_unit(name: &str) -> Option<u64> {
    match name {
        "effective_cache_size" | "shared_buffers" | "temp_buffers" | "wal_buffers" => Some(8 << 10),
        "autovacuum_work_mem"
        | "log_temp_files"
        | "logical_decoding_work_mem"
        | "maintenance_work_mem"
        | "temp_file_limit"
        | "work_mem" => Some(1 << 10),
        "max_slot_wal_keep_size" | "max_wal_size" | "min_wal_size" => Some(1 << 20),
        _ => None,
    }
}

/// Microseconds of the unit of a setting that is a time.
fn time_unit(name: &str) -> Option<u64> {
    match name {
        "commit_delay" => Some(1),
        "autovacuum_vacuum_cost_delay"
        | "bgwriter_delay"
        | "deadlock_timeout"
        | "log_autovacuum_min_duration"
        | "log_min_duration_statement"
        | "wal_writer_delay" => Some(1_000),
        "autovacuum_naptime" | "checkpoint_timeout" => Some(1_000_000),
        _ => None,
    }
}

/// A value as Amazon takes it, or none: PostgreSQL would not take it.
fn amazons(name: &str, value: &str) -> Option<String> {
    let value = value.trim();
    match value {
        "on" | "true" | "yes" if !keeps_words(name) => return Some("1".into()),
        "off" | "false" | "no" if !keeps_words(name) => return Some("0".into()),
        _ => {}
    }
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let (number, unit) = (digits.trim(), &value[digits.len()..]);
    if unit.is_empty() || number.parse::<f64>().is_err() {
        return Some(value.to_owned());
    }
    let amount = if let Some(own) = memory_unit(name) {
        in_unit(
            number,
            own,
            match unit {
                "B" => 1,
                "kB" => 1 << 10,
                "MB" => 1 << 20,
                "GB" => 1 << 30,
                "TB" => 1 << 40,
                _ => return None,
            },
        )
    } else if let Some(own) = time_unit(name) {
        in_unit(
            number,
            own,
            match unit {
                "us" => 1,
                "ms" => 1_000,
                "s" => 1_000_000,
                "min" => 60_000_000,
                "h" => 3_600_000_000,
                "d" => 86_400_000_000,
                _ => return None,
            },
        )
    } else {
        return None;
    };
    amount.map(|amount| amount.to_string())
}

/// A number of `given` in units of `own`, rounded as PostgreSQL does. Minus one is one, whatever its unit.
fn in_unit(number: &str, own: u64, given: u64) -> Option<i64> {
    let whole = i128::from(number.parse::<i64>().ok()?);
    if whole < 0 {
        return i64::try_from(whole).ok();
    }
    let (own, amount) = (i128::from(own), whole * i128::from(given));
    i64::try_from((amount + own / 2) / own).ok()
}

/// Settings whose `on` and `off` are words among others.
fn keeps_words(name: &str) -> bool {
    matches!(name, "huge_pages" | "wal_compression")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_the_units_of_their_settings() {
        for (name, value, amazons_value) in [
            ("work_mem", "16MB", "16384"),
            ("work_mem", "16384", "16384"),
            ("shared_buffers", "1GB", "131072"),
            ("max_wal_size", "2GB", "2048"),
            ("max_slot_wal_keep_size", "-1", "-1"),
            ("checkpoint_timeout", "15min", "900"),
            ("deadlock_timeout", "2s", "2000"),
            ("commit_delay", "1ms", "1000"),
            ("random_page_cost", "1.1", "1.1"),
            ("log_lock_waits", "on", "1"),
            ("autovacuum_vacuum_scale_factor", "0.05", "0.05"),
            ("huge_pages", "on", "on"),
            ("wal_compression", "zstd", "zstd"),
        ] {
            assert_eq!(amazons(name, value).as_deref(), Some(amazons_value), "{name} = {value}");
        }
        for (name, value) in [
            ("work_mem", "16Mb"),
            ("work_mem", "1.5GB"),
            ("checkpoint_timeout", "3MB"),
            ("seq_page_cost", "2s"),
        ] {
            assert_eq!(amazons(name, value), None, "{name} = {value}");
        }
    }

    #[test]
    fn a_request_holds_no_more_than_amazon_takes() {
        let many = (0..25).map(|number| (format!("autovacuum_{number}"), "1".to_owned())).collect();
        let requests = in_requests(&many).unwrap();
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [20, 8]);
    }
}
