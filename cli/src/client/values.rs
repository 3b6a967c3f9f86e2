//! Values of flags that are more than a word: sizes, `key=value`, times to come.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

/// A number of bytes: `1048576`, `10GiB`, `10GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no size; examples: 1048576, 500MB, 10GiB, 1.5TB");
        let digits = text.trim();
        let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
        let (number, unit) = digits.split_at(end);
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            _ => return Err(wrong()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.len() > 9 {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let mut bytes = whole.checked_mul(factor).ok_or_else(wrong)?;
        if !fraction.is_empty() {
            let numerator: u64 = fraction.parse().map_err(|_| wrong())?;
            let scaled = u128::from(numerator) * u128::from(factor)
                / 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
            bytes = bytes.checked_add(u64::try_from(scaled).map_err(|_| wrong())?).ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

/// `key=true` or `key=false`; `key` alone is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Switch {
    key: String,
    on: bool,
}

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or((text, "true"));
        let on = match value.trim() {
            "true" | "on" => true,
            "false" | "off" => false,
            _ => return Err(format!("`{text}` must be <key>=true or <key>=false")),
        };
        Ok(Self { key: key_of(text, key)?, on })
    }
}

/// `key=value`, the value being JSON, or else a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    key: String,
    value: Value,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` must be <key>=<value>"))?;
        Ok(Self { key: key_of(text, key)?, value: json_or_text(value) })
    }
}

fn key_of(text: &str, key: &str) -> Result<String, String> {
    let key = key.trim();
    if key.is_empty() { Err(format!("`{text}` has no key")) } else { Ok(key.to_owned()) }
}

/// JSON, or else a text.
pub(crate) fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// Switches as a JSON object; of two with the same key the last counts.
pub(crate) fn switches(given: &[Switch]) -> Map<String, Value> {
    given.iter().map(|switch| (switch.key.clone(), switch.on.into())).collect()
}

/// Settings as a JSON object; of two with the same key the last counts.
pub(crate) fn settings(given: &[Setting]) -> Map<String, Value> {
    given.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect()
}

/// A time to come: `2027-01-31T00:00:00Z`, or from now `12h`, `90d`, `8w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    At(DateTime<Utc>),
    In(TimeDelta),
}

impl Expiry {
    pub(crate) fn from(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            Self::In(delta) => now.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time to come; examples: 12h, 90d, 2027-01-31T00:00:00Z");
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(time.to_utc()));
        }
        let mut number = text.chars();
        let seconds: i64 = match number.next_back() {
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            _ => return Err(wrong()),
        };
        // Ten digits are 300 years of seconds and more than enough of anything longer.
        let number = Some(number.as_str()).filter(|n| n.len() <= 6 && n.bytes().all(|b| b.is_ascii_digit()));
        let count: i64 = number.and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        TimeDelta::try_seconds(count * seconds)
            .filter(|delta| *delta > TimeDelta::zero())
            .map(Self::In)
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_read_with_decimal_and_binary_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1_048_576),
            ("500MB", 500_000_000),
            ("10GB", 10_000_000_000),
            ("10GiB", 10_737_418_240),
            ("10 gib", 10_737_418_240),
            ("10g", 10_737_418_240),
            ("1.5KiB", 1_536),
            ("2tb", 2_000_000_000_000),
        ] {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "GB",
            "-1",
            "1.GB",
            ".5GB",
            "1.2.3",
            "1e9",
            "10XB",
            "99999999999999999999",
            "99999999TiB",
            "１GB",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_switch_is_on_or_off() {
        let read = |text: &str| text.parse::<Switch>().map(|switch| (switch.key, switch.on));
        assert_eq!(read("biometric_auth=true"), Ok(("biometric_auth".into(), true)));
        assert_eq!(read("biometric_auth"), Ok(("biometric_auth".into(), true)));
        assert_eq!(read("x=off"), Ok(("x".into(), false)));
        for text in ["", "=true", "x=1", "x=yes", "x="] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_setting_is_json_or_a_text() {
        let read = |texts: &[&str]| {
            Value::from(settings(&texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>()))
        };
        assert_eq!(
            read(&[
                "theme=dark",
                "session.timeout=3600",
                "brand={\"color\": \"#fff\"}",
                "formula=a=b",
                "empty="
            ]),
            json!({"theme": "dark", "session.timeout": 3600, "brand": {"color": "#fff"}, "formula": "a=b", "empty": ""})
        );
        assert_eq!(read(&["a=1", "a=2"]), json!({"a": 2}));
        assert!("theme".parse::<Setting>().is_err() && "=x".parse::<Setting>().is_err());
    }

    #[test]
    fn an_expiry_is_a_time_or_a_length() {
        let now = DateTime::UNIX_EPOCH;
        let read = |text: &str| text.parse::<Expiry>().map(|expiry| expiry.from(now).timestamp());
        assert_eq!(read("90d"), Ok(7_776_000));
        assert_eq!(read("1970-01-01T00:00:09+00:00"), Ok(9));
        for text in ["", "d", "0d", "-1d", "1.5d", "90", "90y", "9999999d", "é"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
