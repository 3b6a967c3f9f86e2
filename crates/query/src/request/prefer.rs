//! `Prefer`: what the client would like, and what of it was applied.

use crate::error::QueryError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    Minimal,
    HeadersOnly,
    Representation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution {
    MergeDuplicates,
    IgnoreDuplicates,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Preferences {
    pub(crate) returning: Option<Return>,
    pub(crate) resolution: Option<Resolution>,
    /// The word asked for. Planned and estimated counts are answered exactly: one statement cannot EXPLAIN another.
    pub(crate) count: Option<&'static str>,
    pub(crate) missing_default: Option<bool>,
    pub(crate) strict: Option<bool>,
}

impl Preferences {
    /// The first of several contradicting values counts, as in `PostgREST`.
    pub(crate) fn parse(headers: &[&str]) -> Result<Self, QueryError> {
        let mut found = Self::default();
        let mut unknown = Vec::new();
        for preference in headers.iter().flat_map(|header| header.split(',')).map(str::trim) {
            match preference {
                "" => {}
                "return=minimal" => set(&mut found.returning, Return::Minimal),
                "return=headers-only" => set(&mut found.returning, Return::HeadersOnly),
                "return=representation" => set(&mut found.returning, Return::Representation),
                "resolution=merge-duplicates" => set(&mut found.resolution, Resolution::MergeDuplicates),
                "resolution=ignore-duplicates" => set(&mut found.resolution, Resolution::IgnoreDuplicates),
                "count=exact" => set(&mut found.count, "count=exact"),
                "count=planned" => set(&mut found.count, "count=planned"),
                "count=estimated" => set(&mut found.count, "count=estimated"),
                "missing=default" => set(&mut found.missing_default, true),
                "missing=null" => set(&mut found.missing_default, false),
                "handling=strict" => set(&mut found.strict, true),
                "handling=lenient" => set(&mut found.strict, false),
                other => unknown.push(other),
            }
        }
        if found.strict == Some(true) && !unknown.is_empty() {
            let detail =
                format!("unknown preferences with handling=strict: {}; remove them", unknown.join(", "));
            return Err(QueryError::bad("bad_preference", detail).field("prefer"));
        }
        Ok(found)
    }
}

fn set<T>(slot: &mut Option<T>, value: T) {
    if slot.is_none() {
        *slot = Some(value);
    }
}
