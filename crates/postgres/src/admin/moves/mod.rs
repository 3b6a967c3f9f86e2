//! Moving a tenant from one placement to another: what it holds, whether both ends are alike, closing one end and copying
//! to the other. Everything that changes something carries the fence of its attempt.

mod catalog;
mod contents;
mod leave;
mod survey;
mod write_fence;

pub use catalog::SchemaCatalog;
pub use contents::{CopyError, Site, TableContents, copy_contents};
pub use survey::Survey;
