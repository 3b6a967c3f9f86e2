//! The log, as Terraform reads it from a plugin: a line of JSON each on standard error, shown with `TF_LOG=INFO`.
//!
//! Never write a key, a password or a body here.

use chrono::{SecondsFormat, Utc};

/// What somebody who waits wants to know.
pub(crate) fn info(message: &str) {
    write("info", message);
}

/// What somebody wants to know who looks for an error.
pub(crate) fn debug(message: &str) {
    write("debug", message);
}

fn write(level: &str, message: &str) {
    let line = serde_json::json!({
        "@level": level,
        "@message": message,
        "@module": "tenantry",
        "@timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
    });
    eprintln!("{line}");
}
