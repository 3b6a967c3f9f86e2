//! sqlx's sessions on tenant servers, logged in by the data plane's client.
//!
//! sqlx itself would trust every public CA beside the one that is named for a server, has no channel binding, and
//! sends a password in clear text to whoever asks for it. It cannot be given a connection that is open already. So it
//! connects to a socket of this process, without any password; behind it the client connects, protects the
//! connection, logs in, and passes on all that follows.
//!
//! The socket lies in a folder that only this user may enter, takes one connection, of this process, and is removed.

use std::{io, time::Duration};

use bytes::BytesMut;
use futures::future::try_join;
use secrecy::SecretString;
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use crate::{
    tenant::{LinkError, login::authenticate, wire::Wire},
    tls::{Stream, Tls},
};

/// Where an admin logs in, and with what. The name is sqlx's to send.
pub(super) struct AdminLogin {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) password: SecretString,
}

/// A server that does not acknowledge what it was sent for so long is given up. What waits for an answer is watched
/// (see `watch`).
const PATIENCE: Duration = Duration::from_mins(1);

/// Part of the name of the socket, which sqlx makes of folder and port.
const SOCKET_PORT: u16 = 5432;

/// What sqlx says first is short.
const LONGEST_START: usize = 64 << 10;

/// `AuthenticationOk`
const WELCOME: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];

/// Opens a session as sqlx is to begin it.
pub(super) async fn connect(
    login: &AdminLogin,
    options: PgConnectOptions,
) -> Result<PgConnection, sqlx::Error> {
    let folder = tempfile::tempdir()?;
    let listener = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{SOCKET_PORT}")))?;
    let options = options.socket(folder.path()).port(SOCKET_PORT);
    let ((), connection) = try_join(answer(listener, login), options.connect()).await?;
    Ok(connection)
}

async fn answer(listener: UnixListener, login: &AdminLogin) -> Result<(), sqlx::Error> {
    let mut client = accept(&listener).await?;
    drop(listener);
    match log_in(&mut client, login).await {
        Ok((server, received)) => {
            tokio::spawn(pass_on(client, server, received));
            Ok(())
        }
        // In the server's words: sqlx reads them as it would have.
        Err(LinkError::Said(said)) => Ok(client.write_all(&said.message()).await?),
        Err(LinkError::Network(error)) => Err(error.into()),
        Err(LinkError::Closed) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        Err(LinkError::Protocol(why)) => Err(sqlx::Error::Protocol(why)),
        Err(error @ (LinkError::Tls(_) | LinkError::PasswordExposed(_))) => {
            Err(sqlx::Error::Tls(Box::new(error)))
        }
    }
}

/// The connection of this process: another one of the same user could be faster.
async fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (client, _) = listener.accept().await?;
        let pid = client.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok());
        if pid.is_none_or(|pid| pid == std::process::id()) {
            return Ok(client);
        }
    }
}

/// Begins the session as the client asks for it; what it is to read next is sent to it by [`pass_on`].
async fn log_in(client: &mut UnixStream, login: &AdminLogin) -> Result<(Stream, BytesMut), LinkError> {
    let length = client.read_u32().await?;
    let rest = usize::try_from(length).unwrap_or(usize::MAX).saturating_sub(4);
    if rest > LONGEST_START {
        return Err(LinkError::protocol("the session begins with too long a message"));
    }
    let mut start = vec![0; rest];
    client.read_exact(&mut start).await?;
    let mut wire = Wire::open(&login.host, login.port, &login.tls, PATIENCE).await?;
    wire.outgoing.extend_from_slice(&length.to_be_bytes());
    wire.outgoing.extend_from_slice(&start);
    wire.send().await?;
    authenticate(&mut wire, &login.password).await?;
    Ok(wire.into_parts())
}

/// Passes on what the two send until one of them has ended, which ends the other.
async fn pass_on(mut client: UnixStream, mut server: Stream, received: BytesMut) {
    let begun = async {
        client.write_all(&WELCOME).await?;
        client.write_all(&received).await
    };
    if begun.await.is_err() {
        return;
    }
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = tokio::io::split(&mut server);
    // What was read before one of the two ended has been written.
    tokio::select! {
        ended = tokio::io::copy(&mut from_client, &mut to_server) => drop(ended),
        ended = tokio::io::copy(&mut from_server, &mut to_client) => drop(ended),
    }
    // A farewell, where TLS has one. Whoever does not take it is not waited for.
    let _ = tokio::time::timeout(Duration::from_secs(1), server.shutdown()).await;
}
