//! Whether a process is ready to be sent requests, and if not, why not.
//!
//! A check that has passed stays passed: a process that was ready once works on through an outage
//! of what it depends on, or answers better than no process would. Only shutting down ends it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The checks of a process. Cheap to clone. Without any check it is ready.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<String, Result<(), String>>>>);

/// The name of the check that fails once the process is to stop.
const SHUTDOWN: &str = "shutdown";

impl Readiness {
    /// Adds a check that has not passed yet.
    pub fn expect(&self, name: &str) -> Check {
        self.lock().entry(name.to_owned()).or_insert_with(|| Err("not checked yet".to_owned()));
        Check { name: name.to_owned(), of: self.clone() }
    }

    /// Fails from now on: the process is to stop, and takes no further requests soon.
    pub fn shut_down(&self) {
        self.lock().insert(SHUTDOWN.to_owned(), Err("the process is shutting down".to_owned()));
    }

    /// Each check by its name, and what is wrong.
    pub fn checks(&self) -> Vec<(String, Result<(), String>)> {
        self.lock().iter().map(|(name, state)| (name.clone(), state.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Result<(), String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thing that must be so before a process is ready.
#[derive(Debug)]
pub struct Check {
    name: String,
    of: Readiness,
}

impl Check {
    /// It is so, and stays so.
    pub fn pass(&self) {
        self.of.lock().insert(self.name.clone(), Ok(()));
    }

    /// It is not so yet. Does nothing once it has passed.
    pub fn wait(&self, reason: impl Into<String>) {
        if let Some(state @ Err(_)) = self.of.lock().get_mut(&self.name) {
            *state = Err(reason.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_once_every_check_has_passed_until_it_shuts_down() {
        let readiness = Readiness::default();
        let is_ready = || readiness.checks().iter().all(|(_, state)| state.is_ok());
        let (registry, key) = (readiness.expect("registry"), readiness.expect("key"));
        registry.pass();
        assert!(!is_ready());
        key.wait("another key");
        assert_eq!(readiness.checks()[0], ("key".to_owned(), Err("another key".to_owned())));
        key.pass();
        assert!(is_ready());
        registry.wait("an outage");
        assert!(is_ready());
        readiness.shut_down();
        assert!(!is_ready());
    }
}
