//! `/api/v1/apps`: the tables that tenants get, as manifests and versions. An app has no id: its name, which
//! never changes, is its key.

pub(crate) mod delete_version;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod manifest;
pub(crate) mod promote_version;
pub(crate) mod push_version;
pub(crate) mod put;
pub(crate) mod types;
pub(crate) mod verify;
