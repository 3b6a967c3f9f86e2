//! Provision: makes a tenant's role, schema or database, tables and default data, and begins to
//! serve it. No input. Its point of no return is its end, which makes the tenant active: from then on
//! data may be in it. Undone before, the tenant is `failed`.
//!
//! - tier `schema`: place, `create_role`, `create_schema`, migrate, seed
//! - tier `database`: place, `create_role`, `create_database`, `adopt_schema`

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::{
    names::ObjectName, operation::OperationKind, placement::Placement, plan::Tier, purpose::Purpose,
    tenant::TenantPhase,
};
use tenantry_registry::{PlaceError, PlaceRequest, Placed, ServerLogin};

use super::steps::unless_another_s;
use crate::engine::{Definition, Step, StepError, Work};

pub(super) fn define(work: &Work) -> Definition {
    // The plan may have changed since the tenant was placed.
    let tier = work.placement().map_or(work.plan.tier, |placement| placement.tier);
    let steps: Vec<Box<dyn Step>> = match tier {
        Tier::Schema => vec![
            Box::new(Place),
            Box::new(CreateRole),
            Box::new(CreateSchema),
            Box::new(Migrate),
            Box::new(Seed),
        ],
        Tier::Database => {
            vec![Box::new(Place), Box::new(CreateRole), Box::new(CreateDatabase), Box::new(AdoptSchema)]
        }
        Tier::Instance => vec![Box::new(RefuseInstance)],
    };
    Definition {
        kind: OperationKind::Provision,
        no_return: steps.len(),
        steps,
        phase_when_done: Some(TenantPhase::Active),
        phase_when_undone: Some(TenantPhase::Failed),
        done: "the tenant is served",
    }
}

fn password() -> SecretString {
    let mut bytes = [0u8; 24];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes).into()
}

/// Chooses a server by capacity and state, and a login of the data plane on it; makes the role's password.
struct Place;

#[async_trait]
impl Step for Place {
    fn name(&self) -> &'static str {
        "place"
    }

    fn doing(&self) -> &'static str {
        "choosing a server"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        // Recorded by a worker that died before it could record the step.
        if work.placement().is_some() {
            return Ok(());
        }
        let (resources, tenant) = (&work.resources, work.tenant.id);
        let password = password();
        let request = PlaceRequest {
            tier: work.plan.tier,
            name: work.tenant.slug.object_name(),
            role_password: work.data_key()?.seal(
                &Purpose::RolePassword(tenant).to_string(),
                password.expose_secret().as_bytes(),
                &mut rand::rng(),
            ),
            region: None,
            tenants_per_login: resources.settings.tenants_per_login,
        };
        let placed = match resources.registry.placement_choose(&work.lease, &request).await {
            Err(PlaceError::NoLogin(server_id)) => {
                add_login(work, server_id).await?;
                resources.registry.placement_choose(&work.lease, &request).await?
            }
            chosen => chosen?,
        };
        work.set_placement(Some(match placed {
            Placed::Now(placement) => {
                work.set_role_password(password);
                placement
            }
            Placed::Before(placement) => placement,
        }));
        Ok(())
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        work.resources.registry.placement_forget(&work.lease).await?;
        work.set_placement(None);
        Ok(())
    }
}

/// Adds a login of the data plane to a server whose logins are full. It is made on the server with
/// the first tenant's role that it holds.
async fn add_login(work: &Work, server_id: tenantry_domain::ids::ServerId) -> Result<(), StepError> {
    let resources = &work.resources;
    let mut suffix = [0u8; 4];
    rand::rng().fill_bytes(&mut suffix);
    let name = format!("tenantry_data_{}_{:08x}", resources.settings.label, u32::from_be_bytes(suffix));
    let name = ObjectName::parse(&name).map_err(|error| StepError::permanent(error.to_string()))?;
    let sealed = resources.kek.seal(
        &Purpose::ServerLogin(server_id, &name).to_string(),
        password().expose_secret().as_bytes(),
        &mut rand::rng(),
    );
    resources.registry.server_login_add(&ServerLogin { server_id, name, password: sealed }).await?;
    Ok(())
}

/// The password of the data plane's login that a placement names.
async fn login_password(work: &Work, placement: &Placement) -> Result<SecretString, StepError> {
    let resources = &work.resources;
    let login = resources
        .registry
        .server_login_get(placement.server_id, &placement.login)
        .await?
        .ok_or_else(|| StepError::permanent(format!("login {} is not registered", placement.login)))?;
    let purpose = Purpose::ServerLogin(placement.server_id, &placement.login).to_string();
    resources
        .kek
        .open_text(&purpose, &login.password)
        .map_err(|error| StepError::permanent(error.to_string()))
}

/// Makes the role that owns nothing and may read and write the tenant's rows, and lets the data plane become it.
struct CreateRole;

#[async_trait]
impl Step for CreateRole {
    fn name(&self) -> &'static str {
        "create_role"
    }

    fn doing(&self) -> &'static str {
        "making the tenant's role"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        let (placement, server) = work.placed().await?;
        if !server.admin.has_ensured_login(&placement.login) {
            let login_password = login_password(work, &placement).await?;
            server.admin.ensure_login(&placement.login, &login_password).await?;
        }
        let mark = work.owner_mark();
        let make =
            async { Ok(server.admin.ensure_role(placement.role(), &mark, &placement.login, None).await?) };
        // The next step's first question, to another server.
        let (role, app) = tokio::join!(make, work.app());
        role.and(app.map(drop))
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        if work.placement().is_some() {
            let (placement, server) = work.placed().await?;
            unless_another_s(server.admin.drop_role(placement.role(), &work.owner_mark()).await)?;
        }
        Ok(())
    }
}

/// Sets the password of the tenant's role: a part of the step that takes longest, which it runs beside.
async fn set_password(work: &Work) -> Result<(), StepError> {
    let (placement, server) = work.placed().await?;
    let password = work.role_password().await?;
    Ok(server.admin.set_role_password(placement.role(), &work.owner_mark(), &password).await?)
}

/// Makes the tenant's schema in the shared database.
struct CreateSchema;

#[async_trait]
impl Step for CreateSchema {
    fn name(&self) -> &'static str {
        "create_schema"
    }

    fn doing(&self) -> &'static str {
        "making the tenant's schema"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        let (placement, server) = work.placed().await?;
        let app = work.app().await?;
        server.admin.ensure_extensions(&placement.database, &app.manifest.extensions).await?;
        server
            .admin
            .ensure_schema(&placement.database, &placement.schema, &work.owner_mark(), &placement.login)
            .await?;
        Ok(())
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        if work.placement().is_some() {
            let (placement, server) = work.placed().await?;
            let mark = work.owner_mark();
            unless_another_s(server.admin.drop_schema(&placement.database, &placement.schema, &mark).await)?;
        }
        Ok(())
    }
}

/// Copies the tenant's database from the template of the app's newest version, default data included,
/// or takes a warm copy; meanwhile sets the password of the tenant's role.
struct CreateDatabase;

#[async_trait]
impl Step for CreateDatabase {
    fn name(&self) -> &'static str {
        "create_database"
    }

    fn doing(&self) -> &'static str {
        "copying the app's template database"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        let (placement, server) = work.placed().await?;
        let app = work.app().await?;
        let (label, mark) = (&work.resources.settings.label, work.owner_mark());
        let create = server.admin.create_database(app, label, &placement.database, &mark);
        // Both to their end, also when one fails: what was sent to the server would meet the undoing.
        let (created, password_set) = tokio::join!(create, set_password(work));
        password_set?;
        Ok(created?)
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        if work.placement().is_some() {
            let (placement, server) = work.placed().await?;
            unless_another_s(server.admin.drop_database(&placement.database, &work.owner_mark()).await)?;
        }
        Ok(())
    }
}

/// Gives the template's tables in the new database to the tenant, and records their version. Undone
/// with the database.
struct AdoptSchema;

#[async_trait]
impl Step for AdoptSchema {
    fn name(&self) -> &'static str {
        "adopt_schema"
    }

    fn doing(&self) -> &'static str {
        "giving the tables to the tenant"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        let (placement, server) = work.placed().await?;
        let report = server
            .admin
            .adopt_template_schema(
                &placement.database,
                &placement.schema,
                &work.owner_mark(),
                &placement.login,
                work.app().await?,
            )
            .await?;
        work.note_schema_version(report.to);
        Ok(())
    }
}

/// Applies the app's migrations and records the version; meanwhile sets the password of the tenant's
/// role. Undone with the schema.
struct Migrate;

#[async_trait]
impl Step for Migrate {
    fn name(&self) -> &'static str {
        "migrate"
    }

    fn doing(&self) -> &'static str {
        "making the app's tables"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        let (placement, server) = work.placed().await?;
        let app = work.app().await?;
        let migrate = server.admin.migrate(&placement.database, &placement.schema, app, None);
        // Both to their end, also when one fails: what was sent to the server would meet the undoing.
        let (migrated, password_set) = tokio::join!(migrate, set_password(work));
        password_set?;
        work.note_schema_version(migrated?.to);
        Ok(())
    }
}

/// Inserts the app's default data. Undone with the schema.
struct Seed;

#[async_trait]
impl Step for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn doing(&self) -> &'static str {
        "inserting the app's default data"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        let (placement, server) = work.placed().await?;
        if let Some(seed) = &work.app().await?.seed {
            server.admin.seed(&placement.database, &placement.schema, seed).await?;
        }
        Ok(())
    }
}

/// Until the tier exists. The API refuses such sign-ups; a plan may have changed since.
struct RefuseInstance;

#[async_trait]
impl Step for RefuseInstance {
    fn name(&self) -> &'static str {
        "place"
    }

    fn doing(&self) -> &'static str {
        "choosing a server"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        Err(StepError::permanent(format!(
            "plan {} is of tier instance, which cannot be made yet; choose a plan of tier schema or database",
            work.plan.name
        )))
    }
}
