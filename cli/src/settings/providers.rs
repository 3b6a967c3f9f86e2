//! Who makes servers: settings of a worker.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, ensure};
use clap::Args;
use tenantry_domain::{Clock, envelope::Key, server_tls::CaCertificates};
use tenantry_postgres::embedded::Durability;
use tenantry_worker::providers::{
    Provider, Providers,
    kubernetes::{self, Kubernetes, KubernetesSettings},
    local::{Local, LocalSettings},
    rds::{self, Rds, RdsSettings},
};

use super::EmbeddedArgs;

/// Providers. Several may be set up; the first makes servers for tenants whose plan names no server class.
#[derive(Debug, Args)]
#[command(next_help_heading = "Providers of servers")]
pub(crate) struct ProviderArgs {
    /// A folder for PostgreSQL servers that this worker starts, looks after and stops, one for each tenant of tier
    /// instance: for development. All workers of a machine have the same. Without it, such tenants go to servers that
    /// somebody has registered for that tier.
    #[arg(long, env = "TENANTRY_LOCAL_SERVERS", value_name = "DIR")]
    local_servers: Option<PathBuf>,

    #[command(flatten)]
    embedded: EmbeddedArgs,

    /// Make servers as CloudNativePG clusters in this namespace, of the Kubernetes cluster that the worker runs in, or
    /// that of `KUBECONFIG`. Whoever may write server classes reaches what is in the namespace: let it hold nothing else.
    #[arg(long, env = "TENANTRY_KUBERNETES_NAMESPACE", value_name = "NAMESPACE")]
    kubernetes_namespace: Option<String>,

    /// A name of the nodes of that Kubernetes cluster, for workers and data planes outside of it: each server gets a port
    /// there. [default: servers are reached by the names of their services]
    #[arg(
        long,
        env = "TENANTRY_KUBERNETES_NODE_HOST",
        value_name = "HOST",
        requires = "kubernetes_namespace"
    )]
    kubernetes_node_host: Option<String>,

    /// Seconds between two looks at a cluster that is being made.
    #[arg(long, env = "TENANTRY_KUBERNETES_LOOK_EVERY", value_name = "SECONDS", default_value_t = 2.0)]
    kubernetes_look_every: f64,

    /// Make servers as instances of Amazon RDS in the subnets of this group. Region and credentials are found as AWS's
    /// own tools find them: `AWS_REGION`, the role of a service account, and so on.
    #[arg(long, env = "TENANTRY_RDS_SUBNET_GROUP", value_name = "NAME", requires = "rds_ca")]
    rds_subnet_group: Option<String>,

    /// Security groups of those instances. [default: that of the VPC]
    #[arg(long, env = "TENANTRY_RDS_SECURITY_GROUPS", value_name = "IDS", value_delimiter = ',')]
    rds_security_groups: Vec<String>,

    /// A file with the certificates of the region's authorities, from
    /// `https://truststore.pki.rds.amazonaws.com/REGION/REGION-bundle.pem`.
    #[arg(long, env = "TENANTRY_RDS_CA", value_name = "FILE")]
    rds_ca: Option<PathBuf>,

    /// What the disks of those instances are encrypted with. [default: the account's key for RDS]
    #[arg(long, env = "TENANTRY_RDS_KMS_KEY", value_name = "ARN")]
    rds_kms_key: Option<String>,

    /// Whether a snapshot is kept of an instance that is deleted.
    #[arg(
        long,
        env = "TENANTRY_RDS_FINAL_SNAPSHOT",
        value_name = "true|false",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    rds_final_snapshot: bool,

    /// Seconds between two looks at an instance that is being made. An account may ask a few times a second, all its
    /// tools together.
    #[arg(long, env = "TENANTRY_RDS_LOOK_EVERY", value_name = "SECONDS", default_value_t = 10.0)]
    rds_look_every: f64,
}

impl ProviderArgs {
    /// Those that are set up. `label` distinguishes the registry from others.
    pub(crate) async fn providers(
        self,
        label: &str,
        kek: &Key,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Providers> {
        let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
        if let Some(dir) = self.local_servers {
            let (search, durability) = (self.embedded.search(), Durability::default());
            providers.push(Local::new(LocalSettings { dir, search, durability }));
        }
        let elsewhere = self.kubernetes_namespace.is_some() || self.rds_subnet_group.is_some();
        ensure!(
            !elsewhere || is_plain(label),
            "--label must be 1 to 40 of a-z, 0-9 and -: it marks what providers make"
        );
        if let Some(namespace) = self.kubernetes_namespace {
            let client = kubernetes::found_client().await;
            let client =
                client.map_err(|error| anyhow::anyhow!("no Kubernetes cluster can be asked: {error}"))?;
            let look_every = super::seconds("kubernetes-look-every", self.kubernetes_look_every)?;
            let (label, node_host) = (label.to_owned(), self.kubernetes_node_host);
            providers.push(Kubernetes::new(KubernetesSettings {
                client,
                namespace,
                label,
                node_host,
                look_every,
            }));
        }
        if let Some(subnet_group) = self.rds_subnet_group {
            let path = self.rds_ca.context("--rds-ca is needed with --rds-subnet-group")?;
            let bundle = std::fs::read_to_string(&path)
                .with_context(|| format!("--rds-ca {} cannot be read", path.display()))?;
            let ca = CaCertificates::parse(&bundle)
                .map_err(|error| anyhow::anyhow!("--rds-ca {}: the bundle {error}", path.display()))?;
            let (client, region) = rds::found_client().await.map_err(anyhow::Error::msg)?;
            providers.push(Rds::new(RdsSettings {
                client,
                region,
                label: label.to_owned(),
                subnet_group,
                security_groups: self.rds_security_groups,
                ca,
                kms_key: self.rds_kms_key,
                final_snapshot: self.rds_final_snapshot,
                kek: kek.clone(),
                clock,
                look_every: super::seconds("rds-look-every", self.rds_look_every)?,
            }));
        }
        Ok(Providers::new(providers))
    }
}

/// Whether a text may be a label of Kubernetes and a tag of Amazon.
fn is_plain(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}
