//! One request of a tenant, served: catalog, plan, connection, statement; and once more where a newer
//! route says, if the placement turns out to be an old one. Knows neither axum nor problem documents.
#![allow(
    clippy::result_large_err,
    reason = "a failure is made once per request; a box would be one more allocation"
)]

mod users;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tenantry_domain::{app::JsonCase, permission::Verb, route::RoutePlacement, user::Role};
use tenantry_postgres::tenant::{Access, ConnectError, Extras, QueryErrorKind, QueryRow, TenantQueryError};
use tenantry_query::{
    Catalog, HttpRequest, Limits, Method, Options, Planned, QueryError, ResponseHead, ResponseShape,
    is_answer_too_large, plan,
};

use tokio::{sync::Semaphore, time::timeout};

use crate::{
    admit::{PhaseRefused, check_phase},
    catalogs::{Catalogs, CatalogsError},
    limits::TenantLimits,
    parts::Parts,
    pool::{Claim, Lease, PoolError, Pools},
    routes::{CachedRoute, RouteCache},
    turns::Turns,
    usage::Usage,
};

pub(crate) use users::{Locks, UsersStatement};

/// What came back.
pub(crate) struct Answer {
    pub(crate) head: ResponseHead,
    pub(crate) shape: ResponseShape,
    pub(crate) body: AnswerBody,
}

/// The body of an answer.
pub(crate) enum AnswerBody {
    None,
    Whole(Bytes),
    /// A long one, to be passed on as it comes.
    Parts(Parts),
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The query language refuses the request.
    Query(QueryError),
    /// The range that is asked for is not there; what `Content-Range` is to say.
    Range(QueryError, Option<String>),
    /// It would write, and the key may only read.
    ReadOnlyKey,
    /// None of the user's roles may do it.
    Forbidden { verb: Verb, resource: Box<str> },
    /// It would add data, and the tenant has as much as it may.
    StorageFull,
    /// The tenant is not served any more.
    Phase(PhaseRefused),
    /// There is no connection.
    Pool(PoolError),
    /// PostgreSQL refuses the statement.
    Statement {
        error: TenantQueryError,
        /// A lost connection leaves open whether it was done.
        may_have_written: bool,
    },
    /// No placement that is known serves the tenant.
    Unavailable,
    /// The tenant is being moved, and the request would write: it was held for as long as may be, or too many are.
    Moving,
    /// No tenant on its server has users.
    NoUsers,
    /// The answer would be larger than this many bytes.
    TooLarge(usize),
    /// It is our fault, and logged.
    Internal,
}

/// Why there is no answer from one placement.
enum Failed {
    /// Another placement would fail in the same way.
    Finally(Failure),
    /// The placement does not serve the tenant (any more). What to say if there is no newer one.
    StalePlacement(Failure),
    /// The placement is about to be another, and takes no writes meanwhile.
    Held,
}

impl From<Failed> for Failure {
    /// What to say where it is not tried again.
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Finally(failure) | Failed::StalePlacement(failure) => failure,
            Failed::Held => Self::Moving,
        }
    }
}

/// For whom a request is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// What the key or token may do: a request whose method does not say that it writes may call a function that does.
    pub(crate) may_write: bool,
    /// What SQL may know of the user: the claims of the token, as JSON.
    pub(crate) claims: Option<&'a str>,
    /// The user's roles; none for a key, which may do what its scopes say.
    pub(crate) roles: Option<&'a [Role]>,
}

/// Whether a tenant's tables are elsewhere than they were, or have another version: after a rollback an older one.
fn is_other(newer: &CachedRoute, known: &CachedRoute) -> bool {
    let at = |route: &CachedRoute| {
        route.placement.as_ref().map(|placement| (placement.epoch, placement.schema_version))
    };
    let (newer, known) = (at(newer), at(known));
    newer.map(|(epoch, _)| epoch) >= known.map(|(epoch, _)| epoch) && newer != known
}

fn is_migrating(route: &CachedRoute) -> bool {
    route.placement.as_ref().is_some_and(|placement| placement.migrating)
}

/// Serves requests.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) routes: RouteCache,
    pub(crate) pools: Pools,
    pub(crate) catalogs: Catalogs,
    pub(crate) limits: Limits,
    /// What each tenant may take.
    pub(crate) tenant_limits: Arc<TenantLimits>,
    pub(crate) usage: Usage,
    /// Turns to plan a request with a large body.
    pub(crate) large_bodies: Arc<Turns>,
    /// Places for requests that wait for the end of a move.
    pub(crate) held: Arc<Semaphore>,
    /// How long they wait.
    pub(crate) hold: Duration,
}

/// How long the registry is asked whether a catalog is that of its version.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often a request is tried on tables that have changed again meanwhile.
const AGAIN: usize = 2;

/// Bytes of a body that are read in a fraction of a millisecond.
const LARGE_BODY: usize = 64 << 10;

impl Runner {
    /// Runs a request where the route says; and once more where a newer route says, if the placement turns
    /// out to be an old one. While the tenant is being moved, one that writes waits for its next placement: nothing
    /// of it was done where it was refused.
    pub(crate) async fn serve(
        &self,
        route: &CachedRoute,
        request: &HttpRequest<'_>,
        caller: Caller<'_>,
    ) -> Result<Answer, Failure> {
        let mut failed = match self.run(route, request, caller).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        let mut newer = self.newer_placement(route, failed).await?;
        // While it waited its tables may have got another version.
        for _ in 0..AGAIN {
            failed = match self.run(&newer, request, caller).await {
                Ok(answer) => return Ok(answer),
                Err(failed @ (Failed::StalePlacement(_) | Failed::Held)) => failed,
                Err(failed) => return Err(failed.into()),
            };
            newer = self.newer_placement(&newer, failed).await?;
        }
        // Changed so often meanwhile, it is a client's turn to try again.
        Ok(self.run(&newer, request, caller).await?)
    }

    /// Where to try again what failed at a placement, once there is a newer one; why not, if there is none.
    async fn newer_placement(&self, route: &CachedRoute, failed: Failed) -> Result<CachedRoute, Failure> {
        let failure = match failed {
            Failed::Finally(failure) => return Err(failure),
            Failed::Held => return self.next_placement(route).await,
            // Its reads are closed already, and the next placement not yet open.
            Failed::StalePlacement(_) if is_in_cutover(route) => return self.next_placement(route).await,
            // Whose turn it is to ask the registry does not matter: all that wait hear of it.
            Failed::StalePlacement(_) if is_migrating(route) => return self.migrated(route).await,
            Failed::StalePlacement(failure) => failure,
        };
        let Some(newer) = self.routes.recheck(route).await else { return Err(failure) };
        check_phase(newer.phase).map_err(Failure::Phase)?;
        if is_other(&newer, route) {
            Ok(newer)
        } else if is_in_cutover(&newer) {
            self.next_placement(&newer).await
        } else if is_migrating(&newer) {
            self.migrated(route).await
        } else {
            Err(failure)
        }
    }

    /// Waits until the registry knows which version a tenant's tables have that a rollout is at.
    async fn migrated(&self, route: &CachedRoute) -> Result<CachedRoute, Failure> {
        let _place = self.held.try_acquire().map_err(|_| Failure::Moving)?;
        let known = |newer: &CachedRoute| is_other(newer, route) || !is_migrating(newer);
        let newer = timeout(self.hold, self.routes.until(route, known)).await;
        let newer = newer.map_err(|_| Failure::Moving)?.ok_or(Failure::Unavailable)?;
        check_phase(newer.phase).map_err(Failure::Phase)?;
        Ok(newer)
    }

    /// Waits until the tenant is served from another placement, or from this one again.
    async fn next_placement(&self, route: &CachedRoute) -> Result<CachedRoute, Failure> {
        let _place = self.held.try_acquire().map_err(|_| Failure::Moving)?;
        let newer = timeout(self.hold, self.routes.until(route, |newer| !is_in_cutover(newer))).await;
        let newer = newer.map_err(|_| Failure::Moving)?.ok_or(Failure::Unavailable)?;
        check_phase(newer.phase).map_err(Failure::Phase)?;
        Ok(newer)
    }

    async fn run(
        &self,
        route: &CachedRoute,
        request: &HttpRequest<'_>,
        caller: Caller<'_>,
    ) -> Result<Answer, Failed> {
        let Some(placement) = &route.placement else {
            return Err(Failed::StalePlacement(Failure::Unavailable));
        };
        // In the common case the plan is made before a connection is taken, and a bad request takes none.
        let mut lease = None;
        let catalog = match self.catalogs.get(route, placement.schema_version) {
            Some(catalog) => catalog,
            None => self.introspect(route, placement, &mut lease).await?,
        };
        let planned = match self.plan(route, placement, &catalog, request).await {
            Ok(planned) => planned,
            Err(failure) => {
                return Err(match lease {
                    // Read a moment ago, perhaps in the middle of a migration.
                    Some(lease) => {
                        lease.release();
                        Failed::StalePlacement(failure)
                    }
                    None => Failed::Finally(failure),
                });
            }
        };
        if let Err(refused) = may_run(route, request, &planned, caller) {
            if let Some(lease) = lease {
                lease.release();
            }
            return Err(refused);
        }
        let lease = match lease {
            Some(lease) => lease,
            None => self.pools.get(placement, claim(route)).await.map_err(connect_failed)?,
        };
        let (row, lease) = self.execute(route, placement, lease, &planned, caller).await?;
        let shape = planned.response;
        let head = shape.head(row.page_count, row.total_count).map_err(|error| {
            let range = (error.status == 416).then(|| shape.content_range(row.page_count, row.total_count));
            Failed::Finally(Failure::Range(error, range.flatten()))
        })?;
        let body = match (lease, row.body) {
            (Some(lease), _) => AnswerBody::Parts(Parts::new(lease, row.to_come)),
            (None, Some(body)) => AnswerBody::Whole(body),
            (None, None) => AnswerBody::None,
        };
        Ok(Answer { head, shape, body })
    }

    /// Plans a request; one with a large body on a thread that nobody else waits for, and few of them at a time.
    async fn plan(
        &self,
        route: &CachedRoute,
        placement: &RoutePlacement,
        catalog: &Catalog,
        request: &HttpRequest<'_>,
    ) -> Result<Planned, Failure> {
        let options = options(route);
        let plan = || plan(catalog, &options, placement.schema.as_str(), request, &self.limits);
        let planned = if request.body.len() <= LARGE_BODY {
            plan()
        } else {
            self.large_bodies.take(route.tenant_id).await.work(plan)
        };
        planned.map_err(Failure::Query)
    }

    /// The tenant's catalog.
    pub(crate) async fn catalog(&self, route: &CachedRoute) -> Result<Arc<Catalog>, Failure> {
        let Some(placement) = &route.placement else { return Err(Failure::Unavailable) };
        if let Some(catalog) = self.catalogs.get(route, placement.schema_version) {
            return Ok(catalog);
        }
        let mut lease = None;
        let catalog = self.introspect(route, placement, &mut lease).await?;
        if let Some(lease) = lease {
            lease.release();
        }
        Ok(catalog)
    }

    async fn read_catalog(
        &self,
        route: &CachedRoute,
        placement: &RoutePlacement,
        lease: &mut Lease,
    ) -> Result<Arc<Catalog>, CatalogsError> {
        // It becomes that of all tenants of the version: a rollout must not have been at this one before it was read.
        // Not a recheck: those are counted, for requests that find their tables elsewhere.
        let is_of_version = async || match timeout(LOOK_AGAIN, self.routes.until(route, |_| true)).await {
            Ok(Some(newer)) if is_other(&newer, route) => Err(CatalogsError::Empty),
            Ok(Some(newer)) => Ok(!is_migrating(&newer)),
            Ok(None) | Err(_) => Ok(false),
        };
        self.catalogs.read(route, placement.schema_version, lease.connection(), is_of_version).await
    }

    async fn introspect(
        &self,
        route: &CachedRoute,
        placement: &RoutePlacement,
        kept: &mut Option<Lease>,
    ) -> Result<Arc<Catalog>, Failed> {
        let mut lease = self.pools.get(placement, claim(route)).await.map_err(connect_failed)?;
        let mut read = self.read_catalog(route, placement, &mut lease).await;
        if matches!(&read, Err(CatalogsError::Query(error)) if is_sent_again(error, &lease, Access::ReadOnly))
        {
            drop(lease);
            lease = self.pools.get_new(placement, claim(route)).await.map_err(connect_failed)?;
            read = self.read_catalog(route, placement, &mut lease).await;
        }
        match read {
            Ok(catalog) => {
                *kept = Some(lease);
                Ok(catalog)
            }
            Err(CatalogsError::Query(error)) => {
                lease.release();
                Err(statement_failed(error, Access::ReadOnly))
            }
            Err(CatalogsError::Empty) => {
                lease.release();
                Err(Failed::StalePlacement(Failure::Unavailable))
            }
            Err(CatalogsError::Catalog(error)) => {
                lease.release();
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a catalog cannot be read: {error}"
                );
                Err(Failed::Finally(Failure::Internal))
            }
        }
    }

    /// The answer, and its connection where a part of it is still to be read.
    async fn execute(
        &self,
        route: &CachedRoute,
        placement: &RoutePlacement,
        mut lease: Lease,
        planned: &Planned,
        caller: Caller<'_>,
    ) -> Result<(QueryRow, Option<Lease>), Failed> {
        let (sql, params) = (&planned.statement.sql, &planned.statement.params);
        let transaction = &planned.transaction;
        let access = if transaction.writes { Access::ReadWrite } else { Access::ReadOnly };
        let extras = Extras {
            timezone: transaction.timezone.as_deref(),
            rollback: transaction.rollback,
            claims: caller.claims,
            first: None,
            touches: None,
        };
        let ask = async |lease: &mut Lease, extras: Extras<'_>| {
            lease.statement_begins();
            let _work = Work::of(self, route);
            let (connection, schema) = (lease.connection(), &placement.schema);
            let answer = match access {
                Access::ReadOnly => connection.read_one_text(schema, extras, sql, params).await,
                // What was written counts only when the transaction has ended.
                Access::ReadWrite => {
                    connection.query_one_text_with(schema, access, extras, sql, params).await
                }
            };
            lease.statement_ends();
            answer
        };
        let mut answer = ask(&mut lease, extras).await;
        if answer.as_ref().is_err_and(|error| is_sent_again(error, &lease, access)) {
            drop(lease);
            lease = self.pools.get_new(placement, claim(route)).await.map_err(connect_failed)?;
            answer = ask(&mut lease, extras).await;
        }
        let most = self.limits.max_answer_bytes;
        match answer {
            Ok(row) if row.to_come > most => Err(Failed::Finally(Failure::TooLarge(most))),
            Ok(row) if row.to_come > 0 => Ok((row, Some(lease))),
            Ok(row) if row.body.as_ref().is_some_and(|body| body.len() > most) => {
                lease.release();
                Err(Failed::Finally(Failure::TooLarge(most)))
            }
            Ok(row) => {
                lease.release();
                Ok((row, None))
            }
            Err(error) => {
                lease.release();
                if is_answer_too_large(error.code.as_deref().unwrap_or_default(), &error.message) {
                    return Err(Failed::Finally(Failure::TooLarge(most)));
                }
                let refusal =
                    planned.response.refusal(error.code.as_deref().unwrap_or_default(), &error.message);
                Err(match refusal {
                    Some(refusal) => Failed::Finally(Failure::Query(refusal)),
                    None => statement_failed(error, access),
                })
            }
        }
    }
}

/// Whether what was planned may be run for the caller.
fn may_run(
    route: &CachedRoute,
    request: &HttpRequest<'_>,
    planned: &Planned,
    caller: Caller<'_>,
) -> Result<(), Failed> {
    if let Some(roles) = caller.roles {
        let permissions = &route.users.permissions;
        let missing = planned.uses.iter().find(|(verb, used)| !permissions.allow(roles, *verb, used));
        if let Some((verb, resource)) = missing {
            let forbidden = Failure::Forbidden { verb: *verb, resource: resource.clone() };
            return Err(Failed::Finally(forbidden));
        }
    }
    if !planned.transaction.writes {
        return Ok(());
    }
    if !caller.may_write {
        return Err(Failed::Finally(Failure::ReadOnlyKey));
    }
    if route.storage_full && request.method != Method::Delete {
        return Err(Failed::Finally(Failure::StorageFull));
    }
    if is_in_cutover(route) {
        return Err(Failed::Held);
    }
    Ok(())
}

/// The database works for a tenant until this is dropped, as it is too when the client goes away.
struct Work<'a> {
    runner: &'a Runner,
    route: &'a CachedRoute,
    began: Instant,
}

impl<'a> Work<'a> {
    fn of(runner: &'a Runner, route: &'a CachedRoute) -> Self {
        Self { runner, route, began: Instant::now() }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        let time = self.began.elapsed();
        self.runner.tenant_limits.worked(self.route, time);
        self.runner.usage.worked(self.route.tenant_id, time);
    }
}

fn is_in_cutover(route: &CachedRoute) -> bool {
    route.placement.as_ref().is_some_and(|placement| placement.in_cutover)
}

fn claim(route: &CachedRoute) -> Claim {
    Claim { tenant: route.tenant_id, weight: route.weight }
}

/// What the tenant's app decides about its language.
pub(crate) fn options(route: &CachedRoute) -> Options<'_> {
    let manifest = &route.app.manifest;
    Options {
        case: match manifest.json_case {
            JsonCase::Snake => tenantry_query::JsonCase::Snake,
            JsonCase::Camel => tenantry_query::JsonCase::Camel,
        },
        aggregates: manifest.aggregates,
        unfiltered_writes: manifest.unfiltered_writes,
        functions: manifest.functions.as_ref(),
    }
}

/// The server closed a kept connection before it could be used, or could not reset it for this tenant. What may
/// have been done already, only a read may do twice.
fn is_sent_again(error: &TenantQueryError, lease: &Lease, access: Access) -> bool {
    match error.kind {
        QueryErrorKind::NotReset => true,
        QueryErrorKind::Connection => access == Access::ReadOnly && lease.reused,
        _ => false,
    }
}

fn connect_failed(error: PoolError) -> Failed {
    match error {
        // The database or the login is gone.
        PoolError::Connect(error @ ConnectError::Refused { .. }) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a placement cannot be entered: {error}"
            );
            Failed::StalePlacement(Failure::Unavailable)
        }
        error => Failed::Finally(Failure::Pool(error)),
    }
}

/// Undefined column, undefined function, another type. (An undefined table or type is [`QueryErrorKind::Gone`].)
const OTHER_TABLES: [&str; 3] = ["42703", "42883", "42804"];

fn statement_failed(error: TenantQueryError, access: Access) -> Failed {
    match error.kind {
        QueryErrorKind::Moving => Failed::Held,
        QueryErrorKind::Gone => {
            tracing::warn!(
                sqlstate = error.code.as_deref(),
                error.message = error.message,
                "a placement does not hold the tenant: {}",
                error.message
            );
            Failed::StalePlacement(Failure::Unavailable)
        }
        // The app's own grants, or those of a placement that is not the tenant's any more.
        QueryErrorKind::Permission => {
            Failed::StalePlacement(Failure::Statement { error, may_have_written: false })
        }
        // The tables are not those of the version that was planned for.
        _ if error.code.as_deref().is_some_and(|code| OTHER_TABLES.contains(&code)) => {
            Failed::StalePlacement(Failure::Statement { error, may_have_written: false })
        }
        _ => {
            let may_have_written = access == Access::ReadWrite;
            Failed::Finally(Failure::Statement { error, may_have_written })
        }
    }
}
