//! Trying an app's next version where nothing stays: all versions up to it, it itself, its down SQL, it again, and
//! the default data, as a tenant gets them.
//!
//! Normally in a schema of the shared database, in one transaction that is rolled back. A file that runs outside of
//! transactions needs a database of its own, which is dropped afterwards.

use std::time::Duration;

use rand::Rng;
use sqlx::{
    AssertSqlSafe,
    postgres::{PgDatabaseError, PgErrorPosition},
};
use tenantry_domain::{
    app::{App, AppVersion},
    inquiry::{VersionFault, VersionPart},
    names::{EXTENSIONS_SCHEMA, ObjectName, SYSTEM_TABLE_PREFIX},
};

use super::{
    AdminError, MIGRATIONS_TABLE, OWNER_ROLE, ServerAdmin,
    connections::AdminConnection,
    error::{passes, postgres_error, said},
    extension, fence,
    migration::{ensure_table, needs_no_transaction},
    owner::Owner,
    prepare::Connect,
    schema,
};
use crate::sql;

const TASK: &str = "try the version";

/// What the names of all scratch schemas, roles and databases begin with.
pub(super) const TRIAL_PREFIX: &str = "tenantry_trial_";

/// The mark on them.
const MARK: &str = "tenantry:trial";

/// How long one file may wait for locks that others hold.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// What became of a version that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It can be applied, and taken back where it has SQL for that.
    Passed {
        /// The app's objects hold their schema's name as text: a tenant of it is not made before its name is known.
        holds_its_name: bool,
        /// What was looked up there, if anything was.
        found: Option<String>,
        /// The default data cannot be inserted after it. It may be that of a later version, and can be replaced.
        seed: Option<VersionFault>,
    },
    /// It cannot.
    Refused(VersionFault),
}

/// A file of the app, as it is run once.
struct Piece<'a> {
    part: VersionPart,
    version: Option<AppVersion>,
    sql: &'a str,
}

/// All that one trial does.
struct Attempt<'a> {
    app: &'a App,
    pieces: Vec<Piece<'a>>,
    limit: Duration,
    /// What to look up in the schema when its tables are there.
    look: Option<&'static str>,
}

impl Piece<'_> {
    fn runs_alone(&self) -> bool {
        needs_no_transaction(self.sql)
    }

    fn fault(&self, error: &sqlx::Error, limit: Duration) -> VersionFault {
        VersionFault {
            part: self.part,
            version: self.version,
            line: line(error, self.sql, self.runs_alone()),
            message: message(error, limit),
        }
    }
}

/// The migrations in the order in which a tenant gets them.
fn ups(app: &App) -> Vec<Piece<'_>> {
    let mut pieces = Vec::with_capacity(app.migrations.len() + 2);
    let replaced = app.version().map(|version| app.replaced_until(version)).unwrap_or_default();
    for migration in app.migrations.iter().filter(|migration| !replaced.contains(&migration.version)) {
        pieces.push(Piece { part: VersionPart::Up, version: Some(migration.version), sql: &migration.up });
    }
    pieces
}

/// The migrations in the order in which they are tried.
fn pieces(app: &App) -> Vec<Piece<'_>> {
    let mut pieces = ups(app);
    if let Some((last, down)) = app.migrations.last().and_then(|last| Some((last, last.down.as_deref()?))) {
        pieces.push(Piece { part: VersionPart::Down, version: Some(last.version), sql: down });
        pieces.push(Piece { part: VersionPart::UpAgain, version: Some(last.version), sql: &last.up });
    }
    pieces
}

impl ServerAdmin {
    /// Tries the last version of an app. One file may take `limit`.
    ///
    /// # Errors
    /// The server failed, not the version: try again later.
    pub async fn try_version(&self, app: &App, limit: Duration) -> Result<Tried, AdminError> {
        self.attempt(&Attempt { app, pieces: pieces(app), limit, look: None }).await
    }

    /// Applies all versions of an app where nothing stays, and answers what `look` finds there: a query whose one
    /// parameter is the schema's name, and whose answer is one text.
    ///
    /// # Errors
    /// The server failed, not the version: try again later.
    pub async fn look_at_version(
        &self,
        app: &App,
        look: &'static str,
        limit: Duration,
    ) -> Result<Result<String, VersionFault>, AdminError> {
        let attempt = Attempt { app, pieces: ups(app), limit, look: Some(look) };
        Ok(match self.attempt(&attempt).await? {
            Tried::Passed { found, .. } => Ok(found.unwrap_or_default()),
            Tried::Refused(fault) => Err(fault),
        })
    }

    async fn attempt(&self, attempt: &Attempt<'_>) -> Result<Tried, AdminError> {
        if attempt.pieces.iter().any(Piece::runs_alone) {
            self.try_in_database(attempt).await
        } else {
            self.try_in_schema(attempt).await
        }
    }

    async fn try_in_schema(&self, attempt: &Attempt<'_>) -> Result<Tried, AdminError> {
        let Attempt { app, ref pieces, limit, look } = *attempt;
        let schema = scratch_name()?;
        // Closed after this use, so that nothing of it stays whatever happens.
        let mut session = self.session(self.shared_database(), TASK).await?;
        self.say(&mut session, format!("BEGIN; {}", limits("SET LOCAL", limit))).await?;
        if let Err(error) = say(&mut session, extensions(app)).await {
            let fault = extensions_fault(&error, limit);
            return self.refused(error, fault).map(Tried::Refused);
        }
        let begin = format!(
            "{}; {}; {}",
            scratch_block(&schema),
            schema::become_owner(&schema, "SET LOCAL"),
            ensure_table(&schema)
        );
        self.say(&mut session, begin).await?;
        for piece in pieces {
            // A file may have set another search path, and other limits.
            let again = schema::become_owner(&schema, "SET LOCAL");
            self.say(&mut session, format!("{}; {again}", limits("SET LOCAL", limit))).await?;
            if let Err(error) = say(&mut session, execute(piece.sql)).await {
                let fault = piece.fault(&error, limit);
                return self.refused(error, fault).map(Tried::Refused);
            }
        }
        self.say(&mut session, limits("SET LOCAL", limit)).await?;
        let passed = self.passed(&mut session, &schema, app, limit, look).await?;
        self.say(&mut session, "ROLLBACK".into()).await?;
        Ok(passed)
    }

    async fn try_in_database(&self, attempt: &Attempt<'_>) -> Result<Tried, AdminError> {
        // Each holds a session while it needs another one: several at once could wait for each other's.
        let _one_at_a_time = self.trying.lock().await;
        let name = scratch_name()?;
        // The lock says that somebody is at it. It lives as long as its session, which ends also when this call
        // is given up; then `drop_trials` finds what is left.
        let mut guard = self.guard(TASK).await?;
        self.say(&mut guard, format!("SELECT pg_advisory_lock({})", lock_key(&name))).await?;
        let tried = self.try_in_new_database(&name, attempt).await;
        self.remove_trial(&name).await?;
        tried
    }

    async fn try_in_new_database(
        &self,
        name: &ObjectName,
        attempt: &Attempt<'_>,
    ) -> Result<Tried, AdminError> {
        let Attempt { app, ref pieces, limit, look } = *attempt;
        let create = format!("CREATE DATABASE {} OWNER {OWNER_ROLE} TEMPLATE template0", name.quoted());
        self.run(TASK, create).await?;
        self.harden_database(name, Connect::ByName).await?;
        let mut session = self.session(name, TASK).await?;
        self.say(&mut session, limits("SET", limit)).await?;
        if let Err(error) = say(&mut session, extensions(app)).await {
            let fault = extensions_fault(&error, limit);
            return self.refused(error, fault).map(Tried::Refused);
        }
        self.say(&mut session, scratch_block(name)).await?;
        self.say(&mut session, schema::become_owner(name, "SET")).await?;
        self.say(&mut session, ensure_table(name)).await?;
        for piece in pieces {
            self.say(&mut session, limits("SET", limit)).await?;
            let text = if piece.runs_alone() { piece.sql.to_owned() } else { execute(piece.sql) };
            if let Err(error) = say(&mut session, text).await {
                let fault = piece.fault(&error, limit);
                return self.refused(error, fault).map(Tried::Refused);
            }
        }
        self.say(&mut session, limits("SET", limit)).await?;
        self.passed(&mut session, name, app, limit, look).await
    }

    /// What is to be said when all of an app's files went well.
    async fn passed(
        &self,
        session: &mut AdminConnection,
        schema: &ObjectName,
        app: &App,
        limit: Duration,
        look: Option<&'static str>,
    ) -> Result<Tried, AdminError> {
        let holds_its_name = self.holds_its_name(session, schema).await?;
        let found = self.find(session, schema, look).await?;
        // What was accepted before is looked at as it is.
        if look.is_none()
            && let Some(message) = self.not_allowed(session, schema, app).await?
        {
            let (part, version) = (VersionPart::Up, app.version());
            return Ok(Tried::Refused(VersionFault { part, version, line: None, message }));
        }
        // Last: where it fails, so does whatever comes after it.
        let seed = self.try_seed(session, app, limit).await?;
        Ok(Tried::Passed { holds_its_name, found, seed })
    }

    /// What PostgreSQL accepts, and Tenantry does not.
    async fn not_allowed(
        &self,
        session: &mut AdminConnection,
        schema: &ObjectName,
        app: &App,
    ) -> Result<Option<String>, AdminError> {
        if let Some(name) = self.first_name(session, schema, &named_as_own()).await? {
            return Ok(Some(format!(
                "{name}: names that begin with {SYSTEM_TABLE_PREFIX} are Tenantry's own; give it another one"
            )));
        }
        if !app.has_dynamic_sql() {
            return Ok(None);
        }
        // A function with its owner's rights in an app that runs text: the owner is that of all tenants' schemas.
        let function = self.first_name(session, schema, DEFINERS).await?;
        Ok(function.map(|function| {
            format!(
                "function {function} is SECURITY DEFINER, and the app's SQL runs text (EXECUTE, query_to_xml and the like): it \
                 could be made to read other tenants' tables; make it SECURITY INVOKER, or do without the text"
            )
        }))
    }

    /// The first of the names that a query answers for a schema.
    async fn first_name(
        &self,
        session: &mut AdminConnection,
        schema: &ObjectName,
        look: &str,
    ) -> Result<Option<String>, AdminError> {
        sqlx::query_scalar(AssertSqlSafe(look.to_owned()))
            .bind(schema.quoted())
            .persistent(false)
            .fetch_one(&mut **session)
            .await
            .map_err(|e| self.failed(TASK, e))
    }

    /// Inserts the default data; what is wrong with it.
    async fn try_seed(
        &self,
        session: &mut AdminConnection,
        app: &App,
        limit: Duration,
    ) -> Result<Option<VersionFault>, AdminError> {
        let Some(sql) = app.seed.as_deref() else { return Ok(None) };
        let Err(error) = say(session, execute(sql)).await else { return Ok(None) };
        let fault = VersionFault {
            part: VersionPart::Seed,
            version: None,
            line: line(&error, sql, false),
            message: message(&error, limit),
        };
        self.refused(error, fault).map(Some)
    }

    /// Drops what trials left whose workers died; answers how many.
    pub async fn drop_trials(&self) -> Result<usize, AdminError> {
        let left = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)
            UNION SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, $1)";
        let mut dropped = 0;
        for name in self.database_names(left, TRIAL_PREFIX).await? {
            let mut guard = self.guard(TASK).await?;
            let free: bool = sqlx::query_scalar(AssertSqlSafe(format!(
                "SELECT pg_try_advisory_lock({})",
                lock_key(&name)
            )))
            .persistent(false)
            .fetch_one(&mut *guard)
            .await
            .map_err(|e| self.failed(TASK, e))?;
            if free {
                self.remove_trial(&name).await?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    async fn remove_trial(&self, name: &ObjectName) -> Result<(), AdminError> {
        self.remove_database(name, TASK).await?;
        self.drop_role(Owner { name, mark: MARK, fence: None }).await
    }

    async fn holds_its_name(
        &self,
        session: &mut AdminConnection,
        schema: &ObjectName,
    ) -> Result<bool, AdminError> {
        // A file may have left another one. The condition reads names of the schema's own objects without it.
        let path = format!("SET search_path = {}, {EXTENSIONS_SCHEMA}", schema.quoted());
        self.say(session, path).await?;
        let look = format!("SELECT {}", schema::holds_its_name(schema));
        sqlx::query_scalar(AssertSqlSafe(look))
            .persistent(false)
            .fetch_one(&mut **session)
            .await
            .map_err(|e| self.failed(TASK, e))
    }

    async fn find(
        &self,
        session: &mut AdminConnection,
        schema: &ObjectName,
        look: Option<&'static str>,
    ) -> Result<Option<String>, AdminError> {
        let Some(look) = look else { return Ok(None) };
        sqlx::query_scalar(look)
            .bind(schema.as_str())
            .persistent(false)
            .fetch_one(&mut **session)
            .await
            .map_err(|e| self.failed(TASK, e))
    }

    /// Runs what must not fail.
    async fn say(&self, session: &mut AdminConnection, text: String) -> Result<(), AdminError> {
        say(session, text).await.map_err(|e| self.failed(TASK, e))
    }

    /// The version's fault; an error where it is the server's.
    fn refused(&self, error: sqlx::Error, fault: VersionFault) -> Result<VersionFault, AdminError> {
        if passes(&error) { Err(self.failed(TASK, error)) } else { Ok(fault) }
    }
}

/// Functions with their owner's rights.
const DEFINERS: &str =
    "SELECT min(proname::text) FROM pg_proc WHERE pronamespace = to_regnamespace($1) AND prosecdef";

/// Tables, indexes and the like that are called as Tenantry's own are.
fn named_as_own() -> String {
    format!(
        "SELECT min(relname::text) FROM pg_class WHERE relnamespace = to_regnamespace($1)
            AND starts_with(relname, '{SYSTEM_TABLE_PREFIX}') AND relname <> '{MIGRATIONS_TABLE}'"
    )
}

async fn say(session: &mut AdminConnection, text: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **session).await.map(drop)
}

fn scratch_name() -> Result<ObjectName, AdminError> {
    super::template::name(format!("{TRIAL_PREFIX}{:016x}", rand::rng().next_u64()))
}

fn lock_key(name: &ObjectName) -> String {
    format!("hashtextextended('tenantry:trial:{name}', 0)")
}

fn limits(set: &str, limit: Duration) -> String {
    format!(
        "{set} statement_timeout = {}; {set} lock_timeout = {}",
        limit.as_millis(),
        LOCK_TIMEOUT.as_millis()
    )
}

/// The role and the schema that a tenant has, with the same rights.
fn scratch_block(name: &ObjectName) -> String {
    let owner = Owner { name, mark: MARK, fence: None };
    let body = format!(
        "CREATE ROLE {quoted} NOLOGIN; COMMENT ON ROLE {quoted} IS {mark}; {schema}",
        quoted = name.quoted(),
        mark = sql::literal(MARK),
        schema = schema::ensure_schema(owner)
    );
    fence::block(None, "found_mark text;", &body)
}

/// The extensions of the manifest.
fn extensions(app: &App) -> String {
    sql::block("", &format!("NULL; {}", extension::create(&app.manifest.extensions)))
}

fn extensions_fault(error: &sqlx::Error, limit: Duration) -> VersionFault {
    VersionFault { part: VersionPart::Extensions, version: None, line: None, message: message(error, limit) }
}

/// A file as one statement of PL/pgSQL. Run so, PostgreSQL refuses statements in it that begin or end a
/// transaction, before anything of it is committed; and it says where in the file an error is.
fn execute(text: &str) -> String {
    sql::block("", &format!("EXECUTE {};", sql::literal(text)))
}

/// The line of a file in which an error is.
fn line(error: &sqlx::Error, text: &str, alone: bool) -> Option<u32> {
    let at = match postgres_error(error)?.position()? {
        PgErrorPosition::Original(at) if alone => at,
        // That of a function that the file calls is not a line of the file.
        PgErrorPosition::Internal { position, query } if !alone && query == text => position,
        _ => return None,
    };
    line_at(text, at)
}

/// The line of a character, both from 1.
fn line_at(text: &str, at: usize) -> Option<u32> {
    // "At the end of the input" is behind the last line's end, which nobody sees as a line.
    let before = text.trim_end().chars().take(at.saturating_sub(1)).filter(|c| *c == '\n').count();
    u32::try_from(before + 1).ok()
}

fn message(error: &sqlx::Error, limit: Duration) -> String {
    let Some((code, message)) = said(error) else { return error.to_string() };
    let routine = postgres_error(error).and_then(PgDatabaseError::routine);
    match (code.as_str(), routine) {
        // PostgreSQL tells them apart by its words only, which may be in any language.
        ("0A000", Some("exec_stmt_dynexecute")) => {
            "it cannot be a part of the transaction in which a version is applied. Leave out what begins or ends one (BEGIN, \
             COMMIT, ROLLBACK, SAVEPOINT); write INSERT instead of COPY, whose rows a client has to send, and CREATE TABLE \
             ... AS SELECT instead of SELECT ... INTO"
                .into()
        }
        ("57014", _) => {
            format!("{message}; it may take {} s when it is tried, on a schema without data", limit.as_secs())
        }
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_character_is_counted_from_one() {
        let text = "a\nbü\nc\n";
        for (at, line) in [(1, 1), (2, 1), (3, 2), (5, 2), (6, 3), (8, 3)] {
            assert_eq!(line_at(text, at), Some(line), "{at}");
        }
    }
}
