//! A request's body that must come at some rate, and is read a part at a time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::ConnectionLimits;

/// Bytes of a body after which others have their turn: a client that sends as fast as it can would keep a thread for as long as
/// its body is.
const PART: u64 = 64 << 10;

/// A body that fails when it comes more slowly than [`ConnectionLimits::min_rate`], after the time that a head may take.
pub(crate) struct PacedBody {
    body: Incoming,
    grace: Duration,
    min_rate: u32,
    begun: Instant,
    received: u64,
    /// Of that, since others had their turn.
    in_turn: u64,
    /// Made when the client first makes us wait.
    due: Option<Pin<Box<Sleep>>>,
}

impl PacedBody {
    pub(crate) fn new(body: Incoming, limits: &ConnectionLimits) -> Self {
        let &ConnectionLimits { head_timeout, min_rate, .. } = limits;
        Self {
            body,
            grace: head_timeout,
            min_rate,
            begun: Instant::now(),
            received: 0,
            in_turn: 0,
            due: None,
        }
    }
}

/// Whether that is why a body could not be read, somewhere among the error's causes.
pub fn is_body_too_slow(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(<dyn std::error::Error>::is::<BodyTooSlow>)
}

#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
struct BodyTooSlow;

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.in_turn >= PART {
            this.in_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(Ok(frame)) = &frame {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.received += bytes;
                this.in_turn += bytes;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let allowed = this.grace + Duration::from_secs(this.received / u64::from(this.min_rate.max(1)));
        let due = this.begun + allowed;
        let sleep = this.due.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() != due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().poll(context).map(|()| Some(Err(BodyTooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
