//! Whose objects a call works on, and the proof that it may.

use tenantry_domain::names::ObjectName;

use super::{ObjectKind, fence::Fence};
use crate::sql;

/// The owner of role, schema and database of one name.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The name.
    pub name: &'a ObjectName,
    /// The mark on what is the owner's: a comment on the object. What has the name and another mark is
    /// never touched.
    pub mark: &'a str,
    /// None for what has no subject yet: templates and warm tenants, whose names are made up once.
    pub fence: Option<Fence>,
}

impl Owner<'_> {
    /// Reads the mark of the role into `found_mark` (null: there is no such role); ends the block if it is
    /// another's.
    pub(super) fn check_role(&self) -> String {
        self.look(ObjectKind::Role, "shobj_description(oid, 'pg_authid')", "pg_roles WHERE rolname")
    }

    /// As [`Owner::check_role`], for the schema of the current database.
    pub(super) fn check_schema(&self) -> String {
        self.look(ObjectKind::Schema, "obj_description(oid, 'pg_namespace')", "pg_namespace WHERE nspname")
    }

    /// As [`Owner::check_role`], for the database.
    pub(super) fn check_database(&self) -> String {
        self.look(ObjectKind::Database, "shobj_description(oid, 'pg_database')", "pg_database WHERE datname")
    }

    fn look(&self, kind: ObjectKind, description: &str, from: &str) -> String {
        let (name, mark) = (sql::literal(self.name.as_str()), sql::literal(self.mark));
        let taken = kind.raise_taken(self.name.as_str());
        format!(
            "found_mark := NULL;
            SELECT coalesce({description}, '') INTO found_mark FROM {from} = {name};
            IF found_mark <> {mark} THEN {taken} END IF;"
        )
    }
}
