//! A stand-in for a connection pooler (`PgBouncer` with `ignore_startup_parameters = options`): forwards
//! connections, and drops the options with which a session wants to begin.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};
use tokio_util::sync::DropGuard;

use crate::listen::listen;

/// The code of a client that asks for TLS.
const SSL_REQUEST: i32 = 80_877_103;

/// See the module.
#[derive(Debug)]
pub struct Pooler {
    /// Where to connect to.
    pub address: SocketAddr,
    _stop: DropGuard,
}

impl Pooler {
    /// A pooler in front of a server.
    pub async fn start(server: SocketAddr) -> Self {
        let (address, stop) = listen(move |client| forward(client, server)).await;
        Self { address, _stop: stop }
    }
}

async fn forward(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let startup = startup(&mut client).await?;
    let (version, parameters) = startup.split_at(4);
    let mut kept = version.to_vec();
    // Names and values, each ended by a zero byte, and one more.
    let mut texts = parameters.split(|byte| *byte == 0);
    while let (Some(name @ [_, ..]), Some(value)) = (texts.next(), texts.next()) {
        if name != b"options" {
            kept.extend([name, value].iter().flat_map(|text| text.iter().copied().chain([0])));
        }
    }
    kept.push(0);
    let mut server = begin(server, &kept).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// How a client begins, without TLS.
pub(crate) async fn startup(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let startup = message(client).await?;
    if !startup.starts_with(&SSL_REQUEST.to_be_bytes()) {
        return Ok(startup);
    }
    client.write_all(b"N").await?;
    message(client).await
}

/// Begins with a server as a client has begun.
pub(crate) async fn begin(server: SocketAddr, startup: &[u8]) -> std::io::Result<TcpStream> {
    let mut server = TcpStream::connect(server).await?;
    server.write_i32(i32::try_from(startup.len() + 4).expect("a short message")).await?;
    server.write_all(startup).await?;
    Ok(server)
}

/// A message of the start of a session: its length, itself included, and so many bytes.
async fn message(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = client.read_i32().await?;
    let mut message = vec![0; usize::try_from(length - 4).expect("a length")];
    client.read_exact(&mut message).await?;
    Ok(message)
}
