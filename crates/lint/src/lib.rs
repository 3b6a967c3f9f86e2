//! Guard rails: what in a version of an app stops traffic, breaks clients, reaches beyond a tenant or leaves it half-way, by
//! rule and line, with the safer form. Pure: it reads text, and is told what is known of the tenants ([`Known`]).
//!
//! The parser and most rules are squawk's; [`Rule`] has which of them are on, and those of our own. `docs/migrations.md` lists
//! all. Whether SQL is right at all is PostgreSQL's to say: each version is tried on it before it is accepted.

mod bodies;
mod bounds;
mod file;
mod known;
mod names;
mod rule;
mod schema;
mod settings;
mod split;
mod squawk;
mod statement;
mod statements;
mod without_transaction;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use serde::{Deserialize, Serialize};
use tenantry_domain::app::{App, AppVersion};

pub use known::{Known, ViewColumn};
pub use rule::{Rule, Weight};
use schema::Schema;
pub use split::{StatementText, split};

/// Something in a file that is unsafe, or may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was broken.
    pub rule: Rule,
    /// The line, counted from 1.
    pub line: u32,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// How bad it is.
    pub weight: Weight,
}

/// All findings of one file, in the order of its lines. Takes any text, in bounded time and depth.
pub fn lint(sql: &str, known: &Known<'_>) -> Vec<Finding> {
    deep_stack(|| guarded(sql, known, &mut known.schema.clone())).unwrap_or_else(|| vec![file::unread()])
}

/// All findings of the versions of an app after `from`, up to `to`, which are carried out together: what one of them makes is
/// new to the others. What the versions up to `from` have made is known; what a version among them replaces is not carried out.
pub fn lint_versions(
    app: &App,
    from: Option<AppVersion>,
    to: AppVersion,
    known: &Known<'_>,
) -> Vec<(AppVersion, Finding)> {
    let lint = || {
        let mut schema = known.schema.clone();
        let mut findings = Vec::new();
        let replaced = app.replaced_until(to);
        for migration in &app.migrations {
            if Some(migration.version) <= from {
                learn(&migration.up, &mut schema);
                schema.forget_new();
            } else if migration.version <= to && !replaced.contains(&migration.version) {
                let of_version = guarded(&migration.up, known, &mut schema);
                findings.extend(of_version.into_iter().map(|finding| (migration.version, finding)));
            }
        }
        findings
    };
    deep_stack(lint).unwrap_or_else(|| vec![(to, file::unread())])
}

/// Findings of a file; what it makes is in `schema` afterwards. A fault of the parser is a finding.
fn guarded(sql: &str, known: &Known<'_>, schema: &mut Schema) -> Vec<Finding> {
    let lint = AssertUnwindSafe(|| file::lint(sql, known, schema));
    catch_unwind(lint).unwrap_or_else(|_| vec![file::unread()])
}

/// Runs a file without a look at it.
fn learn(sql: &str, schema: &mut Schema) {
    // What could not be read is not known.
    let _ = catch_unwind(AssertUnwindSafe(|| file::learn(sql, schema)));
}

/// On a stack of its own: the parser goes as deep as [`bounds`] let it. None: there is no thread to be had.
fn deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK: usize = 32 << 20;
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("lint".to_owned()).stack_size(STACK);
        thread.spawn_scoped(scope, work).ok()?.join().ok()
    })
}
