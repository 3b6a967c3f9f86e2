//! What a request with an `Idempotency-Key` gives to what it makes: an id by which a repeat finds it.

use chrono::{DateTime, Utc};
use tenantry_domain::ids::uuid_v7;
use uuid::Uuid;

/// The claim of the request at hand on its `Idempotency-Key`, if it has one. What the request makes
/// takes its id from it: should the process die before the answer is kept, the repeat finds it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Claim {
    id: Option<Uuid>,
    unanswered: bool,
}

impl Claim {
    /// A claim with its id; `unanswered` if the same request has had it before.
    pub(crate) fn new(id: Uuid, unanswered: bool) -> Self {
        Self { id: Some(id), unanswered }
    }

    /// The id of what the request makes: the claim's, or a new one.
    pub(crate) fn id_or_new(self, now: DateTime<Utc>) -> Uuid {
        self.id.unwrap_or_else(|| uuid_v7(now, &mut rand::rng()))
    }

    /// The id of what the same request may have made before without being answered.
    pub(crate) fn made_before(self) -> Option<Uuid> {
        self.id.filter(|_| self.unanswered)
    }

    /// The same claim with the id of what the request makes settled now.
    pub(crate) fn settled(self, now: DateTime<Utc>) -> Self {
        Self { id: Some(self.id_or_new(now)), ..self }
    }
}
