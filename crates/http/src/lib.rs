//! What every HTTP listener of Tenantry shares: problem documents, request ids, the layers around
//! a router, serving until told to stop, readiness and the admin port. No routes of either plane, no SQL.

pub mod access_log;
pub mod admin;
mod connections;
mod document;
pub mod json_body;
mod layers;
mod paced_body;
mod preflight;
mod problem;
mod readiness;
mod request_id;
mod serve;
mod stream;

pub use access_log::{AccessLog, note_tenant};
pub use connections::ConnectionLimits;
pub use document::finish_document;
pub use json_body::JsonBody;
pub use layers::{Edge, with_standard_layers};
pub use paced_body::is_body_too_slow;
pub use problem::{FieldError, INVALID_TOKEN, Problem, whole_seconds};
pub use readiness::{Check, Readiness};
pub use request_id::RequestId;
pub use serve::{PeerAddr, serve};
