//! The last of what a move does at its source: its shape is looked at, nobody reads there any more, and it knows what it has of the
//! target.

use super::{
    super::{SYSTEM_SCHEMA, connections::AdminConnection, fence, owner::Owner, schema::relations, users},
    catalog::PREPARED_SHAPE,
    session::{one, run},
    slots::WayBack,
};

/// Closes the source to reads too, after statements of PL/pgSQL, and forgets the session. Answers its shape, which is prepared.
pub(super) async fn close_reads(
    from: &mut AdminConnection,
    owner: Owner<'_>,
    note: &str,
) -> Result<String, sqlx::Error> {
    let quoted = owner.name.quoted();
    let body = format!(
        "{note} {look} IF found_mark IS NOT NULL THEN REVOKE USAGE ON SCHEMA {quoted} FROM {quoted}; {users} END IF; {forget};",
        look = owner.check_schema(),
        users = users::keep_out(owner.name),
        forget = fence::forget_session(),
    );
    let shape = one(from, PREPARED_SHAPE).await?;
    run(from, &fence::block(owner.fence, "found_mark text;", &body)).await?;
    Ok(shape)
}

/// Statements of PL/pgSQL that note at the source that it has all that a snapshot of the target sees: what is written at the
/// target from then on is news to it. An attempt that died may have noted another one; nobody has come to the target since.
pub(super) fn note_way_back(
    owner: Owner<'_>,
    WayBack { publication, slot }: WayBack<'_>,
    snapshot: &str,
) -> String {
    format!(
        "UPDATE {SYSTEM_SCHEMA}.moves SET copied = (
            SELECT coalesce(jsonb_object_agg(relname, '{snapshot}'), '{{}}') FROM {relations} WHERE relkind = 'r')
            WHERE subject = {subject} AND slot = '{slot}';
        IF NOT FOUND THEN RAISE EXCEPTION 'the move was begun anew'; END IF;",
        relations = relations(owner.name),
        subject = publication.subject(),
    )
}
