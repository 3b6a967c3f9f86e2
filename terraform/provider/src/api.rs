//! The control plane's API, over HTTP.

mod client;
mod operation;
mod problem;
mod request;
mod stop;

pub(crate) use client::{Api, Connection};
pub(crate) use operation::OperationError;
pub(crate) use problem::{ApiError, sentence};
pub(crate) use request::Request;
pub(crate) use stop::Stop;
