//! `/api/v1/server-classes`: templates from which providers make servers. A class has no id: its name, which never changes, is
//! its key.

pub(crate) mod body;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod put;
mod template;
pub(crate) mod view;
