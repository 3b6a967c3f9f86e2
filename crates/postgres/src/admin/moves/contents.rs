//! A tenant's rows, copied from one placement to another and compared there.

use bytes::BytesMut;
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};
use tenantry_domain::names::ObjectName;

use super::{
    super::{
        owner::Owner,
        owner_transaction::{Beginning, OwnerTransaction},
    },
    pace::Pace,
    sign_of_life::BEGIN_READING,
    transfer::{Ends, MoveError},
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
    /// Its columns hold the same bytes on any server of the same major version.
    is_binary: bool,
}

/// Makes the target's tables hold what the source's do, sequences and materialized views included, in one transaction
/// on each: nobody may write to either meanwhile. Whatever the target held before is gone, and the tenant is let in there.
/// Answers what each table holds, which is the same on both, or nothing was written.
///
/// `told` is called with the bytes that were copied so far.
pub(super) async fn copy(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<Vec<TableContents>, MoveError> {
    let Ends { source, target, from, to, .. } = ends;
    let of_source = |error| MoveError::Source(source.admin.failed(READ, error));
    let of_target = |error| MoveError::Target(target.admin.failed(WRITE, error));
    let of_any = |failed| match failed {
        Failed::Source(error) => of_source(error),
        Failed::Target(error) => of_target(error),
    };
    let schema = owner.name;

    run(from, &format!("{BEGIN_READING}; SET LOCAL row_security = off")).await.map_err(of_source)?;
    let tables = tables(from, schema).await.map_err(of_source)?;
    let held = contents(from, schema, &tables).await.map_err(of_source)?;

    let as_admin = format!(
        "{look}
        GRANT USAGE ON SCHEMA {quoted} TO {quoted};
        PERFORM set_config('session_replication_role', 'replica', true);",
        look = owner.check_schema(),
        quoted = schema.quoted(),
    );
    let begin = Beginning { schema, fence: owner.fence, as_admin: &as_admin, as_owner: "SELECT" };
    let mut writing = OwnerTransaction::begin(to, begin).await.map_err(of_target)?;
    writing.run(sql::block("known record;", &empty(schema, None))).await.map_err(of_target)?;
    let [rest, resume] = triggers(&mut writing, schema).await.map_err(of_target)?;
    writing.run(rest).await.map_err(of_target)?;
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
    writing.run(sequences).await.map_err(of_target)?;
    writing.run(resume).await.map_err(of_target)?;
    writing.run(sql::block("known record;", &refresh_views(schema))).await.map_err(of_target)?;
    let arrived = contents(&mut writing, schema, &tables).await.map_err(of_target)?;
    require_same(&held, &arrived)?;
    writing.commit().await.map_err(of_target)?;
    Ok(held)
}

/// Which end an error comes from.
pub(super) enum Failed {
    Source(sqlx::Error),
    Target(sqlx::Error),
}

/// Copies the rows of one table from one transaction into another. `told` is called with the bytes of each part.
pub(super) async fn copy_table(
    from: &mut PgConnection,
    writing: &mut PgConnection,
    schema: &ObjectName,
    table: &Table,
    same_version: bool,
    pace: &mut Pace,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<(), Failed> {
    let name = format!("{}.{}", schema.quoted(), quoted(&table.name));
    let format = if same_version && table.is_binary { "binary" } else { "text" };
    let out = format!("COPY {name} TO STDOUT (FORMAT {format})");
    let mut rows = from.copy_out_raw(&out).await.map_err(Failed::Source)?;
    let into = format!("COPY {name} FROM STDIN (FORMAT {format})");
    let mut sink = writing.copy_in_raw(&into).await.map_err(Failed::Target)?;
    // The server sends each row by itself.
    let at_once = pace.batch();
    let mut batch = BytesMut::with_capacity(2 * at_once);
    loop {
        let row = match rows.try_next().await {
            Ok(row) => row,
            Err(error) => {
                // The error is the source's; that the target takes no more is not the news.
                drop(sink.abort("the source failed").await);
                return Err(Failed::Source(error));
            }
        };
        let is_last = row.is_none();
        batch.extend_from_slice(&row.unwrap_or_default());
        if batch.len() >= at_once || is_last {
            sink.send(&batch[..]).await.map_err(Failed::Target)?;
            told(batch.len() as u64);
            pace.after(batch.len()).await;
            batch.clear();
        }
        if is_last {
            break;
        }
    }
    sink.finish().await.map_err(Failed::Target)?;
    Ok(())
}

/// Whether both ends are of one major version.
pub(super) async fn same_version(from: &mut PgConnection, to: &mut PgConnection) -> Result<bool, Failed> {
    Ok(version(from).await.map_err(Failed::Source)? == version(to).await.map_err(Failed::Target)?)
}

pub(super) async fn run(connection: &mut PgConnection, text: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(connection).await.map(drop)
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The members of a schema as rows of `pg_class`, named `c`.
pub(super) fn members(schema: &ObjectName) -> String {
    format!(
        "pg_depend d JOIN pg_class c ON c.oid = d.objid
            WHERE d.refclassid = 'pg_namespace'::regclass AND d.classid = 'pg_class'::regclass
                AND d.refobjid = {}::regnamespace AND c.relnamespace = d.refobjid",
        sql::literal(schema.as_str())
    )
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
        "SELECT relname::text, coalesce((SELECT bool_and(t.oid < 16384 AND t.typname !~ '^_?(reg|oid)')
                FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid
                WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped), true)
            FROM {} AND relkind = 'r' ORDER BY relname",
        members(schema)
    );
    let rows = sqlx::query(AssertSqlSafe(list)).persistent(false).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| Table { name: row.get(0), is_binary: row.get(1) }).collect())
}

/// What tables hold, in their order, by one statement.
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

/// What follows `SELECT` in a query of the rows of a table (named `held`): how many, and the sum of their hashes.
fn held(schema: &ObjectName, table: &Table) -> String {
    format!(
        "count(*), coalesce(sum(hashtextextended((held.*)::text, 0)::numeric), 0)::text FROM ONLY {}.{} AS held",
        schema.quoted(),
        quoted(&table.name)
    )
}

/// As [`contents`], a part of a table at a time, no faster than the pace allows.
pub(super) async fn contents_at_pace(
    connection: &mut PgConnection,
    schema: &ObjectName,
    tables: &[Table],
    pace: &mut Pace,
) -> Result<Vec<TableContents>, sqlx::Error> {
    let mut contents = Vec::with_capacity(tables.len());
    for table in tables {
        let held = held(schema, table);
        let (mut rows, mut hash) = (0, 0);
        let parts = Parts::of(connection, schema, table, pace.read_at_once()).await?;
        let bytes = parts.bytes;
        for condition in parts {
            let part = format!("SELECT {held} WHERE {condition}");
            let (more, hashes): (i64, String) =
                sqlx::query_as(AssertSqlSafe(part)).persistent(false).fetch_one(&mut *connection).await?;
            rows += more;
            hash += hashes.parse::<i128>().map_err(|error| sqlx::Error::Decode(error.into()))?;
            pace.after(bytes).await;
        }
        contents.push(TableContents { table: table.name.clone(), rows, hash: hash.to_string() });
    }
    Ok(contents)
}

/// Parts of a table of about as many bytes: pages, or rows of a page, where what they keep out of line is more.
struct Parts {
    pages: u64,
    size: PartSize,
    /// Of a part, about.
    bytes: usize,
    /// Where the next part begins: a page, and a row of it.
    next: Option<(u64, u64)>,
}

enum PartSize {
    Pages(u64),
    /// So many of the rows that a page has.
    Rows {
        rows: u64,
        of: u64,
    },
}

impl Parts {
    async fn of(
        connection: &mut PgConnection,
        schema: &ObjectName,
        table: &Table,
        bytes: usize,
    ) -> Result<Self, sqlx::Error> {
        let name = format!("{}.{}", schema.quoted(), quoted(&table.name));
        let (pages, total, first): (i64, i64, i64) = sqlx::query_as(AssertSqlSafe(format!(
            "SELECT pg_relation_size({name}) / current_setting('block_size')::int, pg_table_size({name}),
                (SELECT count(*) FROM ONLY {table} WHERE ctid < '(1,0)')",
            name = sql::literal(&name),
            table = name,
        )))
        .persistent(false)
        .fetch_one(connection)
        .await?;
        let (pages, total) = (pages.unsigned_abs(), total.unsigned_abs());
        let (bytes, of_page) = (bytes as u64, (total / pages.max(1)).max(1));
        // As many rows as the first page has, or some.
        let of = if first > 0 { first.unsigned_abs() } else { 64 };
        let size = if of_page <= bytes {
            PartSize::Pages(bytes / of_page)
        } else {
            PartSize::Rows { rows: (of * bytes / of_page).max(1), of }
        };
        let bytes = match size {
            PartSize::Pages(pages) => of_page * pages,
            PartSize::Rows { rows, of } => of_page * rows / of,
        };
        Ok(Self { pages, size, bytes: usize::try_from(bytes).unwrap_or(usize::MAX), next: Some((0, 0)) })
    }
}

impl Iterator for Parts {
    /// The condition on its rows.
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let (page, row) = self.next?;
        let (to_page, to_row) = match self.size {
            PartSize::Pages(pages) => (page + pages, 0),
            // The last part of a page has what rows it has besides.
            PartSize::Rows { rows, of } if row + rows < of => (page, row + rows),
            PartSize::Rows { .. } => (page + 1, 0),
        };
        let from = format!("ctid >= '({page},{row})'");
        self.next = (to_page < self.pages).then_some((to_page, to_row));
        let to = self.next.map_or_else(String::new, |(page, row)| format!(" AND ctid < '({page},{row})'"));
        Some(from + &to)
    }
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
            FOR known IN SELECT c.oid::regclass::text AS name FROM {} AND relkind = 'r' AND relname <> {} LOOP
                EXECUTE format('SELECT EXISTS (SELECT FROM ONLY %s)', known.name) INTO has_rows;
                IF has_rows THEN filled := concat_ws(', ', filled, 'ONLY ' || known.name); END IF;
            END LOOP;
            IF filled IS NOT NULL THEN EXECUTE 'TRUNCATE ' || filled || ' CASCADE'; END IF;
        END;",
        members(schema),
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
        "WITH tables AS (SELECT c.oid, c.relforcerowsecurity FROM {} AND relkind IN ('r', 'p'))
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
        members(schema)
    );
    let rows = sqlx::query(AssertSqlSafe(list)).persistent(false).fetch_all(connection).await?;
    let all = |at: usize| rows.iter().map(|row| row.get::<String, _>(at)).collect();
    Ok([all(0), all(1)])
}

/// In the order in which they were made, so that one that reads another comes after it.
pub(super) fn refresh_views(schema: &ObjectName) -> String {
    format!(
        "FOR known IN SELECT c.oid::regclass::text AS name FROM {} AND relkind = 'm' AND relispopulated
            ORDER BY c.oid LOOP
            EXECUTE 'REFRESH MATERIALIZED VIEW ' || known.name;
        END LOOP;",
        members(schema)
    )
}

/// Statements that give sequences the values that they have on a connection.
pub(super) async fn sequences(
    connection: &mut PgConnection,
    schema: &ObjectName,
) -> Result<String, sqlx::Error> {
    let list = format!("SELECT c.relname::text FROM {} AND relkind = 'S' ORDER BY 1", members(schema));
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
            let in_parts = contents_at_pace(&mut session, &schema, &all, &mut pace).await.unwrap();
            assert_eq!(in_parts, at_once);
        }
        let large = all.iter().find(|table| table.name == "large").unwrap();
        let parts = Parts::of(&mut session, &schema, large, 100_000).await.unwrap();
        assert!((90..200).contains(&parts.count()), "10 MB in parts of 100 kB");
    }
}
