//! Checking whether a server can hold tenants, before it is registered or changed, or when somebody asks.

use tenantry_domain::inquiry::{Answer, Question, ServerCheck, ServerToCheck};

use super::ask_worker::{AskWorker, Unanswered};

/// What a worker finds.
pub(crate) async fn check_server(ask: &AskWorker, server: ServerToCheck) -> Result<ServerCheck, Unanswered> {
    match ask.ask(&Question::CheckServer(server)).await? {
        Answer::ServerChecked(check) => Ok(check),
        _ => Err(Unanswered::foreign()),
    }
}
