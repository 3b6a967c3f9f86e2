//! Some tenants of one server: migrated, and what came of each noted.
//!
//! A claim is short. What was done is noted while the rest goes on, and tenants whose turn has not come are given back as soon as
//! one of them takes longer, so that nobody waits for another one's tables.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tenantry_domain::{
    app::{App, AppVersion},
    ids::TenantId,
    names::ObjectName,
    rollout::{Direction, RolloutState},
};
use tenantry_postgres::admin::{
    BatchEnd, BatchItem, BatchLimits, BatchSession, Fence, MigrationReport, Owner, fits_in_batch,
};
use tenantry_registry::{ClaimRenewed, ClaimedTenant, Migrated, RolloutBatch};
use tokio::{sync::mpsc::UnboundedSender, time::timeout};
use tokio_util::sync::CancellationToken;

use super::session::Progress;
use crate::{Resources, servers::Server, step_error::StepError};

/// After this long no further tenant is begun: every worker has its share.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// How often what was done is noted, and how long others wait for one tenant.
const PATIENCE: Duration = Duration::from_millis(150);

/// So long before no further tenant is begun the next ones are claimed.
const CLAIM_AHEAD: Duration = Duration::from_millis(50);

/// How often it is looked whether the rollout still goes on, at least.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Tries to note what came of a claim; the tenants are taken over otherwise, and found to be done.
const NOTE_TRIES: u32 = 10;
const NOTE_PAUSE: Duration = Duration::from_millis(300);

/// Migrates the tenants of a claim, when `connection` is free. Tells `ends_soon` when the last of them have their turn. Returns when
/// what came of each is noted, or another worker has them.
pub(super) async fn run(
    resources: &Resources,
    batch: RolloutBatch,
    connection: &tokio::sync::Mutex<BatchSession>,
    ends_soon: &UnboundedSender<Progress>,
    stop: &CancellationToken,
) {
    let lease = resources.settings.lease;
    let stop = stop.child_token();
    let keep = async {
        loop {
            tokio::time::sleep((lease / 3).min(LOOK_EVERY)).await;
            match resources.registry.rollout_claim_renew(&batch, lease).await {
                Ok(ClaimRenewed::Stop) => stop.cancel(),
                Ok(ClaimRenewed::Lost) => return,
                Ok(ClaimRenewed::GoesOn) | Err(_) => {}
            }
        }
    };
    let claim = Claim { resources, batch: &batch, ends_soon, stop: &stop, book: Mutex::default() };
    tokio::select! {
        () = claim.migrate(connection) => {}
        () = keep => {
            let id = batch.rollout.id;
            tracing::warn!(rollout.id = %id, "another worker has taken over tenants of rollout {id}");
        }
    }
}

fn failed(error: String) -> Migrated {
    Migrated::Failed { error, at: None }
}

fn later(error: String, counts: bool) -> Migrated {
    Migrated::Later { error, counts, at: None }
}

/// A claim at work.
struct Claim<'a> {
    resources: &'a Resources,
    batch: &'a RolloutBatch,
    /// Told once, when its last tenants have their turn.
    ends_soon: &'a UnboundedSender<Progress>,
    stop: &'a CancellationToken,
    book: Mutex<Book>,
}

/// How far a claim is.
#[derive(Default)]
struct Book {
    /// Tenants whose turn has not come, by their place in the claim.
    waiting: VecDeque<usize>,
    /// What came of others, and is not noted yet.
    ended: Vec<(TenantId, Migrated)>,
    /// When something last came of one.
    moved: Option<Instant>,
    /// Tenants that were begun, without those that have another turn.
    begun: usize,
    /// Whether one of them failed: no further one is begun.
    failed: bool,
    /// Whether what came of one may halt the rollout, which is noted before the next claim has its turn.
    may_halt: bool,
    /// Whether it was told that it ends soon.
    told: bool,
}

impl Claim<'_> {
    async fn migrate(&self, connection: &tokio::sync::Mutex<BatchSession>) {
        let (resources, batch) = (self.resources, self.batch);
        let all = async |end: Migrated| {
            for tenant in &batch.tenants {
                self.ended(tenant.tenant, end.clone());
            }
            self.note_all().await;
        };
        let app = match resources.registry.app_get(&batch.rollout.app).await {
            Ok(Some(app)) => app,
            Ok(None) => return all(failed("the app is gone".to_owned())).await,
            Err(error) => {
                return all(self.given_back(later(error.to_string(), false))).await;
            }
        };
        let target = batch.rollout.target;
        if !app.migrations.iter().any(|migration| migration.version == target) {
            let error =
                format!("the app has no version {target} any more; resume with another targetVersion");
            return all(failed(error)).await;
        }
        // Those before are at their last message, or wait for a tenant's tables.
        let Ok(mut session) = timeout(PATIENCE, connection.lock()).await else {
            return all(self.given_back(Migrated::Untouched)).await;
        };
        let goes_on = self.goes_on().await;
        if !goes_on && !batch.taken_over {
            return all(Migrated::Untouched).await;
        }
        let mut server = pin!(resources.servers.get(batch.server, batch.server_revision));
        let server = if let Ok(server) = timeout(PATIENCE, &mut server).await {
            server
        } else {
            // To prepare it takes a connection, and the session may have the only place.
            session.close();
            server.await
        };
        let server = match server {
            Ok(server) => server,
            Err(error) => return all(self.given_back(self.of_error(&error).await)).await,
        };
        let started = Instant::now();
        let deadline = started + LONG_ENOUGH;
        At { claim: self, app: &app, server: &server, goes_on, deadline }.all(&mut session).await;
        metrics::histogram!("tenantry_rollout_batch_duration_seconds")
            .record(started.elapsed().as_secs_f64());
        if self.book(|book| book.may_halt) {
            self.note_all().await;
        }
        drop(session);
        self.tell();
        self.note_all().await;
    }

    /// Whether the rollout still migrates: since a claim was made ahead it may have been halted, by those before it, or paused.
    async fn goes_on(&self) -> bool {
        let (batch, lease) = (self.batch, self.resources.settings.lease);
        if batch.rollout.state != RolloutState::Running {
            return false;
        }
        let is_first = batch.session == batch.fence;
        let looked = async || self.resources.registry.rollout_claim_renew(batch, lease).await;
        is_first || matches!(looked().await, Ok(ClaimRenewed::GoesOn) | Err(_))
    }

    /// Tells once how many tenants had their turn.
    fn tell(&self) {
        let begun = self.book(|book| (!std::mem::replace(&mut book.told, true)).then_some(book.begun));
        if let Some(begun) = begun {
            let progress = Progress { begun, of: self.batch.tenants.len(), server: self.batch.server };
            // The session hears it for as long as it has claims.
            let _ = self.ends_soon.send(progress);
        }
    }

    /// What is noted of a tenant whose migration met an error. What it says of the server is noted, too.
    async fn of_error(&self, error: &StepError) -> Migrated {
        match error {
            StepError::ServerAway { server: Some(server), .. } => {
                self.resources.note_away(*server, &error.to_string(), false).await;
                self.resources.servers.doubt(*server);
            }
            StepError::Unprepared { .. } => self.resources.servers.doubt(self.batch.server),
            _ => {}
        }
        of_error(error)
    }

    fn book<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ended(&self, tenant: TenantId, end: Migrated) {
        match &end {
            Migrated::To(_) => count("done"),
            Migrated::Later { .. } => count("later"),
            Migrated::Failed { error, .. } => {
                count("failed");
                let rollout = self.batch.rollout.id;
                tracing::warn!(rollout.id = %rollout, tenant.id = %tenant, "tenant {tenant} was not migrated: {error}");
            }
            Migrated::Untouched | Migrated::Unread { .. } => {}
        }
        self.book(|book| {
            let failed = matches!(end, Migrated::Failed { .. });
            book.failed |= failed;
            // The last of its tries fails, too.
            book.may_halt |= failed
                || matches!(
                    end,
                    Migrated::Later { counts: true, .. } | Migrated::Unread { counts: true, .. }
                );
            book.ended.push((tenant, end));
            book.moved = Some(Instant::now());
        });
    }

    /// What is noted of a tenant to which nothing was done: of one that was taken over it is not known what was done before.
    fn given_back(&self, end: Migrated) -> Migrated {
        match end {
            end if !self.batch.taken_over => end,
            Migrated::Later { error, counts, .. } => Migrated::Unread { error: Some(error), counts },
            Migrated::Failed { error, .. } => Migrated::Unread { error: Some(error), counts: true },
            _ => Migrated::Unread { error: None, counts: false },
        }
    }

    /// Gives those back whose turn has not come.
    fn give_back(&self) {
        self.book(|book| {
            let waiting = std::mem::take(&mut book.waiting);
            let back = waiting
                .into_iter()
                .map(|number| (self.batch.tenants[number].tenant, self.given_back(Migrated::Untouched)));
            book.ended.extend(back);
        });
    }

    /// Notes what has come of tenants until now.
    async fn note(&self) -> bool {
        let ends = self.book(|book| book.ended.clone());
        if ends.is_empty() {
            return true;
        }
        // Given up half-way it is noted again, which changes nothing.
        match self.resources.registry.rollout_claim_end(self.batch, &ends).await {
            Ok(()) => {
                self.book(|book| drop(book.ended.drain(..ends.len())));
                true
            }
            Err(error) => {
                let id = self.batch.rollout.id;
                tracing::debug!(%error, rollout.id = %id, "what came of tenants cannot be noted");
                false
            }
        }
    }

    async fn note_all(&self) {
        for _ in 0..NOTE_TRIES {
            if Box::pin(self.note()).await {
                return;
            }
            tokio::time::sleep(NOTE_PAUSE).await;
        }
    }

    /// Waits for work on tenants, noting meanwhile what has come of others.
    async fn patiently<T>(&self, work: impl Future<Output = T>) -> T {
        // On the heap: it holds all that a note holds, in all that waits.
        let note = Box::pin(async {
            loop {
                tokio::time::sleep(PATIENCE).await;
                let stands = |book: &mut Book| book.moved.is_none_or(|moved| moved.elapsed() >= PATIENCE);
                if self.book(stands) {
                    self.give_back();
                }
                self.note().await;
            }
        });
        tokio::select! {
            biased;
            done = work => done,
            () = note => unreachable!("it has no end"),
        }
    }

    /// The version that a tenant is to have.
    fn target(&self, tenant: &ClaimedTenant) -> AppVersion {
        match self.batch.rollout.direction {
            Direction::Up => self.batch.rollout.target,
            Direction::Down => tenant.from,
        }
    }

    fn limits(&self) -> BatchLimits {
        let settings = &self.batch.rollout.settings;
        BatchLimits {
            lock_timeout: Duration::from_millis(settings.lock_timeout_ms.into()),
            statement_timeout: Duration::from_millis(settings.statement_timeout_ms.into()),
        }
    }
}

/// A claim's tenants on their server.
struct At<'a> {
    claim: &'a Claim<'a>,
    app: &'a App,
    server: &'a Arc<Server>,
    /// Else it is only read how far those came that are taken over.
    goes_on: bool,
    /// No tenant is begun after this.
    deadline: Instant,
}

impl At<'_> {
    /// Migrates all, or gives them back.
    async fn all(&self, session: &mut BatchSession) {
        let claim = self.claim;
        let mut databases: BTreeMap<&ObjectName, (VecDeque<usize>, Vec<usize>)> = BTreeMap::new();
        let mut fit = BTreeMap::new();
        for (number, tenant) in claim.batch.tenants.iter().enumerate() {
            let (together, alone) = databases.entry(&tenant.database).or_default();
            let (from, to) = (tenant.version, claim.target(tenant));
            let mut fits = || *fit.entry((from, to)).or_insert_with(|| fits_in_batch(self.app, from, to));
            if !claim.batch.taken_over && fits() {
                together.push_back(number);
            } else {
                alone.push(number);
            }
        }
        let mut alone = Vec::new();
        while let Some((database, (together, of_database))) = databases.pop_first() {
            alone.extend(of_database);
            claim.book(|book| book.waiting = together);
            if !claim.book(|book| book.waiting.is_empty()) && !self.is_over() {
                alone.extend(self.together(session, database).await);
            }
            claim.give_back();
        }
        if !alone.is_empty() {
            // They have connections of their own.
            session.close();
        }
        claim.book(|book| book.waiting = alone.into());
        while let Some(number) = self.next(1).pop() {
            let tenant = &claim.batch.tenants[number];
            let end = claim.patiently(self.alone(tenant)).await;
            claim.ended(tenant.tenant, end);
        }
        claim.give_back();
    }

    /// No tenant is begun any more.
    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
            || self.claim.stop.is_cancelled()
            || self.claim.book(|book| book.failed)
    }

    /// As many of those that wait, to be begun now.
    fn next(&self, most: usize) -> Vec<usize> {
        if self.is_over() {
            return Vec::new();
        }
        let next = self.claim.book(|book| {
            book.moved = Some(Instant::now());
            let count = most.min(book.waiting.len());
            book.begun += count;
            book.waiting.drain(..count).collect()
        });
        if self.claim.book(|book| book.begun == self.claim.batch.tenants.len()) {
            self.claim.tell();
        }
        next
    }

    fn fence(&self, tenant: &ClaimedTenant) -> Fence {
        Fence { subject: tenant.tenant.as_uuid().as_u128(), token: self.claim.batch.fence }
    }

    /// Migrates those that wait, in few messages; answers which of them are to be looked at one by one.
    async fn together(&self, session: &mut BatchSession, database: &ObjectName) -> Vec<usize> {
        let tenants = &self.claim.batch.tenants;
        let marks: Vec<String> = tenants.iter().map(|tenant| Resources::owner_mark(tenant.tenant)).collect();
        let mut others = Vec::new();
        let mut errors = Vec::new();
        let next = |most: usize| -> Vec<BatchItem<'_>> {
            let item = |number: usize| {
                let (tenant, mark) = (&tenants[number], &marks[number]);
                let (schema, fence, to) = (&tenant.schema, self.fence(tenant), self.claim.target(tenant));
                let (from, is_audited) = (tenant.version, tenant.is_audited);
                BatchItem { number, schema, mark, fence, is_audited, from, to }
            };
            let next = self.next(most);
            // Where one tenant takes long the next claim would wait for it in vain.
            if most > 1 && Instant::now() + CLAIM_AHEAD >= self.deadline {
                self.claim.tell();
            }
            next.into_iter().map(item).collect()
        };
        let ended = |number: usize, end: BatchEnd| match end {
            BatchEnd::Migrated => {
                let tenant = &tenants[number];
                self.claim.ended(tenant.tenant, Migrated::To(self.claim.target(tenant)));
            }
            BatchEnd::Untouched => self.claim.ended(tenants[number].tenant, Migrated::Untouched),
            BatchEnd::Unlike => {
                self.claim.book(|book| book.begun -= 1);
                others.push(number);
            }
            BatchEnd::Failed(error) => errors.push((number, error, true)),
            BatchEnd::Unknown(error) => errors.push((number, error, false)),
        };
        let (admin, limits) = (&self.server.admin, self.claim.limits());
        let call = self.server.call(admin.migrate_batch(session, database, self.app, limits, next, ended));
        let called = self.claim.patiently(call).await;
        for (number, error, is_known) in errors {
            let end = self.claim.of_error(&StepError::on_server(self.server.id, &error)).await;
            let unread = Migrated::Unread { error: Some(error.to_string()), counts: false };
            let end = if is_known { end } else { unread };
            self.claim.ended(tenants[number].tenant, end);
        }
        if let Err(error) = called {
            let end = self.claim.of_error(&error).await;
            let waiting = self.claim.book(|book| std::mem::take(&mut book.waiting));
            for number in waiting {
                self.claim.ended(tenants[number].tenant, end.clone());
            }
        }
        others
    }

    /// A tenant of which it is not known what its schema has, or whose versions need more than a transaction.
    async fn alone(&self, tenant: &ClaimedTenant) -> Migrated {
        let (claim, mark) = (self.claim, Resources::owner_mark(tenant.tenant));
        let (owner, target, database) = (
            Owner { name: &tenant.schema, mark: &mark, fence: Some(self.fence(tenant)) },
            claim.target(tenant),
            &tenant.database,
        );
        let admin = &self.server.admin;
        let goes_on = self.goes_on && !claim.stop.is_cancelled();
        let work = async {
            match claim.batch.rollout.direction {
                // It is only looked how far whoever had it before has come.
                _ if claim.batch.taken_over && !goes_on => {
                    let to = admin.fenced_version(database, owner).await?;
                    Ok(MigrationReport { from: to, to, applied: Vec::new() })
                }
                Direction::Up => {
                    admin.migrate_to(database, owner, self.app, target, claim.limits(), claim.stop).await
                }
                Direction::Down => {
                    admin.roll_back_to(database, owner, self.app, target, claim.limits()).await
                }
            }
        };
        let error = match self.server.call(work).await {
            Ok(MigrationReport { to: Some(version), .. }) => return Migrated::To(version),
            Ok(_) => return failed("the tenant's schema has no version".to_owned()),
            Err(error) => error,
        };
        let end = claim.of_error(&error).await;
        let is_stopped = claim.stop.is_cancelled() && !matches!(end, Migrated::Failed { .. });
        let end = if is_stopped { later("it was told to stop".to_owned(), false) } else { end };
        // Some of its versions may be done.
        let look = match self.server.call(admin.fenced_version(database, owner)).await {
            Ok(at) => Ok(at),
            Err(error) => Err(claim.of_error(&error).await),
        };
        match (end, look) {
            (Migrated::Failed { error, .. }, Ok(at)) => Migrated::Failed { error, at },
            (Migrated::Later { error, counts, .. }, Ok(at)) => Migrated::Later { error, counts, at },
            (_, Err(Migrated::Later { error, counts, .. })) => {
                Migrated::Unread { error: Some(error), counts }
            }
            (end, Err(_)) => claim.given_back(end),
            (end, Ok(_)) => end,
        }
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("tenantry_rollout_tenants_total", "outcome" => outcome).increment(1);
}

/// What is noted of a tenant whose migration met an error, and is as it was.
fn of_error(error: &StepError) -> Migrated {
    let message = error.to_string();
    match error {
        StepError::ServerAway { .. }
        | StepError::RegistryAway { .. }
        | StepError::ServerBusy(_)
        | StepError::ServerFull { .. }
        | StepError::ProviderAway { .. }
        | StepError::Stopping => later(message, false),
        // Of a tenant that another worker has nothing is noted.
        StepError::LeaseLost
        | StepError::Unprepared { .. }
        | StepError::Transient { .. }
        | StepError::DiskFull { .. } => later(message, true),
        StepError::Permanent { .. } => failed(message),
    }
}
