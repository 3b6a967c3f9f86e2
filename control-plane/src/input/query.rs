//! Query parameters. Names that an endpoint does not document are refused before it is called
//! ([`super::known_parameters`]); values are read here.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use tenantry_http::Problem;
use tenantry_registry::Page;
use url::form_urlencoded;
use uuid::Uuid;

use super::{Fields, cursor::Cursor};
use crate::refusal::Refusal;

/// The query of one request. Take the values, then [`QueryParams::finish`].
#[derive(Debug)]
#[must_use = "what is wrong with the parameters is said by `finish`"]
pub(crate) struct QueryParams {
    values: BTreeMap<String, String>,
    wrong: Fields,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// Where the last page ended.
    pub(crate) after: Option<Cursor>,
    /// How many items, 1 to 200.
    pub(crate) limit: u16,
}

impl Window {
    const DEFAULT: u16 = 50;
    const MAX: u16 = 200;

    /// The limit as a count.
    pub(crate) fn size(&self) -> usize {
        self.limit.into()
    }

    /// As a page of a list that is sorted by id, with one row to spare.
    pub(crate) fn by_id(&self) -> Result<Page, Refusal> {
        let after = match &self.after {
            None => None,
            Some(cursor) => Some(Uuid::try_parse(cursor.key()).map_err(|_| bad_cursor())?),
        };
        Ok(Page { after, limit: self.limit + 1 })
    }
}

fn bad_cursor() -> Refusal {
    Problem::invalid("cursor", BAD_CURSOR).into()
}

const BAD_CURSOR: &str = "must be the `nextCursor` of an earlier page of the same list";

impl QueryParams {
    fn parse(query: &str) -> Self {
        let mut params = Self { values: BTreeMap::new(), wrong: Fields::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if value.contains('\0') {
                params.wrong.wrong(&name, "must not hold NUL characters");
            } else if params.values.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                params.wrong.wrong(&name, "is given twice");
            }
        }
        params
    }

    /// The value of a parameter.
    pub(crate) fn take<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.values.remove(name)?;
        self.wrong.take(name, value.parse())
    }

    /// Notes that a parameter is wrong.
    pub(crate) fn wrong(&mut self, name: &str, message: &str) {
        self.wrong.wrong(name, message);
    }

    /// `limit` and `cursor`.
    pub(crate) fn window(&mut self) -> Window {
        self.window_of(Window::DEFAULT)
    }

    /// As [`Self::window`], with another size where none is given.
    pub(crate) fn window_of(&mut self, default: u16) -> Window {
        let limit = match self.values.remove("limit").map(|text| text.parse()) {
            None => default,
            Some(Ok(limit)) if (1..=Window::MAX).contains(&limit) => limit,
            Some(_) => {
                self.wrong.wrong("limit", "must be a number from 1 to 200");
                default
            }
        };
        let after = self.values.remove("cursor").and_then(|text| {
            let cursor = Cursor::decode(&text);
            self.wrong.check("cursor", cursor.is_some(), BAD_CURSOR);
            cursor
        });
        Window { after, limit }
    }

    /// Refuses the request if a parameter was wrong.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        self.wrong.finish()
    }
}

impl<S: Sync> FromRequestParts<S> for QueryParams {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use tenantry_domain::tenant::TenantPhase;

    use super::*;

    fn field_of(refusal: &Refusal) -> String {
        serde_json::to_value(refusal.problem()).unwrap()["errors"][0]["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn values_are_read_and_what_is_wrong_is_named() {
        let mut query = QueryParams::parse("status=active&limit=5");
        assert_eq!(query.take("status"), Some(TenantPhase::Active));
        assert_eq!(query.window(), Window { after: None, limit: 5 });
        assert!(query.finish().is_ok());
        for (text, field) in [
            ("status=none", "status"),
            ("status=active&status=active", "status"),
            ("q=a%00b", "q"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=x", "limit"),
            ("cursor=!", "cursor"),
        ] {
            let mut query = QueryParams::parse(text);
            let _: Option<TenantPhase> = query.take("status");
            let _ = query.window();
            assert_eq!(field_of(&query.finish().unwrap_err()), field, "{text}");
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let window = Window { after: Some(Cursor::after("basic")), limit: 5 };
        assert_eq!(field_of(&window.by_id().unwrap_err()), "cursor");
    }
}
