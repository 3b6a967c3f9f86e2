//! One request against one placement: catalog, plan, connection, statement. Knows what a failure
//! says of the placement, so that the caller can look for a newer one.

use std::sync::Arc;

use axum::http::StatusCode;
use bytes::Bytes;
use tenantry_domain::{app::AppVersion, app::JsonCase, placement::Epoch, route::RoutePlacement};
use tenantry_http::Problem;
use tenantry_postgres::tenant::{Access, ConnectError, QueryErrorKind, QueryRow, TenantQueryError};
use tenantry_query::{
    Catalog, HttpRequest, Limits, Method, Planned, QueryError, ResponseHead, ResponseShape, plan,
    rows_instead_of_one,
};

use super::answers;
use crate::{
    admit::missing_feature,
    catalogs::{Catalogs, CatalogsError},
    pool::{Lease, PoolError, Pools},
    routes::CachedRoute,
};

/// What came back.
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    pub(super) shape: ResponseShape,
    pub(super) body: Option<Bytes>,
}

/// Why there is no answer.
pub(super) enum Failed {
    /// For the client.
    Problem(Problem),
    /// The placement does not serve the tenant (any more). What to say if there is no newer one.
    Misplaced(Problem),
}

/// A placement, as far as it matters whether another one is newer.
pub(super) fn version_of(placement: Option<&RoutePlacement>) -> Option<(Epoch, AppVersion)> {
    placement.map(|placement| (placement.epoch, placement.schema_version))
}

#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) pools: Pools,
    pub(crate) catalogs: Catalogs,
    pub(crate) limits: Limits,
}

impl Runner {
    pub(super) async fn run(&self, route: &CachedRoute, request: &HttpRequest<'_>) -> Result<Answer, Failed> {
        let Some(placement) = &route.placement else {
            return Err(Failed::Misplaced(answers::tenant_unavailable()));
        };
        // In the common case the plan is made before a connection is taken, and a bad request takes none.
        let mut lease = None;
        let catalog = match self.catalogs.get(route, placement.schema_version) {
            Some(catalog) => catalog,
            None => self.introspect(route, placement, &mut lease).await?,
        };
        let planned = match self.plan(route, placement, &catalog, request) {
            Ok(planned) => planned,
            Err(problem) => {
                if let Some(lease) = lease {
                    lease.release();
                }
                return Err(Failed::Problem(problem));
            }
        };
        let lease = match lease {
            Some(lease) => lease,
            None => self.pools.get(placement, route.tenant_id).await.map_err(connect_failed)?,
        };
        let row = self.execute(route, placement, lease, &planned, access_of(request.method)).await?;
        let shape = planned.response;
        let head = shape.head(row.page_count, row.total_count).map_err(|error| {
            let range = (error.status == 416).then(|| shape.content_range(row.page_count, row.total_count));
            Failed::Problem(with_range(answers::query_refused(error), range.flatten()))
        })?;
        Ok(Answer { head, shape, body: row.body })
    }

    fn plan(
        &self,
        route: &CachedRoute,
        placement: &RoutePlacement,
        catalog: &Catalog,
        request: &HttpRequest<'_>,
    ) -> Result<Planned, Problem> {
        let case = match route.app.manifest.json_case {
            JsonCase::Snake => tenantry_query::JsonCase::Snake,
            JsonCase::Camel => tenantry_query::JsonCase::Camel,
        };
        plan(catalog, case, placement.schema.as_str(), request, &self.limits).map_err(|error: QueryError| {
            match missing_feature(route, request.table) {
                Some(feature) if error.status == 404 => answers::feature_disabled(feature, request.table),
                _ => answers::query_refused(error),
            }
        })
    }

    async fn introspect(
        &self,
        route: &CachedRoute,
        placement: &RoutePlacement,
        kept: &mut Option<Lease>,
    ) -> Result<Arc<Catalog>, Failed> {
        let mut lease = self.pools.get(placement, route.tenant_id).await.map_err(connect_failed)?;
        let mut read = self.catalogs.read(route, placement.schema_version, &mut lease.connection).await;
        if lease.reused
            && matches!(&read, Err(CatalogsError::Query(error)) if error.kind == QueryErrorKind::Connection)
        {
            drop(lease);
            lease = self.pools.get_new(placement, route.tenant_id).await.map_err(connect_failed)?;
            read = self.catalogs.read(route, placement.schema_version, &mut lease.connection).await;
        }
        match read {
            Ok(catalog) => {
                *kept = Some(lease);
                Ok(catalog)
            }
            Err(CatalogsError::Query(error)) => {
                lease.release();
                Err(statement_failed(error, false, Access::ReadOnly))
            }
            Err(CatalogsError::Empty) => {
                lease.release();
                Err(Failed::Misplaced(answers::tenant_unavailable()))
            }
            Err(CatalogsError::Catalog(error)) => {
                lease.release();
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a catalog cannot be read: {error}"
                );
                Err(Failed::Problem(Problem::internal()))
            }
        }
    }

    async fn execute(
        &self,
        route: &CachedRoute,
        placement: &RoutePlacement,
        mut lease: Lease,
        planned: &Planned,
        access: Access,
    ) -> Result<QueryRow, Failed> {
        let (sql, params) = (&planned.statement.sql, &planned.statement.params);
        let mut answer = lease.connection.query_one_text(&placement.schema, access, sql, params).await;
        // The server closed a kept connection before it could be used. Only reads may be sent twice.
        let again = access == Access::ReadOnly
            && lease.reused
            && answer.as_ref().is_err_and(|error| error.kind == QueryErrorKind::Connection);
        if again {
            drop(lease);
            lease = self.pools.get_new(placement, route.tenant_id).await.map_err(connect_failed)?;
            answer = lease.connection.query_one_text(&placement.schema, access, sql, params).await;
        }
        lease.release();
        answer.map_err(|error| statement_failed(error, planned.response.must_affect_one, access))
    }
}

fn access_of(method: Method) -> Access {
    match method {
        Method::Get | Method::Head => Access::ReadOnly,
        Method::Post | Method::Patch | Method::Put | Method::Delete => Access::ReadWrite,
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
            Failed::Misplaced(answers::tenant_unavailable())
        }
        error => Failed::Problem(answers::pool_failed(&error)),
    }
}

fn statement_failed(error: TenantQueryError, must_affect_one: bool, access: Access) -> Failed {
    if must_affect_one
        && let Some(rows) = rows_instead_of_one(error.code.as_deref().unwrap_or_default(), &error.message)
    {
        return Failed::Problem(answers::query_refused(ResponseShape::not_singular(rows)));
    }
    match error.kind {
        QueryErrorKind::Gone => {
            tracing::warn!(
                sqlstate = error.code.as_deref(),
                error.message = error.message,
                "a placement does not hold the tenant: {}",
                error.message
            );
            Failed::Misplaced(answers::tenant_unavailable())
        }
        // Of a table: the app's own grants, or a fence. Of anything else: the placement is not the tenant's any more.
        QueryErrorKind::Permission => {
            let of_table = ["table ", "view ", "materialized view ", "sequence ", "column ", "function "]
                .iter()
                .any(|what| error.message.starts_with(&format!("permission denied for {what}")));
            Failed::Misplaced(if of_table {
                answers::statement_failed(error, false)
            } else {
                answers::tenant_unavailable()
            })
        }
        _ => Failed::Problem(answers::statement_failed(error, access == Access::ReadWrite)),
    }
}

fn with_range(problem: Problem, range: Option<String>) -> Problem {
    debug_assert!(range.is_none() || problem.status() == StatusCode::RANGE_NOT_SATISFIABLE);
    match range.and_then(|range| range.parse().ok()) {
        Some(range) => problem.with_header(axum::http::header::CONTENT_RANGE, range),
        None => problem,
    }
}
