//! Copying one table, as a whole or at a pace.

use std::iter;

use bytes::BytesMut;
use futures::TryStreamExt;
use sqlx::{PgConnection, postgres::PgCopyIn};
use tenantry_domain::names::ObjectName;

use super::{
    contents::{Table, quoted},
    pace::Pace,
    parts::Parts,
};

/// What the binary format begins with: a signature, flags, and the length of an extension, all 0.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What it ends with, where a row has the number of its columns.
const BINARY_END: &[u8] = &[0xff, 0xff];

/// Which end an error comes from.
pub(super) enum Failed {
    Source(sqlx::Error),
    Target(sqlx::Error),
}

/// Copies the rows of one table from one transaction into another. `told` is called with the bytes of each batch.
///
/// At a pace the source is asked for a part of the table at a time. Of the whole it would send as much at once as the
/// connections to it hold, which is megabytes.
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
    let is_binary = same_version && table.is_binary;
    let format = if is_binary { "binary" } else { "text" };
    let parts: Box<dyn Iterator<Item = String> + Send> = match pace.part() {
        None => Box::new(iter::once(name.clone())),
        Some(bytes) => {
            let query = format!("SELECT {} FROM ONLY {name} WHERE", table.columns);
            let parts = Parts::of(from, schema, table, bytes).await.map_err(Failed::Source)?;
            Box::new(parts.map(move |condition| format!("({query} {condition})")))
        }
    };
    let into = format!("COPY {name} FROM STDIN (FORMAT {format})");
    let sink = writing.copy_in_raw(&into).await.map_err(Failed::Target)?;
    // The server sends each row by itself.
    let batch = BytesMut::with_capacity(2 * pace.batch());
    let mut copying = Copying { sink, is_binary, batch, pace, told };
    match copying.copy(from, parts, format).await {
        Ok(()) => copying.sink.finish().await.map(drop).map_err(Failed::Target),
        Err(Failed::Source(error)) => {
            // The error is the source's; that the target takes no more is not the news.
            drop(copying.sink.abort("the source failed").await);
            Err(Failed::Source(error))
        }
        failed => failed,
    }
}

/// A table that is being copied.
struct Copying<'a> {
    sink: PgCopyIn<&'a mut PgConnection>,
    is_binary: bool,
    batch: BytesMut,
    pace: &'a mut Pace,
    told: &'a mut (dyn FnMut(u64) + Send),
}

impl Copying<'_> {
    async fn copy(
        &mut self,
        from: &mut PgConnection,
        parts: impl Iterator<Item = String>,
        format: &str,
    ) -> Result<(), Failed> {
        if self.is_binary {
            self.batch.extend_from_slice(BINARY_HEADER);
        }
        for part in parts {
            self.copy_part(from, &format!("COPY {part} TO STDOUT (FORMAT {format})")).await?;
        }
        if self.is_binary {
            self.batch.extend_from_slice(BINARY_END);
        }
        self.send().await
    }

    /// Passes on the rows that a statement gives, without what the format has before and after them.
    async fn copy_part(&mut self, from: &mut PgConnection, out: &str) -> Result<(), Failed> {
        let mut rows = from.copy_out_raw(out).await.map_err(Failed::Source)?;
        let mut header = if self.is_binary { BINARY_HEADER.len() } else { 0 };
        while let Some(row) = rows.try_next().await.map_err(Failed::Source)? {
            let Some(row) = row.get(std::mem::take(&mut header)..) else {
                return Err(Failed::Source(sqlx::Error::Protocol("a copy begins without a header".into())));
            };
            if !(self.is_binary && row.starts_with(BINARY_END)) {
                self.batch.extend_from_slice(row);
            }
            if self.batch.len() >= self.pace.batch() {
                self.send().await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Failed> {
        self.sink.send(&self.batch[..]).await.map_err(Failed::Target)?;
        let bytes = self.batch.len();
        self.batch.clear();
        (self.told)(bytes as u64);
        self.pace.after(bytes).await;
        Ok(())
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
