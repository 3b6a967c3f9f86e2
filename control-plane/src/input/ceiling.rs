//! A ceiling in a PATCH: null is not the same as left out.

use serde::{Deserialize, Deserializer};

/// What is to become of a ceiling.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ceiling<T> {
    /// It was left out.
    #[default]
    Unchanged,
    /// Null: there is none any more.
    Lifted,
    /// Another one.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ceiling<T> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(value)?.map_or(Self::Lifted, Self::Set))
    }
}

impl<T> Ceiling<T> {
    /// The ceiling after the change.
    pub(crate) fn over(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Unchanged => current,
            Self::Lifted => None,
            Self::Set(ceiling) => Some(ceiling),
        }
    }
}
