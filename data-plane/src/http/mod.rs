//! HTTP: the router, and one file per endpoint.
#![allow(
    clippy::result_large_err,
    reason = "a refusal is made once per request; a box would be one more allocation"
)]

mod admitted;
mod answers;
mod ask;
mod auth;
mod body_parts;
mod document;
mod function;
mod jwks;
mod options;
mod parameters;
mod path;
mod resource;
mod router;
mod tenant;

pub use router::openapi;
pub(crate) use router::{cors, router};
