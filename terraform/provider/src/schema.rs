//! What a resource is made of, as Terraform and as the API see it: attributes, and values of them.

mod answer;
mod attribute;
mod body;
mod path;
mod plan;
mod validate;
mod value;

pub(crate) use answer::state_from;
pub(crate) use attribute::{Attribute, Source, Type};
pub(crate) use body::{Nulls, body_of};
pub(crate) use path::{Path, path_of_field};
pub(crate) use plan::{Planned, plan};
pub(crate) use validate::validate;
pub(crate) use value::{Object, Value, ValueError};
