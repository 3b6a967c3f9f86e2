//! Copying one table, as a whole or at a pace.

use std::{
    iter,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use futures::TryStreamExt;
use sqlx::{PgConnection, postgres::PgCopyIn};
use tenantry_domain::names::ObjectName;

use super::{
    contents::{Table, quoted},
    pace::Pace,
    parts::{Part, Parts},
};

/// Bytes that are sent at a time.
const BATCH: usize = 64 << 10;

/// So long the target is sent rows, unless all go as one part: that it cannot take them, it says at the end.
const LONGEST: Duration = Duration::from_secs(1);

/// Which end an error comes from.
pub(super) enum Failed {
    Source(sqlx::Error),
    Target(sqlx::Error),
}

/// What comes before the rows in binary: a signature, flags, and the length of an extension, of which there is none. In text nothing
/// does.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What comes after them, in place of a row; no row of text is like it. A server that is told that all was sent does not need it.
const BINARY_TRAILER: &[u8] = b"\xff\xff";

/// Copies the rows of one table from one transaction into another. `told` is called with the bytes of each batch.
///
/// At a pace a part of the table is read at a time, and each row is put into the table by itself. Of the whole, the source would
/// send as much at once as the connections to it hold, which is megabytes, and the target would put 64 KB of rows into the
/// table at once.
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
    let (options, header) = if same_version && table.is_binary {
        ("(FORMAT binary)", BINARY_HEADER)
    } else {
        ("(FORMAT text)", &[][..])
    };
    let (parts, part_bytes, by_row): (Box<dyn Iterator<Item = String> + Send>, _, _) = match pace.part() {
        None => (Box::new(iter::once(name.clone())), 0, ""),
        Some(bytes) => {
            let query = format!("SELECT {} FROM ONLY {name} WHERE", table.columns);
            let parts = Parts::of(from, schema, table, bytes).await.map_err(Failed::Source)?;
            let part_bytes = parts.bytes;
            let parts =
                parts.map(move |Part { from, to }| format!("({query} ctid >= {from} AND ctid < {to})"));
            // PostgreSQL gathers no rows where a condition on them may have another answer each time.
            (Box::new(parts), part_bytes, "WHERE pg_catalog.random() >= 0")
        }
    };
    let into = format!("COPY {name} FROM STDIN {options} {by_row}");
    let mut parts = parts.peekable();
    while parts.peek().is_some() {
        let mut sink = writing.copy_in_raw(&into).await.map_err(Failed::Target)?;
        let began = Instant::now();
        sink.send(header).await.map_err(Failed::Target)?;
        while began.elapsed() < LONGEST
            && let Some(part) = parts.next()
        {
            let out = format!("COPY {part} TO STDOUT {options}");
            match pass_on(from, &out, header, &mut sink, pace, told).await {
                // To read pages without rows is work too.
                Ok(0) => pace.after(part_bytes).await,
                Ok(_) => {}
                Err(Failed::Source(error)) => {
                    // The error is the source's; that the target takes no more is not the news.
                    drop(sink.abort("the source failed").await);
                    return Err(Failed::Source(error));
                }
                Err(failed) => return Err(failed),
            }
        }
        sink.finish().await.map_err(Failed::Target)?;
    }
    Ok(())
}

/// Passes on the rows that a statement copies behind a header, and answers how many bytes that were. What it waits for the pace, it
/// waits with both statements open: a transaction that does nothing between two is ended.
async fn pass_on(
    from: &mut PgConnection,
    out: &str,
    mut header: &[u8],
    sink: &mut PgCopyIn<&mut PgConnection>,
    pace: &mut Pace,
    told: &mut (dyn FnMut(u64) + Send),
) -> Result<u64, Failed> {
    let mut rows = from.copy_out_raw(out).await.map_err(Failed::Source)?;
    let (mut batch, at_once) = (BytesMut::new(), pace.at_once().unwrap_or(BATCH));
    let mut sent = 0;
    loop {
        // The server sends each row by itself, the first one behind the header.
        let row = rows.try_next().await.map_err(Failed::Source)?;
        let is_last = row.is_none();
        if let Some(row) = row {
            let Some(row) = row.strip_prefix(header) else {
                return Err(Failed::Source(sqlx::Error::Protocol("rows of another format".into())));
            };
            header = &[];
            if row != BINARY_TRAILER {
                batch.extend_from_slice(row);
            }
        }
        if batch.len() >= at_once || is_last && !batch.is_empty() {
            sink.send(&batch[..]).await.map_err(Failed::Target)?;
            sent += batch.len() as u64;
            told(batch.len() as u64);
            pace.after(batch.len()).await;
            batch.clear();
        }
        if is_last {
            return Ok(sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::{
        super::contents::{contents, tables},
        *,
    };
    use crate::fixture::{Bench, app};

    #[tokio::test]
    async fn what_is_copied_at_a_pace_is_what_was_there() {
        let made = app(&[(
            r#"CREATE TABLE none (id int); CREATE TABLE bare ();
            CREATE TABLE "Odd""one" ("a ""b" int, twice int GENERATED ALWAYS AS ("a ""b" * 2) STORED);
            CREATE TABLE large (gone int, id int, word text, list int[]); ALTER TABLE large DROP gone"#,
            None,
        )]);
        let (here, there) = (Bench::new("paced_from").await, Bench::new("paced_to").await);
        let schema = here.tenant("tenant_paced", &made).await;
        there.tenant("tenant_paced", &made).await;
        let mut reading = here.admin.session(&here.database, "test").await.unwrap();
        let mut writing = there.admin.session(&there.database, "test").await.unwrap();
        let fill = r#"SET search_path = tenant_paced; INSERT INTO bare SELECT FROM generate_series(1, 3);
            INSERT INTO "Odd""one" SELECT nullif(n, 7) FROM generate_series(-1, 5000) n;
            INSERT INTO large SELECT n, repeat('x', n % 9000), CASE WHEN n % 2 = 0 THEN ARRAY[n, -1] END
                FROM generate_series(1, 4000) n;
            RESET search_path"#;
        sqlx::raw_sql(fill).execute(&mut *reading).await.unwrap();
        let all = tables(&mut reading, &schema).await.unwrap();
        let held = contents(&mut reading, &schema, &all).await.unwrap();
        for same_version in [true, false] {
            let empty = r#"SET search_path = tenant_paced;
                TRUNCATE none, bare, "Odd""one", large, tenantry_migrations; RESET search_path"#;
            sqlx::raw_sql(empty).execute(&mut *writing).await.unwrap();
            let mut pace = Pace::of(NonZeroU64::new(50_000_000));
            let mut told = 0;
            for table in &all {
                let mut tell = |bytes| told += bytes;
                let copied = copy_table(
                    &mut reading,
                    &mut writing,
                    &schema,
                    table,
                    same_version,
                    &mut pace,
                    &mut tell,
                );
                assert!(copied.await.is_ok(), "{}", table.name);
            }
            assert!(told > 1 << 20, "{told} bytes were copied");
            assert_eq!(contents(&mut writing, &schema, &all).await.unwrap(), held);
        }
    }
}
