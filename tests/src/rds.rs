//! Amazon RDS as far as a test needs it: the API that the provider speaks, and a real PostgreSQL with TLS for each instance, whose
//! admin is no superuser, as there.

mod account;
mod xml;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_rds::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tempfile::NamedTempFile;
use tenantry_domain::{SystemClock, envelope::Key, server_tls::CaCertificates};
use tenantry_worker::providers::{
    Provider,
    rds::{Rds, RdsSettings},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::account::Account;
use crate::{listen::listen, within::within};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is refused with this code.
    Refused(&'static str),
    /// This status, and nothing that can be read.
    Status(u16),
    /// It is carried out, and the connection lost before the answer.
    LostAnswer,
    /// It is carried out once [`RdsRegion::release`] is called.
    Held,
}

#[derive(Debug)]
struct Expected {
    action: &'static str,
    fault: Fault,
    times: usize,
    done: usize,
}

#[derive(Debug, Default)]
struct Held {
    count: tokio::sync::watch::Sender<usize>,
    released: CancellationToken,
}

/// The region's name.
pub const REGION: &str = "eu-central-1";

/// The security group and the subnet group that it has.
pub const SUBNET_GROUP: &str = "tenants";

/// An account's region. It ends, with its instances, when it is dropped.
#[allow(missing_debug_implementations, reason = "it holds servers")]
pub struct RdsRegion {
    url: String,
    account: Arc<Account>,
    faults: Arc<Mutex<Vec<Expected>>>,
    held: Arc<Held>,
    bundle: NamedTempFile,
    _listener: DropGuard,
}

impl RdsRegion {
    /// An empty one.
    pub async fn start() -> Self {
        let account = Arc::new(Account::new());
        let faults: Arc<Mutex<Vec<Expected>>> = Arc::default();
        let held: Arc<Held> = Arc::default();
        let (serving, failing, holding) = (Arc::clone(&account), Arc::clone(&faults), Arc::clone(&held));
        let (address, listener) = listen(move |stream| {
            let (account, faults, held) = (Arc::clone(&serving), Arc::clone(&failing), Arc::clone(&holding));
            async move {
                let service = service_fn(|request| serve(request, &account, &faults, &held));
                // Ends with an error where a fault says so.
                drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                Ok(())
            }
        })
        .await;
        let bundle = NamedTempFile::new().expect("a file");
        Self { url: format!("http://{address}"), account, faults, held, bundle, _listener: listener }
    }

    /// Variables of a worker's environment whose servers are made here.
    ///
    /// # Panics
    /// The file with the CA cannot be written.
    pub fn surroundings(&self) -> Vec<(String, String)> {
        std::fs::write(self.bundle.path(), self.account.ca()).expect("a file");
        [
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("TENANTRY_RDS_SUBNET_GROUP", SUBNET_GROUP.to_owned()),
            ("TENANTRY_RDS_SECURITY_GROUPS", "sg-1".to_owned()),
            ("TENANTRY_RDS_CA", self.bundle.path().display().to_string()),
            ("TENANTRY_RDS_LOOK_EVERY", "0.5".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The provider for it, of a registry with that label and key.
    pub fn provider(&self, label: &str, kek: &Key) -> Arc<dyn Provider> {
        provider_at(&self.url, label, kek, &self.account.ca())
    }

    /// The same that looks more often at what it has ordered.
    pub fn provider_that_looks(&self, every: Duration, label: &str, kek: &Key) -> Arc<dyn Provider> {
        let ca = self.account.ca();
        Rds::new(RdsSettings { look_every: every, ..settings_at(&self.url, label, kek, &ca) })
    }

    /// Has calls of an action go wrong, so many times.
    ///
    /// # Panics
    /// A thread panicked while it held the list.
    pub fn fail(&self, action: &'static str, fault: Fault, times: usize) {
        self.faults.lock().expect("no panic").push(Expected { action, fault, times, done: 0 });
    }

    /// Nothing goes wrong any more.
    ///
    /// # Panics
    /// A thread panicked while it held the list.
    pub fn mend(&self) {
        self.faults.lock().expect("no panic").clear();
    }

    /// How often calls of an action have gone wrong.
    ///
    /// # Panics
    /// A thread panicked while it held the list.
    pub fn failed(&self, action: &str) -> usize {
        let faults = self.faults.lock().expect("no panic");
        faults.iter().filter(|expected| expected.action == action).map(|expected| expected.done).sum()
    }

    /// Waits until a call is held.
    pub async fn until_held(&self) {
        within(Duration::from_secs(20), "a call is held", async || *self.held.count.borrow() > 0).await;
    }

    /// Has all calls carried out that are held.
    pub fn release(&self) {
        self.held.released.cancel();
    }

    /// Instances have this status from now on; none: their own.
    pub fn hold(&self, status: Option<&'static str>) {
        self.account.hold(status);
    }

    /// Turns the deletion protection of all instances on or off.
    pub fn protect(&self, on: bool) {
        self.account.protect(on);
    }

    /// The instances that there are, and their snapshots.
    pub fn instances(&self) -> Vec<String> {
        self.account.instances()
    }

    /// The snapshots that were kept.
    pub fn snapshots(&self) -> Vec<String> {
        self.account.snapshots()
    }

    /// What an instance was made with.
    pub fn made_with(&self, instance: &str, parameter: &str) -> Option<String> {
        self.account.made_with(instance, parameter)
    }

    /// A setting of the parameter group of that name.
    pub fn group_setting(&self, group: &str, setting: &str) -> Option<String> {
        self.account.group_setting(group, setting)
    }

    /// The actions so far.
    pub fn actions(&self) -> Vec<String> {
        self.account.actions()
    }

    /// Waits until no instance is left.
    pub async fn until_empty(&self) {
        within(Duration::from_secs(30), "no instance is left", async || self.instances().is_empty()).await;
    }
}

/// The provider for whatever speaks the API at a URL.
///
/// # Panics
/// The CA is none.
pub fn provider_at(url: &str, label: &str, kek: &Key, ca: &str) -> Arc<dyn Provider> {
    Rds::new(settings_at(url, label, kek, ca))
}

fn settings_at(url: &str, label: &str, kek: &Key, ca: &str) -> RdsSettings {
    let config = aws_sdk_rds::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(url)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(10)));
    RdsSettings {
        client: Client::from_conf(config.build()),
        region: REGION.into(),
        label: label.into(),
        subnet_group: SUBNET_GROUP.into(),
        security_groups: vec!["sg-1".into()],
        ca: CaCertificates::parse(ca).expect("a CA"),
        kms_key: None,
        final_snapshot: true,
        kek: kek.clone(),
        clock: SystemClock::shared(),
        look_every: Duration::from_millis(500),
    }
}

async fn serve(
    request: Request<Incoming>,
    account: &Arc<Account>,
    faults: &Mutex<Vec<Expected>>,
    held: &Held,
) -> io::Result<Response<Full<Bytes>>> {
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let call = account::Call::read(&body);
    let fault = {
        let mut faults = faults.lock().expect("no panic");
        let found = faults.iter_mut().find(|expected| expected.times > 0 && expected.action == call.action());
        found.map(|expected| {
            expected.times -= 1;
            expected.done += 1;
            expected.fault
        })
    };
    match fault {
        Some(Fault::Refused(code)) => return Ok(xml::refused(400, code, "the test says so")),
        Some(Fault::Status(status)) => return Ok(xml::unreadable(status)),
        Some(Fault::LostAnswer) => {
            drop(account.answer(&call));
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Fault::Held) => {
            held.count.send_modify(|count| *count += 1);
            held.released.cancelled().await;
        }
        None => {}
    }
    Ok(match account.answer(&call) {
        Ok(result) => xml::done(call.action(), &result),
        Err((status, code, message)) => xml::refused(status, code, &message),
    })
}
