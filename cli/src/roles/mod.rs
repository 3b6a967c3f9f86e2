//! Each role as its own process, for production.

pub(crate) mod control_plane;
pub(crate) mod data_plane;
pub(crate) mod migrate;
pub(crate) mod new_kek;
pub(crate) mod rewrap;
pub(crate) mod worker;
