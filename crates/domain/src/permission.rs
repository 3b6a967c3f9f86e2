//! What the roles of a tenant's users may do with its tables and functions: `auth.roles` of its configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Invalid,
    user::{Role, RoleName},
};

/// What is done with a table or function, in PostgreSQL's words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Rows are read.
    Select,
    /// Rows are added.
    Insert,
    /// Rows are changed.
    Update,
    /// Rows are removed.
    Delete,
    /// A function is called.
    Execute,
}

crate::names_of! { Verb { Select = "select", Insert = "insert", Update = "update", Delete = "delete", Execute = "execute" } }

/// All tables and functions that are not named.
const ANY: &str = "*";

/// Roles and tables that may be named, so that a request never looks through many.
const MAX_ENTRIES: usize = 500;

type OfRole = BTreeMap<Box<str>, Box<[Verb]>>;

/// Per role, what it may do with which table or function. `member` may do everything unless it is named; an owner and an
/// admin always may.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permissions(BTreeMap<RoleName, OfRole>);

impl Permissions {
    /// Reads permissions as they are configured: `{"editor": {"deals": ["select", "update"], "*": ["select"]}}`.
    ///
    /// # Errors
    /// It is something else, names the role `owner` or `admin`, or more than 500 tables in all.
    pub fn from_config(value: &serde_json::Value) -> Result<Self, Invalid> {
        let read = Self::deserialize(value).map_err(|error| {
            Invalid::because(format!("must be like {{\"editor\": {{\"deals\": [\"select\"]}}}}: {error}"))
        })?;
        // An admin gives roles, himself others too: what he may not do as one he would do as another.
        if [Role::Owner, Role::Admin].iter().any(|role| read.0.contains_key(role.as_str())) {
            return Err(Invalid::because("must not name the roles owner and admin, who may do everything"));
        }
        if read.0.values().map(|tables| tables.len().max(1)).sum::<usize>() > MAX_ENTRIES {
            return Err(Invalid::because("must name at most 500 tables in all"));
        }
        Ok(read)
    }

    /// Whether a role is one that users may be given: it stands here, or is built in.
    pub fn knows(&self, role: &Role) -> bool {
        match role {
            Role::Custom(name) => self.0.contains_key(name),
            Role::Owner | Role::Admin | Role::Member => true,
        }
    }

    /// Whether somebody with these roles may do it. What is said of a table counts for it instead of what is said of all.
    pub fn allow(&self, roles: &[Role], verb: Verb, resource: &str) -> bool {
        roles.iter().any(|role| match (role, self.0.get(role.as_str())) {
            (Role::Owner | Role::Admin, _) | (Role::Member, None) => true,
            (Role::Custom(_), None) => false,
            (_, Some(tables)) => {
                // An app whose JSON is in camel case calls it so.
                let named = tables.get(resource).or_else(|| tables.get(&*camel_case(resource)));
                named.or_else(|| tables.get(ANY)).is_some_and(|verbs| verbs.contains(&verb))
            }
        })
    }
}

/// `contact_tags` as `contactTags`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn role(name: &str) -> Role {
        name.parse().unwrap()
    }

    #[test]
    fn each_role_may_do_what_is_said_of_it_and_the_built_in_ones_everything_else() {
        let permissions = Permissions::from_config(&json!({
            "reader": { "*": ["select"], "salaries": [] },
            "editor": { "deals": ["select", "insert", "update"], "total": ["execute"] },
            "member": { "*": ["select", "insert"] },
        }))
        .unwrap();
        for (roles, allowed) in [
            (&["owner"][..], "deals:siudx salaries:siudx total:siudx"),
            (&["admin"], "deals:siudx salaries:siudx total:siudx"),
            (&["member"], "deals:si salaries:si total:si"),
            (&["reader"], "deals:s salaries: total:s"),
            (&["editor"], "deals:siu salaries: total:x"),
            (&["reader", "editor"], "deals:siu salaries: total:sx"),
            (&["gone"], "deals: salaries: total:"),
            (&[], "deals: salaries: total:"),
        ] {
            let roles: Vec<_> = roles.iter().map(|name| role(name)).collect();
            let may = |resource: &str| {
                let verbs = Verb::ALL.iter().zip(["s", "i", "u", "d", "x"]);
                let verbs = verbs.filter(|(verb, _)| permissions.allow(&roles, **verb, resource));
                format!("{resource}:{}", verbs.map(|(_, letter)| letter).collect::<String>())
            };
            assert_eq!(["deals", "salaries", "total"].map(may).join(" "), allowed, "{roles:?}");
        }
        let denied =
            Permissions::from_config(&json!({ "reader": { "*": ["select"], "contactTags": [] } })).unwrap();
        assert!(!denied.allow(&[role("reader")], Verb::Select, "contact_tags"));
        assert!(denied.allow(&[role("reader")], Verb::Select, "contacts"));
        assert!(permissions.knows(&role("reader")) && permissions.knows(&role("admin")));
        assert!(!permissions.knows(&role("gone")));
        assert!(Permissions::default().allow(&[role("member")], Verb::Delete, "deals"));
    }

    #[test]
    fn what_is_no_permission_is_refused() {
        for value in [
            json!([]),
            json!({ "owner": {} }),
            json!({ "admin": {} }),
            json!({ "Editor": {} }),
            json!({ "editor": ["select"] }),
            json!({ "editor": { "deals": ["read"] } }),
            json!({ "editor": (0..501).map(|n| (n.to_string(), json!([]))).collect::<serde_json::Map<_, _>>() }),
        ] {
            assert!(Permissions::from_config(&value).is_err(), "{value}");
        }
    }
}
