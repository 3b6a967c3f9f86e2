//! Provider `rds`: servers as DB instances of Amazon RDS for PostgreSQL, in one region.
//!
//! Each server is an instance and a parameter group, both named for its id. Deleting one leaves a mark for an hour, a second
//! parameter group: a worker that was frozen while it ordered finds the mark, or its parameter group gone, without which
//! Amazon makes no instance. What it made in between is swept.

mod asked;
mod groups;
mod parameters;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_config::BehaviorVersion;
use aws_sdk_rds::{
    Client,
    types::{DbInstance, Tag},
};
use aws_smithy_http_client::tls;
use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::{
    Clock,
    envelope::Key,
    ids::ServerId,
    purpose::Purpose,
    server,
    server_template::Quantity,
    server_tls::{CaCertificates, ServerTls, TrustedRoots},
};
use tenantry_registry::{Registry, RegistryError};
use tokio_util::sync::CancellationToken;

use self::{
    asked::{Asked, asked, next_page},
    groups::mark_of,
};
use super::{DATA_PLANE_CONNECTIONS, Endpoint, Look, Order, Provider, ProviderError};

/// Where instances are made, and how.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "it holds a key")]
pub struct RdsSettings {
    /// Knows the region, and who asks.
    pub client: Client,
    /// The region's name.
    pub region: String,
    /// Tells the instances of this registry from those of others in the account.
    pub label: String,
    /// The subnets that instances are in.
    pub subnet_group: String,
    /// Who may reach them; none: the default group of the VPC.
    pub security_groups: Vec<String>,
    /// Who signs their certificates: the bundle that Amazon publishes for the region.
    pub ca: CaCertificates,
    /// What their disks are encrypted with; none: the account's default key.
    pub kms_key: Option<String>,
    /// Whether a snapshot is kept of an instance that is deleted.
    pub final_snapshot: bool,
    /// The key-encryption key, from which the passwords of admin logins are derived.
    pub kek: Key,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How often an order is looked at: an instance takes some ten minutes.
    pub look_every: Duration,
}

/// A client for the region and with the credentials of the process's surroundings, and the region's name.
///
/// # Errors
/// No region is set.
pub async fn found_client() -> Result<(Client, String), &'static str> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let found = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
    let region = found.region().ok_or("no AWS region is set; set AWS_REGION")?.to_string();
    Ok((Client::new(&found), region))
}

/// How long a deletion is remembered. An account has some fifty parameter groups, of which each takes one.
const REMEMBERED: Duration = Duration::from_hours(1);

/// When the registry is told again what it could not be told.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What is made where no class says more.
const VERSION: u16 = 17;
const INSTANCE_CLASS: &str = "db.t4g.medium";
const STORAGE: u32 = 20;
const STORAGE_TYPE: &str = "gp3";

/// Days that backups are kept.
const BACKUPS: i32 = 7;

/// The admin login.
const ADMIN: &str = "postgres";

/// Tags by which instances are known.
const SERVER_TAG: &str = "tenantry:server";
const REGISTRY_TAG: &str = "tenantry:registry";

/// See the module.
pub struct Rds {
    settings: RdsSettings,
}

impl std::fmt::Debug for Rds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rds").field("region", &self.settings.region).finish_non_exhaustive()
    }
}

/// The instance of a server, and its parameter group.
fn name_of(id: ServerId) -> String {
    format!("tenantry-{id}")
}

impl Rds {
    /// In a region.
    pub fn new(settings: RdsSettings) -> Arc<Self> {
        Arc::new(Self { settings })
    }

    fn client(&self) -> &Client {
        &self.settings.client
    }

    /// The same for whoever orders the server: it is known before the instance is, and kept nowhere until the server is
    /// registered.
    fn admin_password(&self, id: ServerId) -> SecretString {
        self.settings.kek.derive_text(&Purpose::ServerAdmin(id).to_string())
    }

    fn tags(&self, id: ServerId, order: Option<&Order>) -> Vec<Tag> {
        let mut tags = vec![(SERVER_TAG, id.to_string()), (REGISTRY_TAG, self.settings.label.clone())];
        if let Some(order) = order {
            tags.push(("tenantry:for", order.label.clone()));
            tags.push(("tenantry:operation", order.operation.to_string()));
        }
        tags.into_iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
    }

    async fn instance(&self, id: ServerId) -> Result<Option<DbInstance>, ProviderError> {
        let describe = self.client().describe_db_instances().db_instance_identifier(name_of(id));
        match asked(describe.send()).await? {
            Asked::Done(found) => Ok(found.db_instances.unwrap_or_default().pop()),
            Asked::Refused(refusal) if refusal.is("DBInstanceNotFound") => Ok(None),
            Asked::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// Changes what the order says, and nothing else. A disk never becomes smaller.
    async fn modify_instance(&self, order: &Order, instance: &DbInstance) -> Result<(), ProviderError> {
        let size = &order.template.size;
        let storage = size.storage.as_ref().and_then(|storage| i32::try_from(storage.gibibytes()).ok());
        let storage = storage.filter(|storage| instance.allocated_storage().is_none_or(|now| now < *storage));
        let modify = self.client().modify_db_instance().db_instance_identifier(name_of(order.id));
        let modify = modify
            .set_db_instance_class(size.instance_class.clone())
            .set_allocated_storage(storage)
            .set_storage_type(size.storage_class.clone())
            .set_multi_az(size.instances.map(|instances| instances > 1))
            .apply_immediately(true);
        Box::pin(asked(modify.send())).await?.or_refusal()?;
        Ok(())
    }

    async fn make_instance(&self, order: &Order, version: u16) -> Result<(), ProviderError> {
        let (settings, size) = (&self.settings, &order.template.size);
        let storage = size.storage.as_ref().map_or(STORAGE, Quantity::gibibytes);
        let create = self.client().create_db_instance();
        let create = create
            .db_instance_identifier(name_of(order.id))
            .engine("postgres")
            .engine_version(version.to_string())
            .db_instance_class(size.instance_class.as_deref().unwrap_or(INSTANCE_CLASS))
            .allocated_storage(i32::try_from(storage).unwrap_or(i32::MAX))
            .storage_type(size.storage_class.as_deref().unwrap_or(STORAGE_TYPE))
            .storage_encrypted(true)
            .set_kms_key_id(settings.kms_key.clone())
            .multi_az(size.instances.is_some_and(|instances| instances > 1))
            .db_parameter_group_name(name_of(order.id))
            .db_subnet_group_name(&settings.subnet_group)
            .set_vpc_security_group_ids(
                Some(settings.security_groups.clone()).filter(|some| !some.is_empty()),
            )
            .publicly_accessible(false)
            .backup_retention_period(BACKUPS)
            .auto_minor_version_upgrade(true)
            .copy_tags_to_snapshot(true)
            .master_username(ADMIN)
            .master_user_password(self.admin_password(order.id).expose_secret())
            .set_tags(Some(self.tags(order.id, Some(order))));
        match Box::pin(asked(create.send())).await? {
            Asked::Done(_) => Ok(()),
            Asked::Refused(refusal) if refusal.is("DBInstanceAlreadyExists") => Ok(()),
            Asked::Refused(refusal) => Err(refusal.into()),
        }
    }

    /// What an instance that is there is like.
    fn describe(&self, id: ServerId, instance: &DbInstance) -> Result<Look, ProviderError> {
        let status = instance.db_instance_status().unwrap_or("creating");
        match status {
            _ if is_going(status) => return Ok(Look::Deleted),
            // A full disk is mended so.
            _ if is_to_change(instance) => {
                return Ok(Look::Making("Amazon is about to change the instance".into()));
            }
            // It serves meanwhile.
            "available" | "backing-up" | "storage-optimization" | "configuring-enhanced-monitoring" => {}
            "failed"
            | "insufficient-capacity"
            | "storage-full"
            | "restore-error"
            | "inaccessible-encryption-credentials" => {
                return Err(ProviderError::Permanent(useless(id, status)));
            }
            status if status.starts_with("incompatible-") => {
                return Err(ProviderError::Permanent(useless(id, status)));
            }
            "stopped" | "stopping" | "inaccessible-encryption-credentials-recoverable" => {
                return Err(ProviderError::Transient(format!(
                    "instance {} is {status}; start it",
                    name_of(id)
                )));
            }
            status => return Ok(Look::Making(format!("Amazon says: {status}"))),
        }
        let endpoint = instance.endpoint();
        let address = endpoint.and_then(|endpoint| Some((endpoint.address()?, endpoint.port()?)));
        let Some((host, port)) = address else {
            return Ok(Look::Making(format!("Amazon says: {status}, and not where")));
        };
        let port = u16::try_from(port)
            .map_err(|_| ProviderError::Permanent(format!("instance {} has port {port}", name_of(id))))?;
        Ok(Look::Ready(Endpoint {
            region: self.settings.region.clone(),
            host: host.to_owned(),
            port,
            tls: self.tls(),
            admin_user: ADMIN.into(),
            admin_password: self.admin_password(id),
            max_connections: DATA_PLANE_CONNECTIONS,
        }))
    }

    /// Deletes an instance that is there; one that cannot be deleted yet when it is swept.
    async fn delete_instance(&self, id: ServerId, instance: &DbInstance) -> Result<(), ProviderError> {
        let status = instance.db_instance_status().unwrap_or_default();
        if is_going(status) {
            return Ok(());
        }
        let snapshot = self.settings.final_snapshot && may_hold_data(status);
        match self.ask_to_delete(id, snapshot).await? {
            Asked::Done(()) => Ok(()),
            // An id that was made again, by hand.
            Asked::Refused(refusal) if refusal.is("DBSnapshotAlreadyExists") => {
                Box::pin(self.ask_to_delete(id, false)).await?.or_refusal()
            }
            Asked::Refused(refusal) if refusal.is("DBInstanceNotFound") => Ok(()),
            // It is being made, backed up or changed.
            Asked::Refused(refusal) if refusal.is("InvalidDBInstanceState") => {
                tracing::info!(server.id = %id, "instance {} is {status} and is deleted later", name_of(id));
                Ok(())
            }
            // Somebody protects it: that is for a person to undo.
            Asked::Refused(refusal) if refusal.is("InvalidParameterCombination") => {
                Err(ProviderError::Permanent(format!(
                    "{}; turn the deletion protection of instance {} off, and retry",
                    refusal.message(),
                    name_of(id)
                )))
            }
            Asked::Refused(refusal) => Err(refusal.into()),
        }
    }

    async fn ask_to_delete(&self, id: ServerId, snapshot: bool) -> Result<Asked<()>, ProviderError> {
        let delete = self.client().delete_db_instance().db_instance_identifier(name_of(id));
        let delete = delete.skip_final_snapshot(!snapshot);
        let delete =
            delete.set_final_db_snapshot_identifier(snapshot.then(|| format!("{}-final", name_of(id))));
        Ok(asked(delete.send()).await?.map(drop))
    }

    /// The servers of this registry that there are instances of.
    async fn instances(&self) -> Result<Vec<(ServerId, DbInstance)>, ProviderError> {
        let mut pages = self.client().describe_db_instances().max_records(100).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = next_page(pages.next()).await? {
            for instance in page.db_instances.unwrap_or_default() {
                let tag = |key| instance.tag_list().iter().find(|tag| tag.key() == Some(key))?.value();
                if tag(REGISTRY_TAG) == Some(&self.settings.label)
                    && let Some(id) = tag(SERVER_TAG).and_then(|id| id.parse().ok())
                {
                    found.push((id, instance));
                }
            }
        }
        Ok(found)
    }

    async fn tell_authorities(&self, registry: &Registry) -> Result<(), RegistryError> {
        let tls = self.tls();
        let servers = registry.server_list().await?.into_iter();
        for server in servers.filter(|server| server.provider == self.kind()) {
            registry.server_moved(server.id, server.provider, &server.host, server.port, Some(&tls)).await?;
        }
        Ok(())
    }

    fn tls(&self) -> ServerTls {
        ServerTls::VerifyFull { roots: TrustedRoots::Ca(self.settings.ca.clone()) }
    }
}

fn useless(id: ServerId, status: &str) -> String {
    format!("Amazon says that instance {} is {status}; see its events there", name_of(id))
}

/// Whether a change was taken down that has not begun yet.
fn is_to_change(instance: &DbInstance) -> bool {
    instance.pending_modified_values().is_some_and(|pending| {
        pending.db_instance_class().is_some()
            || pending.allocated_storage().is_some()
            || pending.multi_az().is_some()
            || pending.storage_type().is_some()
    })
}

/// Whether an instance in that status is being deleted.
fn is_going(status: &str) -> bool {
    matches!(status, "deleting" | "delete-precheck")
}

/// Whether an instance in that status may hold what somebody misses. Of others Amazon can take no snapshot.
fn may_hold_data(status: &str) -> bool {
    let never_ran = ["creating", "failed", "insufficient-capacity", "restore-error"];
    let unreadable = ["inaccessible-encryption-credentials"];
    !never_ran.contains(&status) && !unreadable.contains(&status) && !status.starts_with("incompatible-")
}

#[async_trait]
impl Provider for Rds {
    fn kind(&self) -> server::Provider {
        server::Provider::Rds
    }

    fn look_every(&self) -> Duration {
        self.settings.look_every
    }

    async fn order(&self, order: &Order) -> Result<(), ProviderError> {
        let version = order.template.version.unwrap_or(VERSION);
        let (name, tags) = (name_of(order.id), self.tags(order.id, Some(order)));
        let description = format!("Tenantry registry {}, for {}", self.settings.label, order.label);
        self.make_group(name.clone(), version, description, tags).await?;
        // Looked for after the group was made: whoever deletes leaves the mark first, and takes the group away then.
        if self.is_deleted(order.id).await? {
            self.drop_group(name).await?;
            return Err(ProviderError::Permanent(format!("server {} was deleted", order.id)));
        }
        self.set_parameters(order).await?;
        Box::pin(self.make_instance(order, version)).await
    }

    async fn resize(&self, order: &Order) -> Result<(), ProviderError> {
        let Some(instance) = self.instance(order.id).await? else {
            return Err(ProviderError::Permanent(format!("instance {} was deleted", name_of(order.id))));
        };
        let runs =
            instance.engine_version().and_then(|version| version.split('.').next()?.parse::<u16>().ok());
        if let Some(wanted) = order.template.version
            && runs.is_some_and(|runs| runs != wanted)
        {
            return Err(ProviderError::Permanent(format!(
                "instance {} cannot become version {wanted} of PostgreSQL while it is used; move its tenants to a new server",
                name_of(order.id)
            )));
        }
        self.set_parameters(order).await?;
        Box::pin(self.modify_instance(order, &instance)).await
    }

    async fn look(&self, id: ServerId) -> Result<Look, ProviderError> {
        if self.is_deleted(id).await? {
            return Ok(Look::Deleted);
        }
        self.instance(id).await?.map_or(Ok(Look::Unknown), |instance| self.describe(id, &instance))
    }

    async fn delete(&self, id: ServerId) -> Result<(), ProviderError> {
        let description = self.write_deletion(self.settings.clock.now());
        self.make_group(mark_of(id), VERSION, description, self.tags(id, None)).await?;
        match self.instance(id).await? {
            Some(instance) => self.delete_instance(id, &instance).await,
            None => self.drop_group(name_of(id)).await,
        }
    }

    async fn list(&self) -> Result<Vec<ServerId>, ProviderError> {
        let instances = self.instances().await?.into_iter();
        let going = |instance: &DbInstance| instance.db_instance_status().is_some_and(is_going);
        Ok(instances.filter(|(_, instance)| !going(instance)).map(|(id, _)| id).collect())
    }

    async fn sweep(&self) -> Result<(), ProviderError> {
        let instances = self.instances().await?;
        let now = self.settings.clock.now();
        for (id, deleted_at) in self.deletions().await? {
            let left = instances.iter().find(|(made, _)| *made == id);
            let swept = async {
                if let Some((_, instance)) = left {
                    return self.delete_instance(id, instance).await;
                }
                self.drop_group(name_of(id)).await?;
                if (now - deleted_at).to_std().is_ok_and(|age| age > REMEMBERED) {
                    self.drop_group(mark_of(id)).await?;
                }
                Ok(())
            };
            if let Err(error) = swept.await {
                tracing::warn!(server.id = %id, %error, "instance {} is not deleted yet: {error}", name_of(id));
            }
        }
        Ok(())
    }

    /// Tells the registry of the authorities that the worker was started with: Amazon changes them every few years.
    async fn supervise(self: Arc<Self>, registry: Registry, stop: CancellationToken) {
        let told = async {
            while let Err(error) = self.tell_authorities(&registry).await {
                tracing::warn!(%error, "the registry cannot be told of the authorities of Amazon: {error}");
                tokio::time::sleep(TELL_AGAIN_AFTER).await;
            }
        };
        stop.run_until_cancelled(told).await;
    }
}
