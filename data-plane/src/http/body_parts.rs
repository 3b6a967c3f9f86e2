//! Bodies as PostgreSQL sends them: in parts where they are long, and bytes as hexadecimal digits.

use std::convert::Infallible;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};

use crate::parts::{Broken, Parts};

/// What PostgreSQL writes in front of the digits.
const PREFIX: usize = "\\x".len();

/// A body that is read from the tenant's server as the client takes it, and its length.
pub(super) fn body(parts: Parts, hexadecimal: bool) -> (usize, Body) {
    let len = if hexadecimal { parts.len.saturating_sub(PREFIX) / 2 } else { parts.len };
    let digits = hexadecimal.then(Digits::default);
    let stream = futures::stream::try_unfold((parts, digits), async |(mut parts, mut digits)| {
        let part = parts.next().await.inspect_err(|error| {
            tracing::warn!(%error, "an answer ends in its middle: {error}");
        })?;
        let Some(part) = part else { return Ok::<_, Broken>(None) };
        let part = match &mut digits {
            Some(digits) => digits.decode(&part),
            None => part,
        };
        Ok(Some((part, (parts, digits))))
    });
    (len, Body::from_stream(stream))
}

/// Digits that are read at a time.
const PART: usize = 64 << 10;

/// The bytes of a body that is there, and their number. They are read as the client takes them: all at once would keep a
/// thread for milliseconds.
pub(super) fn decoded(text: Bytes) -> (usize, Body) {
    let (len, mut digits) = (text.len().saturating_sub(PREFIX) / 2, Digits::default());
    let parts = (0..text.len()).step_by(PART);
    let parts = parts.map(move |at| Ok::<_, Infallible>(digits.decode(&text[at..text.len().min(at + PART)])));
    (len, Body::from_stream(futures::stream::iter(parts)))
}

/// Digits on their way, of which a part may end between the two of a byte.
#[derive(Default)]
struct Digits {
    /// Bytes of the text that were read.
    read: usize,
    half: Option<u8>,
}

impl Digits {
    fn decode(&mut self, text: &[u8]) -> Bytes {
        let skipped = PREFIX.saturating_sub(self.read).min(text.len());
        self.read += text.len();
        let mut bytes = BytesMut::with_capacity(text.len() / 2 + 1);
        for digit in &text[skipped..] {
            let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let value = value.unwrap_or_default();
            match self.half.take() {
                Some(half) => bytes.put_u8(half << 4 | value),
                None => self.half = Some(value),
            }
        }
        bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_decoded_wherever_the_text_is_cut() {
        let text = b"\\x00ff1a";
        for cut in 0..=text.len() {
            let mut digits = Digits::default();
            let mut bytes = digits.decode(&text[..cut]).to_vec();
            bytes.extend(digits.decode(&text[cut..]));
            assert_eq!(bytes, [0x00, 0xff, 0x1a], "{cut}");
        }
    }

    #[tokio::test]
    async fn a_body_of_many_parts_has_its_length() {
        for bytes in [0, 1, PART, 3 * PART + 1] {
            let (len, body) = decoded(Bytes::from(format!("\\x{}", "07".repeat(bytes))));
            let read = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            assert_eq!((len, read.len()), (bytes, bytes));
            assert!(read.iter().all(|byte| *byte == 7));
        }
    }
}
