//! Stopping a statement that nobody waits for any more.

use std::{io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use postgres_protocol::message::{backend::BackendKeyDataBody, frontend};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The server hangs up when it has passed the request on.
const PATIENCE: Duration = Duration::from_secs(5);

/// What proves to a server that one of its processes is ours.
#[derive(Clone, Copy)]
pub(super) struct CancelKey {
    process: i32,
    secret: i32,
}

impl From<&BackendKeyDataBody> for CancelKey {
    fn from(body: &BackendKeyDataBody) -> Self {
        Self { process: body.process_id(), secret: body.secret_key() }
    }
}

impl CancelKey {
    /// Asks a server to stop what the process does, over a connection of its own. It answers nothing.
    pub(super) async fn cancel(self, server: SocketAddr) -> io::Result<()> {
        let asking = async {
            let mut stream = TcpStream::connect(server).await?;
            let mut request = BytesMut::new();
            frontend::cancel_request(self.process, self.secret, &mut request);
            stream.write_all(&request).await?;
            stream.read(&mut [0]).await.map(drop)
        };
        tokio::time::timeout(PATIENCE, asking).await?
    }
}
