//! Somebody between a plane and the server.

use std::time::Duration;

use tenantry_domain::server_tls::ServerTls;
use tenantry_postgres::tenant::{Access, ConnectError, Extras};
use tenantry_tests::{
    server,
    tls::{Authority, Conduct, Eavesdropper, Interceptor, Offer, SSL_REQUEST},
    within::within,
};

use super::{data_plane, reason, server_with_tls, tls, worker};

/// What both planes meet at a port.
async fn both(port: u16, tls: &ServerTls) -> (ConnectError, String) {
    let server = server::shared().await;
    let connected = data_plane(server, ("localhost", port), tls).await;
    let pinged = worker(server, ("localhost", port), tls).ping().await;
    (connected.unwrap_err(), pinged.unwrap_err().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_declines_tls_or_gets_in_front_of_it_hears_nothing() {
    let ca = Authority::new("the authority").pem();
    for (conduct, why, says) in
        [(Conduct::Declines, "tls_missing", "offers no TLS"), (Conduct::Injects, "tls", "in front of TLS")]
    {
        let stranger = Eavesdropper::start(conduct).await;
        let mut connections = 0;
        for mode in [tls("require", None), tls("verify-ca", Some(&ca)), tls("verify-full", Some(&ca))] {
            let (data_plane, worker) = both(stranger.address.port(), &mode).await;
            assert_eq!(reason(&data_plane), why, "{data_plane}");
            assert!(data_plane.to_string().contains(says) && worker.contains(says), "{worker}");
            connections += 2;
        }
        for heard in stranger.heard(connections).await {
            assert_eq!(heard, SSL_REQUEST);
        }
    }
    // What is injected is not taken for the server's where TLS is only preferred, either.
    let stranger = Eavesdropper::start(Conduct::Injects).await;
    assert_eq!(reason(&both(stranger.address.port(), &tls("prefer", None)).await.0), "tls");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_plane_sends_a_password_in_clear_text() {
    let stranger = Eavesdropper::start(Conduct::AsksForThePassword).await;
    let (data_plane, worker) = both(stranger.address.port(), &tls("prefer", None)).await;
    assert_eq!(reason(&data_plane), "password_exposed", "{data_plane}");
    assert!(worker.contains("in clear text, which is never sent"), "{worker}");
    for heard in stranger.heard(2).await {
        assert_eq!(heard, SSL_REQUEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_another_certificate_cannot_log_in_with_what_is_proved_to_them() {
    let (server, _) = server_with_tls().await;
    let own = Authority::new("somebody").certificate("localhost");
    let target = ([127, 0, 0, 1], server.port()).into();
    for offer in [Offer::Whole, Offer::Unbound] {
        let interceptor = Interceptor::start(target, &own, offer).await;
        let at = ("localhost", interceptor.address.port());
        // Neither plane looks at the certificate; the server does not let in whom it did not show its own.
        let refused = data_plane(&server, at, &tls("require", None)).await.unwrap_err();
        assert!(refused.to_string().to_lowercase().contains("channel binding"), "{offer:?}: {refused}");
        let refused = worker(&server, at, &tls("require", None)).ping().await.unwrap_err().to_string();
        assert!(refused.to_lowercase().contains("channel binding"), "{offer:?}: {refused}");
    }
    // The same interceptor gets through to a server that has no TLS, and so nothing to bind to.
    let plain = server::shared().await;
    let interceptor = Interceptor::start(([127, 0, 0, 1], plain.port()).into(), &own, Offer::Whole).await;
    let at = ("localhost", interceptor.address.port());
    data_plane(plain, at, &tls("require", None)).await.unwrap();
    worker(plain, at, &tls("require", None)).ping().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_tls_is_reset_read_in_parts_and_cancelled_as_one_without() {
    let (server, authority) = server_with_tls().await;
    let mut admin = server::admin(&server, "postgres").await;
    sqlx::raw_sql("CREATE ROLE one; CREATE ROLE two; CREATE SCHEMA one; CREATE SCHEMA two")
        .execute(&mut admin)
        .await
        .unwrap();
    let mode = tls("verify-full", Some(&authority.pem()));
    let at = ("localhost", server.port());
    let mut connection = data_plane(&server, at, &mode).await.unwrap();
    let [one, two] = ["one", "two"].map(|name| tenantry_domain::names::ObjectName::parse(name).unwrap());

    let long = "SELECT 1::bigint, NULL::bigint, repeat('x', 5000000)";
    for tenant in [&one, &two] {
        let row = connection.read_one_text(tenant, Extras::default(), long, &[]).await.unwrap();
        assert_eq!(row.to_come, 5_000_000);
        let mut length = 0;
        while let Some(part) = connection.body_part().await.unwrap() {
            assert!(part.iter().all(|byte| *byte == b'x'));
            length += part.len();
        }
        assert_eq!(length, 5_000_000);
        assert!(!connection.is_closed());
        let left =
            "SELECT coalesce(current_setting('app.left', true), '') || set_config('app.left', 'mine', false)";
        let row = connection.query_one_text(tenant, Access::ReadWrite, left, &[]).await.unwrap();
        assert_eq!(row.body.unwrap(), "mine", "nothing of the tenant before");
    }

    let sleep = "SELECT 1::bigint, NULL::bigint, pg_sleep(600)::text";
    let asked = connection.query_one_text(&one, Access::ReadOnly, sleep, &[]);
    assert!(tokio::time::timeout(Duration::from_millis(500), asked).await.is_err());
    drop(connection);
    within(Duration::from_secs(30), "the statement is cancelled", async || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
        sqlx::query_scalar::<_, i64>(running).fetch_one(&mut admin).await.unwrap() == 0
    })
    .await;
    server.stop().await.unwrap();
}
