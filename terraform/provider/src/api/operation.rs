//! Follows an operation to its end.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::{
    client::Api,
    problem::{ApiError, sentence},
    request::{Answer, Request},
};
use crate::{diagnostic::Diagnostic, log};

/// The first pause between two looks at an operation; a sign-up takes some milliseconds.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A piece of work as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Operation {
    id: String,
    kind: String,
    state: String,
    step: Option<String>,
    #[serde(default)]
    progress: f64,
    message: Option<String>,
    error: Option<String>,
}

/// An operation that has not succeeded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperationError {
    #[error("{0}")]
    Api(#[from] ApiError),
    #[error("operation {} ended as {}", .0.id, .0.state)]
    Ended(Box<Operation>),
    #[error("operation {} is not finished", .operation.id)]
    Unfinished { operation: Box<Operation>, why: &'static str },
}

impl Api {
    /// Begins work, after that which is under way, and waits for its end. Answers that began none are its end too.
    pub(crate) async fn work(&self, request: Request) -> Result<Answer, OperationError> {
        let answer = self.begin(request).await?;
        self.follow(&answer).await?;
        Ok(answer)
    }

    /// Begins work, after that which is under way.
    pub(crate) async fn begin(&self, mut request: Request) -> Result<Answer, OperationError> {
        let give_up = Instant::now() + self.patience;
        loop {
            let error = match self.send(request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let ApiError::Problem(problem) = &error else { return Err(error.into()) };
            let Some(busy) = problem.operation_id.clone().filter(|_| problem.code == "operation_in_progress")
            else {
                return Err(error.into());
            };
            if Instant::now() >= give_up {
                return Err(error.into());
            }
            log::info(&format!("operation {busy} is under way; waiting for its end"));
            let operation = self.operation(&busy).await?;
            match self.until_ended(operation).await {
                // However it ended: what comes after it is refused if it cannot be.
                Ok(()) | Err(OperationError::Ended(_)) => {}
                Err(error) => return Err(error),
            }
            // The refusal is kept with the key.
            if request.idempotency_key.is_some() {
                request.idempotency_key = Some(crate::random::key());
            }
        }
    }

    /// Waits for the end of the operation that an answer tells of, if any.
    pub(crate) async fn follow(&self, answer: &Answer) -> Result<(), OperationError> {
        match Operation::read(&answer.body["operation"]) {
            Some(operation) => self.until_ended(operation).await,
            None => Ok(()),
        }
    }

    async fn until_ended(&self, mut operation: Operation) -> Result<(), OperationError> {
        let give_up = Instant::now() + self.patience;
        let mut pause = PAUSE;
        let mut told = String::new();
        loop {
            let text = operation.describe();
            if text != told {
                log::info(&text);
                told = text;
            }
            match operation.state.as_str() {
                "succeeded" => return Ok(()),
                "failed" | "cancelled" | "stuck" => return Err(OperationError::Ended(operation.into())),
                _ => {}
            }
            let unfinished =
                |operation, why| OperationError::Unfinished { operation: Box::new(operation), why };
            if Instant::now() >= give_up {
                return Err(unfinished(operation, "the provider's operation_timeout is over"));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.stopped() => return Err(unfinished(operation, "Terraform was interrupted")),
            }
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            operation = self.operation(&operation.id).await?;
        }
    }

    async fn operation(&self, id: &str) -> Result<Operation, ApiError> {
        let body = self.send(Request::get(&["operations", id])).await?.body;
        Operation::read(&body).ok_or_else(|| ApiError::Unreachable(format!("operation {id} cannot be read")))
    }
}

impl Operation {
    fn read(json: &Json) -> Option<Self> {
        Self::deserialize(json).ok()
    }

    /// A line for the log.
    fn describe(&self) -> String {
        let step = self.step.as_deref().map(|step| format!(", step {step}")).unwrap_or_default();
        let message = self.message.as_deref().map(|text| format!(": {text}")).unwrap_or_default();
        let percent = self.progress * 100.0;
        format!("operation {} ({}) is {}{step}, {percent:.0} %{message}", self.id, self.kind, self.state)
    }
}

impl OperationError {
    /// What a person is told of it.
    pub(crate) fn diagnostics(
        &self,
        summary: &str,
        attributes: &[crate::schema::Attribute],
    ) -> Vec<Diagnostic> {
        let detail = match self {
            Self::Api(error) => return error.diagnostics(summary, attributes),
            Self::Unfinished { operation, why } => format!(
                "Operation {id} ({kind}) goes on, but is not waited for any longer: {why}. Watch it with `tenantry \
                 operations watch {id}`, and apply again once it has ended.",
                id = operation.id,
                kind = operation.kind,
            ),
            Self::Ended(operation) => {
                let reason = operation.error.as_deref().unwrap_or("it was cancelled");
                let next = match operation.state.as_str() {
                    "stuck" => format!(
                        "It can go on only with a person's help: `tenantry operations retry {id}`, or `tenantry \
                         operations abandon {id} --reason WHY`; then apply again.",
                        id = operation.id
                    ),
                    _ => "It was undone. Mend the cause, then apply again.".to_owned(),
                };
                let step = operation.step.as_deref().unwrap_or("the first");
                format!(
                    "{}\n\nOperation {} ({}) is {} at step {step}. {next}",
                    sentence(reason),
                    operation.id,
                    operation.kind,
                    operation.state
                )
            }
        };
        vec![Diagnostic::error(summary, detail)]
    }
}
