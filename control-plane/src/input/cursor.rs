//! Lists: cursors that clients cannot read anything into, and the pages between them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

/// Where a page ended: the sort key of its last item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor(String);

impl Cursor {
    /// A cursor after an item with this sort key.
    pub(crate) fn after(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// As it goes over the wire.
    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// Reads one back; `None` if it is none of ours.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let key = String::from_utf8(bytes).ok()?;
        (!key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic())).then_some(Self(key))
    }

    /// The sort key.
    pub(crate) fn key(&self) -> &str {
        &self.0
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Listing<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Listing<T> {
    /// A page of `limit` items from rows that were read with one to spare.
    pub(crate) fn of<R>(
        mut rows: Vec<R>,
        limit: usize,
        key: impl Fn(&R) -> String,
        item: impl Fn(R) -> T,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|row| Cursor::after(key(row)).encode());
        Self { items: rows.into_iter().map(item).collect(), next_cursor }
    }

    /// A page of a list that was read whole and is sorted by its key, ascending.
    pub(crate) fn of_all<R>(
        rows: Vec<R>,
        after: Option<&Cursor>,
        limit: usize,
        key: impl Fn(&R) -> String,
        item: impl Fn(R) -> T,
    ) -> Self {
        let rest = rows
            .into_iter()
            .filter(|row| after.is_none_or(|cursor| key(row).as_str() > cursor.key()))
            .take(limit + 1)
            .collect();
        Self::of(rest, limit, key, item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_round_trip() {
        let cursor = Cursor::after("019a0000-0000-7000-8000-000000000000");
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        for text in ["", "!", "a", "AAAA", "w6k"] {
            assert_eq!(Cursor::decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn pages_cover_a_list_without_gap_or_overlap() {
        let all = || vec!["a", "b", "c", "d", "e"];
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = Listing::of_all(all(), after.as_ref(), 2, |row| (*row).to_owned(), str::to_owned);
            seen.extend(page.items);
            match page.next_cursor {
                Some(cursor) => after = Cursor::decode(&cursor),
                None => break,
            }
        }
        assert_eq!(seen, all());
    }

    #[test]
    fn an_exactly_full_page_is_the_last() {
        let page = Listing::of_all(vec!["a", "b"], None, 2, |row| (*row).to_owned(), str::to_owned);
        assert_eq!(page.next_cursor, None);
    }
}
