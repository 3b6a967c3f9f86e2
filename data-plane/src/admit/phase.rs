//! Only active tenants are served.

use tenantry_domain::tenant::TenantPhase;

/// Why a tenant is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PhaseRefused {
    /// It is being made.
    #[error("the tenant is being set up")]
    Provisioning,
    /// It is kept and not served.
    #[error("the tenant is suspended")]
    Suspended,
    /// It was deleted and can be restored.
    #[error("the tenant is deactivated")]
    Deactivated,
    /// As good as not there.
    #[error("there is no such tenant")]
    Gone,
}

pub(crate) fn check_phase(phase: TenantPhase) -> Result<(), PhaseRefused> {
    match phase {
        TenantPhase::Active => Ok(()),
        TenantPhase::Provisioning => Err(PhaseRefused::Provisioning),
        TenantPhase::Suspended => Err(PhaseRefused::Suspended),
        TenantPhase::Deactivated => Err(PhaseRefused::Deactivated),
        TenantPhase::Purging | TenantPhase::Purged | TenantPhase::Failed => Err(PhaseRefused::Gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_active_tenants_are_served() {
        for phase in TenantPhase::ALL {
            assert_eq!(check_phase(*phase).is_ok(), *phase == TenantPhase::Active, "{phase}");
        }
    }
}
