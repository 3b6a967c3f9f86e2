//! Keys that are nobody's, another's, or made of pieces.

use super::{
    Attempt,
    Outcome::{self, Refused},
};

const INVALID: Outcome = Refused("key_invalid");
const MISMATCH: Outcome = Refused("tenant_mismatch");
const REQUIRED: Outcome = Refused("key_required");

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("no key", REQUIRED, |p| p.at(&p.victim.host).without("Authorization")),
    ("an empty key", REQUIRED, |p| p.with_authorization("Bearer ")),
    ("the victim's id as a password", REQUIRED, |p| p.with_authorization(format!("Basic {}", p.victim.id))),
    ("the key in another header", REQUIRED, |p| {
        p.at(&p.victim.host).without("Authorization").header("apikey", &p.attacker.key)
    }),
    ("the victim's key without its last letter", INVALID, |p| {
        p.with_authorization(format!("Bearer {}", &p.victim.key[..p.victim.key.len() - 1]))
    }),
    ("the first half of the victim's key", INVALID, |p| {
        p.with_authorization(format!("Bearer {}", &p.victim.key[..p.victim.key.len() / 2]))
    }),
    ("the victim's key with one letter more", INVALID, |p| {
        p.with_authorization(format!("Bearer {}A", p.victim.key))
    }),
    ("the victim's key with another last letter", INVALID, |p| {
        let last = if p.victim.key.ends_with('A') { "B" } else { "A" };
        p.with_authorization(format!("Bearer {}{last}", &p.victim.key[..p.victim.key.len() - 1]))
    }),
    ("the victim's key in upper case", INVALID, |p| {
        p.with_authorization(format!("Bearer {}", p.victim.key.to_uppercase()))
    }),
    ("the victim's key in lower case", INVALID, |p| {
        p.with_authorization(format!("Bearer {}", p.victim.key.to_lowercase()))
    }),
    ("the victim's key with a space in it", INVALID, |p| {
        let (a, b) = p.victim.key.split_at(20);
        p.with_authorization(format!("Bearer {a} {b}"))
    }),
    ("the victim's id with the attacker's secret", INVALID, |p| {
        p.with_authorization(format!("Bearer {}", spliced(&p.victim.key, &p.attacker.key)))
    }),
    ("the attacker's id with the victim's secret", MISMATCH, |p| {
        p.with_authorization(format!("Bearer {}", spliced(&p.attacker.key, &p.victim.key)))
    }),
    ("the victim's id with no secret", INVALID, |p| {
        p.with_authorization(format!("Bearer {}", spliced(&p.victim.key, "tnt_x_")))
    }),
    ("the attacker's key in front of the forged one", Refused("tenant_conflict"), |p| {
        p.at(&p.victim.host)
            .header("Authorization", format!("Bearer {}", spliced(&p.victim.key, &p.attacker.key)))
    }),
    ("two keys, joined by a comma", MISMATCH, |p| {
        let forged = spliced(&p.victim.key, &p.attacker.key);
        p.with_authorization(format!("Bearer {}, Bearer {forged}", p.attacker.key))
    }),
    ("a key that is always right", INVALID, |p| p.with_authorization("Bearer ' OR '1'='1")),
    ("a key that is a comment", INVALID, |p| p.with_authorization("Bearer tnt_x';--")),
    ("the hash of nothing", INVALID, |p| {
        p.with_authorization("Bearer e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }),
    ("the victim's key at the attacker's host", MISMATCH, |p| {
        p.victims_own().without("Host").header("Host", &p.attacker.host)
    }),
    ("the victim's key in the attacker's path", MISMATCH, |p| {
        p.get(format!("/t/{}/api/contacts", p.attacker.slug))
            .without("Authorization")
            .header("Authorization", format!("Bearer {}", p.victim.key))
    }),
    // The control plane is not a tenant's.
    ("the list of tenants", Refused("wrong_kind_of_key"), |p| {
        p.get("/api/v1/tenants").without("Host").header("Host", "control-plane")
    }),
    ("the victim's connection", Refused("wrong_kind_of_key"), |p| {
        p.get(format!("/api/v1/tenants/{}/connection?reveal=true", p.victim.id))
            .without("Host")
            .header("Host", "control-plane")
    }),
    ("a key for the victim's data", Refused("wrong_kind_of_key"), |p| {
        p.get(format!("/api/v1/tenants/{}/keys", p.victim.id))
            .method("POST")
            .without("Host")
            .header("Host", "control-plane")
            .body(r#"{"name":"mine"}"#)
    }),
    ("the victim suspended", Refused("wrong_kind_of_key"), |p| {
        p.get(format!("/api/v1/tenants/{}/suspend", p.victim.id))
            .method("POST")
            .without("Host")
            .header("Host", "control-plane")
            .body("{}")
    }),
];

/// A key `tnt_<id>_<secret>` with the id of one and the secret of another.
fn spliced(id_of: &str, secret_of: &str) -> String {
    let id = id_of.split('_').nth(1).expect("a key names its tenant");
    let secret = secret_of.splitn(3, '_').nth(2).expect("a key has a secret");
    format!("tnt_{id}_{secret}")
}
