//! What a token says.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tenantry_domain::{
    ids::{SessionId, TenantId},
    user::Role,
};

/// For whom all tokens are.
pub(super) const AUDIENCE: &str = "tenantry";

/// All claims of a token. Times in seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) aud: String,
    /// The user's id.
    pub(super) sub: String,
    pub(super) iat: i64,
    pub(super) nbf: i64,
    pub(super) exp: i64,
    /// The log-in that it came of.
    pub(super) sid: SessionId,
    pub(super) tenant_id: TenantId,
    pub(super) tenant_slug: String,
    pub(super) username: String,
    pub(super) roles: Vec<Role>,
    /// The features that the tenant had when it was signed.
    pub(super) features: Vec<String>,
}

/// Who signs a tenant's tokens.
pub(super) fn issuer(tenant: TenantId) -> String {
    format!("urn:tenantry:tenant:{tenant}")
}

/// Whether what was presented is a token rather than a key: a JSON object in base64url, and two dots.
pub(crate) fn is_token(presented: &str) -> bool {
    presented.starts_with("eyJ") && presented.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The tenant that a token claims to be of. A claim, not a proof.
pub(crate) fn claimed_tenant(token: &str) -> Option<TenantId> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Claim {
        tenant_id: TenantId,
    }
    serde_json::from_str::<Claim>(&payload(token)?).ok().map(|claim| claim.tenant_id)
}

/// The claims as they were written.
pub(super) fn payload(token: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()
}
