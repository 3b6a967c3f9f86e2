//! `Prefer`: what the client would like, and what of it was applied.

use crate::error::{QueryError, excerpt};

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

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Preferences {
    pub(crate) returning: Option<Return>,
    pub(crate) resolution: Option<Resolution>,
    /// The word asked for. Planned and estimated counts are answered exactly: one statement cannot EXPLAIN another.
    pub(crate) count: Option<&'static str>,
    pub(crate) missing_default: Option<bool>,
    pub(crate) strict: Option<bool>,
    /// `tx=`.
    pub(crate) rollback: Option<bool>,
    /// `max-affected=`; counts with `handling=strict` only.
    pub(crate) max_affected: Option<u64>,
    /// `timezone=`, as PostgreSQL names it; one that it does not know is refused.
    pub(crate) timezone: Option<String>,
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
                "tx=rollback" => set(&mut found.rollback, true),
                "tx=commit" => set(&mut found.rollback, false),
                other => {
                    let (name, value) = other.split_once('=').unwrap_or((other, ""));
                    match (name, value.parse::<u64>()) {
                        ("max-affected", Ok(most)) => set(&mut found.max_affected, most),
                        ("timezone", _) if !value.contains('\0') => {
                            set(&mut found.timezone, value.to_owned());
                        }
                        _ => unknown.push(other),
                    }
                }
            }
        }
        if found.strict == Some(true) && !unknown.is_empty() {
            return Err(Self::refused(&unknown));
        }
        Ok(found)
    }

    /// Some preferences are not known, with `handling=strict`.
    fn refused(unknown: &[&str]) -> QueryError {
        QueryError::bad("bad_preference", "Invalid preferences given with handling=strict")
            .with_details(format!("Invalid preferences: {}", excerpt(&unknown.join(", "))))
            .field("prefer")
    }

    /// The most rows that a write may affect.
    pub(crate) fn most_affected(&self) -> Option<u64> {
        self.max_affected.filter(|_| self.strict == Some(true))
    }

    /// What `Preference-Applied` says of those that apply to every request of the kind.
    pub(crate) fn applied(&self) -> impl Iterator<Item = String> {
        let handling =
            self.strict.map(|strict| if strict { "handling=strict" } else { "handling=lenient" }.to_owned());
        let timezone = self.timezone.as_ref().map(|zone| format!("timezone={zone}"));
        let tx = self.rollback.map(|rollback| if rollback { "tx=rollback" } else { "tx=commit" }.to_owned());
        let most = self.most_affected().map(|most| format!("max-affected={most}"));
        handling.into_iter().chain(timezone).chain(tx).chain(most)
    }
}

fn set<T>(slot: &mut Option<T>, value: T) {
    if slot.is_none() {
        *slot = Some(value);
    }
}
