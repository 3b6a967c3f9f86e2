//! Terraform's way with plugins (go-plugin): how it starts one, finds it, trusts it and ends it.

mod control;
mod handshake;
mod tls;

pub(crate) use control::{Controller, Shutdown, Stdio, end_with_parent};
pub(crate) use handshake::Handshake;
pub(crate) use tls::Tls;
