//! The end of a move, when all rows are at the target: the source is closed to reads, and the target is opened.

use super::{
    super::{SYSTEM_SCHEMA, fence, owner::Owner, role, schema::relations},
    session::{one, run},
    slots::WayBack,
    transfer::{Ends, MoveError},
    write_fence::{self, close_reads},
};

const OPEN: &str = "open the tenant's new tables";
const LOOK: &str = "look which changes the tenant's new tables have";

/// How a tenant is handed over.
#[derive(Debug, Clone, Copy)]
pub struct HandOver<'a> {
    /// What is written at the target from then on is kept for it.
    pub way_back: Option<WayBack<'a>>,
    /// The tenant is let in at the target; or that is left to [`ServerAdmin::let_in`](super::super::ServerAdmin).
    pub lets_in: bool,
    /// The tenant's role may log in on the target's server; or that stays as it is.
    pub allows_login: bool,
}

impl HandOver<'_> {
    /// A block that opens the target; none where nothing is to be opened.
    fn open(&self, owner: Owner<'_>) -> Option<String> {
        let quoted = owner.name.quoted();
        let let_in = || format!("{} GRANT USAGE ON SCHEMA {quoted} TO {quoted};", owner.check_schema());
        let parts = [self.lets_in.then(let_in), self.allows_login.then(|| role::allow_login(owner))];
        let body: String = parts.into_iter().flatten().collect();
        (!body.is_empty()).then(|| fence::block(owner.fence, "found_mark text;", &body))
    }
}

/// Looks what is at the target by now. Answers statements of PL/pgSQL that note at the source that it has all of that: what is
/// written at the target from now on is news to it.
async fn note_way_back(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    WayBack { publication, slot }: WayBack<'_>,
) -> Result<String, MoveError> {
    let of_target = ends.target(LOOK);
    let snapshot: String =
        one(&mut ends.to, "SELECT pg_current_snapshot()::text").await.map_err(of_target)?;
    Ok(format!(
        "UPDATE {SYSTEM_SCHEMA}.moves SET copied = (
            SELECT coalesce(jsonb_object_agg(relname, '{snapshot}'), '{{}}') FROM {relations} WHERE relkind = 'r')
            WHERE subject = {subject} AND slot = '{slot}' AND copied = '{{}}';
        -- Noted before, by an attempt that died: what was written there since then is news.
        IF NOT EXISTS (SELECT FROM {SYSTEM_SCHEMA}.moves WHERE subject = {subject} AND slot = '{slot}') THEN
            RAISE EXCEPTION 'the move was begun anew';
        END IF;",
        relations = relations(owner.name),
        subject = publication.subject(),
    ))
}

/// See [`super::Transfer::hand_over`].
pub(super) async fn hand_over(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    how: HandOver<'_>,
) -> Result<(), MoveError> {
    let (of_source, of_target) = (ends.source(write_fence::CLOSE), ends.target(OPEN));
    let note = match how.way_back {
        Some(way_back) => note_way_back(ends, owner, way_back).await?,
        None => String::new(),
    };
    let close = fence::block(owner.fence, "found_mark text;", &format!("{note} {}", close_reads(owner)));
    let open = how.open(owner);
    let Ends { from, to, .. } = ends;
    let close = async { run(from, &close).await.map_err(of_source) };
    let open = async {
        match open {
            Some(open) => run(to, &open).await.map_err(of_target),
            None => Ok(()),
        }
    };
    if how.way_back.is_some() {
        // One after the other: the tenant may come to the target by its own log-in, and what it writes there is news.
        close.await?;
        open.await
    } else {
        let (closed, opened) = tokio::join!(close, open);
        closed.and(opened)
    }
}
