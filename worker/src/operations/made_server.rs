//! A server that a provider has made, as it is registered.

use secrecy::ExposeSecret;
use tenantry_domain::{
    ids::ServerId,
    names::ObjectName,
    plan::Tier,
    purpose::Purpose,
    server::{Provider, Server, ServerHealth, ServerName, ServerState},
    server_class::ServerClass,
};
use tenantry_registry::{NewServer, ServerAccess};

use crate::{Resources, inquiries::check_server, providers::Endpoint, step_error::StepError};

/// Where workers make the databases of tenants of tier `schema`.
const SHARED_DATABASE: &str = "tenants";

/// The name of a server that is made for something. Ids are told apart by their last digits: they begin with the time.
pub(crate) fn name_of(what_for: &str, id: ServerId) -> String {
    let (id, start) = (id.as_uuid().simple().to_string(), what_for.get(..27).unwrap_or(what_for));
    format!("{}-{}", start.trim_end_matches(['-', '_']), &id[20..])
}

/// As one that holds one tenant of tier `instance`; who wants another one changes that. Of a class it has what holds for all
/// tiers.
pub(super) fn made_server(
    resources: &Resources,
    id: ServerId,
    name: &str,
    provider: Provider,
    endpoint: Endpoint,
    class: Option<&ServerClass>,
) -> Result<NewServer, StepError> {
    let permanent = |error: &dyn std::fmt::Display| StepError::permanent(error.to_string());
    // Amazon's region is that of the worker, whatever a class is called after.
    let region = match class {
        Some(class) if class.provider != Provider::Rds => class.region.clone(),
        _ => endpoint.region,
    };
    let server = Server {
        id,
        name: ServerName::parse(name).map_err(|error| permanent(&error))?,
        region,
        host: endpoint.host,
        port: endpoint.port,
        tls: endpoint.tls,
        state: ServerState::Active,
        provider,
        owner: None,
        class: class.map(|class| class.name.clone()),
        tiers: vec![Tier::Instance],
        capacity: 1,
        tenants: 0,
        max_connections: class.map_or(endpoint.max_connections, |class| class.max_connections),
        revision: 1,
        health: ServerHealth::default(),
        created_at: resources.clock.now(),
    };
    let admin_password = resources.kek.seal(
        &Purpose::ServerAdmin(id).to_string(),
        endpoint.admin_password.expose_secret().as_bytes(),
        &mut rand::rng(),
    );
    Ok(NewServer {
        server,
        admin_user: endpoint.admin_user,
        admin_password,
        shared_database: ObjectName::parse(SHARED_DATABASE).map_err(|error| permanent(&error))?,
    })
}

/// What keeps a server from holding tenants, as one sentence; none: nothing does.
pub(super) async fn problems_of(
    resources: &Resources,
    server: impl Into<ServerAccess>,
) -> Result<Option<String>, StepError> {
    let found = check_server::run(resources, &server.into().into()).await?;
    if found.is_ok() {
        return Ok(None);
    }
    let problems: Vec<_> = found.problems.into_iter().map(|problem| problem.message).collect();
    Ok(Some(format!("it cannot hold tenants: {}", problems.join("; "))))
}
