//! What a token says.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use tenantry_domain::{
    ids::{SessionId, TenantId},
    user::Role,
};

/// For whom all tokens are.
pub const AUDIENCE: &str = "tenantry";

/// What the subject of support begins with: no user's id does.
pub(crate) const SUPPORT: &str = "support:";

/// What the name of an operator whom the operators' identity provider knows begins with, where a key's begins with `key:`.
pub(crate) const OPERATOR: &str = "operator:";

/// Whether a subject is that of support by such an operator.
pub fn is_support_by_operator(subject: &str) -> bool {
    subject.strip_prefix(SUPPORT).is_some_and(|actor| actor.starts_with(OPERATOR))
}

/// All claims of a token. Times in seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// Who signed it: [`issuer`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The user's id, a number; or `support:` and the id of the key by which support asked.
    pub sub: String,
    /// When it was signed.
    pub iat: i64,
    /// From when it counts.
    pub nbf: i64,
    /// Until when it counts.
    pub exp: i64,
    /// The log-in that it came of.
    pub sid: SessionId,
    /// Whose data it opens.
    pub tenant_id: TenantId,
    /// That tenant's slug when it was signed.
    pub tenant_slug: String,
    /// How the user is called.
    pub username: String,
    /// What the user is to the tenant.
    pub roles: Vec<Role>,
    /// The features that the tenant had when it was signed.
    pub features: Vec<String>,
    /// Who acts, where it is not one of the tenant's users (RFC 8693).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `key:` and the id of the API key, or `operator:` and the operator's subject.
    pub sub: String,
}

/// Who signs a tenant's tokens.
pub fn issuer(tenant: TenantId) -> String {
    format!("urn:tenantry:tenant:{tenant}")
}

/// Whether what was presented is a token rather than a key: a JSON object in base64url, and two dots.
pub fn is_token(presented: &str) -> bool {
    presented.starts_with("eyJ") && presented.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The tenant that a token claims to be of, by that tenant's own key. A claim, not a proof.
pub fn claimed_tenant(token: &str) -> Option<TenantId> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Claim {
        iss: String,
        tenant_id: TenantId,
    }
    let claim: Claim = serde_json::from_str(&payload(token)?).ok()?;
    (claim.iss == issuer(claim.tenant_id)).then_some(claim.tenant_id)
}

/// The claims as they were written.
pub fn payload(token: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()
}
