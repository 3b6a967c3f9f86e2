//! Whether a tenant's request may go on: its phase, its key, its features. No I/O, and nothing of HTTP.

mod feature;
mod key;
mod phase;

pub(crate) use feature::missing_feature;
pub(crate) use key::{KeyRefused, check_key};
pub(crate) use phase::{PhaseRefused, check_phase};
