//! What a path names, read once.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tenantry_query::Target;

/// A path of the API in its parts. Segments are split before they are decoded, so that an encoded slash stays within
/// its segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ApiPath {
    /// What is in front of `/api`, in bytes.
    pub(super) base: usize,
    pub(super) named: Named,
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// `/api/`, or nothing of the API.
    Root,
    Table {
        name: String,
        id: Option<String>,
    },
    Function(String),
}

/// A path's segment is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotText;

impl ApiPath {
    pub(super) fn parse(path: &str) -> Result<Self, NotText> {
        let base = path.find("/api/").unwrap_or_default();
        let rest = path[base..].strip_prefix("/api/").unwrap_or_default();
        let (first, second) =
            rest.split_once('/').map_or((rest, None), |(first, second)| (first, Some(second)));
        let decode = |text| percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| NotText);
        let named = match (first, second) {
            ("", _) => Named::Root,
            ("rpc", Some(function)) => Named::Function(decode(function)?),
            (table, id) => Named::Table { name: decode(table)?, id: id.map(decode).transpose()? },
        };
        Ok(Self { base, named })
    }
}

impl Named {
    pub(super) fn target(&self) -> Option<Target<'_>> {
        match self {
            Self::Root => None,
            Self::Table { name, id } => Some(Target::Table { name, id: id.as_deref() }),
            Self::Function(name) => Some(Target::Function(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_split_before_they_are_decoded() {
        let table = |name: &str, id: Option<&str>| Named::Table { name: name.into(), id: id.map(Into::into) };
        for (path, base, named) in [
            ("/api/contacts", 0, table("contacts", None)),
            ("/t/acme/api/contacts/7", 7, table("contacts", Some("7"))),
            ("/api/a%2fb/c%2Fd", 0, table("a/b", Some("c/d"))),
            ("/api/rpc/add%5Fone", 0, Named::Function("add_one".into())),
            ("/api/rpc", 0, table("rpc", None)),
            ("/t/acme/api/", 7, Named::Root),
        ] {
            assert_eq!(ApiPath::parse(path), Ok(ApiPath { base, named }), "{path}");
        }
        assert_eq!(ApiPath::parse("/api/%ff"), Err(NotText));
    }
}
