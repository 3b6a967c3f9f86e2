//! The tenant and the states it goes through.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Invalid, Slug,
    app::AppName,
    ids::TenantId,
    operation::OperationKind,
    plan::{Features, LimitOverrides, PlanName},
};

/// One customer organisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name in URLs, schemas and roles.
    pub slug: Slug,
    /// A second label below the base domain, when it is not the slug.
    pub subdomain: Option<Slug>,
    /// Its name for people.
    pub name: DisplayName,
    /// What may be done with it.
    pub status: TenantStatus,
    /// What it has bought.
    pub plan: PlanName,
    /// The application whose tables it gets.
    pub app: AppName,
    /// Its own feature switches, over the plan's.
    pub features: Features,
    /// Its own ceilings, over the plan's.
    pub limits: LimitOverrides,
    /// Free-form settings of the SaaS team, e.g. branding.
    pub settings: Map<String, Value>,
    /// When it signed up.
    pub created_at: DateTime<Utc>,
    /// When anything above last changed.
    pub updated_at: DateTime<Utc>,
}

/// A tenant's name for people: 1 to 200 characters, no control characters, trimmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(Box<str>);

impl DisplayName {
    /// Reads a name.
    ///
    /// # Errors
    /// It is empty, longer than 200 characters or holds control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let name = text.trim();
        if name.is_empty() || name.chars().count() > 200 {
            return Err(Invalid::because("must have 1 to 200 characters"));
        }
        if name.chars().any(char::is_control) {
            return Err(Invalid::because("must not hold control characters"));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DisplayName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> Self {
        name.0.into()
    }
}

/// Where a tenant is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum TenantStatus {
    /// Its data is being made.
    Provisioning,
    /// It is served.
    Active,
    /// It is kept and not served, until resumed.
    Suspended,
    /// It was deleted and can be restored until `purge_at`.
    Deactivated {
        /// When its data is dropped.
        purge_at: DateTime<Utc>,
    },
    /// Its data is being dropped.
    Purging,
    /// Nothing is left but this record; its slug is free again.
    Purged,
    /// Its provisioning failed and was undone; retry or delete.
    Failed,
}

impl TenantStatus {
    /// The stored and served name.
    pub const fn as_str(self) -> &'static str {
        self.phase().as_str()
    }

    /// The status without its data.
    pub const fn phase(self) -> TenantPhase {
        match self {
            Self::Provisioning => TenantPhase::Provisioning,
            Self::Active => TenantPhase::Active,
            Self::Suspended => TenantPhase::Suspended,
            Self::Deactivated { .. } => TenantPhase::Deactivated,
            Self::Purging => TenantPhase::Purging,
            Self::Purged => TenantPhase::Purged,
            Self::Failed => TenantPhase::Failed,
        }
    }

    /// Whether an operation may begin now; a typed refusal otherwise.
    ///
    /// # Errors
    /// The operation does not apply to a tenant in this status.
    pub fn admit(self, kind: OperationKind) -> Result<(), OperationRefused> {
        use OperationKind as K;
        let applies = match self {
            Self::Provisioning => matches!(kind, K::Provision),
            Self::Active => matches!(kind, K::Suspend | K::Deactivate | K::Purge | K::Move),
            Self::Suspended => matches!(kind, K::Resume | K::Deactivate | K::Purge | K::Move),
            Self::Deactivated { .. } => matches!(kind, K::Restore | K::Purge | K::Move),
            Self::Failed => matches!(kind, K::Provision | K::Purge),
            Self::Purging => matches!(kind, K::Purge),
            Self::Purged => false,
        };
        if applies { Ok(()) } else { Err(OperationRefused { kind, phase: self.phase() }) }
    }

    /// The status without what an operation is doing to it: whether it is served.
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Active)
    }
}

/// A [`TenantStatus`] without its data: what is stored, filtered by and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantPhase {
    /// See [`TenantStatus::Provisioning`].
    Provisioning,
    /// See [`TenantStatus::Active`].
    Active,
    /// See [`TenantStatus::Suspended`].
    Suspended,
    /// See [`TenantStatus::Deactivated`].
    Deactivated,
    /// See [`TenantStatus::Purging`].
    Purging,
    /// See [`TenantStatus::Purged`].
    Purged,
    /// See [`TenantStatus::Failed`].
    Failed,
}

crate::names_of! { TenantPhase {
    Provisioning = "provisioning", Active = "active", Suspended = "suspended", Deactivated = "deactivated",
    Purging = "purging", Purged = "purged", Failed = "failed",
} }

impl TenantPhase {
    /// The status with its data.
    ///
    /// # Errors
    /// A deactivated tenant needs the time of its purge.
    pub fn with(self, purge_at: Option<DateTime<Utc>>) -> Result<TenantStatus, Invalid> {
        Ok(match self {
            Self::Provisioning => TenantStatus::Provisioning,
            Self::Active => TenantStatus::Active,
            Self::Suspended => TenantStatus::Suspended,
            Self::Deactivated => TenantStatus::Deactivated {
                purge_at: purge_at
                    .ok_or_else(|| Invalid::because("a deactivated tenant has a time of purge"))?,
            },
            Self::Purging => TenantStatus::Purging,
            Self::Purged => TenantStatus::Purged,
            Self::Failed => TenantStatus::Failed,
        })
    }
}

/// An operation that does not apply to a tenant as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} does not apply to a tenant that is {phase}")]
pub struct OperationRefused {
    /// What was asked.
    pub kind: OperationKind,
    /// Where the tenant is.
    pub phase: TenantPhase,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purged_tenant_takes_no_operation() {
        for kind in OperationKind::ALL {
            assert!(TenantStatus::Purged.admit(*kind).is_err());
        }
    }

    #[test]
    fn only_a_suspended_tenant_is_resumed_and_only_a_deactivated_one_restored() {
        let deactivated = TenantStatus::Deactivated { purge_at: DateTime::UNIX_EPOCH };
        assert!(TenantStatus::Suspended.admit(OperationKind::Resume).is_ok());
        assert!(TenantStatus::Active.admit(OperationKind::Resume).is_err());
        assert!(deactivated.admit(OperationKind::Restore).is_ok());
        assert!(TenantStatus::Suspended.admit(OperationKind::Restore).is_err());
    }

    #[test]
    fn names_for_people_are_trimmed_and_hold_no_control_characters() {
        assert_eq!(DisplayName::parse("  Acme  ").unwrap().as_str(), "Acme");
        for text in ["", "   ", "a\0b", "a\nb", &"x".repeat(201)] {
            assert!(DisplayName::parse(text).is_err(), "{text:?}");
        }
    }
}
