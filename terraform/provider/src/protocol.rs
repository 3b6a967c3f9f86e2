//! Terraform's plugin protocol 6: its messages, and the service that speaks them.

mod describe;
mod service;

pub(crate) use service::Service;

/// Terraform's messages, made from `proto/tfplugin6.proto`.
#[allow(dead_code, missing_docs, unreachable_pub, clippy::pedantic, reason = "generated")]
pub(crate) mod pb {
    tonic::include_proto!("tfplugin6");
}

/// go-plugin's messages, made from `proto/plugin.proto`.
#[allow(dead_code, missing_docs, unreachable_pub, clippy::pedantic, reason = "generated")]
pub(crate) mod plugin {
    tonic::include_proto!("plugin");
}
