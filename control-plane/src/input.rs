//! Reading requests strictly: what is not understood is refused, with the name of what is wrong.

pub(crate) mod ceiling;
pub(crate) mod cursor;
pub(crate) mod fields;
pub(crate) mod known_parameters;
pub(crate) mod path;
pub(crate) mod prefer;
pub(crate) mod query;
pub(crate) mod server_ref;
pub(crate) mod tenant_ref;

pub(crate) use ceiling::Ceiling;
pub(crate) use fields::Fields;
pub(crate) use path::InPath;
pub(crate) use prefer::Prefer;
pub(crate) use query::QueryParams;
pub(crate) use server_ref::ServerRef;
pub(crate) use tenant_ref::TenantRef;
pub(crate) use tenantry_http::{JsonBody, json_body::object};
