//! Sizes, times and texts as people read them. For tables only: JSON stays as it is.

use chrono::{DateTime, Utc};
use serde_json::Value;

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// A size with at most one decimal: `10 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut divisor = 1_u64;
    while unit + 1 < UNITS.len() && bytes / divisor >= 1024 {
        divisor *= 1024;
        unit += 1;
    }
    let tenths = u128::from(bytes) * 10 / u128::from(divisor);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {}", UNITS[unit]),
        (whole, tenth) => format!("{whole}.{tenth} {}", UNITS[unit]),
    }
}

/// How far a time is from now: `3 min ago`, `in 29 days`.
pub(crate) fn relative(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - time).num_seconds();
    // What is to come in 89.9 days comes in 90; what was 1.9 days ago was a day ago.
    let whole = |s: u64, unit: u64| if seconds > 0 { s / unit } else { (s + unit / 2) / unit };
    let (count, unit) = match seconds.unsigned_abs() {
        0 => return "now".into(),
        s @ 1..60 => (s, "s"),
        s @ 60..3_600 => (whole(s, 60), "min"),
        s @ 3_600..172_800 => (whole(s, 3_600), "h"),
        s => (whole(s, 86_400), "days"),
    };
    if seconds > 0 { format!("{count} {unit} ago") } else { format!("in {count} {unit}") }
}

/// A JSON time as [`relative`]; what is no time stays as it is.
pub(crate) fn time(value: &Value, now: DateTime<Utc>) -> String {
    match value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok()) {
        Some(time) => relative(time.to_utc(), now),
        None => text(value),
    }
}

/// A JSON value as a cell: nothing is `-`, lists are joined, switches are named when on.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => one_line(text),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(members) if members.is_empty() => "-".into(),
        Value::Object(members) if members.values().all(Value::is_boolean) => {
            let on =
                members.iter().filter(|(_, on)| **on == Value::Bool(true)).map(|(name, _)| one_line(name));
            Some(on.collect::<Vec<_>>().join(", ")).filter(|on| !on.is_empty()).unwrap_or_else(|| "-".into())
        }
        other => one_line(&other.to_string()),
    }
}

/// A thing that the control plane lists, whatever else it says of it: `schema tenant_acme (database x)`.
pub(crate) fn in_words(thing: &Value) -> String {
    let Some(members) = thing.as_object() else { return text(thing) };
    let first = ["kind", "name"].into_iter().filter_map(|name| members.get(name)).map(text);
    let rest =
        members.iter().filter(|(name, value)| !matches!(name.as_str(), "kind" | "name") && !value.is_null());
    let mut rest: Vec<_> = rest.map(|(name, value)| format!("{} {}", one_line(name), text(value))).collect();
    rest.sort_unstable();
    let first: Vec<_> = first.collect();
    match (first.is_empty(), rest.is_empty()) {
        (_, true) => first.join(" "),
        (true, false) => rest.join(", "),
        (false, false) => format!("{} ({})", first.join(" "), rest.join(", ")),
    }
}

/// Lines below a sentence, indented.
pub(crate) fn indented(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + "\n  " + &line)
}

/// Switches, on and off: `x on, y off`.
pub(crate) fn switches(value: &Value) -> String {
    let Some(members) = value.as_object().filter(|members| !members.is_empty()) else { return "-".into() };
    let switch = |(name, on): (&String, &Value)| {
        format!("{} {}", one_line(name), if *on == Value::Bool(true) { "on" } else { "off" })
    };
    members.iter().map(switch).collect::<Vec<_>>().join(", ")
}

/// A text that came from elsewhere, without what would move the cursor of a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_have_the_unit_that_fits() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(10 << 30), "10 GiB");
        assert_eq!(size(u64::MAX), "16383.9 PiB");
    }

    #[test]
    fn times_are_told_from_now() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(100);
        let at = |delta: TimeDelta| relative(now + delta, now);
        assert_eq!(at(TimeDelta::zero()), "now");
        assert_eq!(at(TimeDelta::seconds(-59)), "59 s ago");
        assert_eq!(at(TimeDelta::minutes(-61)), "1 h ago");
        assert_eq!(at(TimeDelta::days(30)), "in 30 days");
        assert_eq!(at(TimeDelta::days(30) - TimeDelta::seconds(1)), "in 30 days");
    }

    #[test]
    fn cells_are_short() {
        assert_eq!(text(&json!(null)), "-");
        assert_eq!(text(&json!(["a", "b"])), "a, b");
        assert_eq!(text(&json!({"x": true, "y": false})), "x");
        assert_eq!(text(&json!({"y": false})), "-");
        assert_eq!(switches(&json!({"x": true, "y": false})), "x on, y off");
        assert_eq!(switches(&json!({})), "-");
        assert_eq!(text(&json!("a\nb\u{1b}[1m")), "a b [1m");
    }

    #[test]
    fn a_thing_is_told_by_its_kind_and_name_first() {
        assert_eq!(in_words(&json!("role tenant_acme")), "role tenant_acme");
        assert_eq!(
            in_words(&json!({"tenantId": "1", "database": "d", "name": "tenant_a", "kind": "schema"})),
            "schema tenant_a (database d, tenantId 1)"
        );
        assert_eq!(in_words(&json!({"database": "d", "x": null})), "database d");
    }
}
