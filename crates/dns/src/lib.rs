//! Looking for the TXT records that prove custom domains. The worker looks every few seconds, the
//! control plane when it is asked to look now; both with a resolver that tests replace.

mod proof;
mod resolver;

pub use proof::{Proof, look_for_proof};
pub use resolver::{DnsError, SystemResolver, TxtResolver};
