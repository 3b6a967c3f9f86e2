//! What a server answers to a request, read to its end.

use std::{io, ops::Range};

use bytes::Bytes;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message};

use super::{LinkError, QueryErrorKind, ServerError, TenantQueryError, wire::Wire};

/// The first row of an answer, of one column (the body) or three; all of it is empty when there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryRow {
    /// The first column of three, a `bigint`: rows in the body.
    pub page_count: i64,
    /// The second column, a `bigint`: rows in all, where they were counted.
    pub total_count: Option<i64>,
    /// The last column: `text`, `json` or `jsonb`, as text.
    pub body: Option<Bytes>,
    /// Bytes of the body that are still to be read, with [`TenantConnection::body_part`](super::TenantConnection);
    /// then `body` is empty.
    pub to_come: usize,
}

/// Rows from here on are not taken as a whole, where their reader can take them in parts.
const LONG: usize = 256 << 10;

/// Which statements are answered: the tenant's, and others around it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    /// The first of them begins a transaction.
    pub(super) begins: bool,
    /// The one that becomes the tenant, and those that set what it wants.
    pub(super) before: u32,
    pub(super) after: u32,
    /// Of a long row the start is enough.
    pub(super) in_parts: bool,
}

/// What came back, when the transaction is over.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Statements that were parsed.
    pub(super) parsed: u32,
    /// Why nothing was done. May come last: constraints may be deferred to the commit.
    pub(super) error: Option<Box<ServerError>>,
    /// It was not the tenant's statement that failed, but the one that becomes the tenant.
    at_opening: bool,
    /// A transaction that was begun has failed, and is still to be ended.
    pub(super) is_open: bool,
    /// The first row of the tenant's statement.
    pub(super) row: Option<io::Result<QueryRow>>,
}

impl Answer {
    #[expect(clippy::result_large_err, reason = "the caller's own")]
    pub(super) fn into_row(self) -> Result<QueryRow, TenantQueryError> {
        if let Some(error) = self.error {
            let mut error = TenantQueryError::from(error);
            // The role is not there, or is not this login's to become.
            if self.at_opening && matches!(error.kind, QueryErrorKind::Permission | QueryErrorKind::Data) {
                error.kind = QueryErrorKind::Gone;
            }
            return Err(error);
        }
        let row = self.row.transpose().map(Option::unwrap_or_default);
        row.map_err(|error| TenantQueryError::bare(QueryErrorKind::Internal, error.to_string()))
    }
}

/// Reads the answer to a request; with `in_parts` only the start of a long one, whose body and end are still to be
/// read. No other error than of the connection: it cannot be used after one.
pub(super) async fn read(wire: &mut Wire, expected: Expected) -> Result<Answer, LinkError> {
    let Expected { begins, before, after, in_parts } = expected;
    let statements = before + 1 + after;
    let mut answer = Answer::default();
    let mut completed = 0;
    loop {
        if in_parts
            && completed == before
            && answer.row.is_none()
            && let Some(long) = wire.long_row(LONG).await?
        {
            let [page_count, total_count] = long.counts;
            let page_count = page_count.unwrap_or_default();
            answer.row = Some(Ok(QueryRow { page_count, total_count, body: None, to_come: long.length }));
            return Ok(answer);
        }
        match wire.next().await? {
            Message::ParseComplete => answer.parsed += 1,
            Message::BindComplete | Message::CloseComplete => {}
            Message::DataRow(row) => {
                if completed == before && answer.row.is_none() {
                    answer.row = Some(read_row(&row));
                }
            }
            Message::CommandComplete(_) | Message::EmptyQueryResponse => completed += 1,
            Message::ErrorResponse(body) => {
                let error = ServerError::read(&body);
                if error.fatal {
                    return Err(error.into());
                }
                if answer.error.is_none() {
                    answer.at_opening = completed == u32::from(begins) && statements > 1;
                    answer.error = Some(error);
                }
            }
            Message::ReadyForQuery(ready) => {
                answer.is_open = begins && ready.status() == b'E';
                // A transaction that is still open is still the tenant's.
                if ready.status() != b'I' && !answer.is_open {
                    return Err(LinkError::protocol("it left a transaction open"));
                }
                if completed != statements && answer.error.is_none() {
                    return Err(LinkError::protocol("it left a statement out"));
                }
                return Ok(answer);
            }
            _ => return Err(LinkError::protocol("it answered with what was not asked for")),
        }
    }
}

/// Reads whatever comes, until the connection ends.
pub(super) async fn read_to_end(wire: &mut Wire) {
    while wire.next().await.is_ok() {}
}

/// Reads the answer to a simple query for one boolean; none if it was refused.
pub(super) async fn read_bool(wire: &mut Wire) -> Result<Option<bool>, LinkError> {
    let mut value = None;
    loop {
        match wire.next().await? {
            Message::DataRow(row) => value = Some(row.buffer().ends_with(b"t")),
            Message::ReadyForQuery(_) => return Ok(value),
            _ => {}
        }
    }
}

/// Reads the end of an answer whose body was read in parts.
pub(super) async fn read_end(wire: &mut Wire) -> Result<(), LinkError> {
    loop {
        match wire.next().await? {
            // Of several rows the first one is taken, as above.
            Message::CommandComplete(_) | Message::DataRow(_) => {}
            Message::ReadyForQuery(ready) if ready.status() == b'I' => return Ok(()),
            Message::ErrorResponse(body) => return Err(ServerError::read(&body).into()),
            _ => return Err(LinkError::protocol("it answered with what was not asked for")),
        }
    }
}

/// Reads the answer to [`reset`](super::request::reset). An error that the server said means that it went no further:
/// what was sent after the reset it has not begun. Of any other error nobody knows.
pub(super) async fn read_reset(wire: &mut Wire) -> Result<(), LinkError> {
    let mut error: Option<Box<ServerError>> = None;
    loop {
        let message = match wire.next().await {
            Ok(message) => message,
            Err(lost) => return Err(error.map_or(lost, LinkError::from)),
        };
        match message {
            Message::ErrorResponse(body) => {
                error.get_or_insert_with(|| ServerError::read(&body));
            }
            Message::ReadyForQuery(_) => return error.map_or(Ok(()), |error| Err(error.into())),
            Message::ParseComplete
            | Message::BindComplete
            | Message::DataRow(_)
            | Message::CommandComplete(_) => {}
            _ => return Err(LinkError::protocol("it answered with what was not asked for")),
        }
    }
}

fn read_row(row: &DataRowBody) -> io::Result<QueryRow> {
    let bytes = row.buffer_bytes();
    let mut columns = row.ranges();
    let has_counts = columns.size_hint().0 == 3;
    let mut column = || columns.next().map(Option::flatten);
    let mut row = QueryRow::default();
    if has_counts {
        row.page_count = column()?.map(|range| integer(&bytes[range])).transpose()?.unwrap_or_default();
        row.total_count = column()?.map(|range| integer(&bytes[range])).transpose()?;
    }
    row.body = column()?.map(|range| cut(bytes, range));
    Ok(row)
}

/// Bodies from here on stay in the read buffer. A smaller one is copied, so that it does not keep
/// the whole of the buffer, and the buffer can be used again at once.
const SLICED: usize = 4 << 10;

fn cut(bytes: &Bytes, range: Range<usize>) -> Bytes {
    if range.len() < SLICED { Bytes::copy_from_slice(&bytes[range]) } else { bytes.slice(range) }
}

fn integer(text: &[u8]) -> io::Result<i64> {
    let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the answer holds something else than a count")
    })
}
