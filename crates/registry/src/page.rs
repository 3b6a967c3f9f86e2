//! Pages of lists, newest first.

use uuid::Uuid;

/// A part of a list that is sorted by id, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Only what comes after this id.
    pub after: Option<Uuid>,
    /// At most this many.
    pub limit: u16,
}

impl Page {
    pub(crate) fn sql_limit(self) -> i64 {
        i64::from(self.limit)
    }
}
