//! Tables that belong to a feature. They are missing from the catalog of tenants without it
//! ([`crate::catalogs`]); here the refusal gets its reason.

use tenantry_domain::{app::JsonCase, route::Route};

use crate::catalogs::withheld;

/// The feature for want of which the tenant does not have this table.
pub(crate) fn missing_feature<'a>(route: &'a Route, asked: &str) -> Option<&'a str> {
    let manifest = &route.app.manifest;
    let table = withheld(route).find(|table| match manifest.json_case {
        JsonCase::Snake => *table == asked,
        // `dentalSupplies` and `dental-supplies` are `dental_supplies`.
        JsonCase::Camel => letters(table).eq(letters(asked)),
    })?;
    manifest.feature_of(table)
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use super::*;
    use crate::routes::tests::route;

    #[test]
    fn a_table_of_a_feature_is_missing_until_the_tenant_has_the_feature() {
        let mut clinic = route(1, "clinic");
        let mut app = (*clinic.app).clone();
        app.manifest.features.insert("supplies".into(), BTreeSet::from(["dental_supplies".to_owned()]));
        clinic.app = Arc::new(app.clone());
        assert_eq!(missing_feature(&clinic, "dental_supplies"), Some("supplies"));
        assert_eq!(missing_feature(&clinic, "dentalSupplies"), None);
        assert_eq!(missing_feature(&clinic, "products"), None);
        app.manifest.json_case = JsonCase::Camel;
        clinic.app = Arc::new(app);
        assert_eq!(missing_feature(&clinic, "dentalSupplies"), Some("supplies"));
        clinic.features = Arc::new([("supplies".to_owned(), true)].into());
        assert_eq!(missing_feature(&clinic, "dental_supplies"), None);
    }
}
