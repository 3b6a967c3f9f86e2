//! Does a server hold what the registry knows, and nothing else? After one of the two was restored from a backup
//! they differ.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_domain::{
    ids::{ServerId, TenantId},
    inquiry::{MissingObject, ServerAudit, ServerObjectKind as Kind, UnknownObject},
    plan::Tier,
};
use tenantry_postgres::admin::{
    LOGIN_PREFIX, ServerContents, TEMPLATE_PREFIX, TOMBSTONE_PREFIX, Template, WARM_TENANT_PREFIX,
};
use tenantry_registry::KnownOnServer;

use crate::{Resources, reconcilers, step_error::StepError};

pub(super) async fn run(resources: &Resources, id: ServerId) -> Result<ServerAudit, StepError> {
    let (registry, label) = (&resources.registry, &resources.settings.label);
    let server = registry
        .server_get(id)
        .await?
        .ok_or_else(|| StepError::permanent("the server is not registered any more"))?
        .server;
    // Before and after the server is looked at: what is made or dropped meanwhile is in one of the two.
    let before = registry.known_on_server(id).await?;
    // As it is: what is missing there is to be found, not made.
    let access = resources.servers.unprepared(id, server.revision).await?;
    let contents = access.call(access.admin.contents(label)).await?;
    let after = registry.known_on_server(id).await?;
    let templates = templates(resources).await?;
    let seen = Seen {
        contents: &contents,
        label,
        shared_database: access.admin.shared_database().as_str(),
        templates: &templates,
    };
    let mut audit = seen.compare(&before, &after);
    // What an operation is at is not left over.
    let strangers: Vec<TenantId> = audit.unknown.iter().filter_map(|object| object.tenant_id).collect();
    let at_work = registry.tenants_at_work(&strangers).await?;
    audit.unknown.retain(|object| object.tenant_id.is_none_or(|tenant| !at_work.contains(&tenant)));
    audit.advice = advice(server.name.as_str(), &audit);
    Ok(audit)
}

/// The template databases that belong here.
async fn templates(resources: &Resources) -> Result<BTreeSet<String>, StepError> {
    let apps = reconcilers::fill_warm_databases::apps(resources).await?;
    let name = |app: &std::sync::Arc<tenantry_domain::app::App>| {
        Template::of(app, &resources.settings.label)
            .map(|template| template.database.to_string())
            .map_err(|error| StepError::permanent(error.to_string()))
    };
    apps.iter().map(name).collect()
}

/// What a server shows, and what tells one's own from others'.
struct Seen<'a> {
    contents: &'a ServerContents,
    label: &'a str,
    shared_database: &'a str,
    templates: &'a BTreeSet<String>,
}

/// Whose an object is, by its name and the mark on it.
enum Whose {
    Tenant(TenantId),
    Warm,
    Template,
    /// Another installation's, or what looks after itself.
    Others,
    Nobody,
}

impl Seen<'_> {
    fn whose(&self, name: &str, mark: Option<&str>) -> Whose {
        if let Some(rest) = name.strip_prefix(TOMBSTONE_PREFIX) {
            let tenant = rest.split('_').next().and_then(|id| id.parse().ok());
            return tenant.map_or(Whose::Nobody, Whose::Tenant);
        }
        let Some(mark) = mark.and_then(|mark| mark.strip_prefix("tenantry:")) else { return Whose::Nobody };
        if let Ok(tenant) = mark.parse() {
            return Whose::Tenant(tenant);
        }
        match mark.split_once(':') {
            Some(("warm", label)) if label == self.label => Whose::Warm,
            Some(("template", label)) if label == self.label => Whose::Template,
            _ => Whose::Others,
        }
    }

    fn compare(&self, before: &KnownOnServer, after: &KnownOnServer) -> ServerAudit {
        ServerAudit {
            unknown: self.unknown(before, after),
            missing: self.missing(before, after),
            advice: Vec::new(),
        }
    }

    fn unknown(&self, before: &KnownOnServer, after: &KnownOnServer) -> Vec<UnknownObject> {
        let places = |tenant: &TenantId| {
            let all = [before, after].map(|known| known.tenants.get(tenant));
            all.into_iter().flatten().flatten()
        };
        let is_known = |kind: Kind, name: &str, mark: Option<&str>| match self.whose(name, mark) {
            Whose::Tenant(tenant) => places(&tenant).any(|place| match kind {
                Kind::Database => place.database.as_str() == name,
                _ => place.schema.as_str() == name,
            }),
            Whose::Warm => [before, after].iter().any(|known| known.warm_tenants.contains(name)),
            Whose::Template => self.templates.contains(name),
            Whose::Others => true,
            Whose::Nobody => false,
        };
        let tenant_of = |name: &str, mark: Option<&str>| match self.whose(name, mark) {
            Whose::Tenant(tenant) => Some(tenant),
            _ => None,
        };
        let foreign: BTreeSet<(&str, Option<&str>)> = self
            .contents
            .roles
            .iter()
            .filter(|role| role.foreign)
            .map(|role| (role.name.as_str(), role.owner_mark.as_deref()))
            .collect();
        let mut unknown = Vec::new();
        for role in self.contents.roles.iter().filter(|role| !role.foreign) {
            let mark = role.owner_mark.as_deref();
            let login = role.name.starts_with(LOGIN_PREFIX);
            let kind = if login { Kind::Login } else { Kind::Role };
            let known = if login {
                [before, after].iter().any(|known| known.logins.contains_key(&role.name))
            } else {
                is_known(kind, &role.name, mark)
            };
            if !known {
                let tenant_id = tenant_of(&role.name, mark);
                unknown.push(UnknownObject { kind, name: role.name.clone(), database: None, tenant_id });
            }
        }
        let databases = self.contents.databases.iter().map(|object| (Kind::Database, object, None));
        let schemas = self.contents.schemas.iter().map(|object| {
            let database = Some(self.shared_database.to_owned());
            (Kind::Schema, object, database)
        });
        for (kind, object, database) in databases.chain(schemas) {
            let mark = object.owner_mark.as_deref();
            if !is_known(kind, &object.name, mark) && !foreign.contains(&(object.name.as_str(), mark)) {
                let tenant_id = tenant_of(&object.name, mark);
                unknown.push(UnknownObject { kind, name: object.name.clone(), database, tenant_id });
            }
        }
        unknown
    }

    fn missing(&self, before: &KnownOnServer, after: &KnownOnServer) -> Vec<MissingObject> {
        // By name and mark: what another has under the name is not the tenant's.
        let marked = |objects: &[(&str, Option<&str>)]| -> BTreeSet<(String, Option<String>)> {
            objects.iter().map(|(name, mark)| ((*name).to_owned(), mark.map(str::to_owned))).collect()
        };
        let contents = self.contents;
        let roles: Vec<_> =
            contents.roles.iter().map(|role| (role.name.as_str(), role.owner_mark.as_deref())).collect();
        let of = |objects: &[tenantry_postgres::admin::MarkedObject]| {
            let objects: Vec<_> =
                objects.iter().map(|object| (object.name.as_str(), object.owner_mark.as_deref())).collect();
            marked(&objects)
        };
        let (roles, databases, schemas) = (marked(&roles), of(&contents.databases), of(&contents.schemas));
        let mut missing = Vec::new();
        for (tenant, places) in &after.tenants {
            let served_before =
                before.tenants.get(tenant).is_some_and(|places| places.iter().any(|place| place.serving));
            if !served_before || after.at_work.contains(tenant) {
                continue;
            }
            let mark = Some(Resources::owner_mark(*tenant));
            for place in places.iter().filter(|place| place.serving) {
                let wanted = match place.tier {
                    Tier::Schema => (Kind::Schema, place.schema.to_string(), &schemas),
                    Tier::Database | Tier::Instance => {
                        (Kind::Database, place.database.to_string(), &databases)
                    }
                };
                for (kind, name, there) in [wanted, (Kind::Role, place.schema.to_string(), &roles)] {
                    if !there.contains(&(name.clone(), mark.clone())) {
                        let (tenant_id, tenant) = (Some(*tenant), Some(place.slug.clone()));
                        missing.push(MissingObject { kind, name, tenant_id, tenant });
                    }
                }
            }
        }
        let names = |objects: &BTreeSet<(String, Option<String>)>| -> BTreeSet<String> {
            objects.iter().map(|(name, _)| name.clone()).collect()
        };
        let (role_names, schema_names) = (names(&roles), names(&schemas));
        for name in before.warm_tenants.intersection(&after.warm_tenants) {
            for (kind, there) in [(Kind::Schema, &schema_names), (Kind::Role, &role_names)] {
                if !there.contains(name) {
                    missing.push(MissingObject { kind, name: name.clone(), tenant_id: None, tenant: None });
                }
            }
        }
        for (name, needed) in &after.logins {
            if *needed && before.logins.get(name) == Some(&true) && !role_names.contains(name) {
                missing.push(MissingObject {
                    kind: Kind::Login,
                    name: name.clone(),
                    tenant_id: None,
                    tenant: None,
                });
            }
        }
        missing
    }
}

/// What to do about it.
fn advice(server: &str, audit: &ServerAudit) -> Vec<String> {
    let mut advice = Vec::new();
    let strangers: BTreeSet<TenantId> = audit.unknown.iter().filter_map(|object| object.tenant_id).collect();
    if !strangers.is_empty() {
        advice.push(format!(
            "{} on {server} and unknown to the registry: either signed up after the backup that the registry was \
             restored from, and then this is all that is left of their data; or purged, and left behind. Keep a copy \
             (pg_dump) of what may be of use, sign the tenants up anew and load it, then drop what is listed. Nothing \
             is dropped by itself. Until then their slugs cannot be used.",
            count(strangers.len(), "tenant is", "tenants are")
        ));
    }
    let warm_or_own = |name: &str| name.starts_with(WARM_TENANT_PREFIX) || name.starts_with(TEMPLATE_PREFIX);
    let spare = audit.unknown.iter().filter(|object| warm_or_own(&object.name)).count();
    if spare > 0 {
        advice.push(format!(
            "{} no data of anybody's (warm tenants and templates that the registry has forgotten): drop them.",
            count(spare, "object holds", "objects hold")
        ));
    }
    let logins = audit.unknown.iter().filter(|object| object.kind == Kind::Login).count();
    if logins > 0 {
        advice.push(format!(
            "{} known to the registry any more; drop them after the tenants' roles that are listed here.",
            count(logins, "login of the data plane is not", "logins of the data plane are not")
        ));
    }
    let unmarked = audit
        .unknown
        .iter()
        .any(|object| object.tenant_id.is_none() && object.kind != Kind::Login && !warm_or_own(&object.name));
    if unmarked {
        advice.push(
            "objects without a tenant have a tenant's name and no mark of Tenantry's: they are somebody else's, or \
             were made by hand. Rename them: a sign-up whose name they have fails."
                .to_owned(),
        );
    }
    let mut lost: BTreeMap<&str, usize> = BTreeMap::new();
    for object in &audit.missing {
        *lost.entry(object.tenant.as_deref().unwrap_or_default()).or_default() += 1;
    }
    let shared = lost.remove("").unwrap_or_default();
    if !lost.is_empty() {
        let some: Vec<&str> = lost.keys().copied().take(5).collect();
        let more = if lost.len() > some.len() { " and others" } else { "" };
        advice.push(format!(
            "{} known to the registry and not, or not whole, on {server} ({}{more}): purged after the backup that the \
             registry was restored from, or lost with the server's own data. Restore them from a backup of the server, \
             or purge them: tenantry tenants delete <slug> --purge-now.",
            count(lost.len(), "tenant is", "tenants are"),
            some.join(", "),
        ));
    }
    if shared > 0 {
        advice.push(
            "what is missing and no tenant's is made again when it is needed: a login by the next sign-up that gets \
             it, a warm tenant anew."
                .to_owned(),
        );
    }
    advice
}

fn count(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

#[cfg(test)]
mod tests {
    use tenantry_domain::names::ObjectName;
    use tenantry_postgres::admin::{FoundRole, MarkedObject};
    use tenantry_registry::KnownPlacement;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        format!("{number:032x}").parse().unwrap()
    }

    fn known(tenants: &[u128]) -> KnownOnServer {
        let place = |number: &u128| {
            let name = ObjectName::parse(&format!("tenant_t{number}")).unwrap();
            let place = KnownPlacement {
                slug: format!("t{number}"),
                tier: Tier::Schema,
                serving: true,
                database: ObjectName::parse("tenants").unwrap(),
                schema: name,
            };
            (tenant(*number), vec![place])
        };
        KnownOnServer { tenants: tenants.iter().map(place).collect(), ..KnownOnServer::default() }
    }

    fn object(name: &str, mark: &str) -> MarkedObject {
        let owner_mark = Some(mark.to_owned()).filter(|mark| !mark.is_empty());
        MarkedObject { name: name.to_owned(), owner_mark }
    }

    fn role(name: &str, mark: &str, foreign: bool) -> FoundRole {
        let MarkedObject { name, owner_mark } = object(name, mark);
        FoundRole { name, owner_mark, foreign }
    }

    fn compare(contents: &ServerContents, known: &KnownOnServer) -> ServerAudit {
        let templates = BTreeSet::new();
        Seen { contents, label: "main", shared_database: "tenants", templates: &templates }
            .compare(known, known)
    }

    #[test]
    fn what_agrees_is_not_mentioned() {
        let mark = Resources::owner_mark(tenant(1));
        let contents = ServerContents {
            roles: vec![role("tenant_t1", &mark, false)],
            schemas: vec![object("tenant_t1", &mark), object("tenantry_warm_t_1", "tenantry:warm:other")],
            databases: Vec::new(),
        };
        assert_eq!(compare(&contents, &known(&[1])), ServerAudit::default());
    }

    #[test]
    fn what_only_one_side_has_is_named_with_its_tenant() {
        let mark = Resources::owner_mark(tenant(2));
        let gone = format!("tenantry_gone_{:032x}_5", 3);
        let contents = ServerContents {
            roles: vec![
                role("tenant_t2", &mark, false),
                role("tenant_other", "tenantry:00000000-0000-0000-0000-000000000009", true),
            ],
            schemas: vec![object("tenant_t2", &mark)],
            databases: vec![
                object("tenant_other", "tenantry:00000000-0000-0000-0000-000000000009"),
                object("tenant_strange", ""),
                object(&gone, &mark),
            ],
        };
        let audit = compare(&contents, &known(&[1]));
        let unknown: Vec<_> = audit
            .unknown
            .iter()
            .map(|object| (object.kind, object.name.as_str(), object.tenant_id))
            .collect();
        assert_eq!(
            unknown,
            [
                (Kind::Role, "tenant_t2", Some(tenant(2))),
                (Kind::Database, "tenant_strange", None),
                (Kind::Database, gone.as_str(), Some(tenant(3))),
                (Kind::Schema, "tenant_t2", Some(tenant(2))),
            ]
        );
        let missing: Vec<_> =
            audit.missing.iter().map(|object| (object.kind, object.tenant.as_deref())).collect();
        assert_eq!(missing, [(Kind::Schema, Some("t1")), (Kind::Role, Some("t1"))]);
        assert!(advice("eu-1", &audit).iter().any(|line| line.contains("t1")));
    }
}
