//! Messages over one connection: what is to be sent is gathered and written in one go, and what
//! comes is cut out of the read buffer without a copy.
//!
//! Has no task of its own: who asks for a message reads it.

use std::{
    io::{Error, ErrorKind},
    net::SocketAddr,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::backend::Message;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
};

use super::{LinkError, ServerError};
use crate::tls::{Stream, Tls};

/// What is read at once: some of the 8 KiB that the server sends at once.
const READ: usize = 16 << 10;

/// Buffers that a large request or answer made larger than this are not kept.
const KEPT: usize = 64 << 10;

/// The longest message that is taken as a whole. What a tenant's statement answers ends long before.
const LONGEST: usize = 64 << 20;

/// What is passed on at once of a value that is not taken as a whole.
const PART: usize = 64 << 10;

/// When to ask a silent server whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The start of a row that is too long to be taken as a whole.
pub(super) struct LongRow {
    /// Its first two columns.
    pub(super) counts: [Option<i64>; 2],
    /// Bytes of the third.
    pub(super) length: usize,
}

pub(crate) struct Wire {
    stream: Stream,
    /// Where it is connected to, of all addresses that the name may have.
    pub(super) peer: SocketAddr,
    incoming: BytesMut,
    /// A large message made the buffer large, which its capacity no longer shows once that is cut out.
    grown: bool,
    /// Messages for the next [`Wire::send`].
    pub(crate) outgoing: BytesMut,
}

impl Wire {
    /// Connects to the first address of a host that answers, with TLS as it is to be. A server that does not
    /// acknowledge what it was sent within `patience` is given up.
    pub(crate) async fn open(
        host: &str,
        port: u16,
        tls: &Tls,
        patience: Duration,
    ) -> Result<Self, LinkError> {
        let stream = dial(host, port).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(patience))?;
        #[cfg(not(target_os = "linux"))]
        let _ = patience;
        let peer = stream.peer_addr()?;
        let stream = tls.protect(stream, host).await?;
        Ok(Self { stream, peer, incoming: BytesMut::new(), grown: false, outgoing: BytesMut::new() })
    }

    /// Sends what was gathered. The server reads all of a request before it answers at length, so
    /// nobody has to read meanwhile.
    pub(crate) async fn send(&mut self) -> Result<(), LinkError> {
        let sent = async {
            self.stream.write_all(&self.outgoing).await?;
            self.stream.flush().await
        };
        let sent = sent.await;
        self.outgoing.clear();
        sent.map_err(|error| self.farewell().unwrap_or(LinkError::Network(error)))
    }

    /// The next message, but for those that may come at any time and change nothing for us.
    pub(crate) async fn next(&mut self) -> Result<Message, LinkError> {
        loop {
            if let Some(message) = self.received()? {
                return Ok(message);
            }
            self.read().await?;
        }
    }

    /// The connection, and what was read and not yet looked at.
    pub(crate) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.incoming)
    }

    /// How it is protected.
    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    async fn read(&mut self) -> Result<(), LinkError> {
        match self.stream.read_buf(&mut self.incoming).await {
            Ok(0) => Err(LinkError::Closed),
            Ok(_) => Ok(()),
            // Within TLS a farewell is due, without which somebody else may have ended it.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(LinkError::Closed),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the next message is a row of three columns and longer than `from` bytes: its first two columns, and the
    /// length of the third, which [`Wire::part`] gives.
    pub(super) async fn long_row(&mut self, from: usize) -> Result<Option<LongRow>, LinkError> {
        const TAG_AND_LENGTH: usize = 5;
        // Two columns of up to 20 digits, with their lengths, and the length of the third.
        const START: usize = TAG_AND_LENGTH + 2 + 2 * (4 + 20) + 4;
        loop {
            self.fill(TAG_AND_LENGTH).await?;
            let length = u32::from_be_bytes(self.incoming[1..TAG_AND_LENGTH].try_into().expect("four bytes"));
            match self.incoming[0] {
                b'D' if length as usize >= from.max(START) => break,
                // Those that may come at any time.
                b'S' | b'N' | b'A' => {
                    self.fill(length as usize + 1).await?;
                    self.incoming.advance(length as usize + 1);
                }
                _ => return Ok(None),
            }
        }
        self.fill(START).await?;
        let mut start = &self.incoming[TAG_AND_LENGTH..START];
        if start.get_u16() != 3 {
            return Ok(None);
        }
        let mut counts = [None, None];
        for count in &mut counts {
            let Ok(length) = usize::try_from(start.get_i32()) else { continue };
            let digits = start.split_at_checked(length).filter(|(_, rest)| rest.len() >= 4);
            let (digits, rest) = digits.ok_or_else(|| LinkError::protocol("a count has too many digits"))?;
            *count = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            start = rest;
        }
        let Ok(length) = usize::try_from(start.get_i32()) else { return Ok(None) };
        let read = START - start.len();
        self.incoming.advance(read);
        Ok(Some(LongRow { counts, length }))
    }

    /// The next bytes of a value of which `left` are still to come.
    pub(super) async fn part(&mut self, left: usize) -> Result<Bytes, LinkError> {
        if self.incoming.is_empty() {
            self.incoming.reserve(PART);
            self.fill(1).await?;
        }
        let length = self.incoming.len().min(left).min(PART);
        Ok(self.incoming.split_to(length).freeze())
    }

    /// Reads until there are so many bytes in the buffer.
    async fn fill(&mut self, bytes: usize) -> Result<(), LinkError> {
        if bytes > LONGEST {
            return Err(LinkError::protocol("it sends too long a message"));
        }
        while self.incoming.len() < bytes {
            self.incoming.reserve((bytes - self.incoming.len()).max(READ));
            self.read().await?;
        }
        Ok(())
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
                    let header = self.incoming.get(1..5).and_then(|length| length.try_into().ok());
                    if header.is_some_and(|length| u32::from_be_bytes(length) as usize > LONGEST) {
                        return Err(LinkError::protocol("it sends too long a message"));
                    }
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
