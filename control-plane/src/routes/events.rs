//! `/api/v1/events`: what has happened.

pub(crate) mod list;
mod view;
