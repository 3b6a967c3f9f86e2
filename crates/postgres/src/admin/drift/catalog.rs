//! A schema object by object, without its name.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use serde::Deserialize;
use sqlx::Row;
use tenantry_domain::{app::App, inquiry::VersionFault, names::ObjectName};

use super::super::{AdminError, ServerAdmin};

const TASK: &str = "compare tenants with their versions";

/// See the file.
const QUERY: &str = include_str!("catalog.sql");

/// Schemas in one answer.
const TOGETHER: usize = 25;

/// Stands for the schema's name in all texts. PostgreSQL has it in no name.
pub(super) const SCHEMA: char = '\u{1}';

/// What is in a schema.
#[derive(Debug, Clone)]
pub struct VersionCatalog {
    pub(super) objects: BTreeMap<Key, Object>,
}

/// What an object is, and how it is called. In the order in which objects can be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// The table or view that it belongs to.
    pub(super) parent: Option<String>,
    pub(super) name: String,
}

/// What is known of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// Among others of its kind.
    pub(super) place: i64,
    /// What is compared, by name.
    pub(super) facts: BTreeMap<String, String>,
    /// The SQL that makes it.
    pub(super) made: Option<String>,
}

/// See [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Type,
    Sequence,
    Table,
    Column,
    Function,
    Procedure,
    Aggregate,
    Constraint,
    Index,
    View,
    MaterializedView,
    Trigger,
    Rule,
    Policy,
    Statistics,
}

impl Kind {
    /// As it is called in SQL.
    pub(super) const fn as_sql(self) -> &'static str {
        match self {
            Self::Type => "TYPE",
            Self::Sequence => "SEQUENCE",
            Self::Table => "TABLE",
            Self::Column => "COLUMN",
            Self::Function => "FUNCTION",
            Self::Procedure => "PROCEDURE",
            Self::Aggregate => "AGGREGATE",
            Self::Constraint => "CONSTRAINT",
            Self::Index => "INDEX",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::Trigger => "TRIGGER",
            Self::Rule => "RULE",
            Self::Policy => "POLICY",
            Self::Statistics => "STATISTICS",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_sql().to_ascii_lowercase();
        match &self.parent {
            Some(table) if self.kind == Kind::Column => write!(f, "{kind} {table}.{}", self.name),
            Some(table) => write!(f, "{kind} {} on {table}", self.name),
            None => write!(f, "{kind} {}", self.name),
        }
    }
}

/// A row of the query's answer.
#[derive(Deserialize)]
struct Answer {
    schema: ObjectName,
    objects: Vec<AnswerObject>,
}

#[derive(Deserialize)]
struct AnswerObject {
    kind: Kind,
    parent: Option<String>,
    name: String,
    place: i64,
    facts: BTreeMap<String, String>,
    made: Option<String>,
}

impl From<Answer> for VersionCatalog {
    fn from(answer: Answer) -> Self {
        let objects = answer.objects.into_iter().map(|object| {
            let key = Key { kind: object.kind, parent: object.parent, name: object.name };
            (key, Object { place: object.place, facts: object.facts, made: object.made })
        });
        Self { objects: objects.collect() }.without(&answer.schema)
    }
}

impl VersionCatalog {
    /// From an answer about one schema.
    pub(super) fn read(text: &str) -> Result<Self, sqlx::Error> {
        read(text).map(Self::from)
    }

    /// The catalog with this name left out of all texts.
    fn without(&self, schema: &ObjectName) -> Self {
        let objects = self.objects.iter().map(|(key, object)| (key.without(schema), object.without(schema)));
        Self { objects: objects.collect() }
    }
}

impl Key {
    pub(super) fn without(&self, schema: &ObjectName) -> Self {
        Self {
            kind: self.kind,
            parent: self.parent.as_deref().map(|parent| without(parent, schema)),
            name: without(&self.name, schema),
        }
    }
}

impl Object {
    fn without(&self, schema: &ObjectName) -> Self {
        let facts = self.facts.iter().map(|(name, fact)| (without(name, schema), without(fact, schema)));
        Self {
            place: self.place,
            facts: facts.collect(),
            made: self.made.as_deref().map(|made| without(made, schema)),
        }
    }
}

/// A text in which a name, as a word of its own, is replaced by [`SCHEMA`].
pub(super) fn without(text: &str, schema: &ObjectName) -> String {
    let name = schema.as_str();
    let in_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let alone = !before.chars().next_back().or(result.chars().next_back()).is_some_and(in_word)
            && !after.chars().next().is_some_and(in_word);
        result.push_str(before);
        if alone {
            result.push(SCHEMA);
        } else {
            result.push_str(name);
        }
        rest = after;
    }
    result + rest
}

impl ServerAdmin {
    /// What is in the schemas of one database; those that are not there are left out.
    pub async fn tenant_catalogs(
        &self,
        database: &ObjectName,
        schemas: &[ObjectName],
    ) -> Result<HashMap<ObjectName, VersionCatalog>, AdminError> {
        let mut connection = self.connection_for_tables(database, TASK).await?;
        let mut catalogs = HashMap::with_capacity(schemas.len());
        for some in schemas.chunks(TOGETHER) {
            let names: Vec<_> = some.iter().map(ObjectName::as_str).collect();
            let rows = sqlx::query(QUERY)
                .persistent(false)
                .bind(names.join(","))
                .fetch_all(&mut *connection)
                .await
                .map_err(|e| self.failed(TASK, e))?;
            for row in rows {
                let answer = read(row.get(0)).map_err(|e| self.failed(TASK, e))?;
                catalogs.insert(answer.schema.clone(), answer.into());
            }
        }
        Ok(catalogs)
    }

    /// What is in the schema of a tenant that has all of an app's versions and nothing else: made where nothing of it stays.
    /// One file may take `limit`.
    ///
    /// # Errors
    /// The server failed, not the version: try again later.
    pub async fn version_catalog(
        &self,
        app: &App,
        limit: Duration,
    ) -> Result<Result<VersionCatalog, VersionFault>, AdminError> {
        match self.look_at_version(app, QUERY, limit).await? {
            Ok(found) => Ok(Ok(VersionCatalog::read(&found).map_err(|e| self.failed(TASK, e))?)),
            Err(fault) => Ok(Err(fault)),
        }
    }
}

fn read(text: &str) -> Result<Answer, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_s_name_is_left_out_only_as_a_word() {
        let schema = ObjectName::parse("tenant_a").unwrap();
        let without = |text: &str| without(text, &schema).replace(SCHEMA, "*");
        assert_eq!(without("tenant_a.items, 'tenant_a'"), "*.items, '*'");
        assert_eq!(
            without("tenant_ab xtenant_a tenant_atenant_a tenant_a"),
            "tenant_ab xtenant_a tenant_atenant_a *"
        );
    }
}
