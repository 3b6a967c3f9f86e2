//! A client's connection: one that takes its answers too slowly is given up, and what hyper says of a request that is
//! no HTTP becomes a problem document.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{ConnectionLimits, Problem, connections::Connection};

pub(crate) struct Stream {
    tcp: TcpStream,
    connection: Arc<Connection>,
    pace: Pace,
    /// What is written instead of hyper's answer, from a place on.
    instead: Option<(Vec<u8>, usize)>,
}

/// How fast a client takes what is there to be taken.
#[derive(Default)]
struct Pace {
    /// When it began to make us wait.
    blocked_at: Option<Instant>,
    /// How long it has in all, and what it took since the first time.
    blocked: Duration,
    taken: u64,
}

impl Pace {
    fn wait(&mut self) {
        self.blocked_at.get_or_insert_with(Instant::now);
    }

    /// The client took some bytes; whether it is fast enough.
    fn take(&mut self, bytes: usize, limits: &ConnectionLimits) -> bool {
        let Some(since) = self.blocked_at.take() else { return true };
        self.blocked += since.elapsed();
        self.taken += bytes as u64;
        let due = self.blocked.as_secs() * u64::from(limits.min_rate);
        self.blocked < limits.head_timeout || self.taken >= due
    }
}

impl Stream {
    pub(crate) fn new(tcp: TcpStream, connection: Arc<Connection>) -> Self {
        Self { tcp, connection, pace: Pace::default(), instead: None }
    }

    fn wrote(&mut self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        let bytes = written?;
        self.connection.moved();
        if self.pace.take(bytes, self.connection.limits()) {
            return Poll::Ready(Ok(bytes));
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes its answer too slowly")))
    }

    /// Writes the whole of what stands instead of `replaced` bytes.
    fn write_instead(&mut self, context: &mut Context<'_>, replaced: usize) -> Poll<io::Result<usize>> {
        while let Some((text, at)) = &mut self.instead {
            let bytes = ready!(Pin::new(&mut self.tcp).poll_write(context, &text[*at..]))?;
            *at += bytes;
            if *at == text.len() || bytes == 0 {
                self.instead = None;
            }
        }
        Poll::Ready(Ok(replaced))
    }
}

/// What hyper answers by itself is an empty body, and has none of our headers.
fn instead_of(head: &[u8]) -> Option<Vec<u8>> {
    let status = head.strip_prefix(b"HTTP/1.1 4")?;
    let text = std::str::from_utf8(head).ok()?;
    if !text.ends_with("\r\n\r\n") || !text.contains("content-length: 0\r\n") || text.contains("x-request-id")
    {
        return None;
    }
    let problem = match status.get(..2)? {
        b"00" => Problem::new(
            StatusCode::BAD_REQUEST,
            "malformed_request",
            "the request is not HTTP/1.1 as RFC 9112 has it; in its URL, write \" as %22, < as %3C, > as %3E, a space \
             as %20, and whatever else RFC 3986 does not allow in the same way",
        ),
        b"14" => {
            Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", "the URL is too long; send less in it")
        }
        b"31" => Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers_too_large",
            "the headers are too many or too long; send fewer",
        ),
        _ => return None,
    };
    let problem = problem.for_postgrest();
    let body = serde_json::to_vec(&problem).ok()?;
    let mut answer = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        problem.status(),
        body.len()
    )
    .into_bytes();
    answer.extend(body);
    Some(answer)
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none()
            && let [head] = slices
        {
            self.instead = instead_of(head).map(|text| (text, 0));
        }
        if self.instead.is_some() {
            let replaced = slices.iter().map(|slice| slice.len()).sum();
            return self.write_instead(context, replaced);
        }
        match Pin::new(&mut self.tcp).poll_write_vectored(context, slices) {
            Poll::Ready(written) => self.wrote(written),
            Poll::Pending => {
                self.pace.wait();
                Poll::Pending
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hyper_says_by_itself_becomes_a_problem_document() {
        let bare = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let answer = String::from_utf8(instead_of(bare).unwrap()).unwrap();
        assert!(answer.contains("\"code\":\"malformed_request\"") && answer.contains("%3E"), "{answer}");
        let ours = b"HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(instead_of(ours), None);
        assert_eq!(instead_of(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), None);
    }

    #[test]
    fn a_client_is_too_slow_that_makes_us_wait_for_little() {
        let limits = ConnectionLimits {
            head_timeout: Duration::from_secs(10),
            min_rate: 1_000,
            ..ConnectionLimits::default()
        };
        let long_ago = || Some(Instant::now().checked_sub(Duration::from_secs(20)).unwrap());
        let mut pace = Pace { blocked_at: long_ago(), ..Pace::default() };
        assert!(!pace.take(10_000, &limits));
        let mut pace = Pace { blocked_at: long_ago(), ..Pace::default() };
        assert!(pace.take(30_000, &limits));
        let mut pace = Pace::default();
        assert!(pace.take(1, &limits));
    }
}
