//! Connections per server, database and login: taken last in, first out, so that those that are not
//! needed grow old and are closed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use metrics::Gauge;
use secrecy::ExposeSecret;
use tenantry_domain::{
    envelope,
    ids::{ServerId, TenantId},
    names::ObjectName,
    route::{RoutePlacement, RouteServer},
    server_tls::ServerTls,
};
use tenantry_postgres::{
    tenant::{ConnectError, ConnectOptions, LoginTarget, TenantConnection},
    tls::Tls,
};
use tenantry_registry::Registry;
use tokio::runtime::Handle;

use super::{
    budget::{Budget, Claim, Permit},
    login::{LoginError, Logins},
};
use crate::settings::PoolSettings;

/// No connection could be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// All are in use, and nothing became free in time.
    #[error("no connection became free in time")]
    Exhausted,
    /// There is no password to log in with.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The server did not let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// All connections of this process to tenant servers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pools(Arc<Inner>);

/// How long it takes to end a statement after its time, also one that catches its cancellation.
const CANCELLED_WITHIN: Duration = Duration::from_secs(5);

struct Inner {
    servers: RwLock<HashMap<ServerId, Arc<ServerPool>>>,
    logins: Logins,
    settings: PoolSettings,
    options: ConnectOptions,
}

struct ServerPool {
    budget: Budget,
    /// How it is to be protected, and what was prepared for that.
    tls: Mutex<Option<(ServerTls, Tls)>>,
    idle: Mutex<IdleSet>,
    idle_count: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    database: Arc<ObjectName>,
    login: Arc<ObjectName>,
}

struct Idle {
    connection: TenantConnection,
    /// Whose it was last. For the same tenant it need not be reset, and has its statements prepared.
    tenant: TenantId,
    server: Arc<RouteServer>,
    since: Instant,
}

#[derive(Default)]
struct IdleSet {
    /// Oldest in front.
    by_key: HashMap<Key, VecDeque<Idle>>,
    len: usize,
}

/// A connection in use. Dropping it closes it, and gives its place to another when the server has ended what it did for
/// it; [`Lease::release`] keeps it for the next.
pub(crate) struct Lease {
    /// None once it is given back.
    held: Option<(TenantConnection, Permit)>,
    /// It was used before, so that the server may have closed it meanwhile.
    pub(crate) reused: bool,
    since: Instant,
    tenant: TenantId,
    key: Key,
    server: Arc<RouteServer>,
    pool: Arc<ServerPool>,
    pools: Pools,
}

impl Pools {
    pub(crate) fn new(
        registry: Registry,
        kek: envelope::Key,
        settings: PoolSettings,
        statement_timeout: Duration,
    ) -> Self {
        let options = ConnectOptions {
            connect_timeout: settings.connect_timeout,
            statement_timeout,
            ..ConnectOptions::default()
        };
        Self(Arc::new(Inner {
            servers: RwLock::default(),
            logins: Logins::new(registry, kek),
            settings,
            options,
        }))
    }

    /// A connection that may become the tenant.
    pub(crate) async fn get(&self, placement: &RoutePlacement, claim: Claim) -> Result<Lease, PoolError> {
        self.lease(placement, claim, true).await
    }

    /// A new connection, where a kept one turned out to be dead.
    pub(crate) async fn get_new(&self, placement: &RoutePlacement, claim: Claim) -> Result<Lease, PoolError> {
        self.lease(placement, claim, false).await
    }

    async fn lease(&self, placement: &RoutePlacement, claim: Claim, reuse: bool) -> Result<Lease, PoolError> {
        let tenant = claim.tenant;
        let pool = self.server(&placement.server);
        let patience = self.0.settings.wait_timeout;
        let permit = pool.budget.acquire(claim, patience).await.map_err(|_| PoolError::Exhausted)?;
        let key = Key { database: Arc::clone(&placement.database), login: Arc::clone(&placement.login) };
        let server = Arc::clone(&placement.server);
        let kept = if reuse { self.take_idle(&pool, &key, &server, tenant) } else { None };
        let reused = kept.is_some();
        let connection = if let Some(connection) = kept {
            connection
        } else {
            pool.make_room();
            self.connect(placement, pool.tls(&placement.server.tls)).await?
        };
        let since = Instant::now();
        let held = Some((connection, permit));
        Ok(Lease { held, reused, since, tenant, key, server, pool, pools: self.clone() })
    }

    fn server(&self, server: &RouteServer) -> Arc<ServerPool> {
        let cap = self
            .0
            .settings
            .connections_per_server
            .min(usize::try_from(server.max_connections).unwrap_or(usize::MAX));
        let known = self.0.servers.read().unwrap_or_else(PoisonError::into_inner).get(&server.id).cloned();
        if let Some(pool) = known {
            if pool.budget.in_use_of().1 != cap {
                pool.budget.set_cap(cap);
            }
            return pool;
        }
        let mut servers = self.0.servers.write().unwrap_or_else(PoisonError::into_inner);
        let pool = servers.entry(server.id).or_insert_with(|| {
            Arc::new(ServerPool {
                budget: Budget::new(
                    server.id,
                    cap,
                    self.0.settings.max_waiting,
                    self.0.options.statement_timeout + CANCELLED_WITHIN,
                ),
                tls: Mutex::default(),
                idle: Mutex::default(),
                idle_count: metrics::gauge!(
                    "tenantry_pool_connections", "server" => server.id.to_string(), "state" => "idle"
                ),
            })
        });
        Arc::clone(pool)
    }

    fn take_idle(
        &self,
        pool: &ServerPool,
        key: &Key,
        server: &Arc<RouteServer>,
        tenant: TenantId,
    ) -> Option<TenantConnection> {
        let now = Instant::now();
        loop {
            let mut idle = pool.idle().take(key, tenant)?;
            pool.report();
            let moved = !Arc::ptr_eq(&idle.server, server)
                && (idle.server.host != server.host
                    || idle.server.port != server.port
                    || idle.server.tls != server.tls);
            if !moved && !self.is_too_old(&idle, now) && !idle.connection.is_closed() {
                return Some(idle.connection);
            }
        }
    }

    fn is_too_old(&self, idle: &Idle, now: Instant) -> bool {
        let settings = &self.0.settings;
        now.saturating_duration_since(idle.since) >= settings.idle_timeout
            || idle.connection.age() >= settings.max_age
    }

    async fn connect(&self, placement: &RoutePlacement, tls: Tls) -> Result<TenantConnection, PoolError> {
        let (server, login) = (&placement.server, &placement.login);
        let logins = &self.0.logins;
        let mut target = LoginTarget {
            host: server.host.clone(),
            port: server.port,
            tls,
            database: ObjectName::clone(&placement.database),
            login: ObjectName::clone(login),
            password: logins.password(server.id, login).await?,
        };
        let refused = match TenantConnection::connect(&target, &self.0.options).await {
            Ok(connection) => return Ok(connection),
            Err(error @ ConnectError::Refused { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        // Perhaps the password was changed.
        let Ok(password) = logins.reload(server.id, login).await else { return Err(refused.into()) };
        if password.expose_secret() == target.password.expose_secret() {
            return Err(refused.into());
        }
        target.password = password;
        Ok(TenantConnection::connect(&target, &self.0.options).await?)
    }

    /// Closes what has been idle for long; to be called every few seconds.
    pub(crate) fn close_idle(&self) {
        let servers: Vec<_> =
            self.0.servers.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let now = Instant::now();
        for pool in servers {
            let closed =
                pool.idle().extract(|idle| self.is_too_old(idle, now) || idle.connection.is_closed());
            pool.report();
            drop(closed);
        }
    }
}

impl ServerPool {
    /// Keeps in use and idle together within the cap, by closing the oldest idle ones.
    fn make_room(&self) {
        let (in_use, cap) = self.budget.in_use_of();
        let mut closed = Vec::new();
        {
            let mut idle = self.idle();
            while idle.len > 0 && in_use + idle.len > cap {
                closed.extend(idle.take_oldest());
            }
        }
        self.report();
        drop(closed);
    }

    /// What connections are made with. Prepared when it is asked for first, and when it has changed.
    fn tls(&self, wanted: &ServerTls) -> Tls {
        let mut known = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((tls, prepared)) if tls == wanted => prepared.clone(),
            _ => {
                let prepared = Tls::new(wanted);
                *known = Some((wanted.clone(), prepared.clone()));
                prepared
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, IdleSet> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn report(&self) {
        self.idle_count.set(self.idle().len as f64);
    }
}

impl IdleSet {
    /// The connection that the tenant used last, or else the one that anybody did.
    fn take(&mut self, key: &Key, tenant: TenantId) -> Option<Idle> {
        let list = self.by_key.get_mut(key)?;
        let own = list.iter().rposition(|idle| idle.tenant == tenant);
        let idle = list.remove(own.unwrap_or(list.len().checked_sub(1)?))?;
        self.len -= 1;
        Some(idle)
    }

    fn put(&mut self, key: Key, idle: Idle) {
        self.by_key.entry(key).or_default().push_back(idle);
        self.len += 1;
    }

    fn take_oldest(&mut self) -> Option<Idle> {
        let list = self
            .by_key
            .values_mut()
            .filter(|list| !list.is_empty())
            .min_by_key(|list| list.front().map(|idle| idle.since))?;
        let oldest = list.pop_front()?;
        self.len -= 1;
        Some(oldest)
    }

    /// Takes out all that are to go, and forgets databases of which nothing is left.
    fn extract(&mut self, mut goes: impl FnMut(&mut Idle) -> bool) -> Vec<Idle> {
        let mut out = Vec::new();
        self.by_key.retain(|_, list| {
            let mut kept = VecDeque::with_capacity(list.len());
            for mut idle in list.drain(..) {
                if goes(&mut idle) { out.push(idle) } else { kept.push_back(idle) }
            }
            *list = kept;
            !list.is_empty()
        });
        self.len -= out.len();
        out
    }
}

const HELD: &str = "it is held until it is given back";

impl Lease {
    pub(crate) fn connection(&mut self) -> &mut TenantConnection {
        &mut self.held.as_mut().expect(HELD).0
    }

    /// See [`Permit::statement_begins`].
    pub(crate) fn statement_begins(&mut self) {
        self.held.as_mut().expect(HELD).1.statement_begins();
    }

    /// See [`Permit::statement_ends`].
    pub(crate) fn statement_ends(&mut self) {
        self.held.as_mut().expect(HELD).1.statement_ends();
    }

    /// It is in use for longer than a statement may take, while a tenant that has none waits for one and no other is on its way
    /// back. To be dropped at once.
    pub(crate) fn gives_way(&mut self) -> bool {
        let (_, permit) = self.held.as_mut().expect(HELD);
        self.since.elapsed() >= self.pools.0.options.statement_timeout && permit.gives_way()
    }

    /// Keeps the connection for the next, unless it has served its time.
    pub(crate) fn release(mut self) {
        let settings = &self.pools.0.settings;
        let (connection, _) = self.held.as_mut().expect(HELD);
        let spent = connection.is_closed()
            || connection.tenants_touched() >= settings.max_tenants_touched
            || connection.age() >= settings.max_age;
        if spent {
            return;
        }
        let (connection, permit) = self.held.take().expect(HELD);
        let idle =
            Idle { connection, tenant: self.tenant, server: Arc::clone(&self.server), since: Instant::now() };
        self.pool.idle().put(self.key.clone(), idle);
        self.pool.report();
        drop(permit);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((connection, permit)) = self.held.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if connection.is_busy() => {
                runtime.spawn(async move {
                    connection.end().await;
                    drop(permit);
                });
            }
            _ => {
                // The connection first, so that it is closed before somebody else may open one.
                drop(connection);
                drop(permit);
            }
        }
    }
}
