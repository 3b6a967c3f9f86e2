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
    pub(super) detail: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) table: Option<String>,
    pub(super) column: Option<String>,
    pub(super) constraint: Option<String>,
}

impl ServerError {
    /// Takes what can be read: half an error says more than none.
    pub(super) fn read(body: &ErrorResponseBody) -> Box<Self> {
        let mut error = Box::<Self>::default();
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            // Before the log-in is through, it speaks in whatever encoding it likes.
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                // The severity, in English whatever the server's language.
                b'V' => error.fatal = matches!(&*text, "FATAL" | "PANIC"),
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'P' => error.in_text = true,
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
