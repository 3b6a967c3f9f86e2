//! File descriptors: as many as the machine allows, and some of them kept from clients, so that the admin port, the
//! registry and tenant servers can still be reached when there are too many clients.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Kept for everything that is no client's connection.
const RESERVED: u64 = 1_000;

/// How many connections one of two listeners may hold, of as many as are asked for. Raises the process's limit as far
/// as it may.
pub(crate) fn for_clients(asked: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised: {error}"),
        }
    }
    let Some(descriptors) = limit.current else { return asked };
    // A small limit is halved between clients and the rest.
    let left = descriptors.saturating_sub(RESERVED).max(descriptors / 2) / 2;
    let possible = usize::try_from(left).unwrap_or(usize::MAX);
    if possible < asked {
        tracing::warn!(
            "of {asked} connections only {possible} are possible: raise the limit of open files ({descriptors})"
        );
    }
    asked.min(possible)
}
