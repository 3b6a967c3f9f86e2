//! A tenant's rows on their way from one placement to another, on connections that are there before writes wait.

use std::{num::NonZeroU64, time::Duration};

use tenantry_domain::names::ObjectName;

use super::{
    super::{AdminError, ServerAdmin, connections::AdminConnection, fence, owner::Owner},
    catalog,
    contents::{TableContents, copy},
    leave,
    pace::Pace,
    pgoutput::Lsn,
    replication::{self, TargetTables},
    session::{one, run},
    slots::{PublicationId, WayBack},
    transferred::Transferred,
    write_fence,
};

/// Where a placement is: a server and a database of it.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The server.
    pub admin: &'a ServerAdmin,
    /// The database.
    pub database: &'a ObjectName,
}

/// A part of a move failed.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// On the server that the tenant leaves.
    #[error(transparent)]
    Source(AdminError),
    /// On the server that it goes to.
    #[error(transparent)]
    Target(AdminError),
    /// What arrived is not what was sent.
    #[error("table {table} has {sent} rows, and {arrived} rows or other content arrived")]
    Differs {
        /// The table.
        table: String,
        /// Rows that it has.
        sent: i64,
        /// Rows that arrived.
        arrived: i64,
    },
    /// Whom the server waits for, before it can keep changes.
    #[error(
        "its changes can be kept when all transactions have ended that write on the server, and it waits for {0}; move the \
         tenant when that has ended, or ask for an offline move, in which writes wait"
    )]
    Blocked(String),
    /// Other moves have all slots of the server; in time they give them back.
    #[error(
        "waits for another move to end: all replication slots of the server at {0} are used; raise its \
         max_replication_slots to have more tenants moved beside each other"
    )]
    NoSlot(String),
    /// Changes cannot be made at the target as they were made at the source.
    #[error(
        "a change that the tenant made meanwhile cannot be made in its new tables: {0}; if somebody changes the tenant's \
         tables, move it when that is done"
    )]
    Unapplied(String),
}

/// The source's tables are closed to writes: the place in its log up to which there are any.
#[derive(Debug, Clone, Copy)]
pub struct Closed(pub(super) Lsn);

/// How long others are waited for, before changes are kept.
#[derive(Debug, Clone, Copy)]
pub struct KeepPatience {
    /// Those who write to each table; whoever comes meanwhile waits too.
    pub tables: Duration,
    /// Those who write anywhere on the server. Nobody waits for that.
    pub transactions: Duration,
}

/// Connections to both ends.
pub(super) struct Ends<'a> {
    pub(super) source: Site<'a>,
    pub(super) target: Site<'a>,
    pub(super) from: AdminConnection,
    pub(super) to: AdminConnection,
    pub(super) publication: PublicationId,
    /// Read once: nobody changes them meanwhile.
    pub(super) target_tables: Option<TargetTables>,
    /// [`catalog::prepare_shape`] was run at the source, which it can be once in a session.
    shape_is_prepared: bool,
}

impl<'a> Ends<'a> {
    pub(super) fn source(&self, task: &'static str) -> impl Fn(sqlx::Error) -> MoveError + use<'a> {
        let admin = self.source.admin;
        move |error| MoveError::Source(admin.failed(task, error))
    }

    pub(super) fn target(&self, task: &'static str) -> impl Fn(sqlx::Error) -> MoveError + use<'a> {
        let admin = self.target.admin;
        move |error| MoveError::Target(admin.failed(task, error))
    }
}

/// See the module.
pub struct Transfer<'a> {
    ends: Ends<'a>,
    owner: Owner<'a>,
}

impl std::fmt::Debug for Transfer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Site<'_> {
    async fn connect(&self, task: &'static str) -> Result<AdminConnection, AdminError> {
        let mut connection = self.admin.connection_for_tables(self.database, task).await?;
        connection.close_unless_finished();
        Ok(connection)
    }
}

impl<'a> Transfer<'a> {
    /// Connects to both ends. The owner is the same at both.
    pub async fn connect(
        source: Site<'a>,
        target: Site<'a>,
        owner: Owner<'a>,
        publication: PublicationId,
    ) -> Result<Self, MoveError> {
        const TASK: &str = "connect both ends of a move";
        let from = async || source.connect(TASK).await.map_err(MoveError::Source);
        let to = async || target.connect(TASK).await.map_err(MoveError::Target);
        // Always in the same order, so that no two of them wait for each other's connections.
        let order = |site: &Site<'_>| (site.admin.server().to_owned(), site.database.clone());
        let (from, to) = if order(&source) <= order(&target) {
            let from = from().await?;
            (from, to().await?)
        } else {
            let to = to().await?;
            (from().await?, to)
        };
        let ends =
            Ends { source, target, from, to, publication, target_tables: None, shape_is_prepared: false };
        let mut transfer = Self { ends, owner };
        transfer.begin_sessions().await?;
        Ok(transfer)
    }

    /// Values have the same text on both ends, and what has an admin commit is on disk. The path stays PostgreSQL's own, as it is
    /// for all admin connections. Whoever takes the fence later ends these sessions first, whatever they hold.
    async fn begin_sessions(&mut self) -> Result<(), MoveError> {
        const TASK: &str = "begin a session";
        let begin = |site: &Site<'_>| {
            let note = self.owner.fence.map_or_else(String::new, |fence| {
                // The shared database's functions are of this release since the server was prepared.
                let is_shared = site.database == site.admin.shared_database();
                let renew = if is_shared { String::new() } else { fence::renew() };
                let body = format!("{renew} {} {}", self.owner.check_schema(), fence.note_session());
                fence::block(self.owner.fence, "found_mark text;", &body)
            });
            format!(
                "SET IntervalStyle = postgres; SET bytea_output = hex; SET lc_monetary = 'C'; SET xmloption = content;
                SET row_security = off; SET synchronous_commit = on; {note}"
            )
        };
        let (of_source, of_target) = (self.ends.source(TASK), self.ends.target(TASK));
        let (at_source, at_target) = (begin(&self.ends.source), begin(&self.ends.target));
        let Ends { from, to, .. } = &mut self.ends;
        let (here, there) = tokio::join!(run(from, &at_source), run(to, &at_target));
        here.map_err(of_source).and(there.map_err(of_target))
    }

    /// Keeps the tenant's changes from now on, for the copy and for what comes after it: a publication of its tables, and a
    /// replication slot, whose name is answered. Others of this tenant are dropped. Until [`ServerAdmin::forget_changes`].
    /// `spare_slots` are to stay free on the server for others.
    pub async fn keep_changes(
        &mut self,
        patience: KeepPatience,
        spare_slots: u32,
    ) -> Result<String, MoveError> {
        replication::keep_changes(&mut self.ends, self.owner, patience, spare_slots).await
    }

    /// What the source's tables are like; see [`ServerAdmin::schema_shape`]. The first time takes longest: the server keeps the
    /// query's plan.
    pub async fn shape(&mut self) -> Result<String, MoveError> {
        self.prepare_shape().await?;
        let of_source = self.ends.source(catalog::TASK);
        one(&mut self.ends.from, catalog::PREPARED_SHAPE).await.map_err(of_source)
    }

    async fn prepare_shape(&mut self) -> Result<(), MoveError> {
        if !self.ends.shape_is_prepared {
            let of_source = self.ends.source(catalog::TASK);
            run(&mut self.ends.from, &catalog::prepare_shape(self.owner.name)).await.map_err(of_source)?;
            self.ends.shape_is_prepared = true;
        }
        Ok(())
    }

    /// Copies the tables that were not copied before for this slot, each in a transaction. `told` is called with the bytes
    /// that were copied so far, at most `rate` each second.
    pub async fn copy_tables(
        &mut self,
        slot: &str,
        rate: Option<NonZeroU64>,
        mut told: impl FnMut(u64) + Send,
    ) -> Result<(), MoveError> {
        replication::copy_tables(&mut self.ends, self.owner, slot, Pace::of(rate), &mut told).await
    }

    /// Makes the changes at the target that were kept, once: what was written up to now. Answers how many bytes of the log
    /// are still to be read. Call it until they are few.
    pub async fn catch_up(&mut self, slot: &str) -> Result<u64, MoveError> {
        replication::catch_up(&mut self.ends, self.owner, slot).await
    }

    /// Catches up again and again, until that takes as long as it took before. What is written from then on until
    /// [`Transfer::close_writes`] is all that [`Transfer::finish`] has to bring. The source forgets nothing meanwhile.
    pub async fn come_near(&mut self, slot: &str) -> Result<(), MoveError> {
        replication::come_near(&mut self.ends, self.owner, slot).await
    }

    /// Compares all rows as they are at one moment, reading at most `rate` bytes of each end in a second. Call it when there is
    /// little to catch up with.
    pub async fn compare(
        &mut self,
        slot: &str,
        rate: Option<NonZeroU64>,
    ) -> Result<Vec<TableContents>, MoveError> {
        replication::compare(&mut self.ends, self.owner, slot, rate).await
    }

    /// Tells the target's planner what the tables hold.
    pub async fn analyze(&mut self) -> Result<(), MoveError> {
        let of_target = self.ends.target(leave::ANALYZE);
        // On the connection that the move has there: another one of the same attempt would end it, and wait for that.
        run(&mut self.ends.to, &leave::analyze(self.owner)).await.map_err(of_target)
    }

    /// Makes the last changes at the target, sets the sequences, and closes the source to reads too. What is written at the target
    /// from then on is kept for the way back, if there is to be one. It is opened by [`ServerAdmin::let_in`], when this cannot be
    /// undone any more. Answers the source's shape.
    pub async fn finish(
        &mut self,
        slot: &str,
        closed: Closed,
        way_back: Option<WayBack<'_>>,
    ) -> Result<String, MoveError> {
        self.prepare_shape().await?;
        replication::finish(&mut self.ends, self.owner, slot, closed, way_back).await
    }

    /// Closes the source's tables to writes. Waits for each table's writers no longer than a time, in which others wait
    /// too ([`AdminError::is_transient`] if it was not enough; nothing is closed then, and it may be tried again).
    pub async fn close_writes(&mut self, patience: Duration) -> Result<Closed, MoveError> {
        let of_source = self.ends.source(write_fence::CLOSE);
        let closed = write_fence::close_writes(&mut self.ends.from, self.owner, patience).await;
        closed.map(Closed).map_err(of_source)
    }

    /// Copies all rows and compares them, and closes the source to reads too. `told` is called with the bytes that were copied so
    /// far. Answers what each table holds at both ends, and the source's shape.
    pub async fn copy(
        &mut self,
        mut told: impl FnMut(u64) + Send,
    ) -> Result<(Vec<TableContents>, String), MoveError> {
        self.prepare_shape().await?;
        copy(&mut self.ends, self.owner, &mut told).await
    }

    /// The sessions of a transfer whose rows are all there.
    pub fn end(self) -> Transferred {
        let Ends { from, to, .. } = self.ends;
        Transferred { from, to }
    }
}
