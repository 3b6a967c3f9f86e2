//! What a tenant's schema has that its version does not say, and the other way round; and the SQL that mends it.
//!
//! Not the comparison of a move ([`super::SchemaCatalog`]): there both schemas have one name, and every detail counts; here
//! names differ, and what is compared can be said and mended piece by piece.

mod catalog;
mod compare;
mod mend;

pub use catalog::VersionCatalog;
pub use compare::Drift;
