//! A tenant's schema: made with its role and tables in one transaction, adopted from a template, dropped.

use tenantry_domain::{
    app::App,
    names::{EXTENSIONS_SCHEMA, ObjectName, SYSTEM_TABLE_PREFIX},
};

use super::{
    AdminError, MIGRATIONS_TABLE, MigrationReport, OWNER_ROLE, RoleSpec, SYSTEM_SCHEMA, ServerAdmin,
    TEMPLATE_SCHEMA, data_audit, fence,
    migration::How,
    owner::Owner,
    owner_transaction::{Beginning, OwnerTransaction},
    prepare::connect_group,
    role,
};
use crate::{sql, tenant::USERS_ROLE};

impl ServerAdmin {
    /// Makes a tenant in the shared database, in one transaction: its role, its schema, the app's tables at
    /// its newest version and default data. What is there already of it stays.
    pub async fn create_schema(
        &self,
        owner: Owner<'_>,
        role: &RoleSpec<'_>,
        app: &App,
    ) -> Result<MigrationReport, AdminError> {
        let task = "make the tenant's schema";
        let database = self.shared_database().clone();
        let verifier = role::verifier(role.secret).await;
        let as_admin = format!(
            "{role} {schema} {connect} {users}",
            users = let_users_connect(&database, app),
            role = role::ensure_role(owner, role, &verifier),
            schema = ensure_schema(owner),
            connect = connect(&database, owner.name, role.login),
        );
        let connection = self.connection_for_tables(&database, task).await?;
        self.migrate_on(connection, owner, &as_admin, app, None, How::NEW).await
    }

    /// Gives the app's tables in a database made from a template to the tenant: the template's schema gets the
    /// tenant's name, and the tenant's role its rights. Where the template could not hold the tables (they hold
    /// their schema's name as text), they are made now. Answers the version that they have.
    pub async fn adopt_schema(
        &self,
        owner: Owner<'_>,
        login: &ObjectName,
        app: &App,
    ) -> Result<MigrationReport, AdminError> {
        let database = owner.name;
        let quoted = owner.name.quoted();
        let as_admin = format!(
            "{check_database}
            IF found_mark IS NULL THEN {not_there} END IF;
            {look}
            IF found_mark IS NULL AND to_regnamespace('{TEMPLATE_SCHEMA}') IS NOT NULL THEN
                ALTER SCHEMA {TEMPLATE_SCHEMA} RENAME TO {quoted};
                COMMENT ON SCHEMA {quoted} IS {mark};
            END IF;
            {schema}
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {quoted} TO {quoted};
            GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {quoted} TO {quoted};
            {system}
            {connect}
            {users}",
            users = let_users_connect(database, app),
            check_database = owner.check_database(),
            not_there = super::ObjectKind::Database.raise_taken(owner.name.as_str()),
            look = owner.check_schema(),
            mark = sql::literal(owner.mark),
            schema = ensure_schema(owner),
            system = revoke_system_tables(owner.name),
            connect = connect(database, owner.name, login),
        );
        let session = self.session(database, "adopt the template's schema").await?;
        self.migrate_on(session, owner, &as_admin, app, None, How::NEW).await
    }

    /// Runs SQL in a tenant's schema as the owner role, in one transaction: Tenantry's own tables next to the
    /// tenant's. Idempotent as far as the SQL is.
    pub async fn seed(&self, database: &ObjectName, owner: Owner<'_>, seed: &str) -> Result<(), AdminError> {
        let task = "run the app's seed";
        let mut connection = self.connection_to(database, task).await?;
        let seeded = async {
            let begin = Beginning { schema: owner.name, fence: owner.fence, as_admin: "", as_owner: "" };
            let mut transaction = OwnerTransaction::begin(&mut connection, begin).await?;
            transaction.run(seed.to_owned()).await?;
            transaction.run(sql::block("", &revoke_system_tables(owner.name))).await?;
            transaction.commit().await
        };
        seeded.await.map_err(|e| self.failed(task, e))
    }

    /// Drops a tenant's schema in the shared database with all that is in it. That it is gone is fine.
    pub async fn drop_schema(&self, owner: Owner<'_>) -> Result<(), AdminError> {
        let (name, quoted) = (sql::literal(owner.name.as_str()), owner.name.quoted());
        let again = format!("{} {}", fence::perform(owner.fence), owner.check_schema());
        // Each table, index and sequence takes one of the locks that all sessions share, until commit: many
        // of them go in batches, each a transaction with the fence.
        let body = format!(
            "{look}
            IF found_mark IS NULL THEN RETURN; END IF;
            WHILE (SELECT count(*) > 300 FROM {relations} WHERE relkind IN ('r', 'p')) LOOP
                SELECT string_agg(format('%I.%I', {name}, relname), ', ') INTO tables FROM (
                    SELECT relname FROM {relations} WHERE relkind IN ('r', 'p')
                    ORDER BY relispartition DESC, oid LIMIT 100) batch;
                EXECUTE 'DROP TABLE ' || tables || ' CASCADE';
                COMMIT;
                {again}
                IF found_mark IS NULL THEN RETURN; END IF;
            END LOOP;
            {unlink}
            {unaudit}
            -- By a move that has left it.
            IF to_regclass('{SYSTEM_SCHEMA}.closed') IS NOT NULL THEN
                DELETE FROM {SYSTEM_SCHEMA}.closed WHERE schema = {name};
            END IF;
            DROP SCHEMA {quoted} CASCADE;",
            look = owner.check_schema(),
            relations = relations(owner.name),
            unlink = role::unlink_objects(owner.name, &again),
            unaudit = data_audit::forget_schema(owner),
        );
        let declarations = "found_mark text; tables text; objects oid[]; lent boolean;";
        let block = fence::block(owner.fence, declarations, &body);
        self.run_past_tenants("drop the tenant's schema", block).await.map(drop)
    }
}

/// Goes on as the owner role, which finds a tenant's schema and the extensions by unqualified names. `set` is `SET`,
/// or `SET LOCAL` within a transaction.
pub(super) fn become_owner(schema: &ObjectName, set: &str) -> String {
    format!("{set} ROLE {OWNER_ROLE}; {}", set_path(schema, set))
}

/// Has a tenant's schema and the extensions found by unqualified names. Not for statements of the admin: a function or an operator
/// of the app's could be called in place of PostgreSQL's, with all of the admin's rights.
pub(super) fn set_path(schema: &ObjectName, set: &str) -> String {
    format!("{set} search_path = {}", path(schema))
}

/// The path on which a tenant's SQL runs.
pub(super) fn path(schema: &ObjectName) -> String {
    format!("{}, {EXTENSIONS_SCHEMA}", schema.quoted())
}

/// Makes a tenant's schema, and lets its role (of the same name) use what the owner role makes in it: rows of
/// tables and sequences, never definitions.
pub(super) fn ensure_schema(owner: Owner<'_>) -> String {
    let quoted = owner.name.quoted();
    format!(
        "{look}
        IF found_mark IS NULL THEN
            CREATE SCHEMA {quoted} AUTHORIZATION {OWNER_ROLE};
            COMMENT ON SCHEMA {quoted} IS {mark};
        END IF;
        GRANT USAGE ON SCHEMA {quoted} TO {quoted};
        ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER_ROLE} IN SCHEMA {quoted}
            GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {quoted};
        ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER_ROLE} IN SCHEMA {quoted}
            GRANT USAGE, SELECT ON SEQUENCES TO {quoted};",
        look = owner.check_schema(),
        mark = sql::literal(owner.mark),
    )
}

/// Lets the tenant and the data plane's login into the database: through the group of a shared
/// database, by name into one of the tenant's own.
fn connect(database: &ObjectName, role: &ObjectName, login: &ObjectName) -> String {
    let role_grant = match connect_group(database) {
        Ok(group) => format!(
            "IF to_regrole('{group}') IS NOT NULL THEN GRANT {group} TO {}; ELSE {} END IF;",
            role.quoted(),
            connect_by_name(database, role.as_str())
        ),
        // A name too long for a group is not that of a shared database.
        Err(_) => connect_by_name(database, role.as_str()),
    };
    unless_may_connect(database, role.as_str(), &role_grant) + &let_connect(database, login.as_str())
}

/// Lets the role that looks after users into the database, where the app's tenants have any.
fn let_users_connect(database: &ObjectName, app: &App) -> String {
    app.manifest.registration.map_or_else(String::new, |_| let_connect(database, USERS_ROLE))
}

/// Lets a role into a database by its name.
pub(super) fn let_connect(database: &ObjectName, role: &str) -> String {
    unless_may_connect(database, role, &connect_by_name(database, role))
}

fn unless_may_connect(database: &ObjectName, role: &str, grant: &str) -> String {
    format!("IF NOT has_database_privilege('{role}', '{database}', 'CONNECT') THEN {grant} END IF;")
}

fn connect_by_name(database: &ObjectName, role: &str) -> String {
    // Two grants on one database at once fail with "tuple concurrently updated".
    let lock = fence::lock("connect");
    format!("PERFORM {lock}; GRANT CONNECT ON DATABASE {} TO \"{role}\";", database.quoted())
}

/// The tables, sequences and views of a schema. By way of `pg_depend`, which has an index for it:
/// `pg_class` has none on the schema, and holds the relations of all tenants. What is elsewhere may depend on the schema too: a
/// partition key with the constant `'tenant'::regnamespace` does.
pub(super) fn relations(schema: &ObjectName) -> String {
    format!(
        "(SELECT c.* FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
            WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass
                AND d.refobjid = {}::regnamespace AND c.relnamespace = d.refobjid) relation",
        sql::literal(schema.as_str())
    )
}

/// Whether what is in a schema holds the schema's name as text, which renaming the schema would not change:
/// settings, bodies and defaults of functions, defaults of columns and domains, checks, indexes, triggers, rules,
/// policies and views. A condition, to be looked at by the owner role with the schema first on the search path, so that names of
/// its own objects are printed without it ([`become_owner`]).
pub(super) fn holds_its_name(schema: &ObjectName) -> String {
    let name = schema.as_str();
    let members = |class: &str| {
        format!(
            "(SELECT objid FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass
                AND refobjid = '{name}'::regnamespace AND classid = '{class}'::regclass)"
        )
    };
    format!(
        "EXISTS (SELECT FROM pg_proc WHERE oid IN {procs}
                AND position('{name}' IN prosrc || coalesce(proconfig::text, '') || pg_get_function_arguments(oid)
                    || coalesce(pg_get_function_sqlbody(oid), '')) > 0)
            OR EXISTS (SELECT FROM pg_attrdef WHERE adrelid IN {classes}
                AND position('{name}' IN pg_get_expr(adbin, adrelid)) > 0)
            OR EXISTS (SELECT FROM pg_constraint WHERE connamespace = '{name}'::regnamespace AND contype = 'c'
                AND position('{name}' IN pg_get_constraintdef(oid)) > 0)
            OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid IN {classes}
                AND position('{name}' IN encode(tgargs, 'escape') || pg_get_triggerdef(oid, true)) > 0)
            OR EXISTS (SELECT FROM pg_index WHERE indrelid IN {classes}
                AND position('{name}' IN concat(pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid))) > 0)
            OR EXISTS (SELECT FROM pg_policy WHERE polrelid IN {classes}
                AND position('{name}' IN concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))) > 0)
            OR EXISTS (SELECT FROM pg_rewrite WHERE ev_class IN {classes} AND rulename <> '_RETURN'
                AND position('{name}' IN pg_get_ruledef(oid, true)) > 0)
            OR EXISTS (SELECT FROM pg_type WHERE oid IN {types} AND position('{name}' IN coalesce(typdefault, '')) > 0)
            OR EXISTS (SELECT FROM pg_class WHERE oid IN {classes} AND relkind IN ('v', 'm')
                AND position('{name}' IN pg_get_viewdef(oid)) > 0)",
        types = members("pg_type"),
        procs = members("pg_proc"),
        classes = members("pg_class"),
    )
}

/// Tables of Tenantry's own next to the tenant's are nobody's to read or write but their owner's and the role's that looks after
/// users, whatever an app's SQL or the owner's default privileges have given to others.
pub(super) fn revoke_system_tables(schema: &ObjectName) -> String {
    format!(
        "EXECUTE (SELECT coalesce(string_agg(DISTINCT format('REVOKE ALL ON %s %I.%I FROM %s;',
                CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, {name}, relname,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END), ''), '')
            FROM {relations}, LATERAL (
                SELECT grantee FROM aclexplode(relacl)
                UNION ALL
                SELECT grantee FROM pg_attribute, aclexplode(attacl) WHERE attrelid = relation.oid AND attacl IS NOT NULL) granted
            WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND starts_with(relname, '{SYSTEM_TABLE_PREFIX}')
                AND grantee <> relowner AND grantee IS DISTINCT FROM to_regrole('{USERS_ROLE}')::oid);",
        name = sql::literal(schema.as_str()),
        relations = relations(schema),
    )
}

/// The table in a schema that remembers which migrations it has, as it is written in SQL.
pub(super) fn migrations_table(schema: &ObjectName) -> String {
    format!("{}.\"{MIGRATIONS_TABLE}\"", schema.quoted())
}
