//! Moving a tenant from one placement to another: what it holds, whether both ends are alike, closing one end and copying
//! to the other. Everything that changes something carries the fence of its attempt.

mod apply;
mod catalog;
mod close_reads;
mod contents;
mod copy_table;
mod leave;
mod pace;
mod parts;
mod pgoutput;
mod replication;
mod session;
mod sign_of_life;
mod slots;
mod snapshot;
mod survey;
#[cfg(test)]
mod tests;
mod transfer;
mod transferred;
mod write_fence;

pub use catalog::SchemaCatalog;
pub use contents::TableContents;
pub use slots::{KeptSlot, PublicationId, WayBack};
pub use survey::Survey;
pub use transfer::{Closed, KeepPatience, MoveError, Site, Transfer};
pub use transferred::Transferred;
