//! The body's outline: how many objects, and which keys. Values are PostgreSQL's to read; they are bound as one text.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Limits;
use crate::error::QueryError;

#[derive(Debug)]
pub(crate) struct Body<'a> {
    pub(crate) text: &'a str,
    pub(crate) is_array: bool,
    /// One entry per distinct set of keys, in order of appearance.
    pub(crate) sets: Vec<KeySet<'a>>,
}

/// Objects that have the same keys.
#[derive(Debug)]
pub(crate) struct KeySet<'a> {
    /// Each once, in the first object's order.
    pub(crate) keys: Vec<Cow<'a, str>>,
    /// The same in alphabetical order, to compare sets by.
    sorted: Vec<Cow<'a, str>>,
    pub(crate) rows: Vec<&'a str>,
}

/// Nesting that no row of data needs, well below what PostgreSQL's own parser takes.
const MAX_DEPTH: usize = 100;
/// Distinct sets of keys in one body; each becomes an INSERT of its own with `missing=default`.
const MAX_KEY_SETS: usize = 16;

impl<'a> Body<'a> {
    pub(crate) fn parse(bytes: &'a [u8], limits: &Limits) -> Result<Self, QueryError> {
        let text = std::str::from_utf8(bytes).map_err(|_| bad_json("the body is not UTF-8"))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(bad_json("it is empty; send an object or an array of objects"));
        }
        let is_array = text.starts_with('[');
        let rows: Vec<&'a str> = if is_array {
            let rows: Vec<&'a RawValue> =
                serde_json::from_str(text).map_err(|error| bad_json(&error.to_string()))?;
            rows.into_iter().map(RawValue::get).collect()
        } else {
            vec![text]
        };
        if rows.len() > limits.max_body_rows {
            let detail = format!(
                "the body holds {} objects, at most {} are taken; send it in parts",
                rows.len(),
                limits.max_body_rows
            );
            return Err(QueryError::new(413, "too_many_rows", detail));
        }
        let mut sets: Vec<KeySet<'a>> = Vec::new();
        // Where the last object went: most bodies repeat one list of keys.
        let mut last = 0;
        for row in rows {
            let expected = sets.get(last).map_or(&[][..], |set| &set.keys);
            let Some(keys) = keys(row, expected, limits.max_columns)? else {
                sets[last].rows.push(row);
                continue;
            };
            let mut sorted = keys.clone();
            sorted.sort_unstable();
            last = match sets.iter().position(|set| set.sorted == sorted) {
                Some(at) => {
                    sets[at].rows.push(row);
                    at
                }
                None if sets.len() == MAX_KEY_SETS => {
                    let detail = format!(
                        "the objects have more than {MAX_KEY_SETS} different sets of keys; send those alike together"
                    );
                    return Err(QueryError::bad("keys_differ", detail));
                }
                None => {
                    sets.push(KeySet { keys, sorted, rows: vec![row] });
                    sets.len() - 1
                }
            };
        }
        // Last: what is refused for its number of keys need not be read to its end.
        scan(bytes)?;
        Ok(Self { text, is_array, sets })
    }

    /// Whether it is JSON that PostgreSQL takes, of whatever kind.
    pub(crate) fn check(bytes: &[u8]) -> Result<(), QueryError> {
        scan(bytes)?;
        let checked: Result<IgnoredAny, _> = serde_json::from_slice(bytes);
        checked.map(drop).map_err(|error| bad_json(&error.to_string()))
    }

    pub(crate) fn rows(&self) -> usize {
        self.sets.iter().map(|set| set.rows.len()).sum()
    }
}

impl KeySet<'_> {
    /// The set's objects as a JSON array.
    pub(crate) fn array(&self) -> String {
        format!("[{}]", self.rows.join(","))
    }
}

fn bad_json(detail: &str) -> QueryError {
    QueryError::bad("bad_json", format!("the body is not JSON: {detail}"))
        .with_message("Empty or invalid json")
}

/// Depth and NUL escapes, in one pass over the bytes: PostgreSQL's `json` takes `\u0000` and fails on it only later.
fn scan(bytes: &[u8]) -> Result<(), QueryError> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => {
                if bytes[at + 1..].starts_with(b"u0000") {
                    return Err(QueryError::bad(
                        "nul_byte",
                        "the body holds a NUL character, which text cannot; remove it",
                    ));
                }
                at += 1;
            }
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(QueryError::bad(
                        "bad_json",
                        format!("the body nests more than {MAX_DEPTH} deep; flatten it"),
                    ));
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            0 => return Err(QueryError::bad("nul_byte", "the body holds a NUL byte; remove it")),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// The keys of an object, each once; none if they are the expected ones, in that order.
fn keys<'a>(
    row: &'a str,
    expected: &[Cow<'_, str>],
    max: usize,
) -> Result<Option<Vec<Cow<'a, str>>>, QueryError> {
    if !row.starts_with('{') {
        return Err(QueryError::bad("bad_body", "the body must be a JSON object or an array of objects")
            .with_message("All object keys must match"));
    }
    let mut reader = serde_json::Deserializer::from_str(row);
    let mut too_many = false;
    let found = reader.deserialize_map(Keys { expected, max, too_many: &mut too_many });
    if too_many {
        return Err(QueryError::bad(
            "too_many_columns",
            format!(
                "an object of the body has more than {max} keys, and no table as many columns; send fewer"
            ),
        ));
    }
    let found = found.map_err(|error| bad_json(&error.to_string()))?;
    reader.end().map_err(|error| bad_json(&error.to_string()))?;
    match found {
        Found::Expected => Ok(None),
        Found::Others(mut keys) => {
            let mut seen = HashSet::with_capacity(keys.len());
            keys.retain(|key| seen.insert(key.clone()));
            Ok(Some(keys))
        }
    }
}

/// Reads an object's keys and skips its values.
struct Keys<'e> {
    expected: &'e [Cow<'e, str>],
    max: usize,
    /// Set when there are more than `max`: the rest is not read.
    too_many: &'e mut bool,
}

enum Found<'a> {
    Expected,
    /// In their order, perhaps repeated.
    Others(Vec<Cow<'a, str>>),
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut matched = 0;
        let mut others: Option<Vec<Cow<'de, str>>> = None;
        let mut count = 0;
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            map.next_value::<IgnoredAny>()?;
            count += 1;
            if count > self.max {
                *self.too_many = true;
                return Err(M::Error::custom("too many keys"));
            }
            match &mut others {
                Some(others) => others.push(key),
                None if self.expected.get(matched) == Some(&key) => matched += 1,
                None => {
                    let before =
                        self.expected[..matched].iter().map(|key| Cow::Owned(key.clone().into_owned()));
                    others = Some(before.chain([key]).collect());
                }
            }
        }
        Ok(match others {
            Some(others) => Found::Others(others),
            None if matched == self.expected.len() && matched > 0 => Found::Expected,
            None => Found::Others(
                self.expected[..matched].iter().map(|key| Cow::Owned(key.clone().into_owned())).collect(),
            ),
        })
    }
}

/// A key, borrowed unless it was escaped.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
