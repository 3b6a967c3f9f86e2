//! Stopping a statement that nobody waits for any more.

use std::{io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use postgres_protocol::message::{backend::BackendKeyDataBody, frontend};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::tls::{Tls, TlsError};

/// The server hangs up when it has passed the request on.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it takes to stop what one of a server's processes does.
pub(super) struct Canceller {
    /// Proves to the server, with the number of the process, that the process is ours. So it travels as protected as
    /// the session is.
    secret: i32,
    process: i32,
    server: SocketAddr,
    host: String,
    tls: Tls,
}

impl Canceller {
    pub(super) fn new(key: &BackendKeyDataBody, server: SocketAddr, host: String, tls: Tls) -> Self {
        Self { secret: key.secret_key(), process: key.process_id(), server, host, tls }
    }

    /// Which of the server's processes.
    pub(super) const fn process(&self) -> i32 {
        self.process
    }

    /// Asks a server to stop what the process does, over a connection of its own. It answers nothing.
    pub(super) async fn cancel(&self) -> Result<(), TlsError> {
        let asking = async {
            let stream = TcpStream::connect(self.server).await.map_err(TlsError::Network)?;
            let mut stream = self.tls.protect(stream, &self.host).await?;
            let mut request = BytesMut::new();
            frontend::cancel_request(self.process, self.secret, &mut request);
            let sent = async {
                stream.write_all(&request).await?;
                stream.flush().await?;
                stream.read(&mut [0]).await.map(drop)
            };
            sent.await.map_err(TlsError::Network)
        };
        let timed_out = |_| Err(TlsError::Network(io::ErrorKind::TimedOut.into()));
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(timed_out)
    }
}
