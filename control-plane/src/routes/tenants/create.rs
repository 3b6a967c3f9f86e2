//! `POST /api/v1/tenants`

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Map, Value};
use tenantry_domain::{
    Slug,
    app::AppName,
    domain_name::DomainName,
    plan::{LimitOverrides, PlanName},
    tenant::DisplayName,
    user::{Email, FirstOwner, Username, given_name},
};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use crate::{
    audit,
    auth::{Authorized, scopes::TenantsWrite},
    claim::Claim,
    input::{Fields, JsonBody, Prefer},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::create_tenant::{CreateTenant, CreateTenantError, TenantSpec},
};

/// A tenant to sign up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "name": "My Organization", "slug": "my-org", "domain": "myorg.com", "subdomain": "my-org", "plan": "premium",
    "app": "mis", "maxUsers": 1000, "maxStorage": 107_374_182_400_u64,
    "features": { "biometric_auth": true }, "settings": { "custom_branding": true },
}))]
pub(crate) struct CreateTenantBody {
    /// Its name for people, 1 to 200 characters.
    name: String,
    /// A DNS label of 1 to 40 characters; derived from the name when absent.
    slug: Option<String>,
    /// What it buys.
    plan: String,
    /// The application whose tables it gets. May be left out where there is one, or a default.
    app: Option<String>,
    /// A custom domain. It is served once its TXT record is seen: see `GET /tenants/{id}/domains`.
    domain: Option<String>,
    /// A second label below the base domain.
    subdomain: Option<String>,
    /// Its own feature switches, over the plan's.
    #[serde(default)]
    features: BTreeMap<String, bool>,
    /// Free-form settings, e.g. `branding`.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// Its own ceiling for users, in place of the plan's.
    max_users: Option<u32>,
    /// Its own ceiling for data and files in bytes, in place of the plan's.
    max_storage: Option<u64>,
    /// Who is to be its first user, its owner. The event `user.invited` brings him a token by which he sets his password.
    admin: Option<AdminBody>,
}

/// A tenant's first user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AdminBody {
    /// Where the invitation goes.
    #[schema(example = "ada@example.com")]
    email: String,
    /// How he is called; what stands before the `@`, when absent.
    #[schema(example = "ada")]
    username: Option<String>,
    #[schema(example = "Ada")]
    first_name: Option<String>,
    #[schema(example = "Lovelace")]
    last_name: Option<String>,
}

impl AdminBody {
    fn read(self, fields: &mut Fields) -> Option<FirstOwner> {
        let email = fields.take("admin.email", Email::parse(&self.email));
        let username = fields.take_some("admin.username", self.username.as_deref().map(Username::parse));
        let first_name = fields.take_some("admin.firstName", self.first_name.map(given_name));
        let last_name = fields.take_some("admin.lastName", self.last_name.map(given_name));
        let email = email?;
        let Some(username) = username.or_else(|| email.username()) else {
            fields.wrong("admin.username", "is required: what stands before the @ cannot be a user's name");
            return None;
        };
        Some(FirstOwner { username, email, first_name, last_name })
    }
}

impl CreateTenantBody {
    fn read(self) -> Result<TenantSpec, Refusal> {
        let mut fields = Fields::default();
        let name = fields.take("name", DisplayName::parse(&self.name));
        let plan = fields.take("plan", PlanName::parse(&self.plan));
        let slug = fields.take_some("slug", self.slug.as_deref().map(Slug::parse));
        let app = fields.take_some("app", self.app.as_deref().map(AppName::parse));
        let domain = fields.take_some("domain", self.domain.as_deref().map(DomainName::parse));
        let subdomain = fields.take_some("subdomain", self.subdomain.as_deref().map(Slug::parse));
        feature_names(&mut fields, &self.features);
        let admin = self.admin.and_then(|admin| admin.read(&mut fields));
        fields.finish()?;
        Ok(TenantSpec {
            admin,
            // What has no value was found wrong, so these cannot be missing here.
            name: name.ok_or_else(|| Refusal::missing("name"))?,
            plan: plan.ok_or_else(|| Refusal::missing("plan"))?,
            slug,
            app,
            domain,
            subdomain,
            features: self.features,
            settings: self.settings,
            limits: LimitOverrides { max_users: self.max_users, max_storage_bytes: self.max_storage },
        })
    }
}

/// Notes features whose names are none: 1 to 100 characters without spaces or control characters.
pub(crate) fn feature_names(fields: &mut Fields, features: &BTreeMap<String, bool>) {
    for name in features.keys() {
        let plain = name.chars().all(|c| !c.is_whitespace() && !c.is_control());
        let fits = (1..=100).contains(&name.chars().count());
        fields.check(
            &format!("features.{name}"),
            plain && fits,
            "must have a name of 1 to 100 characters without spaces",
        );
    }
}

impl From<CreateTenantError> for Refusal {
    fn from(error: CreateTenantError) -> Self {
        use CreateTenantError as E;
        match error {
            E::NoSlug(reason) => Problem::invalid("name", reason.to_string()).into(),
            E::UnknownPlan => {
                Self::unprocessable("unknown_plan", "plan", "there is no such plan; see GET /api/v1/plans")
            }
            E::AppRequired => Self::unprocessable(
                "app_required",
                "app",
                "there is not exactly one app to choose by itself; name one, see GET /api/v1/apps",
            ),
            E::UnknownApp => {
                Self::unprocessable("unknown_app", "app", "there is no such app; see GET /api/v1/apps")
            }
            E::AppHasNoVersions(app) => Self::unprocessable(
                "app_has_no_versions",
                "app",
                format!("app `{app}` has no versions, so that a tenant would get no tables; push one first"),
            ),
            E::NoUsers(app) => Self::unprocessable(
                "users_not_enabled",
                "admin",
                format!("app `{app}` has no users; its manifest's `registration` would say who may be one"),
            ),
            E::DomainWithinBase(base) => Problem::invalid(
                "domain",
                format!("lies within {base}; send a `slug` or `subdomain` instead"),
            )
            .into(),
            E::SlugTaken => Self::taken("slug_taken", "slug", "another tenant has this slug; choose another"),
            E::SubdomainTaken => Self::taken(
                "subdomain_taken",
                "subdomain",
                "another tenant has this subdomain; choose another",
            ),
            E::DomainTaken => Self::taken("domain_taken", "domain", "another tenant has proven this domain"),
            E::Registry(error) => error.into(),
        }
    }
}

/// Counts a sign-up by how it went.
pub(crate) fn count_signup(plan: &str, refused: Option<&CreateTenantError>) {
    // Only plans that exist may become labels: their number is bounded, the clients' inventions are not.
    let (plan, outcome) = match refused {
        None => (plan, "accepted"),
        Some(CreateTenantError::Registry(_)) => ("unknown", "failed"),
        Some(
            CreateTenantError::UnknownPlan
            | CreateTenantError::NoSlug(_)
            | CreateTenantError::DomainWithinBase(_),
        ) => ("unknown", "refused"),
        Some(
            CreateTenantError::SlugTaken | CreateTenantError::SubdomainTaken | CreateTenantError::DomainTaken,
        ) => (plan, "taken"),
        Some(_) => (plan, "refused"),
    };
    metrics::counter!("tenantry_signups_total", "plan" => plan.to_owned(), "outcome" => outcome).increment(1);
}

/// Sign a tenant up
///
/// Its schema or database is made by a worker: the answer is 202 with the operation to follow, or with
/// `Prefer: wait=N` 201 when the tenant is ready.
#[utoipa::path(
    post, path = "/api/v1/tenants", tag = "tenants",
    params(
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = CreateTenantBody,
    responses(
        (status = 202, description = "It is being made", body = WorkView,
         headers(("Location" = String, description = "The operation"))),
        (status = 201, description = "It was made within the wait", body = WorkView,
         headers(("Location" = String, description = "The tenant"))),
        (status = 409, description = "`slug_taken`, `subdomain_taken` or `domain_taken`", body = Problem),
        (status = 422, description = "`unknown_plan`, `unknown_app`, `app_required`, \
            `app_has_no_versions`; or, within the wait, `operation_failed`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn create_tenant(
    _: Authorized<TenantsWrite>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(create): State<CreateTenant>,
    JsonBody(body): JsonBody<CreateTenantBody>,
) -> Result<Response, Refusal> {
    let wanted = body.read()?;
    let plan = wanted.plan.clone();
    let created = create.run(wanted, claim).await;
    count_signup(plan.as_str(), created.as_ref().err());
    let started = created?;
    if let Some(tenant) = started.operation.subject.tenant() {
        audit::note_tenant(tenant);
    }
    answer(&registry, started, prefer, StatusCode::CREATED).await
}
