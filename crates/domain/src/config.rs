//! A tenant's configuration: values by key, over the defaults of its plan. Some keys mean something to Tenantry, and their
//! values are checked; all others are the app's.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Invalid, json_depth, permission::Permissions, trusted_issuer::TrustedIssuer, user::PasswordPolicy,
};

/// The key of a configuration value, e.g. `security.password_policy`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigKey(Box<str>);

/// The password policy of the tenant's users: [`PasswordPolicy`].
pub const PASSWORD_POLICY: &str = "security.password_policy";

/// After how many seconds without a sign of life a user has to log in again.
pub const SESSION_TIMEOUT: &str = "session.timeout";

/// Requests to the data plane per day, in place of the plan's limit.
pub const RATE_LIMIT: &str = "api.rate_limit";

/// What the roles of the tenant's users may do: [`Permissions`].
pub const ROLES: &str = "auth.roles";

/// Whose tokens count for the tenant besides its own: a list of [`TrustedIssuer`].
pub const ISSUERS: &str = "auth.issuers";

/// Whether changes of the tenant's data are in its audit log.
pub const AUDIT_DATA: &str = "audit.data";

/// What a data plane reads.
pub const OF_ROUTES: &[&str] = &[PASSWORD_POLICY, SESSION_TIMEOUT, RATE_LIMIT, ROLES, ISSUERS];

/// What the keys of feature switches begin with; a boolean each.
pub const FEATURES: &str = "features.";

/// Nobody needs more; what adds up stays within 64 bits.
const MAX_NUMBER: u64 = 1_000_000_000_000_000;

/// Bytes of a value as JSON.
const MAX_BYTES: usize = 64 << 10;

type Check = fn(&Value) -> Result<(), Invalid>;

impl ConfigKey {
    /// Reads a key of 1 to 100 characters: words of `a-z`, `0-9`, `_` and `-`, with dots between them.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        if text.len() <= 100 && text.split('.').all(is_word) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::because(
                "must have 1 to 100 characters: words of a-z, 0-9, _ and - with dots between them",
            ))
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The feature that it switches, if it does.
    pub fn feature(&self) -> Option<&str> {
        self.0.strip_prefix(FEATURES)
    }

    /// Whether Tenantry itself reads the value, so that it cannot be encrypted.
    pub fn is_read_by_tenantry(&self) -> bool {
        self.schema().is_some()
    }

    /// Checks a value.
    ///
    /// # Errors
    /// It is not what the key's values are, too large, or nested too deep.
    pub fn check(&self, value: &Value) -> Result<(), Invalid> {
        json_depth::check(value)?;
        if value.to_string().len() > MAX_BYTES {
            return Err(Invalid::because("must have at most 65536 bytes"));
        }
        self.schema().map_or(Ok(()), |check| check(value))
    }

    fn schema(&self) -> Option<Check> {
        match &*self.0 {
            PASSWORD_POLICY => Some(|value| PasswordPolicy::from_config(value).map(drop)),
            SESSION_TIMEOUT => Some(|value| session_timeout(value).map(drop)),
            "file_upload.max_size" | RATE_LIMIT => Some(|value| positive(value).map(drop)),
            ROLES => Some(|value| Permissions::from_config(value).map(drop)),
            ISSUERS => Some(|value| TrustedIssuer::list_from_config(value).map(drop)),
            "maintenance.window" => Some(|value| MaintenanceWindow::from_config(value).map(drop)),
            AUDIT_DATA => Some(boolean),
            key if key.starts_with(FEATURES) => Some(boolean),
            _ => None,
        }
    }
}

impl std::fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ConfigKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ConfigKey {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<ConfigKey> for String {
    fn from(key: ConfigKey) -> Self {
        key.0.into()
    }
}

/// Reads `session.timeout`.
///
/// # Errors
/// It is not a whole number of seconds from a minute to a year.
pub fn session_timeout(value: &Value) -> Result<u32, Invalid> {
    let seconds = value.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
    seconds
        .filter(|seconds| (60..=31_536_000).contains(seconds))
        .ok_or_else(|| Invalid::because("must be a whole number of seconds from 60 to 31536000 (a year)"))
}

/// Reads a number such as `api.rate_limit`.
///
/// # Errors
/// It is none.
pub fn positive(value: &Value) -> Result<u64, Invalid> {
    value
        .as_u64()
        .filter(|number| (1..=MAX_NUMBER).contains(number))
        .ok_or_else(|| Invalid::because("must be a whole number from 1 to 1000000000000000"))
}

fn boolean(value: &Value) -> Result<(), Invalid> {
    value.as_bool().map(drop).ok_or_else(|| Invalid::because("must be true or false"))
}

/// When a tenant's tables may be worked on: `maintenance.window`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MaintenanceWindow {
    /// From when, in UTC: `HH:MM`.
    pub start: String,
    /// Until when; before the start, it is on the next day.
    pub end: String,
    /// On which days it begins; all, if none is named.
    #[serde(default)]
    pub days: Vec<Weekday>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they are")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl MaintenanceWindow {
    /// Reads it.
    ///
    /// # Errors
    /// It has other members, or a time is none.
    pub fn from_config(value: &Value) -> Result<Self, Invalid> {
        let window = Self::deserialize(value).map_err(|error| Invalid::because(error.to_string()))?;
        let is_time =
            |text: &str| text.len() == 5 && chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok();
        if is_time(&window.start) && is_time(&window.end) && window.start != window.end {
            Ok(window)
        } else {
            Err(Invalid::because("must have a start and another end as HH:MM, in UTC"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_words_with_dots_between_them() {
        for text in ["a", "session.timeout", "branding.primary-color", "x.y.z_1"] {
            assert!(ConfigKey::parse(text).is_ok(), "{text}");
        }
        for text in ["", ".", "a.", ".a", "a..b", "A", "a b", "ä", "a/b", &"a".repeat(101)] {
            assert!(ConfigKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_tenantry_reads_is_checked_and_the_rest_is_the_app_s() {
        let check = |key: &str, value: Value| ConfigKey::parse(key).unwrap().check(&value).is_ok();
        for (key, value, fits) in [
            ("session.timeout", json!(3600), true),
            ("session.timeout", json!(59), false),
            ("session.timeout", json!("3600"), false),
            ("session.timeout", json!(3600.5), false),
            ("security.password_policy", json!({ "minLength": 12, "requireSpecialChars": true }), true),
            ("security.password_policy", json!({}), true),
            ("security.password_policy", json!({ "minLength": 7 }), false),
            ("security.password_policy", json!({ "minLength": 129 }), false),
            ("security.password_policy", json!({ "length": 12 }), false),
            ("security.password_policy", json!([12]), false),
            ("file_upload.max_size", json!(1_073_741_824_000_u64), true),
            ("file_upload.max_size", json!(0), false),
            ("api.rate_limit", json!(-1), false),
            ("api.rate_limit", json!(u64::MAX), false),
            ("auth.roles", json!({ "editor": { "deals": ["select", "update"] } }), true),
            ("auth.roles", json!({ "owner": {} }), false),
            ("auth.issuers", json!([]), true),
            ("auth.issuers", json!({}), false),
            ("features.biometric_auth", json!(true), true),
            ("features.biometric_auth", json!("yes"), false),
            ("maintenance.window", json!({ "start": "22:00", "end": "04:00", "days": ["saturday"] }), true),
            ("maintenance.window", json!({ "start": "22:00", "end": "24:30" }), false),
            ("maintenance.window", json!({ "start": "2:00", "end": "04:00" }), false),
            ("maintenance.window", json!({ "start": "22:00", "end": "22:00" }), false),
            ("branding.company_name", json!("ABC Dental Clinic"), true),
            ("gst_number", json!({ "any": ["thing", null] }), true),
            ("large", json!("x".repeat(65_537)), false),
        ] {
            assert_eq!(check(key, value.clone()), fits, "{key}: {value}");
        }
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(!check("deep", deep));
    }
}
