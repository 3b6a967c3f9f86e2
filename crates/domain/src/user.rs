//! The users of a tenant: people who log in with a password. Who they are is kept in the tenant's own schema.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// What Tenantry keeps of a tenant's users, next to the tenant's own tables.
pub const USERS_TABLE: &str = "tenantry_users";

/// Who is logged in, a row for each log-in.
pub const SESSIONS_TABLE: &str = "tenantry_sessions";

/// Who may register as a user of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Anybody, as a member.
    Open,
    /// Whom a key of the tenant registers, or one of its owners and admins.
    Invited,
}

crate::names_of! { Registration { Open = "open", Invited = "invited" } }

/// What a user is to the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Role {
    /// Everything, other owners included.
    Owner,
    /// Everything but owners.
    Admin,
    /// The tenant's data.
    Member,
    /// What the tenant's [`crate::permission::Permissions`] say.
    Custom(RoleName),
}

/// The name of a role.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(Box<str>);

crate::lower_case_name! { RoleName }

impl std::borrow::Borrow<str> for RoleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Role {
    /// The roles that every tenant has.
    pub const BUILT_IN: [Self; 3] = [Self::Owner, Self::Admin, Self::Member];

    /// Whether who has it may give a role to others, or take it away.
    pub fn may_grant(&self, other: &Self) -> bool {
        match self {
            Self::Owner => true,
            Self::Admin => *other != Self::Owner,
            Self::Member | Self::Custom(_) => false,
        }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Custom(name) => name.as_str(),
        }
    }
}

impl std::str::FromStr for Role {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match Self::BUILT_IN.into_iter().find(|role| role.as_str() == text) {
            Some(role) => Ok(role),
            None => RoleName::parse(text).map(Self::Custom),
        }
    }
}

impl TryFrom<String> for Role {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.as_str().to_owned()
    }
}

/// What a user is called within the tenant, in any case: `Ada` and `ada` are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Username(Box<str>);

impl Username {
    /// Reads a user name of 1 to 64 letters, digits and `. _ + - '`. No `@`: it would be taken for an e-mail address.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let inner = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '-' | '\'');
        if (1..=64).contains(&text.chars().count()) && text.chars().all(inner) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::because("must have 1 to 64 letters, digits and . _ + - ' (without @)"))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Username {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0.into()
    }
}

/// Who is to be the first user of a new tenant, its owner: invited by a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstOwner {
    /// How he is called.
    pub username: Username,
    /// Where the message goes.
    pub email: Email,
    /// His first name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// His last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
}

/// SQL of what a one-time token for a user is bound to, from his row: neither password nor address may have changed.
#[macro_export]
macro_rules! proof_of_user {
    () => {
        "encode(sha256(convert_to(password || E'\\n' || email, 'UTF8')), 'hex')"
    };
}

/// The password of whoever has none yet: no password hashes to this.
pub const NO_PASSWORD: &str = "!";

/// Reads a first or last name: at most 200 characters that are seen.
///
/// # Errors
/// It is longer, or holds what is not seen.
pub fn given_name(text: String) -> Result<String, Invalid> {
    if text.chars().count() <= 200 && !text.chars().any(is_unseen) {
        Ok(text)
    } else {
        Err(Invalid::because("must have at most 200 characters, none of them a control character"))
    }
}

/// Controls, and what prints as nothing or turns text around: with them one name looks like another.
pub fn is_unseen(c: char) -> bool {
    let unseen = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    );
    unseen || c.is_control()
}

/// An e-mail address. That somebody reads it, only a message to it can show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(Box<str>);

impl Email {
    /// Reads an address: something, `@`, and a host name; at most 254 bytes (RFC 5321), without spaces and control characters.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let is_plain =
            |part: &str| !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || is_unseen(c));
        let parts = text.rsplit_once('@').filter(|(local, host)| {
            is_plain(local)
                && is_plain(host)
                && local.len() <= 64
                && !local.contains('@')
                && host
                    .split('.')
                    .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
                && host.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '-')
        });
        if text.len() <= 254 && parts.is_some() {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::because("must be an e-mail address, e.g. ada@example.com"))
        }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A user name for whoever has it: what stands before the `@`, where that can be one.
    pub fn username(&self) -> Option<Username> {
        self.0.split('@').next().and_then(|local| Username::parse(local).ok())
    }
}

impl TryFrom<String> for Email {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0.into()
    }
}

/// A password that somebody has chosen, and may have.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "SecretString")]
pub struct Password(SecretString);

impl Password {
    const MIN: usize = 8;
    /// Longer ones would cost time to hash, and nobody types them.
    const MAX: usize = 1024;

    /// Takes a password of 8 characters to 1024 bytes.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn choose(text: SecretString) -> Result<Self, Invalid> {
        let chosen = text.expose_secret();
        if chosen.chars().count() >= Self::MIN && chosen.len() <= Self::MAX {
            Ok(Self(text))
        } else {
            Err(Invalid::because("must have at least 8 characters and at most 1024 bytes"))
        }
    }

    /// The password.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl TryFrom<SecretString> for Password {
    type Error = Invalid;

    fn try_from(text: SecretString) -> Result<Self, Invalid> {
        Self::choose(text)
    }
}

/// What a tenant's users' passwords must have: `security.password_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct PasswordPolicy {
    /// Characters, at least.
    pub min_length: u16,
    /// A capital letter.
    pub require_uppercase: bool,
    /// A small letter.
    pub require_lowercase: bool,
    /// A digit.
    pub require_numbers: bool,
    /// Something that is neither letter nor digit.
    pub require_special_chars: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self {
            min_length: 8,
            require_uppercase: false,
            require_lowercase: false,
            require_numbers: false,
            require_special_chars: false,
        }
    }
}

impl PasswordPolicy {
    /// Reads a policy as it is configured.
    ///
    /// # Errors
    /// It has other members, or its length is less than 8 or more than 128.
    pub fn from_config(value: &serde_json::Value) -> Result<Self, Invalid> {
        if !value.is_object() {
            return Err(Invalid::because("must be an object, e.g. {\"minLength\": 12}"));
        }
        let policy = Self::deserialize(value).map_err(|error| Invalid::because(error.to_string()))?;
        if (8..=128).contains(&policy.min_length) {
            Ok(policy)
        } else {
            Err(Invalid::because("must have a minLength from 8 to 128"))
        }
    }

    /// Checks a password.
    ///
    /// # Errors
    /// Says all that it must have, so that the next one will do.
    pub fn check(&self, password: &Password) -> Result<(), Invalid> {
        let text = password.expose();
        let has = |is: fn(char) -> bool| text.chars().any(is);
        let rules = [
            (self.require_uppercase, has(char::is_uppercase), "a capital letter"),
            (self.require_lowercase, has(char::is_lowercase), "a small letter"),
            (self.require_numbers, has(char::is_numeric), "a digit"),
            (
                self.require_special_chars,
                has(|c| !c.is_alphanumeric()),
                "a character that is neither letter nor digit",
            ),
        ];
        let is_long = text.chars().count() >= usize::from(self.min_length);
        if is_long && rules.iter().all(|(required, has, _)| !required || *has) {
            return Ok(());
        }
        let required = rules.iter().filter(|(required, ..)| *required).map(|(.., what)| *what);
        let required: Vec<_> = required.collect();
        let and = if required.is_empty() { String::new() } else { format!(", and {}", required.join(", ")) };
        Err(Invalid::because(format!("must have at least {} characters{and}", self.min_length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_hold_nothing_that_is_not_seen() {
        for text in ["ada", "Ada.Lovelace", "o'brien", "zoë", "a+b_c-1"] {
            assert!(Username::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "a@b", "a\u{0}", "a\u{202e}b", &"a".repeat(65)] {
            assert!(Username::parse(text).is_err(), "{text}");
        }
        for text in ["a@b", "ada@example.com", "a+b@x.example", "ä@bücher.example"] {
            assert!(Email::parse(text).is_ok(), "{text}");
        }
        let long = format!("a@{}.example", "b".repeat(250));
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@@b",
            "a@b@c",
            "a b@c",
            "a@b c",
            "a@-b",
            "a@b..c",
            "a@b\n",
            "a\u{200b}@b",
            "a\u{202e}@b",
            &long,
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_neither_short_nor_shown() {
        let choose = |text: &str| Password::choose(text.to_owned().into());
        assert!(choose("1234567").is_err());
        assert!(choose(&"x".repeat(1025)).is_err());
        let password = choose("correct horse").unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }

    #[test]
    fn a_policy_says_all_that_a_password_must_have() {
        let policy = PasswordPolicy {
            min_length: 10,
            require_numbers: true,
            require_uppercase: true,
            ..PasswordPolicy::default()
        };
        let check = |text: &str| policy.check(&Password::choose(text.to_owned().into()).unwrap());
        assert_eq!(check("Correct horse 1"), Ok(()));
        for text in ["Short 1 x", "correct horse 1", "Correct horse"] {
            let told = check(text).unwrap_err().to_string();
            assert_eq!(told, "must have at least 10 characters, and a capital letter, a digit");
        }
    }

    #[test]
    fn nobody_gives_more_than_he_has() {
        let editor: Role = "editor".parse().unwrap();
        let all = || Role::BUILT_IN.into_iter().chain([editor.clone()]);
        assert!(all().all(|role| Role::Owner.may_grant(&role)));
        assert!(!Role::Admin.may_grant(&Role::Owner));
        assert!(Role::Admin.may_grant(&Role::Admin) && Role::Admin.may_grant(&editor));
        assert!(!all().any(|role| Role::Member.may_grant(&role) || editor.may_grant(&role)));
    }
}
