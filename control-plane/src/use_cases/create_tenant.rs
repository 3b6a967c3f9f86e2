//! Signing a tenant up: checks, ids and a data key, then one transaction in the registry.

use std::sync::Arc;

use rand::RngExt;
use serde_json::{Map, Value};
use tenantry_domain::{
    Clock, Invalid, Slug,
    app::AppName,
    domain_name::DomainName,
    ids::{OperationId, TenantId},
    plan::{Features, LimitOverrides, PlanName},
    tenant::{DisplayName, Tenant, TenantStatus},
    user::FirstOwner,
};
use tenantry_registry::{
    DomainAddError, NewTenant, Registry, RegistryError, TenantCreateError, TenantDetails,
};

use super::Started;
use crate::{Settings, catalogue::Catalogue, claim::Claim, operation_watch::OperationWatch, vault::Vault};

/// What a new tenant is to be.
#[derive(Debug, Clone)]
pub(crate) struct TenantSpec {
    pub(crate) name: DisplayName,
    pub(crate) slug: Option<Slug>,
    pub(crate) plan: PlanName,
    pub(crate) app: Option<AppName>,
    pub(crate) domain: Option<DomainName>,
    pub(crate) subdomain: Option<Slug>,
    pub(crate) features: Features,
    pub(crate) settings: Map<String, Value>,
    pub(crate) limits: LimitOverrides,
    pub(crate) admin: Option<FirstOwner>,
}

/// A tenant cannot be signed up; nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateTenantError {
    #[error("the name {0}")]
    NoSlug(Invalid),
    #[error("there is no such plan")]
    UnknownPlan,
    #[error("no app was named, and there is more than one, or none")]
    AppRequired,
    #[error("there is no such app")]
    UnknownApp,
    #[error("app {0} has no versions")]
    AppHasNoVersions(AppName),
    #[error("app {0} has no users")]
    NoUsers(AppName),
    #[error("the domain lies within the base domain {0}")]
    DomainWithinBase(String),
    #[error("the slug is taken")]
    SlugTaken,
    #[error("the subdomain is taken")]
    SubdomainTaken,
    #[error("the domain is taken")]
    DomainTaken,
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<TenantCreateError> for CreateTenantError {
    fn from(error: TenantCreateError) -> Self {
        match error {
            TenantCreateError::SlugTaken => Self::SlugTaken,
            TenantCreateError::SubdomainTaken => Self::SubdomainTaken,
            TenantCreateError::DomainTaken => Self::DomainTaken,
            TenantCreateError::UnknownPlan => Self::UnknownPlan,
            TenantCreateError::UnknownApp => Self::UnknownApp,
            TenantCreateError::Registry(error) => Self::Registry(error),
        }
    }
}

impl From<DomainAddError> for CreateTenantError {
    fn from(error: DomainAddError) -> Self {
        match error {
            DomainAddError::Taken => Self::DomainTaken,
            DomainAddError::Registry(error) => Self::Registry(error),
        }
    }
}

/// Signs tenants up.
#[derive(Clone)]
pub(crate) struct CreateTenant {
    pub(crate) registry: Registry,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watch: OperationWatch,
    pub(crate) catalogue: Catalogue,
    pub(crate) settings: Arc<Settings>,
}

/// A token for the TXT record that proves a domain.
pub(crate) fn domain_token() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

impl CreateTenant {
    /// Signs a tenant up; its data is made by a worker afterwards.
    pub(crate) async fn run(&self, wanted: TenantSpec, claim: Claim) -> Result<Started, CreateTenantError> {
        Started::once(claim, &self.registry, &self.watch, self.create(wanted, claim)).await
    }

    async fn create(&self, wanted: TenantSpec, claim: Claim) -> Result<Started, CreateTenantError> {
        let slug = match wanted.slug {
            Some(slug) => slug,
            None => Slug::derive(wanted.name.as_str()).map_err(CreateTenantError::NoSlug)?,
        };
        if let Some(domain) = &wanted.domain
            && domain.is_within(&self.settings.base_domain)
        {
            return Err(CreateTenantError::DomainWithinBase(self.settings.base_domain.clone()));
        }
        self.catalogue.plan(&wanted.plan).await?.ok_or(CreateTenantError::UnknownPlan)?;
        let app = self.app(wanted.app).await?;
        if wanted.admin.is_some() {
            let has_users =
                self.registry.app_get(&app).await?.is_some_and(|app| app.manifest.registration.is_some());
            if !has_users {
                return Err(CreateTenantError::NoUsers(app));
            }
        }

        let now = self.clock.now();
        let id = TenantId::generate(now, &mut rand::rng());
        let operation_id = OperationId::from_uuid(claim.id_or_new(now));
        let tenant = Tenant {
            id,
            // The seeds send both, equal: one label, once.
            subdomain: wanted.subdomain.filter(|subdomain| *subdomain != slug),
            slug,
            name: wanted.name,
            status: TenantStatus::Provisioning,
            plan: wanted.plan,
            app,
            features: wanted.features,
            limits: wanted.limits,
            settings: wanted.settings,
            created_at: now,
            updated_at: now,
        };
        let new = NewTenant {
            wrapped_data_key: self.vault.new_data_key(id),
            domain: wanted.domain.map(|domain| (domain, domain_token())),
            operation_id,
            admin: wanted.admin,
            tenant,
        };
        // Before the transaction commits, so that no news is missed.
        let subscription = self.watch.subscribe(operation_id);
        let operation = self.registry.tenant_create(&new).await?;
        let tenant = TenantDetails { tenant: new.tenant, placement: None, server: None };
        Ok(Started { tenant: Some(tenant), operation, subscription })
    }

    /// The app that the tenant gets, which must have something to give.
    async fn app(&self, asked: Option<AppName>) -> Result<AppName, CreateTenantError> {
        let app = match asked.or_else(|| self.settings.default_app.clone()) {
            Some(app) => app,
            None => self.catalogue.only_app().await?.ok_or(CreateTenantError::AppRequired)?,
        };
        match self.catalogue.app_is_usable(&app).await? {
            None => Err(CreateTenantError::UnknownApp),
            Some(false) => Err(CreateTenantError::AppHasNoVersions(app)),
            Some(true) => Ok(app),
        }
    }
}
