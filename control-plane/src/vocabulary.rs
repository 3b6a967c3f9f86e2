//! The values that the domain names, as enums of the OpenAPI document. The domain's own lists are what it shows.

use tenantry_domain::{
    api_key, app, audit, connection, event, inquiry, operation, placement, plan, rollout, server, server_tls,
    tenant, user, webhook,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// An enum of the document for each list of values; the type itself has no values.
macro_rules! vocabulary {
    ($($(#[doc = $doc:literal])+ $name:ident = $values:expr;)*) => {$(
        $(#[doc = $doc])+
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let description = concat!($($doc),+).trim();
                let values = ObjectBuilder::new().schema_type(Type::String).enum_values(Some($values));
                values.description(Some(description)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

/// The names of all values of a type of the domain.
macro_rules! all {
    ($type:path) => {
        <$type>::ALL.iter().map(|value| value.as_str())
    };
}

vocabulary! {
    /// What may be done with a tenant.
    TenantStatus = all!(tenant::TenantPhase);
    /// How a tenant does.
    Health = all!(tenantry_registry::Health);
    /// How long the parts are that usage is shown in.
    Bucket = all!(tenantry_registry::Bucket);
    /// Where tenants' data goes.
    Tier = all!(plan::Tier);
    /// What becomes of a placement.
    PlacementState = all!(placement::PlacementState);
    /// Where a rollout is.
    RolloutState = all!(rollout::RolloutState);
    /// Which way a rollout migrates tenants.
    Direction = all!(rollout::Direction);
    /// How far a rollout is with a tenant.
    TenantProgress = all!(rollout::TenantProgress);
    /// How far an operation is.
    OperationState = all!(operation::OperationState);
    /// What an operation does.
    OperationKind = all!(operation::OperationKind);
    /// What an operation works on.
    SubjectKind = all!(operation::SubjectKind);
    /// The queue in which operations wait.
    Lane = all!(operation::Lane);
    /// What has happened in an operation; `progress` is within a step, and is not kept.
    EventKind = all!(operation::OperationEventKind).chain(["progress"]);
    /// What a server may be given. It becomes `lost` only when it is removed.
    ServerState = all!(server::ServerState);
    /// Who runs a server.
    Provider = all!(server::Provider);
    /// What a finding about a server is about.
    ServerFindingCode = all!(inquiry::ServerFindingCode);
    /// How connections to a server are protected: libpq's `sslmode`.
    SslMode = all!(server_tls::SslMode);
    /// What kind of object of a server.
    ServerObjectKind = all!(inquiry::ServerObjectKind);
    /// What an abandoned operation may have left on a server.
    LeftKind = ["database", "role", "schema", "write_fence"];
    /// What a key may do.
    Scope = all!(api_key::Scope);
    /// Who did something.
    ActorKind = all!(audit::ActorKind);
    /// What came of it.
    AuditOutcome = all!(audit::AuditOutcome);
    /// What was done to a chain of the audit log.
    AuditFault = ["row_altered", "row_missing", "row_put_in", "block_altered", "block_missing", "head_differs"];
    /// Which chain, where it is no tenant's.
    AuditChain = ["none"];
    /// What happened.
    EventType = all!(event::EventType);
    /// What has become of an event at a webhook.
    DeliveryState = all!(webhook::DeliveryState);
    /// How JSON names the columns: as they are, or in camel case.
    JsonCase = all!(app::JsonCase);
    /// As whom the data plane logs in: `shared` is a login of many tenants, which becomes one of them for a transaction;
    /// `own` a login that can become nobody else.
    Connection = all!(connection::Connection);
    /// Who may register as a user of a tenant.
    Registration = all!(user::Registration);
    /// The type of a DNS record.
    RecordType = ["TXT"];
    /// When a tenant's data is dropped.
    PurgeTime = ["now"];
}
