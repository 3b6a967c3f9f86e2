//! Slugs as clients write them.

use std::borrow::Cow;

use tenantry_domain::{Invalid, Slug};

/// Lower case, `-` for `_`; borrowed where nothing changes. Reserved words pass: nobody has them.
pub(super) fn normalise(text: Cow<'_, str>) -> Result<Cow<'_, str>, Invalid> {
    if is_label(&text) {
        return Ok(text);
    }
    let label = text.to_ascii_lowercase().replace('_', "-");
    if is_label(&label) {
        return Ok(label.into());
    }
    Err(Slug::parse(&text).err().unwrap_or_else(|| Invalid::because("is no slug")))
}

fn is_label(text: &str) -> bool {
    (1..=Slug::MAX_LEN).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
