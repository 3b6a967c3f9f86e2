//! Routes in memory. `store` holds them and knows what it may still believe, `cache` loads what is
//! missing or in doubt, `reads` asks the registry for many at once, `feed` hears what changed.

mod cache;
mod feed;
mod reads;
mod store;

pub(crate) use feed::follow;

#[cfg(test)]
pub(crate) use store::tests;

pub use cache::{RouteCache, RouteCacheSettings, RoutesUnavailable};
pub use store::{CachedRoute, RouteName};
