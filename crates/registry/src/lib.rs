//! The registry: the PostgreSQL database that holds tenants, plans, apps, servers, placements,
//! operations and the queue. The only SQL that touches it is in this crate, one file per table.
//!
//! Methods are named noun first (`tenant_get`, `operation_lease`). Those that end in `_in_tx` run
//! on the caller's transaction. Row structs stay private; callers see the types of `tenantry_domain`.
//!
//! It never connects to a tenant server.

mod api_keys;
mod apps;
mod audit_blocks;
mod audit_log;
mod audited;
mod connect;
mod daily_requests;
mod data_audit;
mod domains;
mod drains;
mod error;
mod events;
pub mod feed;
mod hibernation;
mod idempotency;
mod inquiries;
pub mod jobs;
mod key_checks;
mod moves;
mod operation_control;
mod operation_events;
mod operation_leases;
mod operation_rows;
mod operations;
mod own_servers;
mod page;
mod placements;
mod plans;
mod public_signups;
mod reach;
mod reconcilers;
mod revoked_sessions;
mod rewrap;
mod rollout_batches;
mod rollout_control;
mod rollout_turns;
mod rollouts;
mod routes;
mod sample_weeks;
mod schema_version;
mod server_classes;
mod server_edits;
mod server_logins;
mod server_orders;
mod servers;
mod signing_keys;
mod storage_samples;
mod tenant_config;
mod tenant_health;
mod tenant_states;
mod tenants;
mod timed;
mod undo_windows;
mod usage;
mod usage_samples;
mod warm_tenants;
mod webhook_deliveries;
mod webhook_queues;
mod webhooks;

pub use api_keys::{KeySuccession, NewApiKey};
pub use apps::{AppStamp, AppSummary, PushVersionError, VersionChangeError};
pub use audit_blocks::SealAfter;
pub use audit_log::{AuditEnd, AuditFilter};
pub use audited::{KnownOnServer, KnownPlacement, RegistryIdentity};
pub use connect::{ConnectSettings, Part, PoolUse, Registry};
pub use data_audit::{AuditedPlacement, DataAudit};
pub use domains::{DomainAddError, TenantDomain};
pub use drains::{EndedMove, TenantsOnServer};
pub use error::RegistryError;
pub use events::EventFilter;
pub use hibernation::AwakeTenant;
pub use idempotency::{IdempotencyClaim, IdempotentRequest, StoredAnswer};
pub use inquiries::Asked;
pub use key_checks::SealedSample;
pub use moves::LastMove;
pub use operation_control::{AbandonError, CancelError, LeftBehind, RetryError};
pub use operation_events::NewEvent;
pub use operation_leases::{
    Changes, FencedError, Lease, LeaseLost, PlacementChange, Record, Recorded, StatusChange, Transition,
};
pub use operations::{LaneDepth, NewOperation, OperationFilter, OperationStartError};
pub use own_servers::OwnServer;
pub use page::Page;
pub use placements::{PlaceError, PlaceRequest, Placed, PlacementWithServer, RoleCredentials, TenantRole};
pub use plans::PlanDeleteError;
pub use revoked_sessions::RevokedSession;
pub use rollout_batches::{ClaimLimits, ClaimRenewed, ClaimedTenant, Migrated, RolloutBatch};
pub use rollout_control::{RolloutControl, RolloutControlError};
pub use rollout_turns::RolloutTurn;
pub use rollouts::{NewRollout, RolloutStartError, RolloutTenant, SampledTenant, VersionCount, WaveCount};
pub use routes::{RouteKeyRef, RouteReader};
pub use schema_version::SchemaVersion;
pub use server_classes::ServerClassDeleteError;
pub use server_edits::ServerEdit;
pub use server_logins::{LoginKind, ServerLogin};
pub use server_orders::ServerOrder;
pub use servers::{NewServer, ServerAccess, ServerCreateError, ServerDeleteError};
pub use signing_keys::{KeyRotateError, SigningKeyRecord};
pub use storage_samples::{StorageSample, UnsampledTenant};
pub use tenant_config::{ConfigEntry, ConfigValue};
pub use tenant_health::{Health, TenantHealth};
pub use tenants::{NewTenant, TenantChange, TenantCreateError, TenantDetails, TenantFilter, TenantWithPlan};
pub use timed::{TimedConnection, Transaction};
pub use undo_windows::{KnownReplication, UndoWindow};
pub use usage::{Bucket, Usage, UsageBucket};
pub use usage_samples::{UsageBatch, UsageSample};
pub use warm_tenants::{WarmCounts, WarmKind, WarmTenant};
pub use webhook_deliveries::{Delivery, Replay};
pub use webhook_queues::{Attempt, AttemptEnd, TakeLimits, TakenQueue};
pub use webhooks::{NewWebhook, WebhookChange};
