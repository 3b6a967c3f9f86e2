//! The record that proves a domain.

use tenantry_domain::domain_name::{DomainName, challenge_text};

use crate::{DnsError, TxtResolver};

/// What a look for the record of a domain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The record is there, with the token's text.
    Found,
    /// It is not; these are the texts that are there.
    Missing {
        /// The texts of the TXT records of that name.
        found: Vec<String>,
    },
}

/// Looks for the TXT record that proves a domain.
///
/// # Errors
/// DNS does not answer, or cannot be asked: whether the record is there is unknown.
pub async fn look_for_proof(
    resolver: &dyn TxtResolver,
    domain: &DomainName,
    token: &str,
) -> Result<Proof, DnsError> {
    let found = resolver.txt(&domain.challenge_name()).await?;
    let expected = challenge_text(token);
    Ok(if found.contains(&expected) { Proof::Found } else { Proof::Missing { found } })
}
