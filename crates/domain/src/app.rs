//! Apps: the tables that tenants get, as an ordered list of migrations and a manifest.

mod dynamic_sql;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Invalid, connection::Connection, user::Registration};

/// The name of an app, e.g. `crm`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(Box<str>);

crate::lower_case_name! { AppName }

/// The version of a migration: a positive integer, by custom a time such as 20261120093000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct AppVersion(i64);

impl AppVersion {
    /// The bare number.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for AppVersion {
    type Error = Invalid;

    fn try_from(number: i64) -> Result<Self, Invalid> {
        // JavaScript clients read numbers up to 2^53 - 1 without loss.
        if (1..(1 << 53)).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Invalid::because("must be a positive integer below 2^53, e.g. 20261120093000"))
        }
    }
}

impl std::str::FromStr for AppVersion {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse::<i64>().map_err(|_| Invalid::because("must be a positive integer"))?.try_into()
    }
}

impl From<AppVersion> for i64 {
    fn from(version: AppVersion) -> Self {
        version.0
    }
}

impl std::fmt::Display for AppVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One migration of an app. Immutable once pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// Its place in the order.
    pub version: AppVersion,
    /// What it does, e.g. `create_contacts`.
    pub name: String,
    /// The SQL that applies it, run with the tenant's schema first on the search path.
    pub up: String,
    /// The SQL that takes it back.
    pub down: Option<String>,
}

/// What a file says in its first lines, each a comment of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// `-- no-transaction`: it runs by itself, outside of transactions, as `CREATE INDEX CONCURRENTLY` must.
    NoTransaction,
    /// `-- backfill`: it is one statement, which is run again and again until it changes no row.
    Backfill,
    /// `-- contract`: it takes away what clients of the version before may use. A rollout carries it only when every tenant has
    /// that version, and only where it is told to.
    Contract,
    /// `-- replaces 20261120093000`: a tenant that has not that version gets this one in its place.
    Replaces(AppVersion),
}

/// The directives of a file.
pub fn directives(text: &str) -> impl Iterator<Item = Directive> {
    let first = text.lines().map(str::trim).map_while(|line| line.strip_prefix("--"));
    first.filter_map(|comment| match comment.trim() {
        "no-transaction" => Some(Directive::NoTransaction),
        "backfill" => Some(Directive::Backfill),
        "contract" => Some(Directive::Contract),
        other => other.strip_prefix("replaces ")?.trim().parse().ok().map(Directive::Replaces),
    })
}

/// Whether a file has a directive.
pub fn has_directive(text: &str, directive: Directive) -> bool {
    directives(text).any(|has| has == directive)
}

impl Migration {
    /// See [`Directive::Contract`].
    pub fn is_contract(&self) -> bool {
        has_directive(&self.up, Directive::Contract)
    }

    /// The versions that it replaces.
    pub fn replaces(&self) -> impl Iterator<Item = AppVersion> {
        directives(&self.up).filter_map(|directive| match directive {
            Directive::Replaces(version) if version < self.version => Some(version),
            _ => None,
        })
    }

    /// SHA-256 over both directions: the same version with another one is refused.
    pub fn checksum(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.up.as_bytes());
        // A separator that SQL text cannot hold, so that text cannot wander between the parts.
        hash.update([0]);
        hash.update(self.down.as_deref().unwrap_or_default().as_bytes());
        hash.finalize().into()
    }
}

/// How JSON names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JsonCase {
    /// As they are, e.g. `first_name`.
    #[default]
    Snake,
    /// In camel case, e.g. `firstName`.
    Camel,
}

crate::names_of! { JsonCase { Snake = "snake", Camel = "camel" } }

/// What an app asks for besides its tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Manifest {
    /// What the app is, in a line.
    pub description: String,
    /// How JSON names the columns.
    pub json_case: JsonCase,
    /// As whom the data plane logs in; none: as [`App::connection`] says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// Extensions, installed once per database in the schema `extensions`.
    pub extensions: BTreeSet<String>,
    /// Tables and functions that only tenants with a feature have access to: feature -> their names.
    pub features: BTreeMap<String, BTreeSet<String>>,
    /// The functions that clients can call at `/api/rpc`; none: all of the app's schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions: Option<BTreeSet<String>>,
    /// Whether tenants have users who log in, and who may register as one; none: they have not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// Whether `select` may ask for `count()`, `sum()` and the like.
    #[serde(skip_serializing_if = "is_true")]
    pub aggregates: bool,
    /// Whether PATCH and DELETE without a filter change all rows; they are refused otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unfiltered_writes: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_true(value: &bool) -> bool {
    *value
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            description: String::new(),
            json_case: JsonCase::default(),
            connection: None,
            extensions: BTreeSet::new(),
            features: BTreeMap::new(),
            functions: None,
            registration: None,
            aggregates: true,
            unfiltered_writes: false,
        }
    }
}

impl Manifest {
    /// The feature without which a table does not exist for a tenant.
    pub fn feature_of(&self, table: &str) -> Option<&str> {
        self.features.iter().find(|(_, tables)| tables.contains(table)).map(|(feature, _)| feature.as_str())
    }

    /// Checks the names that end up in SQL.
    ///
    /// # Errors
    /// An extension's name holds something else than `[a-z0-9_-]`.
    pub fn validate(&self) -> Result<(), Invalid> {
        let plain = |name: &String| {
            (1..=63).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        match self.extensions.iter().find(|name| !plain(name)) {
            Some(name) => Err(Invalid::because(format!("extension `{name}` is not a plain lower-case name"))),
            None => Ok(()),
        }
    }
}

/// An app as it is in the registry: everything that a new tenant's tables need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its name.
    pub name: AppName,
    /// What it asks for.
    pub manifest: Manifest,
    /// Default data for a new tenant, idempotent SQL.
    pub seed: Option<String>,
    /// All migrations, in order.
    pub migrations: Vec<Migration>,
    /// The version that new tenants get; none before the first push.
    pub promoted: Option<AppVersion>,
}

impl App {
    /// An app with nothing in it.
    pub fn new(name: AppName) -> Self {
        Self { name, manifest: Manifest::default(), seed: None, migrations: Vec::new(), promoted: None }
    }

    /// The version of its last migration.
    pub fn version(&self) -> Option<AppVersion> {
        self.migrations.last().map(|migration| migration.version)
    }

    /// As whom the data plane logs in for its tenants in a shared database, unless their plan says more
    /// ([`Connection::of`]): as the manifest says, or else as a login of each tenant's own where its SQL may run what a tenant
    /// wrote.
    pub fn connection(&self) -> Connection {
        self.manifest
            .connection
            .unwrap_or_else(|| if self.has_dynamic_sql() { Connection::Own } else { Connection::Shared })
    }

    /// Whether its functions may run what a tenant wrote, as far as its SQL shows: rather one app too many.
    pub fn has_dynamic_sql(&self) -> bool {
        let ups = self.migrations.iter().flat_map(|migration| [Some(&migration.up), migration.down.as_ref()]);
        ups.chain([self.seed.as_ref()]).flatten().any(|sql| dynamic_sql::has_dynamic_sql(sql))
    }

    /// The versions that a tenant without them does not get any more on its way to a version.
    pub fn replaced_until(&self, target: AppVersion) -> BTreeSet<AppVersion> {
        let until = self.migrations.iter().filter(|migration| migration.version <= target);
        until.flat_map(Migration::replaces).collect()
    }

    /// The app as new tenants get it: nothing after the promoted version.
    #[must_use]
    pub fn into_promoted(mut self) -> Self {
        let promoted = self.promoted;
        self.migrations.retain(|migration| Some(migration.version) <= promoted);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_tells_up_from_down() {
        let migration = |up: &str, down: &str| Migration {
            version: AppVersion::try_from(1).unwrap(),
            name: "m".into(),
            up: up.into(),
            down: Some(down.into()),
        };
        assert_ne!(migration("ab", "c").checksum(), migration("a", "bc").checksum());
    }

    #[test]
    fn directives_are_comments_in_the_first_lines() {
        let text =
            "-- no-transaction\n  --contract\n-- replaces 2\n-- what it is for\nSELECT 1;\n-- backfill";
        let two = AppVersion::try_from(2).unwrap();
        let found: Vec<_> = directives(text).collect();
        assert_eq!(found, [Directive::NoTransaction, Directive::Contract, Directive::Replaces(two)]);
        assert_eq!(directives("SELECT 1; -- contract").count(), 0);
    }

    #[test]
    fn a_table_may_need_a_feature() {
        let manifest = Manifest {
            features: BTreeMap::from([("treatment_tracking".into(), BTreeSet::from(["treatments".into()]))]),
            ..Manifest::default()
        };
        assert_eq!(manifest.feature_of("treatments"), Some("treatment_tracking"));
        assert_eq!(manifest.feature_of("products"), None);
    }

    #[test]
    fn extension_names_are_plain() {
        let manifest =
            |name: &str| Manifest { extensions: BTreeSet::from([name.into()]), ..Manifest::default() };
        assert!(manifest("uuid-ossp").validate().is_ok());
        assert!(manifest("x\"; DROP TABLE y").validate().is_err());
    }
}
