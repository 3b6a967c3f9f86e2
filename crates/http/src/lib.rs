//! What every HTTP listener of Tenantry shares: problem documents, request ids, the layers around
//! a router, serving until told to stop, and the admin port. No routes of either plane, no SQL.

pub mod admin;
mod layers;
mod problem;
mod request_id;
mod serve;

pub use layers::with_standard_layers;
pub use problem::{FieldError, Problem};
pub use request_id::RequestId;
pub use serve::{PeerAddr, serve};
