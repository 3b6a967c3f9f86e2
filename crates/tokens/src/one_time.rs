//! Tokens that let a user do one thing once: set a password without the one before, or prove that an e-mail address is his.
//!
//! Nothing is kept of them. What a token lets change is part of what it is bound to: after the change it counts no more.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tenantry_domain::{envelope::Key, ids::TenantId, purpose::Purpose, user::Email};

/// So that secret scanners find one that leaked.
const PREFIX: &str = "tno_";

/// Longer ones are none.
const MAX_LENGTH: usize = 4096;

/// What a token lets its user do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "use", rename_all = "snake_case")]
pub enum OneTimeUse {
    /// Set a password.
    Password,
    /// Have this e-mail address.
    Email {
        /// The address that it was sent to.
        email: Email,
    },
}

/// See the module. Not for the log: what it opens to is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeToken {
    /// The user's id.
    pub user: i64,
    /// What for.
    #[serde(flatten)]
    pub lets: OneTimeUse,
    /// A hash of what the user's row was: a token counts while it is the same.
    pub proof: String,
    /// Until when it counts.
    pub expires_at: DateTime<Utc>,
}

impl OneTimeToken {
    /// For how long one counts that a user asked for.
    pub const LIFETIME: TimeDelta = TimeDelta::hours(1);
    /// For how long an invitation does.
    pub const INVITATION_LIFETIME: TimeDelta = TimeDelta::days(7);

    /// The token as it is sent.
    pub fn seal(&self, kek: &Key, tenant: TenantId, rng: &mut impl Rng) -> SecretString {
        let text = serde_json::to_vec(self).expect("it has no keys but text");
        let sealed = kek.seal(&Purpose::OneTimeToken(tenant).to_string(), &text, rng);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)).into()
    }

    /// What was presented, if it is such a token of the tenant's and has not expired.
    pub fn open(kek: &Key, tenant: TenantId, presented: &SecretString, now: DateTime<Utc>) -> Option<Self> {
        let text = presented.expose_secret().strip_prefix(PREFIX).filter(|text| text.len() <= MAX_LENGTH)?;
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let opened = kek.open(&Purpose::OneTimeToken(tenant).to_string(), &sealed).ok()?;
        let token: Self = serde_json::from_slice(opened.expose_secret()).ok()?;
        (now < token.expires_at).then_some(token)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_token_counts_for_its_tenant_and_use_until_its_end() {
        let mut rng = rand::rng();
        let (kek, other_kek) = (Key::generate(&mut rng), Key::generate(&mut rng));
        let [acme, other] = [1, 2].map(|number| TenantId::from_uuid(Uuid::from_u128(number)));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let lets = OneTimeUse::Email { email: Email::parse("ada@example.com").unwrap() };
        let token =
            OneTimeToken { user: 7, lets, proof: "abc".into(), expires_at: now + OneTimeToken::LIFETIME };
        let text = token.seal(&kek, acme, &mut rng);
        assert_eq!(OneTimeToken::open(&kek, acme, &text, now), Some(token.clone()));
        assert_eq!(OneTimeToken::open(&kek, acme, &text, token.expires_at), None);
        assert_eq!(OneTimeToken::open(&kek, other, &text, now), None);
        assert_eq!(OneTimeToken::open(&other_kek, acme, &text, now), None);
        for text in
            ["", "tno_", "tno_é", "tnr_AAAA", &format!("{}A", text.expose_secret()), &"tno_A".repeat(2000)]
        {
            assert_eq!(OneTimeToken::open(&kek, acme, &text.to_owned().into(), now), None);
        }
    }
}
