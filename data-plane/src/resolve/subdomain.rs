//! The label below the base domain: `acme.localhost`.

use std::borrow::Cow;

use super::{Name, label};

/// Exactly one label; deeper names and what cannot be a slug are nobody's.
pub(super) fn name(left: Cow<'_, str>) -> Name<'_> {
    label::normalise(left).map_or(Name::Nobody, Name::Label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_is_a_tenant_and_deeper_names_are_nobody_s() {
        assert_eq!(name("acme".into()), Name::Label("acme".into()));
        for left in ["a.acme", "", "-a", "www.acme", &"a".repeat(41)] {
            assert_eq!(name(left.into()), Name::Nobody, "{left}");
        }
    }
}
