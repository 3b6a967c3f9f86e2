//! A tenant's rows, copied from one placement to another and compared there.

use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};
use tenantry_domain::names::ObjectName;

use super::{
    super::{
        READER_ROLE, fence,
        owner::Owner,
        owner_transaction::{Beginning, OwnerTransaction},
        schema::{relations, set_path},
    },
    close_reads::close_reads,
    copy_table::{Failed, copy_table},
    pace::Pace,
    parts::{Part, Parts},
    session::run,
    sign_of_life::BEGIN_READING,
    transfer::{Ends, MoveError},
    write_fence::CLOSE,
};
use crate::sql;

const READ: &str = "read the tenant's rows";
const WRITE: &str = "write the tenant's rows";

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableContents {
    /// Its name, without the schema.
    pub table: String,
    /// Its rows.
    pub rows: i64,
    /// The sum of the hashes of its rows as text, in whatever order.
    pub hash: String,
}

/// A table to be copied.
pub(super) struct Table {
    pub(super) name: String,
    /// The columns that are copied, as they stand in SQL: none that is generated.
    pub(super) columns: String,
    /// Its columns hold the same bytes on any server of the same major version.
    pub(super) is_binary: bool,
}

/// Makes the target's tables hold what the source's do, sequences and materialized views included, in one transaction
/// on each: nobody may write to either meanwhile. Whatever the target held before is gone. Closes the source to reads then.
/// Answers what each table holds, which is the same on both, or nothing was written; and the source's shape.
///
/// `told` is called with the bytes that were copied so far.
pub(super) async fn copy(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<(Vec<TableContents>, String), MoveError> {
    let (of_source, of_target) = (&ends.source(READ), &ends.target(WRITE));
    let of_any = |failed| match failed {
        Failed::Source(error) => of_source(error),
        Failed::Target(error) => of_target(error),
    };
    let Ends { from, to, .. } = ends;
    let schema = owner.name;

    run(from, &format!("{BEGIN_READING}; SET LOCAL ROLE {READER_ROLE}")).await.map_err(of_source)?;
    let tables = tables(from, schema).await.map_err(of_source)?;
    let held = contents(from, schema, &tables).await.map_err(of_source)?;

    let as_admin = format!(
        "{look} PERFORM set_config('session_replication_role', 'replica', true);",
        look = owner.check_schema(),
    );
    let begin = Beginning { schema, fence: owner.fence, as_admin: &as_admin, as_owner: "SELECT" };
    let mut writing = OwnerTransaction::begin(to, begin).await.map_err(of_target)?;
    let [rest, resume] = triggers(&mut writing, schema).await.map_err(of_target)?;
    let empty = sql::block("known record;", &empty(schema, None));
    writing.run(format!("{rest} {empty}")).await.map_err(of_target)?;
    let same_version = same_version(from, &mut writing).await.map_err(of_any)?;
    let mut copied = 0;
    for (table, _) in tables.iter().zip(&held).filter(|(_, held)| held.rows > 0) {
        copy_table(from, &mut writing, schema, table, same_version, &mut Pace::of(None), &mut |bytes| {
            copied += bytes;
            told(copied);
        })
        .await
        .map_err(of_any)?;
    }
    let sequences = sequences(from, schema).await.map_err(of_source)?;
    run(from, "COMMIT").await.map_err(of_source)?;
    let arrive = async {
        writing.run(format!("{sequences}; SET LOCAL {BARE_PATH}")).await.map_err(of_target)?;
        let arrived = contents(&mut writing, schema, &tables).await.map_err(of_target)?;
        require_same(&held, &arrived)?;
        writing.run(format!("{}; {resume}", set_path(schema, "SET LOCAL"))).await.map_err(of_target)?;
        writing.run(sql::block("known record;", &refresh_views(schema))).await.map_err(of_target)?;
        let forget = format!("RESET ROLE; SET LOCAL {BARE_PATH}; {}", fence::forget_session());
        writing.commit_after(&forget).await.map_err(of_target)
    };
    // One end does not wait for the other. Where one of them fails the move is undone, and the other with it.
    let (arrived, closed) = tokio::join!(arrive, close_reads(from, owner, ""));
    arrived?;
    let shape = closed.map_err(ends.source(CLOSE))?;
    Ok((held, shape))
}

/// Whether both ends are of one major version.
pub(super) async fn same_version(from: &mut PgConnection, to: &mut PgConnection) -> Result<bool, Failed> {
    Ok(version(from).await.map_err(Failed::Source)? == version(to).await.map_err(Failed::Target)?)
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn version(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT current_setting('server_version_num')::int / 10000")
        .persistent(false)
        .fetch_one(connection)
        .await
}

/// Tables that hold rows themselves, by name. Types that stand for the numbers of objects, and those that are not
/// PostgreSQL's own, are copied as text.
pub(super) async fn tables(
    connection: &mut PgConnection,
    schema: &ObjectName,
) -> Result<Vec<Table>, sqlx::Error> {
    let list = format!(
        "SELECT relname::text, coalesce(string_agg(quote_ident(attname), ', ' ORDER BY attnum)
                    FILTER (WHERE attgenerated = ''), ''),
                coalesce(bool_and(t.oid < 16384 AND t.typname !~ '^_?(reg|oid)'), true)
            FROM {} LEFT JOIN pg_attribute a ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
            LEFT JOIN pg_type t ON t.oid = atttypid
            WHERE relkind = 'r' GROUP BY relname ORDER BY relname",
        relations(schema),
    );
    let rows = sqlx::query(AssertSqlSafe(list)).persistent(false).fetch_all(connection).await?;
    let table = |row: &PgRow| Table { name: row.get(0), columns: row.get(1), is_binary: row.get(2) };
    Ok(rows.iter().map(table).collect())
}

/// Where [`contents`] are looked at, at both ends: what a row's text is depends on the path, and on that of the tenant its own
/// functions could be called in place of PostgreSQL's.
pub(super) const BARE_PATH: &str = "search_path = pg_catalog, pg_temp";

/// What tables hold, in their order, by one statement. See [`BARE_PATH`].
pub(super) async fn contents(
    connection: &mut PgConnection,
    schema: &ObjectName,
    tables: &[Table],
) -> Result<Vec<TableContents>, sqlx::Error> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let rows = in_order(connection, tables.iter().map(|table| held(schema, table))).await?;
    let row = |(row, table): (&PgRow, &Table)| TableContents {
        table: table.name.clone(),
        rows: row.get(1),
        hash: row.get(2),
    };
    Ok(rows.iter().zip(tables).map(row).collect())
}

/// What follows `SELECT` in a query of the rows of a table (named `held`): how many, and the sum of their hashes. A cast of the
/// row to text could be one that the app made.
fn held(schema: &ObjectName, table: &Table) -> String {
    format!(
        "count(*), coalesce(sum(hashtextextended(concat(held.*), 0)::numeric), 0)::text FROM ONLY {}.{} AS held",
        schema.quoted(),
        quoted(&table.name)
    )
}

/// As [`contents`], about as many bytes of a table at a time, no faster than the pace allows.
pub(super) async fn contents_in_parts(
    connection: &mut PgConnection,
    schema: &ObjectName,
    tables: &[Table],
    bytes: usize,
    pace: &mut Pace,
) -> Result<Vec<TableContents>, sqlx::Error> {
    let mut contents = Vec::with_capacity(tables.len());
    for table in tables {
        let (mut rows, mut hash) = (0, 0);
        let parts = Parts::of(connection, schema, table, bytes).await?;
        let bytes = parts.bytes;
        // Planned once: to plan a part takes as long as to read it.
        let prepare = format!(
            "SET LOCAL plan_cache_mode = force_generic_plan;
            PREPARE part (tid, tid) AS SELECT {} WHERE ctid >= $1 AND ctid < $2",
            held(schema, table)
        );
        run(connection, &prepare).await?;
        for Part { from, to } in parts {
            let part = format!("EXECUTE part({from}, {to})");
            let part = sqlx::raw_sql(AssertSqlSafe(part)).fetch_one(&mut *connection).await?;
            rows += part.try_get::<i64, _>(0)?;
            let hashes: &str = part.try_get(1)?;
            hash += hashes.parse::<i128>().map_err(|error| sqlx::Error::Decode(error.into()))?;
            pace.after(bytes).await;
        }
        run(connection, "DEALLOCATE part; SET LOCAL plan_cache_mode = DEFAULT").await?;
        contents.push(TableContents { table: table.name.clone(), rows, hash: hash.to_string() });
    }
    Ok(contents)
}

/// The rows of queries of one row each (what follows `SELECT`), in their order, by one statement; the first column is the
/// position. `UNION ALL` by itself has no order: the server may read large tables in parallel.
async fn in_order(
    connection: &mut PgConnection,
    queries: impl Iterator<Item = String>,
) -> Result<Vec<PgRow>, sqlx::Error> {
    let parts: Vec<String> = queries.enumerate().map(|(at, query)| format!("SELECT {at}, {query}")).collect();
    let all = format!("{} ORDER BY 1", parts.join(" UNION ALL "));
    sqlx::query(AssertSqlSafe(all)).persistent(false).fetch_all(connection).await
}

/// Refuses what did not arrive as it was sent.
pub(super) fn require_same(sent: &[TableContents], arrived: &[TableContents]) -> Result<(), MoveError> {
    match sent.iter().zip(arrived).find(|(sent, arrived)| sent != arrived) {
        None => Ok(()),
        Some((sent, arrived)) => {
            Err(MoveError::Differs { table: sent.table.clone(), sent: sent.rows, arrived: arrived.rows })
        }
    }
}

/// Statements of PL/pgSQL that empty the tables that are not, but for one.
pub(super) fn empty(schema: &ObjectName, but: Option<&str>) -> String {
    format!(
        "DECLARE filled text; has_rows boolean;
        BEGIN
            FOR known IN SELECT oid::regclass::text AS name FROM {} WHERE relkind = 'r' AND relname <> {} LOOP
                EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %s)', known.name) INTO has_rows;
                IF has_rows THEN filled := concat_ws(', ', filled, 'ONLY ' || known.name); END IF;
            END LOOP;
            IF filled IS NOT NULL THEN EXECUTE 'TRUNCATE ' || filled || ' CASCADE'; END IF;
        END;",
        relations(schema),
        sql::literal(but.unwrap_or_default())
    )
}

/// What has acted where the rows come from, and must not act again: triggers and rules that do so for copied rows too, and row
/// security that holds for the owner. Statements that let them rest, and those that bring them back in the same
/// transaction.
pub(super) async fn triggers(
    connection: &mut PgConnection,
    schema: &ObjectName,
) -> Result<[String; 2], sqlx::Error> {
    let list = format!(
        "WITH tables AS (SELECT oid, relforcerowsecurity FROM {} WHERE relkind IN ('r', 'p'))
        SELECT format('ALTER TABLE %s DISABLE TRIGGER %I;', tgrelid::regclass, tgname),
            format('ALTER TABLE %s ENABLE %s TRIGGER %I;', tgrelid::regclass,
                CASE tgenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END, tgname)
            FROM pg_trigger JOIN tables ON tables.oid = tgrelid
            WHERE tgenabled IN ('A', 'R') AND NOT tgisinternal
        UNION ALL
        SELECT format('ALTER TABLE %s DISABLE RULE %I;', ev_class::regclass, rulename),
            format('ALTER TABLE %s ENABLE %s RULE %I;', ev_class::regclass,
                CASE ev_enabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END, rulename)
            FROM pg_rewrite JOIN tables ON tables.oid = ev_class WHERE ev_enabled IN ('A', 'R')
        UNION ALL
        SELECT format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;', oid::regclass),
            format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', oid::regclass)
            FROM tables WHERE relforcerowsecurity",
        relations(schema)
    );
    let rows = sqlx::query(AssertSqlSafe(list)).persistent(false).fetch_all(connection).await?;
    let all = |at: usize| rows.iter().map(|row| row.get::<String, _>(at)).collect();
    Ok([all(0), all(1)])
}

/// In the order in which they were made, so that one that reads another comes after it.
pub(super) fn refresh_views(schema: &ObjectName) -> String {
    format!(
        "FOR known IN SELECT oid::regclass::text AS name FROM {} WHERE relkind = 'm' AND relispopulated
            ORDER BY oid LOOP
            EXECUTE 'REFRESH MATERIALIZED VIEW ' || known.name;
        END LOOP;",
        relations(schema)
    )
}

/// Statements that give sequences the values that they have on a connection.
pub(super) async fn sequences(
    connection: &mut PgConnection,
    schema: &ObjectName,
) -> Result<String, sqlx::Error> {
    let list = format!("SELECT relname::text FROM {} WHERE relkind = 'S' ORDER BY 1", relations(schema));
    let names: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(list)).persistent(false).fetch_all(&mut *connection).await?;
    if names.is_empty() {
        return Ok("SELECT".into());
    }
    let parts =
        names.iter().map(|name| format!("last_value, is_called FROM {}.{}", schema.quoted(), quoted(name)));
    let rows = in_order(connection, parts).await?;
    let sets: Vec<String> = rows
        .iter()
        .zip(&names)
        .map(|(row, name)| {
            let name = sql::literal(&format!("{}.{}", schema.quoted(), quoted(name)));
            format!("SELECT setval({name}, {}, {})", row.get::<i64, _>(1), row.get::<bool, _>(2))
        })
        .collect();
    Ok(sets.join("; "))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::fixture::{Bench, app};

    #[tokio::test]
    async fn what_is_read_in_parts_is_what_is_read_at_once() {
        let bench = Bench::new("parts").await;
        let tables_of = app(&[(
            "CREATE TABLE none (id int); CREATE TABLE small (id int, word text); CREATE TABLE large (id int, word text)",
            None,
        )]);
        let schema = bench.tenant("tenant_parts", &tables_of).await;
        let mut session = bench.admin.session(&bench.database, READ).await.unwrap();
        // Pages of many rows, pages with gaps, and rows of which each keeps more out of line than a part has.
        let fill = "SET search_path = tenant_parts;
            INSERT INTO small SELECT n, 'word ' || n FROM generate_series(1, 20000) n;
            DELETE FROM small WHERE id % 3 = 0 OR id BETWEEN 5000 AND 9000;
            ALTER TABLE large ALTER word SET STORAGE EXTERNAL;
            INSERT INTO large SELECT n, repeat('x', 20000) || n FROM generate_series(1, 500) n;
            UPDATE large SET id = -id WHERE id < 20; RESET search_path";
        sqlx::raw_sql(fill).execute(&mut *session).await.unwrap();
        let all = tables(&mut session, &schema).await.unwrap();
        let at_once = contents(&mut session, &schema, &all).await.unwrap();
        assert_eq!(at_once.len(), 4, "{at_once:?}");
        for rate in [100_000_000, 1_000_000_000] {
            let mut pace = Pace::of(NonZeroU64::new(rate));
            let in_parts = contents_in_parts(&mut session, &schema, &all, pace.part().unwrap(), &mut pace)
                .await
                .unwrap();
            assert_eq!(in_parts, at_once);
        }
        let large = all.iter().find(|table| table.name == "large").unwrap();
        let parts = Parts::of(&mut session, &schema, large, 100_000).await.unwrap();
        assert!((90..200).contains(&parts.count()), "10 MB in parts of 100 kB");
    }
}
