//! Terraform provider for Tenantry. Terraform starts it and speaks plugin protocol 6 with it, over gRPC.

mod api;
mod data_sources;
mod diagnostic;
mod log;
mod plugin;
mod protocol;
mod provider;
mod random;
mod resources;
mod schema;

use std::{error::Error, io::Write as _, process::ExitCode};

use tokio::net::TcpListener;
use tonic::transport::Server;

use crate::{
    plugin::{Controller, Handshake, Shutdown, Stdio, Tls, end_with_parent},
    protocol::{
        Service,
        pb::provider_server::ProviderServer,
        plugin::{grpc_controller_server::GrpcControllerServer, grpc_stdio_server::GrpcStdioServer},
    },
    provider::Environment,
};

/// The largest message: as large as Terraform's own providers take.
const LARGEST_MESSAGE: usize = 256 << 20;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let handshake = Handshake::read(variable)?;
    let environment = Environment { url: variable("TENANTRY_URL"), api_key: variable("TENANTRY_API_KEY") };

    let tls = Tls::new(&handshake.client_certificate)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let line = Handshake::line(listener.local_addr()?, &tls.certificate);
    let shutdown = Shutdown::new();
    let server = Server::builder()
        .add_service(
            ProviderServer::new(Service::new(environment))
                .max_decoding_message_size(LARGEST_MESSAGE)
                .max_encoding_message_size(LARGEST_MESSAGE),
        )
        .add_service(GrpcControllerServer::new(Controller(shutdown.clone())))
        .add_service(GrpcStdioServer::new(Stdio(shutdown.clone())))
        .serve_with_incoming_shutdown(tls.incoming(listener), shutdown.requested());

    // Terraform reads one line, and nothing after it.
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    out.flush()?;
    tokio::select! {
        end = server => Ok(end?),
        () = end_with_parent() => Ok(()),
    }
}
