//! A server that a provider has made, as it is registered.

use secrecy::ExposeSecret;
use tenantry_domain::{
    ids::ServerId,
    names::ObjectName,
    plan::Tier,
    purpose::Purpose,
    server::{Provider, Server, ServerHealth, ServerName, ServerState},
};
use tenantry_registry::NewServer;

use crate::{
    Resources,
    engine::Done,
    providers::{ASK_AGAIN_AFTER, Endpoint},
    step_error::StepError,
};

/// Where workers make the databases of tenants of tier `schema`.
const SHARED_DATABASE: &str = "tenants";

/// What an operation waits for on which the provider of a server is to be asked, by a worker that cannot.
pub(super) fn waits_for_a_worker(provider: Provider) -> Done {
    let message = format!("waits for a worker that is set up with provider {provider}");
    Done::Pending { again_after: ASK_AGAIN_AFTER, message }
}

/// The name of a server that is made for something. Ids are told apart by their last digits: they begin with the time.
pub(crate) fn name_of(what_for: &str, id: ServerId) -> String {
    let (id, start) = (id.as_uuid().simple().to_string(), what_for.get(..27).unwrap_or(what_for));
    format!("{}-{}", start.trim_end_matches(['-', '_']), &id[20..])
}

/// As one that holds one tenant of tier `instance`; who wants another one changes that.
pub(super) fn made_server(
    resources: &Resources,
    id: ServerId,
    name: &str,
    provider: Provider,
    endpoint: Endpoint,
) -> Result<NewServer, StepError> {
    let permanent = |error: &dyn std::fmt::Display| StepError::permanent(error.to_string());
    let server = Server {
        id,
        name: ServerName::parse(name).map_err(|error| permanent(&error))?,
        region: endpoint.region,
        host: endpoint.host,
        port: endpoint.port,
        tls: endpoint.tls,
        state: ServerState::Active,
        provider,
        owner: None,
        class: None,
        tiers: vec![Tier::Instance],
        capacity: 1,
        tenants: 0,
        max_connections: endpoint.max_connections,
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
