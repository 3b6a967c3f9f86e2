//! Can this server hold tenants?

use tenantry_domain::{
    inquiry::{ServerCheck, ServerToCheck},
    purpose::Purpose,
};
use tenantry_postgres::admin::{ForbiddenDatabase, ServerAddress, check_server};

use crate::{Resources, step_error::StepError};

pub(crate) async fn run(resources: &Resources, server: &ServerToCheck) -> Result<ServerCheck, StepError> {
    let purpose = Purpose::ServerAdmin(server.id).to_string();
    let password = resources
        .kek
        .open_text(&purpose, &server.admin_password.0)
        .map_err(|error| StepError::permanent(format!("the admin password: {error}")))?;
    let registry = resources.registry.identity().await?;
    let address = ServerAddress {
        host: &server.host,
        port: server.port,
        tls: &server.tls,
        user: &server.admin_user,
        password: &password,
        shared_database: &server.shared_database,
    };
    let forbidden =
        ForbiddenDatabase { system_identifier: &registry.system_identifier, database: &registry.database };
    Ok(check_server(&address, server.max_connections, forbidden).await)
}
