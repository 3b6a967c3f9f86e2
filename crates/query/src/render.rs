//! SQL from a parsed request and the catalog. All text goes through [`writer::Writer`], which takes no client text.

pub(crate) mod call;
pub(crate) mod condition;
pub(crate) mod delete;
pub(crate) mod embed;
mod group;
pub(crate) mod insert;
pub(crate) mod output;
mod plain;
pub(crate) mod read;
pub(crate) mod scope;
pub(crate) mod update;
mod value;
pub(crate) mod writer;
pub(crate) mod written;

use crate::{catalog::Catalog, json_case::JsonCase, request::Limits};

/// What every renderer reads.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) catalog: &'c Catalog,
    pub(crate) case: JsonCase,
    pub(crate) limits: &'c Limits,
    /// Whether aggregates may be asked for.
    pub(crate) aggregates: bool,
}
