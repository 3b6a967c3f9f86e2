//! `/api/v1/apps`: the tables that tenants get, as manifests and versions.

pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod manifest;
pub(crate) mod push_version;
pub(crate) mod put;
