//! Moving what is too much to be copied while writes wait: changes are kept from a moment on, the tables are copied
//! meanwhile, and the changes made again at the target, in the order in which they were committed.
//!
//! PostgreSQL keeps the changes for a replication slot. A subscription would apply them, but its server would have to reach
//! the other one and log in there, and would go on when the move has lost its lease. So the slot is read here, by SQL, and
//! each transaction at the target takes the fence and notes how far it came: a change is made once, whoever dies.
//!
//! A copy and the slot need not begin at the same moment. Each table remembers by which snapshot it was copied, and what that
//! saw is not done again.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU64,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use futures::{TryStreamExt, stream::BoxStream};
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};
use tenantry_domain::names::ObjectName;

use super::{
    super::{
        AdminError, READER_ROLE, SYSTEM_SCHEMA, ServerAdmin,
        connections::AdminConnection,
        fence::{self, Fence},
        owner::Owner,
        owner_transaction::{Beginning, OwnerTransaction},
        schema::{path, relations, set_path},
    },
    apply::{Applier, Batch},
    close_reads::{close_reads, note_way_back},
    contents::{
        BARE_PATH, Table, TableContents, contents, contents_in_parts, quoted, refresh_views, require_same,
        same_version, sequences, tables, triggers,
    },
    copy_table::{Failed, copy_table},
    pace::Pace,
    pgoutput::{self, Lsn, Message, Unreadable},
    session::{one, run},
    sign_of_life::{BEGIN_READING, SIGN_OF_LIFE, meanwhile},
    slots::{PublicationId, WayBack, drop_slots},
    snapshot::Snapshot,
    transfer::{Closed, Ends, KeepPatience, MoveError},
    write_fence::CLOSE,
};
use crate::sql::{self, INTERRUPT_AUTOVACUUM};

const KEEP: &str = "keep the tenant's changes";
const READ: &str = "read the tenant's changes";
const APPLY: &str = "make the tenant's changes in its new tables";

/// Changes that are read at a time; a transaction is never read in parts.
const CHANGES: i32 = 20_000;

/// How often one catches up at most that is near, to come nearer.
const NEARER: u32 = 5;

/// Bytes of statements that are sent at a time.
const STATEMENTS: usize = 256 << 10;

/// How often something is looked at that ends by itself.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often a table's lock is tried to be had, to forget how its rows were known, and the pause before the next try.
const FORGET_TRIES: u32 = 20;
const FORGET_AGAIN: Duration = Duration::from_millis(100);

/// Statements of PL/pgSQL that make the table in which a move notes how far it is.
fn install() -> String {
    format!(
        "IF to_regclass('{SYSTEM_SCHEMA}.moves') IS NULL THEN
            CREATE TABLE IF NOT EXISTS {SYSTEM_SCHEMA}.moves (
                subject uuid PRIMARY KEY, slot text NOT NULL, applied pg_lsn NOT NULL DEFAULT '0/0',
                copied jsonb NOT NULL DEFAULT '{{}}');
        END IF;"
    )
}

fn fenced(owner: Owner<'_>) -> Result<Fence, MoveError> {
    owner.fence.ok_or_else(|| MoveError::Unapplied("it has no fence".into()))
}

fn unreadable(error: Unreadable) -> MoveError {
    MoveError::Unapplied(error.to_string())
}

/// See [`super::Transfer::keep_changes`].
pub(super) async fn keep_changes(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    patience: KeepPatience,
    spare_slots: u32,
) -> Result<String, MoveError> {
    let fence = fenced(owner)?;
    let id = ends.publication;
    let (publication, slot) = (id.name(), id.slot(fence));
    let of_source = ends.source(KEEP);
    // Looked at before anything is locked: who waits for a slot comes here often.
    let free = format!(
        "SELECT current_setting('max_replication_slots')::bigint - {spare_slots} > count(*) FROM pg_replication_slots
            WHERE NOT starts_with(slot_name, '{publication}_')"
    );
    let free: bool = one(&mut ends.from, &free).await.map_err(&of_source)?;
    if !free {
        return Err(MoveError::NoSlot(ends.source.admin.server().to_owned()));
    }
    // A table without a key, of which rows are changed, could not be published otherwise.
    let without_key = format!(
        "{} WHERE relkind = 'r' AND relreplident <> 'f'
            AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = relation.oid AND indisvalid AND indimmediate
                AND CASE relreplident WHEN 'd' THEN indisprimary WHEN 'i' THEN indisreplident ELSE false END)",
        relations(owner.name)
    );
    let identify = format!(
        "FOR known IN SELECT oid::regclass AS name FROM {without_key} LOOP
            EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', known.name);
        END LOOP;"
    );
    // Noted: whoever takes the fence later ends this session first, also while it begins the slot.
    let as_admin = format!(
        "{look} {note} {drop_slots} {INTERRUPT_AUTOVACUUM}
        DECLARE
            -- Whose identity is changed with this, or was by an attempt before, and is to be changed back.
            identified oid[] := ARRAY(SELECT oid FROM {without_key}
                UNION SELECT unnest(obj_description(oid, 'pg_publication')::oid[]) FROM pg_publication
                    WHERE pubname = '{publication}');
        BEGIN
            DROP PUBLICATION IF EXISTS {publication};
            EXECUTE 'CREATE PUBLICATION {publication} ' || coalesce((
                SELECT 'FOR TABLE ' || string_agg('ONLY ' || oid::regclass, ', ') FROM {relations} WHERE relkind = 'r'), '');
            EXECUTE format('COMMENT ON PUBLICATION {publication} IS %L', identified::text);
        END;",
        look = owner.check_schema(),
        note = fence.note_session(),
        drop_slots = drop_slots(id),
        relations = relations(owner.name),
    );
    let begin = Beginning {
        schema: owner.name,
        fence: owner.fence,
        as_admin: &as_admin,
        as_owner: &format!("SET LOCAL lock_timeout = {}", patience.tables.as_millis().max(1)),
    };
    let kept = async {
        let mut transaction = OwnerTransaction::begin(&mut ends.from, begin).await?;
        transaction.run(sql::block("known record;", &identify)).await?;
        transaction.commit().await
    };
    let kept = kept.await;
    if kept.is_err() {
        // Tried again on the same connection.
        run(&mut ends.from, "ROLLBACK").await.map_err(&of_source)?;
    }
    kept.map_err(&of_source)?;
    // It waits for all transactions that write, by locks on them. Where it fails, the settings are as they were.
    let begin_slot = format!(
        "SET lock_timeout = 0; SET statement_timeout = {}; SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput');
        RESET statement_timeout; RESET lock_timeout",
        patience.transactions.as_millis().max(1)
    );
    run_or_blocked(ends, &begin_slot).await?;
    // A transaction may be in the log before the slot's beginning and be seen by others after it (it waits for a standby,
    // say). What began before is over when the tables are copied, so that the copy has it.
    let wait = format!(
        "DO $$ DECLARE next xid8 := pg_snapshot_xmax(pg_current_snapshot()); BEGIN
            FOR look IN 0..{looks} LOOP
                IF pg_snapshot_xmin(pg_current_snapshot()) >= next THEN RETURN; END IF;
                PERFORM pg_sleep(0.02);
            END LOOP;
            RAISE EXCEPTION USING ERRCODE = 'query_canceled';
        END $$",
        looks = patience.transactions.as_millis() / 20,
    );
    run_or_blocked(ends, &wait).await?;
    let note = format!(
        "{look} {install}
        INSERT INTO {SYSTEM_SCHEMA}.moves (subject, slot) VALUES ({subject}, '{slot}')
            ON CONFLICT (subject) DO UPDATE SET slot = excluded.slot, applied = '0/0', copied = '{{}}';",
        look = owner.check_schema(),
        install = install(),
        subject = id.subject(),
    );
    let of_target = ends.target(KEEP);
    run(&mut ends.to, &fence::block(owner.fence, "found_mark text;", &note)).await.map_err(of_target)?;
    Ok(slot)
}

/// Runs at the source what waits for all transactions there that write; says which one it has waited for in vain.
async fn run_or_blocked(ends: &mut Ends<'_>, waits: &str) -> Result<(), MoveError> {
    const OLDEST: &str = "
        SELECT format('process %s, which has been in a transaction of role %s in database %s%s',
            pid, usename, datname, ' since ' || xact_start) AS who, xact_start AS since
            FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
        UNION ALL SELECT format('prepared transaction %L of role %s in database %s since %s', gid, owner, database, prepared),
            prepared FROM pg_prepared_xacts
        ORDER BY since LIMIT 1";
    let of_source = ends.source(KEEP);
    let waited = run(&mut ends.from, waits).await;
    let code = waited.as_ref().err().and_then(|error| error.as_database_error()?.code());
    match code.as_deref() {
        // A slot is the only thing here of which a server has a limited number.
        Some("53400") => Err(MoveError::NoSlot(ends.source.admin.server().to_owned())),
        Some("57014") => {
            let oldest = sqlx::query_scalar(OLDEST).persistent(false).fetch_optional(&mut *ends.from).await;
            let oldest: Option<String> = oldest.map_err(&of_source)?;
            Err(MoveError::Blocked(oldest.unwrap_or_else(|| "a transaction that has ended by now".into())))
        }
        _ => waited.map_err(of_source),
    }
}

/// How far a move is, as its target knows.
struct Noted {
    applied: Lsn,
    copied: HashMap<String, Snapshot>,
}

async fn noted(ends: &mut Ends<'_>, slot: &str) -> Result<Noted, MoveError> {
    let ask = format!(
        "SELECT (applied - '0/0')::bigint, ARRAY(SELECT key FROM jsonb_each_text(copied) ORDER BY key),
            ARRAY(SELECT value FROM jsonb_each_text(copied) ORDER BY key) FROM {SYSTEM_SCHEMA}.moves WHERE subject = {} AND slot = '{slot}'",
        ends.publication.subject()
    );
    let of_target = ends.target(APPLY);
    let row = sqlx::query(AssertSqlSafe(ask)).persistent(false).fetch_optional(&mut *ends.to).await;
    let row = row.map_err(of_target)?.ok_or_else(|| MoveError::Unapplied("it was begun anew".into()))?;
    let (names, snapshots) = (row.get::<Vec<String>, _>(1), row.get::<Vec<String>, _>(2));
    let copied = names.into_iter().zip(&snapshots).map(|(name, text)| Ok((name, Snapshot::parse(text)?)));
    Ok(Noted {
        applied: Lsn(row.get::<i64, _>(0).cast_unsigned()),
        copied: copied.collect::<Result<_, _>>().map_err(unreadable)?,
    })
}

/// See [`super::Transfer::copy_tables`].
pub(super) async fn copy_tables(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    slot: &str,
    mut pace: Pace,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<(), MoveError> {
    let subject = ends.publication.subject();
    let (of_source, of_target) =
        (ends.source("copy the tenant's tables"), ends.target("copy the tenant's tables"));
    let of_any = |failed| match failed {
        Failed::Source(error) => of_source(error),
        Failed::Target(error) => of_target(error),
    };
    let done = noted(ends, slot).await?.copied;
    let all = tables(&mut ends.from, owner.name).await.map_err(&of_source)?;
    let same_version = same_version(&mut ends.from, &mut ends.to).await.map_err(&of_any)?;
    let mut copied = 0;
    for table in all.iter().filter(|table| !done.contains_key(&table.name)) {
        let (from, to) = (&mut ends.from, &mut ends.to);
        run(from, &format!("{BEGIN_READING}; SET LOCAL ROLE {READER_ROLE}")).await.map_err(&of_source)?;
        let snapshot: String = one(from, "SELECT pg_current_snapshot()::text").await.map_err(&of_source)?;
        let as_admin = format!(
            "{look}
            PERFORM set_config('session_replication_role', 'replica', true);
            UPDATE {SYSTEM_SCHEMA}.moves SET copied = copied || jsonb_build_object({name}, '{snapshot}')
                WHERE subject = {subject} AND slot = '{slot}';
            IF NOT FOUND THEN RAISE EXCEPTION 'the move was begun anew'; END IF;",
            look = owner.check_schema(),
            name = sql::literal(&table.name),
        );
        // What an earlier attempt left, or the app's migrations put there.
        let empty = format!("DELETE FROM ONLY {}.{}", owner.name.quoted(), quoted(&table.name));
        let begin =
            Beginning { schema: owner.name, fence: owner.fence, as_admin: &as_admin, as_owner: "SELECT" };
        let mut writing = OwnerTransaction::begin(to, begin).await.map_err(&of_target)?;
        let [rest, resume] = triggers(&mut writing, owner.name).await.map_err(&of_target)?;
        writing.run(format!("{rest} {empty}")).await.map_err(&of_target)?;
        copy_table(from, &mut writing, owner.name, table, same_version, &mut pace, &mut |bytes| {
            copied += bytes;
            told(copied);
        })
        .await
        .map_err(&of_any)?;
        run(from, "COMMIT").await.map_err(&of_source)?;
        writing.commit_after(&format!("{resume} SELECT")).await.map_err(&of_target)?;
    }
    Ok(())
}

/// What was read of the source's log.
struct Log<'s> {
    rows: BoxStream<'s, Result<PgRow, sqlx::Error>>,
    of_source: Box<dyn Fn(sqlx::Error) -> MoveError + Send + 's>,
    /// What was committed before is left out.
    after: Lsn,
    /// The transaction that is being read, unless it is left out.
    xid: Option<u32>,
    /// What comes after the last transaction that is not left out.
    end: Option<Lsn>,
    changes: i32,
}

impl<'s> Log<'s> {
    /// Reads from the slot, without taking anything from it, up to a place or a number of changes.
    fn read(
        connection: &'s mut PgConnection,
        peek: &'s str,
        after: Lsn,
        of_source: impl Fn(sqlx::Error) -> MoveError + Send + 's,
    ) -> Self {
        let rows = sqlx::query(AssertSqlSafe(peek)).persistent(false).fetch(connection);
        Self { rows, of_source: Box::new(of_source), after, xid: None, end: None, changes: 0 }
    }

    /// How far was read, when there is no change left; none where that was not to the end of any transaction.
    fn reached(&self, until: Lsn) -> Option<Lsn> {
        if self.changes < CHANGES { Some(until) } else { self.end }
    }

    /// The next change, with its transaction. Tables are described to whom it may concern: by transaction 0.
    async fn next(&mut self) -> Result<Option<(u32, Message)>, MoveError> {
        while let Some(row) = self.rows.try_next().await.map_err(&self.of_source)? {
            self.changes += 1;
            match pgoutput::read(row.get(0)).map_err(unreadable)? {
                Message::Begin { commit, xid } => self.xid = (commit >= self.after).then_some(xid),
                Message::Commit { end } => {
                    if self.xid.take().is_some() {
                        self.end = Some(end);
                    }
                }
                Message::Other => {}
                relation @ Message::Relation(_) => return Ok(Some((0, relation))),
                change => {
                    if let Some(xid) = self.xid {
                        return Ok(Some((xid, change)));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// A query of changes. Values are written as where they are made again, with the tenant's own path: rows without a key are found by
/// their text there.
fn peek(id: PublicationId, schema: &ObjectName, slot: &str, until: Lsn, most: i32) -> String {
    format!(
        "SELECT data FROM set_config('search_path', {path}, true) AS path,
            LATERAL pg_catalog.pg_logical_slot_peek_binary_changes(
                ('{slot}' || left(path, 0))::name, '{until}', {most}, 'proto_version', '1', 'publication_names', '{}')",
        id.name(),
        path = sql::literal(&path(schema)),
    )
}

/// What a target's tables are like, as far as changes need it.
#[derive(Clone)]
pub(super) struct TargetTables {
    /// See [`triggers`].
    rest: String,
    resume: String,
    /// The columns of each table that are `GENERATED ALWAYS AS IDENTITY`.
    identities: BTreeMap<String, Vec<String>>,
}

async fn target_tables(ends: &mut Ends<'_>, owner: Owner<'_>) -> Result<TargetTables, MoveError> {
    if let Some(known) = &ends.target_tables {
        return Ok(known.clone());
    }
    let list = format!(
        "SELECT relname, array_agg(attname::text) FROM pg_attribute
            JOIN (SELECT oid, relname::text FROM {} WHERE relkind = 'r') t ON t.oid = attrelid
            WHERE attidentity = 'a' GROUP BY 1",
        relations(owner.name)
    );
    let of_target = ends.target(APPLY);
    let [rest, resume] = triggers(&mut ends.to, owner.name).await.map_err(&of_target)?;
    let rows = sqlx::query(AssertSqlSafe(list)).persistent(false).fetch_all(&mut *ends.to).await;
    let identities = rows.map_err(of_target)?.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(ends.target_tables.insert(TargetTables { rest, resume, identities }).clone())
}

/// A transaction at the target, in which changes are made.
struct Applying<'c> {
    writing: OwnerTransaction<'c>,
    admin: &'c ServerAdmin,
    resume: String,
    batch: Batch,
}

impl<'c> Applying<'c> {
    async fn begin(
        to: &'c mut AdminConnection,
        admin: &'c ServerAdmin,
        owner: Owner<'_>,
        tables: &TargetTables,
    ) -> Result<Self, MoveError> {
        let as_admin = format!(
            "{look} PERFORM set_config('session_replication_role', 'replica', true);",
            look = owner.check_schema()
        );
        let as_owner = format!("{} SET CONSTRAINTS ALL DEFERRED", tables.rest);
        let begin =
            Beginning { schema: owner.name, fence: owner.fence, as_admin: &as_admin, as_owner: &as_owner };
        let writing = OwnerTransaction::begin(to, begin).await;
        let writing = writing.map_err(|error| MoveError::Target(admin.failed(APPLY, error)))?;
        Ok(Self { writing, admin, resume: tables.resume.clone(), batch: Batch::default() })
    }

    async fn apply(&mut self, applier: &mut Applier, xid: u32, change: Message) -> Result<(), MoveError> {
        applier.add(xid, change, &mut self.batch).map_err(unreadable)?;
        if self.batch.statements.len() >= STATEMENTS { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<(), MoveError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.statements.is_empty() {
            return Ok(());
        }
        let done = sqlx::raw_sql(AssertSqlSafe(batch.statements)).execute(&mut *self.writing).await;
        let found = done.map_err(|error| failed(self.admin, error))?.rows_affected();
        if found == batch.rows {
            return Ok(());
        }
        Err(MoveError::Unapplied(format!("{} rows were to be changed, and {found} were found", batch.rows)))
    }

    /// A snapshot that sees what is there now, and this transaction once it has committed.
    async fn snapshot_when_committed(&mut self) -> Result<String, MoveError> {
        let ask = "SELECT pg_catalog.pg_current_snapshot()::text, pg_catalog.pg_current_xact_id()::text";
        let row = sqlx::query_as::<_, (String, String)>(ask).persistent(false).fetch_one(&mut *self.writing);
        let (snapshot, xid) = row.await.map_err(|error| failed(self.admin, error))?;
        let xid = xid.parse().map_err(|_| unreadable(Unreadable))?;
        Ok(Snapshot::parse(&snapshot).map_err(unreadable)?.with(xid).to_string())
    }

    /// Notes how far the changes are made, and commits. The last ones with statements as the owner; the session is forgotten then.
    async fn commit(
        mut self,
        id: PublicationId,
        slot: &str,
        applied: Option<Lsn>,
        last: Option<&str>,
    ) -> Result<(), MoveError> {
        self.send().await?;
        let note = applied.map_or_else(String::new, |applied| {
            format!(
                "UPDATE {SYSTEM_SCHEMA}.moves SET applied = '{applied}' WHERE subject = {} AND slot = '{slot}';
                IF NOT FOUND THEN RAISE EXCEPTION 'the move was begun anew'; END IF;",
                id.subject()
            )
        });
        let forget = last.map_or_else(|| "NULL".into(), |_| fence::forget_session());
        let end = format!(
            "{}; {} RESET ROLE; SET LOCAL {BARE_PATH}; {}",
            last.unwrap_or_default(),
            self.resume,
            sql::block("", &format!("{note} {forget};"))
        );
        self.writing.commit_after(&end).await.map_err(|error| failed(self.admin, error))
    }
}

/// What the target says of changes that it does not take is about them.
fn failed(admin: &ServerAdmin, error: sqlx::Error) -> MoveError {
    let error = admin.failed(APPLY, error);
    if matches!(error, AdminError::Refused { .. }) && !error.is_transient() && !error.is_out_of_space() {
        return MoveError::Unapplied(error.to_string());
    }
    MoveError::Target(error)
}

/// What is to be done with the last changes, when no others can come.
struct Last<'a> {
    way_back: Option<WayBack<'a>>,
    /// The source's, when that is done: see [`super::Transfer::shape`].
    shape: String,
}

/// Makes the changes up to a place in the log, or as many of them as are read at a time. Answers the place that it came to.
/// The last ones with what goes with them, where it came to that place.
async fn apply_until(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    slot: &str,
    until: Lsn,
    last: Option<&mut Last<'_>>,
) -> Result<Lsn, MoveError> {
    let id = ends.publication;
    let Noted { applied, copied } = noted(ends, slot).await?;
    let tables = target_tables(ends, owner).await?;
    let mut applier = Applier::new(owner.name, copied, tables.identities.clone());
    let peek = peek(id, owner.name, slot, until, CHANGES);
    let (of_source, of_log, of_closing) = (ends.source(READ), ends.source(READ), ends.source(CLOSE));
    let mut log = Log::read(&mut ends.from, &peek, applied, of_log);
    let mut next = log.next().await?;
    if next.is_none() && last.is_none() {
        return Ok(log.reached(until).unwrap_or(applied));
    }
    let mut applying = Applying::begin(&mut ends.to, ends.target.admin, owner, &tables).await?;
    while let Some((xid, change)) = next {
        applying.apply(&mut applier, xid, change).await?;
        next = log.next().await?;
    }
    let (reached, end) = (log.reached(until).unwrap_or(applied), log.end);
    drop(log);
    let Some(last) = last.filter(|_| reached >= until) else {
        applying.commit(id, slot, end, None).await?;
        return Ok(reached);
    };
    // As late as possible: who only draws from one is not refused.
    let (sequences, snapshot) =
        tokio::join!(sequences(&mut ends.from, owner.name), applying.snapshot_when_committed());
    let (sequences, snapshot) = (sequences.map_err(of_source)?, snapshot?);
    let note = last.way_back.map_or_else(String::new, |way_back| note_way_back(owner, way_back, &snapshot));
    // One end does not wait for the other's disk. Where one of them fails the move is undone, and the other with it.
    let (committed, closed) = tokio::join!(
        applying.commit(id, slot, end, Some(&sequences)),
        close_reads(&mut ends.from, owner, &note)
    );
    committed?;
    last.shape = closed.map_err(of_closing)?;
    Ok(reached)
}

/// Makes all changes up to a place in the log.
async fn apply_all(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    slot: &str,
    until: Lsn,
    mut last: Option<&mut Last<'_>>,
) -> Result<(), MoveError> {
    loop {
        let reached = apply_until(ends, owner, slot, until, last.as_deref_mut()).await?;
        if reached >= until {
            return Ok(());
        }
        // It is read from there on.
        release(ends, slot, reached).await?;
    }
}

/// What is on the source's disk by now.
async fn flushed(ends: &mut Ends<'_>) -> Result<Lsn, MoveError> {
    position(ends, "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint").await
}

/// The end of what was written at the source by now, on its disk: to read up to a place of which a record is not yet there
/// waits for whoever comes by to write it, the WAL writer at last (`wal_writer_delay`).
async fn end_of_log(ends: &mut Ends<'_>) -> Result<Lsn, MoveError> {
    // A transaction with something in the log is committed to the disk.
    position(ends, "SELECT (pg_logical_emit_message(true, 'tenantry', '') - '0/0')::bigint").await
}

async fn position(ends: &mut Ends<'_>, ask: &str) -> Result<Lsn, MoveError> {
    let of_source = ends.source(READ);
    let position: i64 = one(&mut ends.from, ask).await.map_err(of_source)?;
    Ok(Lsn(position.cast_unsigned()))
}

/// Lets the source forget what the target has.
async fn release(ends: &mut Ends<'_>, slot: &str, applied: Lsn) -> Result<(), MoveError> {
    let of_source = ends.source(READ);
    // Another attempt may have gone further.
    let advance = format!(
        "SELECT pg_replication_slot_advance('{slot}', '{applied}') FROM pg_replication_slots
            WHERE slot_name = '{slot}' AND confirmed_flush_lsn < '{applied}'"
    );
    run(&mut ends.from, &advance).await.map_err(of_source)
}

/// See [`super::Transfer::catch_up`].
pub(super) async fn catch_up(ends: &mut Ends<'_>, owner: Owner<'_>, slot: &str) -> Result<u64, MoveError> {
    // The log is read from the last of these on. From PostgreSQL 16 on one can be asked for, by whoever may.
    let of_source = ends.source(READ);
    let mark = "DO $$ BEGIN PERFORM pg_log_standby_snapshot();
        EXCEPTION WHEN undefined_function OR insufficient_privilege THEN NULL; END $$";
    run(&mut ends.from, mark).await.map_err(&of_source)?;
    let until = flushed(ends).await?;
    let reached = apply_until(ends, owner, slot, until, None).await?;
    release(ends, slot, reached).await?;
    Ok(flushed(ends).await?.0.saturating_sub(reached.0))
}

/// See [`super::Transfer::come_near`].
pub(super) async fn come_near(ends: &mut Ends<'_>, owner: Owner<'_>, slot: &str) -> Result<(), MoveError> {
    let mut least = Duration::MAX;
    for _ in 0..NEARER {
        let began = Instant::now();
        let until = end_of_log(ends).await?;
        apply_all(ends, owner, slot, until, None).await?;
        let took = began.elapsed();
        if took > least.mul_f32(0.75) {
            break;
        }
        least = took;
    }
    Ok(())
}

/// See [`super::Transfer::compare`].
pub(super) async fn compare(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    slot: &str,
    rate: Option<NonZeroU64>,
) -> Result<Vec<TableContents>, MoveError> {
    let id = ends.publication;
    let (of_source, of_target) = (ends.source(READ), ends.target(APPLY));
    let noted = noted(ends, slot).await?;
    let all = tables(&mut ends.from, owner.name).await.map_err(&of_source)?;
    run(&mut ends.from, BEGIN_READING).await.map_err(&of_source)?;
    let snapshot: String =
        one(&mut ends.from, "SELECT pg_current_snapshot()::text").await.map_err(&of_source)?;
    let snapshot = Snapshot::parse(&snapshot).map_err(unreadable)?;
    let until: i64 = one(&mut ends.from, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        .await
        .map_err(&of_source)?;
    let until = Lsn(until.cast_unsigned());
    // A transaction need not wait until it is on disk to be seen.
    let flushed = format!(
        "DO $$ BEGIN WHILE pg_current_wal_flush_lsn() < '{until}' LOOP PERFORM pg_sleep(0.01); END LOOP; END $$"
    );
    run(&mut ends.from, &flushed).await.map_err(&of_source)?;
    // All that the snapshot saw, first; others of that time did not build on each other, or one would have seen the other.
    let (mut seen, mut later) = (Vec::new(), Vec::new());
    let peek = peek(id, owner.name, slot, until, i32::MAX);
    let of_log = ends.source(READ);
    let mut log = Log::read(&mut ends.from, &peek, noted.applied, of_log);
    while let Some((xid, change)) = log.next().await? {
        if xid == 0 || snapshot.sees(xid) { &mut seen } else { &mut later }.push((xid, change));
    }
    let end = log.end;
    drop(log);
    let target_tables = target_tables(ends, owner).await?;
    let mut applier = Applier::new(owner.name, noted.copied, target_tables.identities.clone());
    let (from, to, admin) = (&mut ends.from, &mut ends.to, ends.target.admin);
    let mut applying = Applying::begin(to, admin, owner, &target_tables).await?;
    let apply = async {
        for (xid, change) in seen {
            applying.apply(&mut applier, xid, change).await?;
        }
        applying.send().await
    };
    meanwhile(from, apply).await.map_err(&of_source)??;
    let bare = format!("SET LOCAL {BARE_PATH}");
    run(from, &format!("{bare}; SET LOCAL ROLE {READER_ROLE}")).await.map_err(&of_source)?;
    applying.writing.run(bare).await.map_err(&of_target)?;
    let done = [AtomicBool::new(false), AtomicBool::new(false)];
    let (held, arrived) = tokio::join!(
        contents_beside(from, owner.name, &all, rate, &done[0], &done[1]),
        contents_beside(&mut applying.writing, owner.name, &all, rate, &done[1], &done[0])
    );
    let (held, arrived) = (held.map_err(&of_source)?, arrived.map_err(&of_target)?);
    run(from, "COMMIT").await.map_err(&of_source)?;
    require_same(&held, &arrived)?;
    applying.writing.run(set_path(owner.name, "SET LOCAL")).await.map_err(&of_target)?;
    for (xid, change) in later {
        applying.apply(&mut applier, xid, change).await?;
    }
    applying.send().await?;
    let refresh = sql::block("known record;", &refresh_views(owner.name));
    applying.writing.run(refresh).await.map_err(&of_target)?;
    applying.commit(id, slot, end, None).await?;
    if let Some(end) = end {
        release(ends, slot, end).await?;
    }
    Ok(held)
}

/// What tables hold. Until the other end has counted too the transaction is kept from being ended for idling.
async fn contents_beside(
    connection: &mut PgConnection,
    schema: &ObjectName,
    tables: &[Table],
    rate: Option<NonZeroU64>,
    done: &AtomicBool,
    other_done: &AtomicBool,
) -> Result<Vec<TableContents>, sqlx::Error> {
    let mut pace = Pace::of(rate);
    let held = match pace.part() {
        None => contents(connection, schema, tables).await,
        Some(bytes) => contents_in_parts(connection, schema, tables, bytes, &mut pace).await,
    };
    done.store(true, Ordering::Relaxed);
    let held = held?;
    let mut said = Instant::now();
    while !other_done.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_EVERY).await;
        if said.elapsed() > SIGN_OF_LIFE {
            run(connection, "SELECT").await?;
            said = Instant::now();
        }
    }
    Ok(held)
}

/// See [`super::Transfer::finish`].
pub(super) async fn finish(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    slot: &str,
    Closed(until): Closed,
    way_back: Option<WayBack<'_>>,
) -> Result<String, MoveError> {
    let mut last = Last { way_back, shape: String::new() };
    apply_all(ends, owner, slot, until, Some(&mut last)).await?;
    Ok(last.shape)
}

impl ServerAdmin {
    /// Drops what keeps a tenant's changes at the placement that a move leaves, and what is noted of them at the other one.
    /// That there is nothing, or no such database, is fine.
    pub async fn forget_changes(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        id: PublicationId,
    ) -> Result<(), AdminError> {
        let identity = format!(
            "FOR known IN SELECT c.oid::regclass AS name FROM pg_publication p
                JOIN pg_class c ON c.oid = ANY (obj_description(p.oid, 'pg_publication')::oid[])
                WHERE pubname = '{publication}' AND relreplident = 'f'
                    -- Its rows could not be changed for as long as another one needs it.
                    AND NOT EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = c.oid AND prpubid <> p.oid)
                    AND NOT EXISTS (SELECT FROM pg_publication WHERE puballtables) LOOP
                EXECUTE format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', known.name);
            END LOOP;",
            publication = id.name()
        );
        // Whoever comes meanwhile waits behind it for a table's lock, so it does not wait long.
        let body = format!(
            "{INTERRUPT_AUTOVACUUM}
            SET LOCAL lock_timeout = '100ms';
            {drop_slots} {identity} DROP PUBLICATION IF EXISTS {publication};
            IF to_regclass('{SYSTEM_SCHEMA}.moves') IS NOT NULL THEN
                DELETE FROM {SYSTEM_SCHEMA}.moves WHERE subject = {subject};
            END IF;",
            drop_slots = drop_slots(id),
            subject = id.subject(),
            publication = id.name()
        );
        let block = fence::block(owner.fence, "known record;", &body);
        let mut tries = 0..FORGET_TRIES;
        loop {
            match self.run_in(database, "forget the tenant's changes", block.clone()).await {
                Err(error) if error.is_closed_database() => return Ok(()),
                Err(error) if error.is_transient() && !error.is_unreachable() && tries.next().is_some() => {
                    tokio::time::sleep(FORGET_AGAIN).await;
                }
                forgot => return forgot.map(drop),
            }
        }
    }
}
