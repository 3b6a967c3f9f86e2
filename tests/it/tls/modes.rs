//! Each mode against each kind of server, for a worker and a data plane.

use tenantry_domain::{names::ObjectName, server_tls::ServerTls};
use tenantry_postgres::{
    admin::{ForbiddenDatabase, ServerAddress, check_server},
    embedded::EmbeddedPostgres,
};
use tenantry_tests::{
    server,
    tls::{Authority, show},
};

use super::{data_plane, reason, server_with_tls, tls};

/// What a worker's check of a server finds about the connection; `ok`: it got in.
async fn check(server: &EmbeddedPostgres, host: &str, tls: &ServerTls) -> &'static str {
    let shared = ObjectName::parse("tenants").unwrap();
    let address = ServerAddress {
        host,
        port: server.port(),
        tls,
        user: server.user(),
        password: server.password(),
        shared_database: &shared,
    };
    let registry = ForbiddenDatabase { system_identifier: "none", database: "none" };
    let found = check_server(&address, 16, registry).await;
    assert_eq!(found.version.is_some(), found.is_ok(), "{found:?}");
    found.problems.first().map_or("ok", |problem| problem.code.as_str())
}

async fn outcomes(server: &EmbeddedPostgres, host: &str, tls: &ServerTls) -> (&'static str, &'static str) {
    let connected = data_plane(server, (host, server.port()), tls).await;
    (check(server, host, tls).await, connected.err().map_or("ok", |error| reason(&error)))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mode_accepts_what_it_should_and_says_what_is_wrong() {
    let without_tls = server::shared().await;
    let (server, authority) = server_with_tls().await;
    let (ca, other) = (authority.pem(), Authority::new("another authority").pem());
    // The authority of the same name that another one has made.
    let namesake = Authority::new("the authority").pem();
    let (none, name) = ("tls_missing", "certificate_name");
    let (issuer, expired) = ("certificate_issuer", "certificate_expired");
    // Mode, CA; what becomes of a server without TLS, a good one, one by another name, one with an expired certificate.
    let table = [
        ("disable", None, "ok", "ok", "ok", "ok"),
        ("prefer", None, "ok", "ok", "ok", "ok"),
        ("require", None, none, "ok", "ok", "ok"),
        ("require", Some(&ca), none, "ok", "ok", expired),
        ("require", Some(&other), none, issuer, issuer, issuer),
        ("verify-ca", Some(&ca), none, "ok", "ok", expired),
        ("verify-ca", Some(&other), none, issuer, issuer, issuer),
        ("verify-ca", Some(&namesake), none, issuer, issuer, issuer),
        ("verify-full", Some(&ca), none, "ok", name, expired),
        ("verify-full", Some(&other), none, issuer, issuer, issuer),
    ];
    let what = |mode: &str, roots: Option<&String>| tls(mode, roots.map(String::as_str));
    for (mode, roots, plain, good, by_another_name, _) in table {
        let wanted = what(mode, roots);
        let case = format!("{mode}, a CA: {}", roots.is_some());
        assert_eq!(outcomes(without_tls, "localhost", &wanted).await, (plain, plain), "{case}, no TLS");
        assert_eq!(outcomes(&server, "localhost", &wanted).await, (good, good), "{case}, good");
        let by_address = outcomes(&server, "127.0.0.1", &wanted).await;
        assert_eq!(by_address, (by_another_name, by_another_name), "{case}, by another name");
    }
    let public = tls("verify-full", Some("system"));
    assert_eq!(outcomes(&server, "localhost", &public).await, (issuer, issuer), "the public CAs");

    show(&server, "expired", &authority.expired_certificate("localhost")).await;
    for (mode, roots, _, _, _, late) in table {
        let wanted = what(mode, roots);
        // Which of two faults is named first, is not promised.
        let found = outcomes(&server, "localhost", &wanted).await;
        let either = |found| found == late || (late == issuer && found == expired);
        assert!(either(found.0) && either(found.1), "{mode}, expired: {found:?}");
    }
    server.stop().await.unwrap();
}
