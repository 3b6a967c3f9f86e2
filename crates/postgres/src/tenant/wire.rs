//! Messages over one TCP connection: what is to be sent is gathered and written in one go, and what
//! comes is cut out of the read buffer without a copy.
//!
//! Has no task of its own: who asks for a message reads it.

use std::{
    io::{Error, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
};

use super::{LinkError, ServerError};

/// What is read at once: some of the 8 KiB that the server sends at once.
const READ: usize = 16 << 10;

/// Buffers that a large request or answer made larger than this are not kept.
const KEPT: usize = 64 << 10;

/// When to ask a silent server whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(super) struct Wire {
    stream: TcpStream,
    /// Where it is connected to, of all addresses that the name may have.
    pub(super) peer: SocketAddr,
    incoming: BytesMut,
    /// A large message made the buffer large, which its capacity no longer shows once that is cut out.
    grown: bool,
    /// Messages for the next [`Wire::send`].
    pub(super) outgoing: BytesMut,
}

impl Wire {
    /// Connects to the first address of a host that answers. A server that does not acknowledge
    /// what it was sent within `patience` is given up.
    pub(super) async fn open(host: &str, port: u16, patience: Duration) -> Result<Self, LinkError> {
        let stream = dial(host, port).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(patience))?;
        #[cfg(not(target_os = "linux"))]
        let _ = patience;
        let peer = stream.peer_addr()?;
        Ok(Self { stream, peer, incoming: BytesMut::new(), grown: false, outgoing: BytesMut::new() })
    }

    /// Sends what was gathered. The server reads all of a request before it answers at length, so
    /// nobody has to read meanwhile.
    pub(super) async fn send(&mut self) -> Result<(), LinkError> {
        let sent = self.stream.write_all(&self.outgoing).await;
        self.outgoing.clear();
        sent.map_err(|error| self.farewell().unwrap_or(LinkError::Network(error)))
    }

    /// The next message, but for those that may come at any time and change nothing for us.
    pub(super) async fn next(&mut self) -> Result<Message, LinkError> {
        loop {
            if let Some(message) = self.received()? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(LinkError::Closed);
            }
        }
    }

    /// Whether the server has hung up, or sent what it may not send between two requests. Looks
    /// without waiting.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.received_by_now(), Ok(None))
    }

    /// Gives back what a large request or answer took; what has been cut out of it lives on.
    pub(super) fn shrink(&mut self) {
        if self.outgoing.capacity() > KEPT {
            self.outgoing = BytesMut::new();
        }
        if std::mem::take(&mut self.grown) {
            self.incoming = BytesMut::from(&self.incoming[..]);
        }
    }

    /// Why the server no longer takes messages, if it said so before it went.
    fn farewell(&mut self) -> Option<LinkError> {
        while let Ok(Some(message)) = self.received_by_now() {
            if let Message::ErrorResponse(body) = message {
                return Some(ServerError::read(&body).into());
            }
        }
        None
    }

    fn received_by_now(&mut self) -> Result<Option<Message>, LinkError> {
        loop {
            if let Some(message) = self.received()? {
                return Ok(Some(message));
            }
            match self.stream.try_read_buf(&mut self.incoming) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A message that is in the buffer already, or else room in the buffer for (more of) one.
    fn received(&mut self) -> Result<Option<Message>, LinkError> {
        loop {
            match Message::parse(&mut self.incoming).map_err(LinkError::protocol)? {
                Some(
                    Message::ParameterStatus(_)
                    | Message::NoticeResponse(_)
                    | Message::NotificationResponse(_),
                ) => {}
                Some(message) => return Ok(Some(message)),
                None => {
                    // Parsing made room for the whole of a message that has begun.
                    if self.incoming.is_empty() || self.incoming.len() == self.incoming.capacity() {
                        self.incoming.reserve(READ);
                    }
                    self.grown |= self.incoming.capacity() > KEPT;
                    return Ok(None);
                }
            }
        }
    }

    /// Waits until there may be something to read.
    #[cfg(test)]
    pub(super) async fn readable(&self) {
        self.stream.readable().await.unwrap();
    }
}

async fn dial(host: &str, port: u16) -> Result<TcpStream, Error> {
    let mut failure = Error::new(ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
