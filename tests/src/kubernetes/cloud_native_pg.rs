//! The operator: a real PostgreSQL for each `Cluster`, with a CA of its own, and the secrets and services that go with it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_postgres::embedded::EmbeddedPostgres;
use tokio_util::sync::CancellationToken;

use super::{
    NAMESPACE, kinds,
    store::{Key, Store},
};
use crate::{
    server::{self, RUNTIME},
    tls::{self, Authority},
};

/// A cluster's PostgreSQL.
struct Running {
    postgres: Arc<EmbeddedPostgres>,
    authority: Authority,
    certificates: u32,
}

/// See the module.
pub(super) struct CloudNativePg {
    store: Arc<Store>,
    running: Mutex<HashMap<String, Running>>,
    /// Stopped, because an annotation says so; they keep their data.
    hibernated: Mutex<HashMap<String, Running>>,
    /// Being made, stopped or started again.
    starting: Mutex<HashSet<String>>,
    held: Mutex<Option<String>>,
}

/// The annotation that has a cluster stopped, and the condition that says how far that is.
const HIBERNATION: &str = "cnpg.io/hibernation";

/// Settings that the harness gives its servers itself.
const FIXED: [&str; 4] = ["max_connections", "max_replication_slots", "max_wal_senders", "wal_level"];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(plural: &'static str, name: &str) -> Key {
    (plural, NAMESPACE.into(), name.into())
}

impl CloudNativePg {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            running: Mutex::default(),
            hibernated: Mutex::default(),
            starting: Mutex::default(),
            held: Mutex::default(),
        }
    }

    pub(super) fn hold(&self, phase: Option<&str>) {
        *lock(&self.held) = phase.map(str::to_owned);
    }

    /// The clusters whose PostgreSQL runs.
    pub(super) fn running(&self) -> Vec<String> {
        lock(&self.running).keys().cloned().collect()
    }

    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.store.changes();
        loop {
            self.look();
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// One round over all objects: the operator, and the garbage collector.
    fn look(self: &Arc<Self>) {
        for orphan in self.store.without_owner() {
            let gone = if orphan.0 == "clusters" {
                self.store.begin_deletion(&orphan)
            } else {
                self.store.remove(&orphan)
            };
            // Somebody else may have been faster.
            drop(gone);
        }
        for job in self.store.list("jobs", None) {
            self.finish(&job);
        }
        for cluster in self.store.list("clusters", Some(NAMESPACE)) {
            let name = cluster["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if !cluster["metadata"]["deletionTimestamp"].is_null() {
                self.take_away(&name);
            } else if let Some(phase) = lock(&self.held).clone() {
                self.say(&name, json!({ "phase": phase }));
            } else if lock(&self.starting).contains(&name) {
                // Looked at again when that is done.
            } else if cluster["metadata"]["annotations"][HIBERNATION] == "on" {
                self.hibernate(&name, &cluster);
            } else if let Some(stopped) = lock(&self.hibernated).remove(&name) {
                lock(&self.starting).insert(name.clone());
                // The condition goes at once, the phase is the one from before.
                self.say(&name, ready(&name, &cluster["spec"]));
                let this = Arc::clone(self);
                RUNTIME.spawn_blocking(move || RUNTIME.block_on(this.start_again(name, stopped)));
            } else if !lock(&self.running).contains_key(&name) {
                lock(&self.starting).insert(name.clone());
                self.say(
                    &name,
                    json!({ "phase": "Setting up primary", "phaseReason": "Creating primary instance" }),
                );
                let this = Arc::clone(self);
                RUNTIME.spawn_blocking(move || RUNTIME.block_on(this.make(name, cluster)));
            }
        }
    }

    /// Nobody runs the pods of jobs: they are done at once.
    fn finish(&self, job: &Value) {
        if !job["status"].is_null() {
            return;
        }
        let text = |member: &str| job["metadata"][member].as_str().unwrap_or_default().to_owned();
        // It may be gone meanwhile.
        let _ = self.store.change(&("jobs", text("namespace"), text("name")), |job| {
            let complete = json!([{ "type": "Complete", "status": "True" }]);
            job["status"] = json!({ "succeeded": 1, "conditions": complete });
            Ok(())
        });
    }

    fn say(&self, cluster: &str, status: Value) {
        // It may be gone meanwhile.
        let _ = self.store.change(&key("clusters", cluster), |object| {
            object["status"] = status;
            Ok(())
        });
    }

    fn hibernate(self: &Arc<Self>, name: &str, cluster: &Value) {
        let say = |state: &str, reason: &str| {
            let mut status = ready(name, &cluster["spec"]);
            let condition = json!({ "type": HIBERNATION, "status": state, "reason": reason });
            status["conditions"].as_array_mut().expect("a list").push(condition);
            self.say(name, status);
        };
        let Some(running) = lock(&self.running).remove(name) else {
            if lock(&self.hibernated).contains_key(name) {
                say("True", "Hibernated");
            }
            return;
        };
        say("False", "DeletingPods");
        lock(&self.starting).insert(name.to_owned());
        let (this, name) = (Arc::clone(self), name.to_owned());
        RUNTIME.spawn_blocking(move || RUNTIME.block_on(this.stop(name, running)));
    }

    async fn stop(self: Arc<Self>, name: String, running: Running) {
        let mut postgres = Arc::into_inner(running.postgres).expect("no certificate is renewed meanwhile");
        postgres.suspend_server().await.expect("PostgreSQL stops");
        lock(&self.hibernated).insert(name.clone(), Running { postgres: Arc::new(postgres), ..running });
        lock(&self.starting).remove(&name);
    }

    async fn start_again(self: Arc<Self>, name: String, stopped: Running) {
        let mut postgres = Arc::into_inner(stopped.postgres).expect("nobody has it");
        postgres.resume_server().await.expect("PostgreSQL starts");
        lock(&self.running).insert(name.clone(), Running { postgres: Arc::new(postgres), ..stopped });
        lock(&self.starting).remove(&name);
    }

    fn take_away(&self, name: &str) {
        if lock(&self.starting).contains(name) {
            return;
        }
        // Stops when it is dropped.
        lock(&self.running).remove(name);
        lock(&self.hibernated).remove(name);
        for owned in
            [("secrets", "-superuser"), ("secrets", "-ca"), ("services", "-rw"), ("services", "-node")]
        {
            let _ = self.store.remove(&key(owned.0, &format!("{name}{}", owned.1)));
        }
        let _ = self.store.remove(&key("clusters", name));
    }

    async fn make(self: Arc<Self>, name: String, cluster: Value) {
        let spec = &cluster["spec"];
        let given = spec["postgresql"]["parameters"].as_object().cloned().unwrap_or_default();
        let parameters: BTreeMap<String, String> = given
            .into_iter()
            .filter(|(name, _)| !FIXED.contains(&name.as_str()))
            .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let postgres = Arc::new(server::start_with(parameters).await.expect("a PostgreSQL for the cluster"));
        let authority = Authority::new(&name);
        tls::show(&postgres, "cnpg-0", &authority.certificate_for(names(&name, spec))).await;
        self.write(&name, &postgres, &authority, spec);
        lock(&self.running).insert(name.clone(), Running { postgres, authority, certificates: 1 });
        lock(&self.starting).remove(&name);
        self.say(&name, ready(&name, spec));
    }

    /// The secrets and services of a cluster.
    fn write(&self, name: &str, postgres: &EmbeddedPostgres, authority: &Authority, spec: &Value) {
        let (secrets, services) = (kind("secrets"), kind("services"));
        let login = json!({ "username": postgres.user(), "password": postgres.password().expose_secret() });
        for (end, data) in [("superuser", login), ("ca", json!({ "ca.crt": authority.pem() }))] {
            let name = format!("{name}-{end}");
            let _ = self.store.remove(&key("secrets", &name));
            let secret = json!({ "metadata": { "name": name }, "stringData": data });
            self.store.create(secrets, NAMESPACE, secret).expect("a secret");
        }
        let mut wanted =
            vec![json!({ "metadata": { "name": format!("{name}-rw") }, "spec": { "type": "ClusterIP" } })];
        let additional = spec["managed"]["services"]["additional"].as_array();
        wanted.extend(additional.into_iter().flatten().map(|service| service["serviceTemplate"].clone()));
        for mut service in wanted {
            let mut port = json!({ "name": "postgres", "port": 5432 });
            if service["spec"]["type"] == "NodePort" {
                port["nodePort"] = postgres.port().into();
            }
            service["spec"]["ports"] = json!([port]);
            // A renewal finds them there.
            let _ = self.store.create(services, NAMESPACE, service);
        }
    }

    /// Gives a cluster a new CA, and a certificate of that.
    pub(super) async fn renew(self: &Arc<Self>, name: &str) {
        let (this, name) = (Arc::clone(self), name.to_owned());
        let renewed = RUNTIME.spawn_blocking(move || RUNTIME.block_on(this.renew_now(&name)));
        renewed.await.expect("no panic");
    }

    async fn renew_now(&self, name: &str) {
        let cluster = self.store.get(&key("clusters", name)).expect("the cluster");
        let (postgres, certificate, count) = {
            let mut running = lock(&self.running);
            let of_it = running.get_mut(name).expect("the cluster runs");
            of_it.authority = Authority::new(name);
            of_it.certificates += 1;
            let certificate = of_it.authority.certificate_for(names(name, &cluster["spec"]));
            (Arc::clone(&of_it.postgres), certificate, of_it.certificates)
        };
        tls::show(&postgres, &format!("cnpg-{count}"), &certificate).await;
        self.write(name, &postgres, &lock(&self.running)[name].authority, &cluster["spec"]);
        let mut status = ready(name, &cluster["spec"]);
        status["certificates"]["expirations"] = json!({ "renewals": count.to_string() });
        self.say(name, status);
    }
}

fn kind(plural: &str) -> kinds::Kind {
    kinds::find("", "v1", plural).expect("a kind")
}

/// The names that a cluster's certificate is for.
fn names(cluster: &str, spec: &Value) -> Vec<String> {
    let mut names = vec![format!("{cluster}-rw"), format!("{cluster}-rw.{NAMESPACE}.svc")];
    let more = spec["certificates"]["serverAltDNSNames"].as_array();
    names.extend(more.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())));
    names
}

fn ready(cluster: &str, spec: &Value) -> Value {
    json!({
        "phase": "Cluster in healthy state", "instances": spec["instances"], "readyInstances": spec["instances"],
        "conditions": [{ "type": "Ready", "status": "True", "reason": "ClusterIsReady" }],
        "writeService": format!("{cluster}-rw"),
        "certificates": { "serverCASecret": format!("{cluster}-ca") },
    })
}
