//! TLS to tenant servers and to the registry: what each mode accepts, and what nobody in between gets.

mod in_between;
mod modes;
mod registry;
mod tenants;

use std::sync::Arc;

use tenantry_domain::{names::ObjectName, server_tls::ServerTls};
use tenantry_postgres::{
    admin::{AdminLimits, ServerAddress, ServerAdmin},
    embedded::{Durability, EmbeddedPostgres},
    tenant::{ConnectError, ConnectOptions, LinkError, LoginTarget, TenantConnection},
    tls::{Tls, TlsError},
};
use tenantry_tests::{
    server,
    tls::{Authority, show},
};

/// A server of its own that shows a certificate for `localhost`, and who signed it.
async fn server_with_tls() -> (EmbeddedPostgres, Authority) {
    let server = server::start(Durability::Volatile).await.unwrap();
    let authority = Authority::new("the authority");
    show(&server, "good", &authority.certificate("localhost")).await;
    (server, authority)
}

fn tls(mode: &str, roots: Option<&str>) -> ServerTls {
    ServerTls::new(mode.parse().unwrap(), roots.map(|roots| roots.parse().unwrap())).unwrap()
}

/// Logs in as a data plane does, as the superuser.
async fn data_plane(
    server: &EmbeddedPostgres,
    (host, port): (&str, u16),
    tls: &ServerTls,
) -> Result<TenantConnection, ConnectError> {
    let target = LoginTarget {
        host: host.to_owned(),
        port,
        tls: Tls::new(tls),
        database: ObjectName::parse("postgres").unwrap(),
        login: ObjectName::parse(server.user()).unwrap(),
        password: server.password().clone(),
    };
    TenantConnection::connect(&target, &ConnectOptions::default()).await
}

/// What a worker logs in with.
fn worker(server: &EmbeddedPostgres, (host, port): (&str, u16), tls: &ServerTls) -> Arc<ServerAdmin> {
    let shared = ObjectName::parse("tenants").unwrap();
    let address = ServerAddress {
        host,
        port,
        tls,
        user: server.user(),
        password: server.password(),
        shared_database: &shared,
    };
    Arc::new(ServerAdmin::new(&address, AdminLimits::default()))
}

/// Why a data plane was not let in, as a check of the server calls it.
fn reason(error: &ConnectError) -> &'static str {
    let ConnectError::Unreachable { source, .. } = error else { return "refused" };
    match source {
        LinkError::Tls(TlsError::NotOffered) => "tls_missing",
        LinkError::Tls(TlsError::WrongName(_)) => "certificate_name",
        LinkError::Tls(TlsError::UnknownIssuer) => "certificate_issuer",
        LinkError::Tls(TlsError::Expired) => "certificate_expired",
        LinkError::PasswordExposed(_) => "password_exposed",
        LinkError::Tls(_) => "tls",
        _ => "unreachable",
    }
}
