//! Where no request goes: redirects, and addresses that are not public.

use std::{
    collections::VecDeque,
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use tenantry_worker::webhooks::HostResolver;

use super::*;

/// The error of the first attempt at a webhook with a URL.
async fn error_of(app: &TestApp, url: &str) -> String {
    let body = json!({ "url": url, "types": ["user.*"] });
    let made = app.api.post("/api/v1/webhooks", body).await.expect(201).json();
    let id = made["id"].as_str().unwrap();
    let delivery = app.api.post(&format!("/api/v1/webhooks/{id}/test"), json!({})).await.expect(202).json();
    let path = format!("/api/v1/webhooks/{id}/deliveries/{}", delivery["id"].as_str().unwrap());
    let tried = async || app.api.get(&path).await.expect(200).json()["attempts"] == 1;
    within(Duration::from_mins(1), &format!("{url} is tried"), tried).await;
    let delivery = app.api.get(&path).await.json();
    assert_eq!(delivery["state"], "pending", "{url}: {delivery}");
    delivery["error"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed_and_endless_answers_are_not_read() {
    let app = TestApp::start().await;
    let (receiver, secret) = (Receiver::start().await, Receiver::start().await);
    for target in ["http://169.254.169.254/latest/meta-data/".to_owned(), secret.url()] {
        receiver.answers(move |_| Reply::Redirect(target.clone()));
        let error = error_of(&app, &receiver.url()).await;
        assert!(error.contains("redirects are not followed"), "{error}");
    }
    assert!(secret.requests().is_empty());
    receiver.answers(|_| Reply::Endless(500));
    let error = error_of(&app, &receiver.url()).await;
    assert!(error.starts_with("answered 500") && error.len() < 300, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_goes_to_addresses_that_are_not_public_however_they_are_written() {
    let app = TestApp::build().worker(|settings| settings.webhooks.allow_networks.clear()).start().await;
    let receiver = Receiver::start().await;
    let port = receiver.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "10.0.0.1",
        "100.64.0.1",
        "192.168.0.1",
        "[fd00::1]",
        "[fe80::1]",
    ] {
        for scheme in ["http", "https"] {
            let error = error_of(&app, &format!("{scheme}://{host}:{port}/hooks")).await;
            assert!(error.contains("is not public"), "{scheme}://{host}: {error}");
        }
    }
    let error = error_of(&app, "http://8.8.8.8/hooks").await;
    assert!(error.contains("use https"), "{error}");
    assert!(receiver.requests().is_empty());
}

/// Names whose addresses change with every look.
#[derive(Debug)]
struct Rebinding(Mutex<VecDeque<Vec<IpAddr>>>);

#[async_trait]
impl HostResolver for Rebinding {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        assert_eq!(host, "rebinding.example");
        Ok(self.0.lock().unwrap().pop_front().unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_looked_up_once_and_all_its_addresses_are_checked() {
    let public: IpAddr = "203.1.113.7".parse().unwrap();
    let loopback: IpAddr = [127, 0, 0, 1].into();
    // The second look of each attempt would lead here.
    let looks = [vec![public, loopback], vec![loopback], vec![], vec![loopback]];
    let hosts = Arc::new(Rebinding(Mutex::new(looks.into())));
    let shared = Arc::clone(&hosts);
    let app = TestApp::build()
        .worker(move |settings| {
            settings.webhooks.allow_networks.clear();
            settings.webhooks.hosts = shared;
        })
        .start()
        .await;
    let receiver = Receiver::start().await;
    let url = format!("https://rebinding.example:{}/hooks", receiver.port());
    for expected in ["is not public", "is not public", "has no address"] {
        let error = error_of(&app, &url).await;
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(hosts.0.lock().unwrap().len(), 1, "one look for each attempt");
    assert!(receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_goes_to_the_address_that_was_checked() {
    let receiver = Receiver::start().await;
    let looks = [vec![IpAddr::from([127, 0, 0, 1])], vec![IpAddr::from([10, 255, 255, 1])]];
    let hosts = Arc::new(Rebinding(Mutex::new(looks.into())));
    let shared = Arc::clone(&hosts);
    let app = TestApp::build().worker(move |settings| settings.webhooks.hosts = shared).start().await;
    let one = tenant(&app, "one").await;
    let body =
        json!({ "url": format!("http://rebinding.example:{}/hooks", receiver.port()), "types": ["user.*"] });
    app.api.post("/api/v1/webhooks", body).await.expect(201);
    tell(&app, one, 1).await;
    let request = &receiver.has(1).await[0];
    assert_eq!(request.headers["host"], format!("rebinding.example:{}", receiver.port()));
    assert_eq!(hosts.0.lock().unwrap().len(), 1);
}
