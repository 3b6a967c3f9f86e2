//! Which plans have a feature: told to whom is refused for want of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tenantry_registry::Registry;

/// How long it is remembered, so that refusals cost the registry nothing.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Features of which it is remembered. Their names come from apps' manifests: more of them are nobody's.
const MOST: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FeaturePlans(Mutex<HashMap<String, Known>>);

/// When it was read, and what.
type Known = (Instant, Arc<[String]>);

impl FeaturePlans {
    /// The names of the plans with a feature; none, while nobody can tell.
    pub(crate) async fn with(&self, feature: &str, registry: &Registry) -> Arc<[String]> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(feature).cloned();
        if let Some((read, plans)) = known
            && read.elapsed() < REMEMBERED
        {
            return plans;
        }
        let Ok(plans) = registry.plans_with_feature(feature).await else { return Arc::default() };
        let plans: Arc<[String]> = plans.into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (read, _)| read.elapsed() < REMEMBERED);
        }
        if known.len() < MOST {
            known.insert(feature.to_owned(), (Instant::now(), Arc::clone(&plans)));
        }
        plans
    }
}
