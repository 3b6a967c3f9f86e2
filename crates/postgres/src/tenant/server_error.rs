//! What a server says when it refuses something.

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

/// A server's refusal, in its words.
#[derive(Debug, Default, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub struct ServerError {
    /// The server closes the connection after it.
    pub(super) fatal: bool,
    pub(super) code: String,
    pub(super) message: String,
    /// It is about a place in the statement's text, not about what the statement met when it ran.
    pub(super) in_text: bool,
    /// A function said it by `RAISE`.
    pub(super) raised: bool,
    pub(super) detail: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) table: Option<String>,
    pub(super) column: Option<String>,
    pub(super) constraint: Option<String>,
}

/// Bytes of a text that a server may say: a function of an app may raise any.
const LONGEST: usize = 8 << 10;

fn cut(text: &[u8]) -> String {
    let mut said = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]).into_owned();
    if text.len() > LONGEST {
        said.push('…');
    }
    said
}

impl ServerError {
    /// The message that it was, as far as it says what and why.
    pub(crate) fn message(&self) -> Vec<u8> {
        let mut fields = Vec::new();
        let texts = [
            (b'S', Some("FATAL")),
            (b'V', Some("FATAL")),
            (b'C', Some(&*self.code)),
            (b'M', Some(&*self.message)),
            (b'D', self.detail.as_deref()),
            (b'H', self.hint.as_deref()),
        ];
        for (kind, text) in texts.into_iter().filter_map(|(kind, text)| Some((kind, text?))) {
            fields.push(kind);
            fields.extend_from_slice(text.as_bytes());
            fields.push(0);
        }
        fields.push(0);
        let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
        [&b"E"[..], &length, &fields].concat()
    }

    /// Takes what can be read: half an error says more than none.
    pub(super) fn read(body: &ErrorResponseBody) -> Box<Self> {
        let mut error = Box::<Self>::default();
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            // Before the log-in is through, it speaks in whatever encoding it likes.
            let text = cut(field.value_bytes());
            match field.type_() {
                // The severity, in English whatever the server's language.
                b'V' => error.fatal = matches!(&*text, "FATAL" | "PANIC"),
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'P' => error.in_text = true,
                b'R' => error.raised = text == "exec_stmt_raise",
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                b't' => error.table = Some(text),
                b'c' => error.column = Some(text),
                b'n' => error.constraint = Some(text),
                _ => {}
            }
        }
        error
    }
}
