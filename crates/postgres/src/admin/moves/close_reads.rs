//! The last of what a move does at its source: nobody reads there any more, and it knows what it has of the target.

use super::{
    super::{SYSTEM_SCHEMA, fence, owner::Owner, schema::relations, users},
    session::{one, run},
    slots::WayBack,
    transfer::{Ends, MoveError},
    write_fence::CLOSE,
};

const LOOK: &str = "look which changes the tenant's new tables have";

/// See [`super::Transfer::close_reads`].
pub(super) async fn close_reads(
    ends: &mut Ends<'_>,
    owner: Owner<'_>,
    way_back: Option<WayBack<'_>>,
) -> Result<(), MoveError> {
    let of_source = ends.source(CLOSE);
    let note = match way_back {
        Some(way_back) => note_way_back(ends, owner, way_back).await?,
        None => String::new(),
    };
    let quoted = owner.name.quoted();
    let body = format!(
        "{note} {look} IF found_mark IS NOT NULL THEN REVOKE USAGE ON SCHEMA {quoted} FROM {quoted}; {users} END IF;",
        look = owner.check_schema(),
        users = users::keep_out(owner.name),
    );
    let block = fence::block(owner.fence, "found_mark text;", &body);
    run(&mut ends.from, &block).await.map_err(of_source)
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
