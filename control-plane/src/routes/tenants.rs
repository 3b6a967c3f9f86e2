//! `/api/v1/tenants`: customer organisations.

pub(crate) mod branding;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod domains;
pub(crate) mod get;
pub(crate) mod health;
pub(crate) mod impersonate;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod migrate;
pub(crate) mod move_tenant;
pub(crate) mod operations;
pub(crate) mod patch;
pub(crate) mod restore;
pub(crate) mod resume;
pub(crate) mod signing_keys;
pub(crate) mod suspend;
pub(crate) mod transition;
pub(crate) mod undo_move;
pub(crate) mod usage;
pub(crate) mod view;
pub(crate) mod way_back;
