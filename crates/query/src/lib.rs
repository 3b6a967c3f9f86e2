//! `PostgREST`'s query language as one SQL statement against one tenant's schema.
//!
//! [`plan`] takes what came over HTTP and what the schema holds ([`Catalog`]) and answers exactly one statement in
//! which every identifier comes from the catalog and every value, key and alias of the request is a bound text
//! parameter. The crate does no IO: the caller runs the statement as the tenant's role and hands the two counts it
//! answers to [`ResponseShape::head`], which says status and headers.
//!
//! The same shape of request always gives the same SQL text, so statements can be cached as prepared ones.

mod catalog;
mod error;
mod json_case;
mod plan;
mod render;
mod request;
mod response;
mod typescript;

pub use catalog::{
    Argument, Catalog, CatalogError, Column, Function, Introspection, Relationship, RelationshipKind, Table,
    TableKind, TypeName, Volatility,
};
pub use error::QueryError;
pub use json_case::JsonCase;
pub use plan::{Planned, Statement, Transaction, check_profile, plan};
pub use request::{HttpRequest, Limits, Method, Options, Target};
pub use response::{ResponseHead, ResponseShape, is_answer_too_large, rows_instead_of_one};
