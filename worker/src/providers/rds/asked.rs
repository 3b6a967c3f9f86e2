//! What Amazon answers: done, refused by a code, or nothing that says anything.

use std::{fmt::Debug, time::Duration};

use aws_sdk_rds::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use tokio::time::timeout;

use crate::providers::ProviderError;

/// How long one call may take, with the SDK's own tries.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// An answer.
pub(super) enum Asked<T> {
    Done(T),
    Refused(Refusal),
}

/// Amazon does not do it.
pub(super) struct Refusal {
    code: String,
    message: String,
}

impl<T> Asked<T> {
    /// For calls of which no refusal is expected.
    pub(super) fn or_refusal(self) -> Result<T, ProviderError> {
        match self {
            Self::Done(done) => Ok(done),
            Self::Refused(refusal) => Err(refusal.into()),
        }
    }
}

impl<T> Asked<T> {
    pub(super) fn map<U>(self, of: impl FnOnce(T) -> U) -> Asked<U> {
        match self {
            Self::Done(done) => Asked::Done(of(done)),
            Self::Refused(refusal) => Asked::Refused(refusal),
        }
    }
}

impl Refusal {
    /// Whether it has that code. Some end in `Fault`, depending on the call.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.strip_suffix("Fault").unwrap_or(&self.code) == code
    }

    /// For a person.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

/// Codes that pass with time.
const PASSING: [&str; 12] = [
    "ExpiredToken",
    "InsufficientDBInstanceCapacity",
    "InternalFailure",
    "InvalidDBInstanceState",
    "InvalidDBParameterGroupState",
    "RequestExpired",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SnapshotQuotaExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

impl From<Refusal> for ProviderError {
    fn from(refusal: Refusal) -> Self {
        let message = format!("Amazon answers {}: {}", refusal.code, refusal.message);
        if PASSING.iter().any(|code| refusal.is(code)) {
            return Self::Transient(message);
        }
        // Deletions need one too, and old ones are forgotten within the hour.
        if refusal.is("DBParameterGroupQuotaExceeded") {
            return Self::Transient(format!("{message}; have the account's quota raised"));
        }
        if refusal.code.contains("QuotaExceeded") {
            return Self::Permanent(format!("{message}; have the account's quota raised"));
        }
        Self::Permanent(message)
    }
}

/// One page of a listing; none after the last.
pub(super) async fn next_page<T, E>(
    page: impl Future<Output = Option<Result<T, SdkError<E, HttpResponse>>>>,
) -> Result<Option<T>, ProviderError>
where
    E: ProvideErrorMetadata + std::error::Error + Debug + Send + Sync + 'static,
{
    let page = asked(async { page.await.transpose() });
    page.await?.or_refusal()
}

/// One call.
pub(super) async fn asked<T, E>(
    call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<Asked<T>, ProviderError>
where
    E: ProvideErrorMetadata + std::error::Error + Debug + Send + Sync + 'static,
{
    let late =
        || ProviderError::Transient(format!("Amazon has not answered within {} s", CALL_TIMEOUT.as_secs()));
    match timeout(CALL_TIMEOUT, call).await.map_err(|_| late())? {
        Ok(done) => Ok(Asked::Done(done)),
        Err(SdkError::ServiceError(error)) if error.raw().status().is_client_error() => {
            let error = error.err();
            let code = error.code().unwrap_or("an error without a code").to_owned();
            Ok(Asked::Refused(Refusal { code, message: error.message().unwrap_or_default().to_owned() }))
        }
        Err(error) => Err(ProviderError::Transient(format!(
            "Amazon cannot be asked: {}",
            aws_sdk_rds::error::DisplayErrorContext(&error)
        ))),
    }
}
