//! Reading a table a part at a time.

use sqlx::{AssertSqlSafe, PgConnection};
use tenantry_domain::names::ObjectName;

use super::contents::{Table, quoted};
use crate::sql;

/// Parts of a table of about as many bytes: pages, or rows of a page, where what they keep out of line is more.
pub(super) struct Parts {
    pages: u64,
    size: PartSize,
    /// Of a part, about.
    pub(super) bytes: usize,
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
    pub(super) async fn of(
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

/// Where a part begins, and where the next one does: literals of type `tid`.
pub(super) struct Part {
    pub(super) from: String,
    pub(super) to: String,
}

/// Behind the last page that a table can have.
const END: (u64, u64) = (u32::MAX as u64, 0);

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let (page, row) = self.next?;
        let (to_page, to_row) = match self.size {
            PartSize::Pages(pages) => (page + pages, 0),
            // The last part of a page has what rows it has besides.
            PartSize::Rows { rows, of } if row + rows < of => (page, row + rows),
            PartSize::Rows { .. } => (page + 1, 0),
        };
        self.next = (to_page < self.pages).then_some((to_page, to_row));
        let tid = |(page, row)| format!("'({page},{row})'");
        Some(Part { from: tid((page, row)), to: tid(self.next.unwrap_or(END)) })
    }
}
