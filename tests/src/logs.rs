//! What the tests' own Tenantry logs: shown where `TENANTRY_LOG` says so, and looked through for secrets with
//! `TENANTRY_TEST_LOGS=check`.
//!
//! `tests/it/secrets_in_logs.rs` has real processes log all that they can, and knows each secret. This sees whatever any test
//! does, and knows only what secrets look like.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Lines with a secret in them.
static FOUND: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Passwords and values to encrypt that several tests use.
const OF_TESTS: &[&str] = &["Correct horse battery 1", "hunter2"];

/// Keys and refresh tokens.
const PREFIXES: &[&str] = &["tnt_", "tnr_"];

/// Begins to log.
pub(crate) fn begin() {
    let shown = EnvFilter::try_from_env("TENANTRY_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    let shown = fmt::layer().with_test_writer().with_filter(shown);
    // Not by default: what is measured would be slower.
    let checks = std::env::var_os("TENANTRY_TEST_LOGS").is_some_and(|value| value == "check");
    let checked = checks.then(|| {
        let lines = fmt::layer().with_ansi(false).with_writer(|| Check);
        lines.with_filter(EnvFilter::new("info,tenantry=debug"))
    });
    // The second test of a binary finds it begun.
    let _ = tracing_subscriber::registry().with(shown).with(checked).try_init();
}

/// Fails the test at hand if a secret was logged, by it or by one that runs beside it.
pub(crate) fn check() {
    let found = std::mem::take(&mut *FOUND.lock().unwrap_or_else(PoisonError::into_inner));
    if !std::thread::panicking() {
        assert!(found.is_empty(), "a secret was logged: {found:#?}");
    }
}

struct Check;

impl io::Write for Check {
    /// One line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if holds_secret(&text) {
            FOUND.lock().unwrap_or_else(PoisonError::into_inner).push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn holds_secret(line: &str) -> bool {
    let letters =
        |text: &str| text.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b)).count();
    let has = |prefix: &str, length: usize| {
        line.match_indices(prefix).any(|(at, _)| letters(&line[at..]) >= length)
    };
    // A URL with a password.
    let login = |(at, scheme): (usize, &str)| {
        let authority = line[at + scheme.len()..].split(['/', ' ', '"']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
    };
    OF_TESTS.iter().any(|secret| line.contains(secret))
        || PREFIXES.iter().any(|prefix| has(prefix, 40))
        // A JWT.
        || has("eyJ", 100)
        || line.match_indices("://").any(login)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_found() {
        let (long, jwt) = ("x".repeat(43), format!("eyJ{}.{}", "a".repeat(40), "b".repeat(90)));
        for line in [
            format!("key=tnt_{long} "),
            format!("{{\"refreshToken\":\"tnr_{}_{long}\"}}", "0".repeat(32)),
            format!("Bearer {jwt}"),
            "password: \"Correct horse battery 1\"".to_owned(),
            "at postgres://me:secret@localhost:5432/registry".to_owned(),
        ] {
            assert!(holds_secret(&line), "{line}");
        }
        for line in [
            "listens on http://127.0.0.1:8080",
            "at postgres://me@localhost:5432/registry",
            "tenant 01a229f4-6aee-7885-a922-73a2462736ca of tnt_01a229f4",
            "asks https://example.com/a:b@c",
        ] {
            assert!(!holds_secret(line), "{line}");
        }
    }
}
