//! All rules, one entry each: those of squawk under squawk's names, on or off, and those of our own.
//!
//! `docs/migrations.md` has the same table; tests hold the two together, and this one and squawk.

use super::{
    Entry,
    Silent::{self, Never, OnNew, OnNewOrInContract, OnNewOrSmall},
    Weight::{self, Unsafe, Warning},
};

const fn on(
    weight: Weight,
    silent: Silent,
    name: &'static str,
    finds: &'static str,
    safer: &'static str,
) -> Entry {
    Entry { name, weight: Some(weight), silent, finds, safer }
}

const fn off(name: &'static str, reason: &'static str) -> Entry {
    Entry { name, weight: None, silent: Never, finds: reason, safer: "" }
}

const VALIDATE: &str = "add it `NOT VALID`, and `VALIDATE CONSTRAINT` in a later version";
const CONTRACT: &str =
    "leave it to a later version that is marked as `-- contract`, when no client needs it any more";
const SHARED: &str = "leave it out: all tenants share it";
const MANIFEST: &str = "leave it out; extensions are named in the app's manifest";

pub(crate) static RULES: &[Entry] = &[
    // Rewrites a table, or locks it for as long as all its rows take.
    on(
        Unsafe,
        OnNewOrSmall,
        "require-concurrent-index-creation",
        "building an index blocks writes to its table until it is built",
        "`CREATE INDEX CONCURRENTLY`, alone in a file that is marked as `-- no-transaction`",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "require-concurrent-reindex",
        "building an index again blocks writes to its table, and reads that would use the index",
        "`REINDEX ... CONCURRENTLY`, alone in a file that is marked as `-- no-transaction`",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "require-concurrent-partition-detach",
        "detaching a partition blocks reads and writes of the whole table",
        "`DETACH PARTITION ... CONCURRENTLY`, alone in a file that is marked as `-- no-transaction`",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "constraint-missing-not-valid",
        "adding a constraint reads all rows while writes wait; so does validating it in the transaction that adds it",
        VALIDATE,
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "adding-foreign-key-constraint",
        "adding a foreign key reads all rows while writes to both tables wait",
        VALIDATE,
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "adding-exclusion-constraint",
        "adding an exclusion constraint builds its index while reads and writes wait",
        "make it with the table; a table with rows has no other way, so force it in a quiet hour",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "adding-serial-primary-key-field",
        "adding a primary key builds its index while reads and writes wait",
        "`CREATE UNIQUE INDEX CONCURRENTLY` first, then `ADD PRIMARY KEY USING INDEX`",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "disallowed-unique-constraint",
        "adding a unique constraint builds its index while reads and writes wait",
        "`CREATE UNIQUE INDEX CONCURRENTLY` first, then `ADD CONSTRAINT ... UNIQUE USING INDEX`",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "adding-not-nullable-field",
        "`SET NOT NULL` reads all rows while reads and writes wait, and fails where one is null",
        "`ADD CONSTRAINT ... CHECK (... IS NOT NULL) NOT VALID`, in a later version `VALIDATE CONSTRAINT`, and then `SET NOT NULL`",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "adding-field-with-default",
        "a column with a volatile default, or a stored generated one, rewrites the whole table while reads and writes wait",
        "add the column without a default, `SET DEFAULT` for new rows, and fill the old ones in batches",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "adding-identity-column",
        "an identity or serial column rewrites the whole table while reads and writes wait",
        "add a column without a default, set its default to a sequence's `nextval`, and fill the old rows in batches",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "ban-alter-generated-expression",
        "another expression of a generated column rewrites the whole table while reads and writes wait",
        "add another column, and drop the old one in a version that is marked as `-- contract`",
    ),
    on(
        Unsafe,
        OnNew,
        "changing-column-type",
        "another type rewrites the whole table while reads and writes wait, unless the old values are stored alike, and \
         clients meet a type that they do not know",
        "add a column of the new type, keep both filled with a trigger, and drop the old one in a version that is marked as `-- contract`",
    ),
    on(
        Unsafe,
        Never,
        "ban-alter-domain-with-add-constraint",
        "adding a constraint to a domain reads all rows of all tables that use it while they are locked",
        VALIDATE,
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "table-rewrite",
        "`VACUUM FULL`, `CLUSTER`, `SET LOGGED`, `SET UNLOGGED`, `SET ACCESS METHOD` and `SET TABLESPACE` rewrite the whole \
         table while reads and writes wait",
        "leave it to autovacuum, or do it by hand in a quiet hour",
    ),
    on(
        Unsafe,
        OnNewOrSmall,
        "whole-table-update",
        "changing all rows of a table writes each of them anew, and locks them until the end of the transaction",
        "a file that is marked as `-- backfill`, with one statement that changes some of the rows that are left to change",
    ),
    on(
        Warning,
        OnNewOrSmall,
        "lock-table",
        "a lock that is taken by hand is held until the end of the transaction",
        "leave it out: statements take the locks that they need",
    ),
    on(
        Warning,
        OnNewOrSmall,
        "refreshing-materialized-view",
        "refreshing a materialized view blocks reads of it until it is done",
        "`REFRESH MATERIALIZED VIEW CONCURRENTLY`, which needs a unique index",
    ),
    on(
        Warning,
        OnNewOrSmall,
        "attaching-partition",
        "attaching a partition reads all its rows while they are locked, unless a validated check says what the bounds say",
        "add that check `NOT VALID` and validate it in versions before",
    ),
    on(
        Warning,
        OnNew,
        "require-concurrent-index-deletion",
        "dropping an index waits for all statements that use its table, and those that come after wait for it",
        "`DROP INDEX CONCURRENTLY`, alone in a file that is marked as `-- no-transaction`",
    ),
    // Breaks clients that know the version before.
    on(
        Unsafe,
        OnNew,
        "adding-required-field",
        "a column that is `NOT NULL` without a default fails on a table with rows, and clients that do not know it can \
         insert none",
        "give it a constant default, or leave it nullable",
    ),
    on(
        Unsafe,
        OnNew,
        "renaming-column",
        "clients that know the old name of the column fail at once",
        "add a column of the new name, keep both filled with a trigger, and drop the old one in a version that is marked as `-- contract`",
    ),
    on(
        Unsafe,
        OnNew,
        "renaming-table",
        "clients that know the old name of the table fail at once",
        "keep the name, and make a view of the new one beside it",
    ),
    on(
        Unsafe,
        OnNewOrInContract,
        "ban-drop-column",
        "clients that know the column fail at once, and its data is gone",
        CONTRACT,
    ),
    on(
        Unsafe,
        OnNewOrInContract,
        "ban-drop-table",
        "clients that know the table fail at once, and its data is gone",
        CONTRACT,
    ),
    on(
        Unsafe,
        Never,
        "column-used-by-view",
        "a view uses the column",
        "replace the view in a version before, so that it does without the column",
    ),
    on(
        Unsafe,
        OnNew,
        "ban-truncate-cascade",
        "`TRUNCATE ... CASCADE` empties all tables that refer to this one, too",
        "name each table that is to be empty",
    ),
    on(
        Warning,
        OnNew,
        "renaming-object",
        "clients may know the old name",
        "keep the name, or make the new one beside it",
    ),
    on(Warning, OnNewOrInContract, "ban-drop-view", "clients that know the view fail at once", CONTRACT),
    on(
        Warning,
        OnNewOrInContract,
        "ban-drop-function",
        "clients that call the function fail at once",
        CONTRACT,
    ),
    on(
        Warning,
        OnNewOrInContract,
        "ban-drop-type",
        "clients may send or expect values of the type",
        CONTRACT,
    ),
    on(
        Warning,
        OnNewOrInContract,
        "ban-drop-domain",
        "clients may send or expect values of the domain",
        CONTRACT,
    ),
    on(
        Warning,
        OnNewOrInContract,
        "ban-drop-sequence",
        "clients may take numbers from the sequence",
        CONTRACT,
    ),
    on(
        Warning,
        OnNewOrInContract,
        "ban-drop-default",
        "clients that leave the column out insert a null from now on",
        CONTRACT,
    ),
    on(
        Warning,
        OnNewOrInContract,
        "ban-drop-not-null",
        "clients that know no null in this column may meet one",
        CONTRACT,
    ),
    on(
        Warning,
        OnNewOrInContract,
        "ban-drop-constraint",
        "clients may count on what the constraint promises",
        CONTRACT,
    ),
    on(
        Warning,
        OnNewOrInContract,
        "ban-drop-generated-expression",
        "the column is no longer computed, and clients do not know to fill it",
        CONTRACT,
    ),
    on(
        Warning,
        OnNew,
        "ban-alter-identity",
        "clients may send, or leave out, values of this column",
        "`GENERATED BY DEFAULT`, which takes both",
    ),
    on(
        Warning,
        OnNew,
        "ban-disable-trigger",
        "what the trigger, the rule or row level security did for clients is no longer done as before",
        "replace the trigger's function, or the policy, in the same version",
    ),
    on(
        Warning,
        OnNew,
        "adding-unique-index",
        "a unique index fails for tenants that have duplicates, and for them only",
        "look for duplicates first, and mend them in a version before",
    ),
    on(
        Warning,
        Never,
        "ban-create-domain-with-constraint",
        "the constraint of a domain cannot be changed later without reading all tables that use it",
        "a check of the table",
    ),
    // Reaches beyond the tenant, or depends on where the file runs.
    on(
        Unsafe,
        Never,
        "schema-reference",
        "a schema is named, and each tenant has its own, whose name is not known here",
        "the bare name; `pg_catalog`, `information_schema` and `extensions` may be named",
    ),
    on(
        Unsafe,
        Never,
        "search-path",
        "the search path is set, and the tenant's schema is on it already",
        "leave it out; a function may have a fixed one of `pg_catalog`, `information_schema`, `extensions` and `pg_temp`",
    ),
    on(
        Unsafe,
        Never,
        "session-role",
        "the role of the session is changed, and what is made then is not the tenant's",
        "leave it out: the file runs as the owner of the tenant's schema",
    ),
    on(
        Unsafe,
        Never,
        "shared-object",
        "roles, databases, tablespaces, extensions, languages, publications, subscriptions, event triggers, foreign servers and \
         default privileges outside of a schema are no tenant's own",
        MANIFEST,
    ),
    on(
        Unsafe,
        Never,
        "timeout-setting",
        "the timeouts of a migration are set by Tenantry, so that a tenant's traffic waits no longer for it than they say",
        "leave it out; who starts a rollout says how long one may take",
    ),
    on(Unsafe, Never, "ban-alter-role-options", "roles are shared by all tenants of a server", SHARED),
    on(
        Unsafe,
        Never,
        "ban-alter-database-options",
        "the settings of a database are shared by all tenants in it",
        SHARED,
    ),
    on(
        Unsafe,
        Never,
        "ban-alter-system-options",
        "the settings of a server are shared by all tenants on it",
        SHARED,
    ),
    on(Unsafe, Never, "ban-alter-extension", "extensions are shared by all tenants of a database", MANIFEST),
    on(Unsafe, Never, "ban-drop-extension", "extensions are shared by all tenants of a database", MANIFEST),
    on(Unsafe, Never, "ban-drop-database", "a database may hold other tenants, too", SHARED),
    on(Unsafe, Never, "ban-drop-schema", "a schema is a tenant, or is shared by all of them", SHARED),
    on(
        Unsafe,
        Never,
        "ban-set-schema",
        "what is moved to another schema is no longer the tenant's",
        "leave it where it is",
    ),
    on(
        Warning,
        Never,
        "ban-revoke",
        "owners and rights are Tenantry's to give",
        "leave it out; row level security says who may see a row",
    ),
    on(
        Warning,
        Never,
        "ban-replica-identity",
        "tenants are moved by replication, which needs a key of each row, and publications of its own",
        "a primary key",
    ),
    on(
        Warning,
        Never,
        "security-definer",
        "a function with its owner's rights finds what it names on its caller's search path",
        "`SECURITY INVOKER`; or `SET search_path = pg_catalog, pg_temp` where it needs nothing of the tenant's",
    ),
    on(
        Warning,
        OnNew,
        "autovacuum-off",
        "without autovacuum the table grows with every change",
        "leave it on, and set its thresholds",
    ),
    // Breaks a tenant half-way.
    on(
        Unsafe,
        Never,
        "transaction-nesting",
        "the file runs in a transaction that Tenantry begins and ends, or in none",
        "leave `BEGIN` and `COMMIT` out; split what is to be committed by itself into versions",
    ),
    on(
        Unsafe,
        Never,
        "ban-uncommitted-transaction",
        "a transaction is begun and never ended",
        "leave `BEGIN` out; a file that is not marked as `-- no-transaction` is one transaction",
    ),
    on(
        Unsafe,
        Never,
        "ban-concurrent-index-creation-in-transaction",
        "`CONCURRENTLY` cannot run in a transaction",
        "a file of its own that is marked as `-- no-transaction`",
    ),
    on(
        Unsafe,
        Never,
        "prefer-robust-stmts",
        "without a transaction, a file that fails half-way runs again from its start, where this statement may fail or be done twice",
        "one statement in a file; or `IF NOT EXISTS`, `IF EXISTS`, `OR REPLACE` or `ON CONFLICT`",
    ),
    on(
        Warning,
        Never,
        "identifier-too-long",
        "PostgreSQL cuts names after 63 bytes, and two long ones can become the same",
        "a shorter name",
    ),
    on(Warning, Never, "ban-duplicate-column-assignments", "a column is assigned twice", "one of the two"),
    // Taste, where it mends something.
    on(
        Warning,
        Never,
        "prefer-timestamp-tz",
        "a `timestamp` does not say in which time zone it is",
        "`timestamptz`",
    ),
    on(Warning, Never, "ban-char-field", "`char(n)` pads what is shorter with spaces", "`text`"),
    on(
        Warning,
        Never,
        "unused-ignore",
        "`squawk-ignore` names a rule that there is not",
        "the name of a rule of squawk, as it is listed here",
    ),
    on(
        Warning,
        Never,
        "unread",
        "something could not be read, so that nothing is known of it",
        "shorter statements, and those that are not put together as text",
    ),
    // Off.
    off("prefer-bigint-over-int", "taste: most columns of `int` hold small numbers"),
    off("prefer-bigint-over-smallint", "taste: most columns of `smallint` hold small numbers"),
    off("prefer-identity", "taste: `serial` works"),
    off(
        "prefer-text-field",
        "taste: a longer `varchar` is no rewrite; `changing-column-type` looks at changes",
    ),
    off("prefer-repack", "`table-rewrite` finds the same, on every version of PostgreSQL"),
    off("require-timeout-settings", "Tenantry sets the timeouts of each migration"),
    off("require-lock-timeout", "Tenantry sets the timeouts of each migration"),
    off("require-statement-timeout", "Tenantry sets the timeouts of each migration"),
    off("require-table-schema", "the contrary holds, see `schema-reference`"),
    off("require-enum-value-ordering", "taste: most values belong at the end"),
    off("ban-drop-index", "`require-concurrent-index-deletion` names it"),
    off("ban-drop-trigger", "a trigger is changed by dropping it and making it again"),
    off("ban-drop-policy", "a policy is changed by dropping it and making it again"),
    off("ban-replace-view-function", "it is how views and functions are changed"),
    off("ban-set-default", "it is how a column gets its default after it was added"),
    off("ban-create-policy", "policies are how an app limits its users"),
    off("ban-alter-policy-condition", "policies are how an app limits its users"),
    off("ban-alter-policy-roles", "policies are how an app limits its users"),
    off("ban-alter-function-options", "`security-definer` and `search-path` look at those that matter"),
    off("ban-alter-view-options", "it is how a view comes to check its callers' rights"),
    off("ban-alter-row-level-security", "row level security is how an app limits its users"),
    off("ban-new-write-restriction", "a constraint that is added `NOT VALID` is what other rules ask for"),
    off("ban-add-enum-value", "an addition"),
    off("ban-add-composite-attribute", "an addition"),
    off("ban-add-column", "an addition; `adding-required-field` looks at those that break clients"),
    off("ban-detach-inheritance", "`require-concurrent-partition-detach` looks at partitions"),
    off("ban-alter-sequence-values", "it is what follows when rows are copied with their numbers"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_of_squawk_is_decided_once() {
        let ours: BTreeSet<_> = RULES.iter().map(|entry| entry.name.to_owned()).collect();
        assert_eq!(ours.len(), RULES.len(), "a rule is there twice");
        let squawk: BTreeSet<_> =
            enum_iterator::all::<squawk_linter::Rule>().map(|rule| rule.to_string()).collect();
        assert_eq!(squawk.difference(&ours).collect::<Vec<_>>(), Vec::<&String>::new());
        let mut off = RULES.iter().filter(|entry| entry.weight.is_none());
        assert!(off.all(|entry| squawk.contains(entry.name)), "rules of our own are on");
    }
}
