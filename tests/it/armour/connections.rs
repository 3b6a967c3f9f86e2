//! Clients that hold connections and send little or nothing, or take none of their answers.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use secrecy::ExposeSecret;
use serde_json::json;
use tenantry_http::ConnectionLimits;
use tenantry_tests::{Signup, TestApp, server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Room for a few, and little patience.
fn tight() -> ConnectionLimits {
    ConnectionLimits { in_all: 200, per_address: 40, head_timeout: Duration::from_secs(1), min_rate: 10_000 }
}

async fn start() -> TestApp {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]);
    app.data_plane(|data| data.connections = tight())
        .control_plane(|api| api.connections = tight())
        .start()
        .await
}

/// A connection from one of the loopback network's other addresses.
async fn connect(from: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 1, from], 0).into())?;
    socket.connect(to).await
}

/// Opens connections from many addresses and sends half a head on each; keeps the last ones.
async fn send_halves(count: usize, to: [SocketAddr; 2], served: &mut (impl AsyncFnMut() + Send)) {
    let mut held = VecDeque::new();
    for n in 0..count {
        let from = u8::try_from(n % 200 + 2).unwrap();
        // The listener may close one of too many before it is used.
        if let Ok(mut stream) = connect(from, to[n % 2]).await {
            let _ = stream.write_all(b"GET /api/contacts HTTP/1.1\r\nhost: x\r\nx-half: ").await;
            held.push_back(stream);
        }
        if held.len() > 1_000 {
            held.pop_front();
        }
        if n % (count / 20) == 0 {
            served().await;
        }
    }
    served().await;
}

async fn half_sent_requests(count: usize) {
    let app = start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let mut served = async || {
        // A connection of its own each time, as of a client that comes only now.
        let data = tenant.data.on_new_connections();
        data.get("/api/contacts?limit=1").await.expect(200);
        app.api.on_new_connections().get("/api/v1/tenants?limit=1").await.expect(200);
        app.admin.on_new_connections().get("/livez").await.expect(200);
    };
    send_halves(count, [app.data.address(), app.api.address()], &mut served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_half_sent_requests_stop_nobody() {
    half_sent_requests(3_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_thousand_half_sent_requests_stop_nobody() {
    half_sent_requests(30_000).await;
}

/// Reads until the server closes; how much came.
async fn read_out(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    // A reset ends it too.
    let _ =
        timeout(Duration::from_secs(20), stream.read_to_end(&mut received)).await.expect("the server closes");
    received
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_and_a_connection_without_requests_are_given_up() {
    let app = start().await;
    for listener in [&app.data, &app.api] {
        for sent in ["", "GET /api/contacts HTTP/1.1\r\n", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            // The server counts from when it takes the connection.
            let started = Instant::now();
            let mut stream = connect(2, listener.address()).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            read_out(&mut stream).await;
            assert!(started.elapsed() >= Duration::from_secs(1), "{sent:?}: closed at once");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_byte_by_byte_is_given_up_too() {
    let app = start().await;
    let mut stream = connect(2, app.data.address()).await.unwrap();
    let dribble = async {
        loop {
            if stream.write_all(b"G").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), dribble).await.expect("the server closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_too_slowly_is_refused() {
    let app = start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let bodies = [
        (
            app.data.address(),
            "/api/contacts",
            format!("{}.localhost", tenant.slug),
            tenant.key.expose_secret(),
        ),
        (app.api.address(), "/api/v1/tenants", "x".to_owned(), app.key.expose_secret()),
    ];
    for (address, path, host, key) in bodies {
        let mut stream = connect(2, address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: 100000\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = String::from_utf8(read_out(&mut stream).await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"body_too_slow\""), "{answer}");
    }
}

/// A tenant with 15 MB of contacts.
async fn with_much_to_read(app: &TestApp, slug: &str) -> Signup {
    let tenant = app.sign_up(slug, "basic", "crm").await;
    let schema = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let fill = format!(
        "INSERT INTO {schema}.contacts (email, company)
         SELECT n || '@example.com', repeat('x', 100000) FROM generate_series(1, 150) n"
    );
    let mut admin = server::admin(app.server(), app.shared_database()).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut admin).await.unwrap();
    tenant
}

/// Asks for all of them; the start of the answer is there, and nothing of it was taken.
async fn ask_for_much(app: &TestApp, tenant: &Signup) -> TcpStream {
    let mut stream = connect(2, app.data.address()).await.unwrap();
    let request = format!(
        "GET /api/contacts HTTP/1.1\r\nhost: {}.localhost\r\nconnection: close\r\n\
         authorization: Bearer {}\r\n\r\n",
        tenant.slug,
        tenant.key.expose_secret()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_none_of_its_answer_is_dropped() {
    let app = start().await;
    let tenant = with_much_to_read(&app, "acme").await;
    let mut stream = ask_for_much(&app, &tenant).await;
    // Longer than the server's patience, of which nothing can be seen from outside.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let received = read_out(&mut stream).await;
    assert!(received.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&received[..200]));
    assert!(received.len() < 15_000_000, "all {} bytes were kept for it", received.len());
    tenant.data.post("/api/contacts", json!({ "email": "served@example.com" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_take_their_answers_slowly_keep_no_connection_from_a_tenant_that_waits() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]);
    let app = app.data_plane(|data| {
        data.pool.connections_per_server = 4;
        data.statement_timeout = Duration::from_secs(2);
    });
    let app = app.start().await;
    let waiting = app.sign_up("waiting", "basic", "crm").await;
    waiting.data.get("/api/contacts").await.expect(200);
    let mut readers = Vec::new();
    for slug in ["one", "two", "three", "four"] {
        let tenant = with_much_to_read(&app, slug).await;
        readers.push(ask_for_much(&app, &tenant).await);
    }
    // Nobody else wants it yet, so the first goes on at its own speed.
    let mut slowly = vec![0; 1_000];
    readers[0].read_exact(&mut slowly).await.unwrap();
    let started = Instant::now();
    waiting.data.get("/api/contacts").await.expect(200);
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(4), "waited for {waited:?}");
    let mut broken = 0;
    for reader in &mut readers {
        broken += usize::from(read_out(reader).await.len() < 15_000_000);
    }
    assert_eq!(broken, 1, "one is enough for one who waits");
}
